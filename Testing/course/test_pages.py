"""Every page has its parts, and its pictures are there, small and used."""

from __future__ import annotations

import re

import pytest

from .pages import COURSE, PAGES, REAL_DATA

LARGEST_BYTES = 150_000
PARTS = ("**You can ", "**Time:** ", "## Exercises", "## What you can do now", REAL_DATA)
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pages
def test_a_page_has_its_parts_in_their_order(page):
    text = page.read_text(encoding="utf-8")
    places = [text.find(part) for part in PARTS]
    assert -1 not in places, [part for part, place in zip(PARTS, places, strict=True) if place < 0]
    assert places == sorted(places)


@pages
def test_every_exercise_has_a_folded_answer(page):
    exercises = page.read_text(encoding="utf-8").partition("## Exercises")[2].partition("\n## ")[0]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", exercises, re.MULTILINE)]
    assert numbers and numbers == list(range(1, len(numbers) + 1))
    for exercise in re.split(r"^\d+\. ", exercises, flags=re.MULTILINE)[1:]:
        assert exercise.count("<details><summary>Answer</summary>") == 1, exercise
        assert exercise.count("</details>") == 1, exercise


def test_pictures_are_small_and_used():
    text = "".join(page.read_text(encoding="utf-8") for page in COURSE.glob("*.md"))
    for picture in (COURSE / "pictures").iterdir():
        assert picture.stat().st_size < LARGEST_BYTES, picture
        assert f"pictures/{picture.name}" in text, f"no page shows {picture}"
