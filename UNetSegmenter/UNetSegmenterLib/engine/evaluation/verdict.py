"""A reviewer's verdict on a segmentation, and the table reviews.csv, which keeps the verdicts on a test set."""

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
"""The three scores of plausibility and their texts; "" stands for "not reviewed"."""

COLUMNS = ("case", "score", "comment", "reviewer", "time", "checkpoint")
_MOST_CHARACTERS = 10_000


@dataclass(frozen=True)
class Verdict:
    """A reviewer's verdict on one segmentation.

    Attributes:
        score: A key of `SCORES`, "" if not reviewed.
        comment: Free text.
        reviewer: Name of the reviewer.
        time: UTC, ISO 8601.
        checkpoint: Which network made the segmentation.

    Raises:
        InputError: For a score that is not defined.
    """

    score: str = ""
    comment: str = ""
    reviewer: str = ""
    time: str = ""
    checkpoint: str = ""

    def __post_init__(self) -> None:
        if self.score not in ("", *SCORES):
            raise InputError(f"The verdict is “{self.score}”; expected is one of {', '.join(SCORES)}, or nothing.")

    def __bool__(self) -> bool:
        """Whether there is a score or a comment."""
        return bool(self.score or self.comment)

    @property
    def text(self) -> str:
        """The score as text."""
        return SCORES.get(self.score, "not reviewed")


def make_verdict(score: str, comment: str, reviewer: str = "", checkpoint: str = "") -> Verdict:
    """A verdict with the current time, its texts without the characters that scenes and tables cannot hold."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Verdict(score, clean_text(comment), clean_text(reviewer).replace("\n", " "), now, checkpoint)


def clean_text(text: str) -> str:
    """Plain text with line ends as "\\n"; Slicer saves scenes as XML, which keeps no tabs and no control characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\v", "\n").split("\n")
    kept = ("".join(_kept(character) for character in line).rstrip() for line in lines)
    return "\n".join(kept).strip()[:_MOST_CHARACTERS]


def _kept(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cs", "Cn") else character


def read_reviews(path: Path | str) -> dict[str, Verdict]:
    """The latest verdict on each case of a reviews.csv, empty where there is no such file yet.

    Raises InputError for a file that is not a table of reviews.
    """
    _, rows = _read_table(Path(path))
    return _latest(Path(path), rows)


def write_reviews(path: Path | str, verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Put verdicts into reviews.csv.

    There is one row per case and reviewer: a verdict replaces the same reviewer's earlier one, and an empty verdict removes
    it. All other rows and columns stay unchanged. The file is locked meanwhile, so that several reviewers can work on one
    table.

    Args:
        path: The table; created if it does not exist.
        verdicts: Verdicts by case.

    Returns:
        The latest verdict on each case in the table.

    Raises:
        InputError: If the file cannot be read or written.
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


def _put(rows: list[dict[str, str]], row: dict[str, str], has_verdict: bool) -> None:
    """Replace the same reviewer's row on the same case, or append one; without a verdict the row is removed."""
    for index, other in enumerate(rows):
        if all((other.get(name) or "") == row[name] for name in ("case", "reviewer")):
            rows[index : index + 1] = [other | row] if has_verdict else []
            return
    if has_verdict:
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
    """Columns and rows of a reviews.csv, both empty if there is none; raises InputError for a file of another kind."""
    if not path.exists():
        return [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            rows = [_converted(row, from_csv_text) for row in reader]
            columns = list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as a table of reviews ({error}); move it to another folder."
        ) from error
    missing = [name for name in ("case", "score", "comment") if name not in columns]
    if missing:
        raise InputError(
            f"{path} is not a table of reviews: column {', '.join(missing)} is missing; move it to another folder."
        )
    return columns, rows


def _converted(row: dict[str, str], convert: Callable[[str], str]) -> dict[str, str]:
    """A row with the cells of `COLUMNS` converted; those of other columns stay unchanged."""
    return {name: convert(cell) if name in COLUMNS else cell for name, cell in row.items()}
