"""Text in CSV files, protected from spreadsheets that would take it for a formula, and read back unchanged.

A cell that begins with =, +, -, @, a tab or a carriage return is a formula to Excel, LibreOffice and Google Sheets (OWASP, "CSV
Injection"), and may start programs or send the table away. An apostrophe before it makes it text. Some spreadsheets
split a line at semicolons, tabs or line ends within a cell, so the same holds for the text after those.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any

_FORMULA = "[=+\\-@\uff1d\uff0b\uff0d\uff20]"  # the last four: the same in full width
_BEGINS = rf"[' ]*(?:{_FORMULA}|[\t\r])"
_GOES_ON = rf"(?:'*{_FORMULA})"
_TO_MARK = re.compile(rf"^(?={_BEGINS})|(?<=[;\t\r\n])(?={_GOES_ON})")
_MARKED = re.compile(rf"^'(?={_BEGINS})|(?<=[;\t\r\n])'(?={_GOES_ON})")


def csv_text(text: str) -> str:
    """The text of a cell, with an apostrophe before everything that a spreadsheet might take for a formula."""
    return _TO_MARK.sub("'", text)


def csv_cell(value: Any) -> Any:
    """The value of a cell: text as `csv_text` gives it; numbers and all other values unchanged."""
    return csv_text(value) if isinstance(value, str) else value


def from_csv_text(cell: str) -> str:
    """The text from which `csv_text` made a cell."""
    return _MARKED.sub("", cell)


def read_csv_rows(lines: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV by its header, names and cells as before `csv_text`; missing cells are empty."""
    rows = csv.DictReader(lines, restkey="", restval="")
    return [{from_csv_text(name): from_csv_text(cell) for name, cell in row.items() if name} for row in rows]
