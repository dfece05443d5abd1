"""What a reviewer says of a segmentation, and the table reviews.csv that keeps it for a test set."""

from __future__ import annotations

import csv
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import InputError
from ..io.atomic_files import locked, write_atomically
from ..io.csv_text import csv_text, from_csv_text

SCORES = {
    "plausible": "plausible",
    "small faults": "plausible with small faults",
    "implausible": "implausible",
}
"""The three answers to "is it anatomy?", each with its words; "" stands for "not reviewed"."""

COLUMNS = ("case", "score", "comment", "reviewer", "time", "checkpoint")
_MOST_CHARACTERS = 10_000


@dataclass(frozen=True)
class Verdict:
    """A reviewer's score (a key of SCORES, "" if not reviewed) and comment; `time` is UTC, ISO 8601.

    `checkpoint` says which network made the segmentation. Raises InputError for a score that is not defined.
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
    def text(self) -> str:
        """The score as a reader wants it."""
        return SCORES.get(self.score, "not reviewed")


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
    """The latest verdict on each case of a reviews.csv, empty where there is no such file yet.

    Raises InputError for a file that is another.
    """
    _, rows = _read_table(Path(path))
    return _latest(Path(path), rows)


def write_reviews(path: Path | str, verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Put verdicts by case into reviews.csv, and return the latest verdict on each case that it holds then.

    There is one row per case and reviewer: a verdict takes the place of the same reviewer's earlier one, or takes it out
    where nothing is said any more. All other rows and columns stay as they are. The file is locked meanwhile, so that
    several reviewers can work on one table. Raises InputError if it can't be read or written.
    """
    path = Path(path)
    with locked(path.with_name(f".{path.name}.lock")):
        columns, rows = _read_table(path)
        for case, verdict in verdicts.items():
            _put(rows, {"case": case, **asdict(verdict)}, bool(verdict))
        columns = [*columns, *(name for name in COLUMNS if name not in columns)]

        def write(partial: Path) -> None:
            with partial.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(_converted(row, csv_text) for row in rows)

        if rows or path.exists():
            write_atomically(path, write)
    return _latest(path, rows)


def _put(rows: list[dict[str, str]], row: dict[str, str], is_said: bool) -> None:
    """Put a row in the place of the same reviewer's on the same case, or at the end; take it out if nothing is said."""
    for place, other in enumerate(rows):
        if all((other.get(name) or "") == row[name] for name in ("case", "reviewer")):
            rows[place : place + 1] = [other | row] if is_said else []
            return
    if is_said:
        rows.append(row)


def _latest(path: Path, rows: list[dict[str, str]]) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    for row in rows:
        try:
            verdict = Verdict(**{name: row.get(name) or "" for name in COLUMNS[1:]})
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        if row["case"] not in found or verdict.time >= found[row["case"]].time:
            found[row["case"]] = verdict
    return found


def _read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a reviews.csv, both empty where there is none; raises InputError for another file."""
    if not path.exists():
        return [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            rows = [_converted(row, from_csv_text) for row in reader]
            columns = list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} can't be read as a table of reviews ({error}); move it away.") from error
    missing = [name for name in ("case", "score", "comment") if name not in columns]
    if missing:
        raise InputError(f"{path} is no table of reviews: it has no column {', '.join(missing)}; move it away.")
    return columns, rows


def _converted(row: dict[str, str], convert: Callable[[str], str]) -> dict[str, str]:
    """A row with the cells that this program writes converted; those of other columns stay as they are."""
    return {name: convert(cell) if name in COLUMNS else cell for name, cell in row.items()}
