"""What a reviewer says of a segmentation, and the table reviews.csv that keeps it for a test set."""

from __future__ import annotations

import csv
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError
from .files import write_whole

SCORES = {
    "plausible": "plausible",
    "small faults": "plausible with small faults",
    "implausible": "implausible",
}
"""The three answers to "is it anatomy?", each with its words; "" stands for "not judged"."""

COLUMNS = ("case", "score", "comment", "reviewer", "time", "checkpoint")
_MOST_CHARACTERS = 10_000


@dataclass(frozen=True)
class Verdict:
    """A reviewer's score (a key of SCORES, "" if not judged) and comment; `time` is UTC, ISO 8601.

    `checkpoint` says which network made what was judged. Raises InputError for a score that nobody defined.
    """

    score: str = ""
    comment: str = ""
    reviewer: str = ""
    time: str = ""
    checkpoint: str = ""

    def __post_init__(self) -> None:
        if self.score not in ("", *SCORES):
            raise InputError(f"“{self.score}” is no verdict; {', '.join(SCORES)} are expected, or nothing.")

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return bool(self.score or self.comment)

    @property
    def words(self) -> str:
        """The score as a reader wants it."""
        return SCORES.get(self.score, "not judged")


def make_verdict(score: str, comment: str, reviewer: str = "", checkpoint: str = "") -> Verdict:
    """A verdict of this moment, its texts cleaned of what neither a scene nor a table can hold."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Verdict(score, clean_text(comment), clean_text(reviewer).replace("\n", " "), now, checkpoint)


def clean_text(text: str) -> str:
    """Plain text with line ends as "\\n": XML, in which Slicer saves scenes, keeps no tabs and no control characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\v", "\n").split("\n")
    kept = ("".join(_kept(character) for character in line).rstrip() for line in lines)
    return "\n".join(kept).strip()[:_MOST_CHARACTERS]


def _kept(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cs", "Cn") else character


def read_reviews(path: Path | str) -> dict[str, Verdict]:
    """Verdicts by case of a reviews.csv, empty where there is none yet. Raises InputError for a file that is another."""
    path = Path(path)
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} can't be read as a table of reviews ({error}); move it away.") from error
    missing = [name for name in ("case", "score", "comment") if name not in columns]
    if missing:
        raise InputError(f"{path} is no table of reviews: it has no column {', '.join(missing)}; move it away.")
    try:
        return {row["case"]: Verdict(**{name: row.get(name) or "" for name in COLUMNS[1:]}) for row in rows}
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def write_reviews(path: Path | str, verdicts: Mapping[str, Verdict]) -> None:
    """Write a row a case, whole or not at all; cases about which nothing was said are left out.

    Raises InputError if the file can't be written.
    """
    rows = [(case, *(getattr(one, name) for name in COLUMNS[1:])) for case, one in verdicts.items() if one]

    def write(partial: Path) -> None:
        with partial.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])

    write_whole(path, write)
