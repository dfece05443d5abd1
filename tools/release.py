"""Make a release of what is under [Unreleased]: `python tools/release.py 0.2.0` writes the version and the date where they stand.

The version stands in UNetSegmenterLib/__init__.py; wheel, cards, reports and `unetseg --version` read it there. CITATION.cff
and CHANGELOG.md repeat it, and Testing/test_publishing.py holds them equal. What follows is in docs/publishing.md.
"""

from __future__ import annotations

import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION_FILE = "UNetSegmenter/UNetSegmenterLib/__init__.py"
VERSION_LINE = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
RELEASE_HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
UNRELEASED = "## [Unreleased]\n"


def version(root: Path = ROOT) -> str:
    """The one version."""
    found = VERSION_LINE.search((root / VERSION_FILE).read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def notes(root: Path = ROOT) -> str:
    """What the changelog says of the newest release: the text of its page on GitHub."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = RELEASE_HEADING.search(text)
    if found is None:
        raise ValueError("CHANGELOG.md has no release yet; make one with tools/release.py VERSION.")
    return text[found.end() :].partition("\n## [")[0].strip() + "\n"


def release(new: str, day: str, root: Path = ROOT) -> None:
    """Write version and date into the three files.

    Raises:
        ValueError: the version is none, was released before, or nothing is to be released.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", new):
        raise ValueError(f"{new} is no version; expected are three numbers, as in 1.2.0.")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    if new in [found[1] for found in RELEASE_HEADING.finditer(text)]:
        raise ValueError(f"CHANGELOG.md has {new} already.")
    head, _, entries = text.partition(UNRELEASED)
    if not re.match(r"\s*(###|-) ", entries):
        raise ValueError('CHANGELOG.md has nothing under "## [Unreleased]".')
    changelog.write_text(f"{head}{UNRELEASED}\n## [{new}] - {day}\n{entries}", encoding="utf-8", newline="\n")
    _replace(root / VERSION_FILE, VERSION_LINE, f'__version__ = "{new}"')
    _replace(root / "CITATION.cff", re.compile(r"^version: .+$", re.MULTILINE), f"version: {new}")
    _replace(root / "CITATION.cff", re.compile(r"^date-released: .+$", re.MULTILINE), f"date-released: {day}")


def _replace(path: Path, pattern: re.Pattern[str], line: str) -> None:
    text, count = pattern.subn(line, path.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{path.name} was expected to have one line like: {line}")
    path.write_text(text, encoding="utf-8", newline="\n")


def main(arguments: list[str]) -> int:
    try:
        if arguments == ["--notes"]:
            sys.stdout.write(notes())
        elif len(arguments) == 1:
            release(arguments[0], datetime.date.today().isoformat())
        else:
            print(__doc__.splitlines()[0], file=sys.stderr)
            return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
