"""Every picture that the pages show is made by a command, and every command's picture is there."""

from __future__ import annotations

import re
from pathlib import Path

from tools.course_pictures.__main__ import PICTURES
from tools.screenshots.__main__ import GROUPS

ROOT = Path(__file__).resolve().parents[1]
BY_BENCHMARK = "Resources/prediction-speed.svg"  # make bench-predict
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
OF_THE_COURSE = {f"docs/course/pictures/{name}" for name in PICTURES}
TAKEN = {
    f"docs/course/pictures/{name}" if name in PICTURES else f"Resources/Screenshots/{name}"
    for group in GROUPS.values()
    for name in group.pictures
}


def shown() -> set[str]:
    """Pictures of all pages, from the repository's root."""
    found = set()
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+\.(?:png|svg))\)", page.read_text(encoding="utf-8")):
            found.add((page.parent / target).resolve().relative_to(ROOT).as_posix())
    return found


def test_every_picture_of_a_page_is_made_by_a_command():
    icon = {name for name in shown() if "/Icons/" in name}
    assert shown() - icon <= TAKEN | OF_THE_COURSE | {BY_BENCHMARK}


def test_what_the_commands_make_is_there_and_nothing_else():
    folders = ("Resources/Screenshots", "docs/course/pictures")
    there = {path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).iterdir()}
    assert there == TAKEN | OF_THE_COURSE


def test_no_picture_is_larger_than_it_must_be():
    for path in (ROOT / "Resources" / "Screenshots").glob("*.png"):
        assert path.stat().st_size < 500_000, f"{path.name}: python -m tools.screenshots writes 256 colours"
