"""Every page has its parts, and its pictures are there, small and used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from UNetSegmenterLib.engine.evaluation.verdict import SCORES

from .pages import COURSE, PAGES, REAL_DATA, ROOT, answers, text_of

LARGEST_BYTES = 150_000
PARTS = ("**You can ", "**Time:** ", "## Exercises", "## What you can do now", REAL_DATA)
OBJECTIVE = re.compile(r"^\| ([^|]+) \| \[(\d+)\]\((\d+)-[^)]+\) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
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


def test_the_table_of_objectives_names_exercises_and_tests_that_exist():
    """Each objective of the teachers' page is taught under a heading; every exercise practises one."""
    rows = OBJECTIVE.findall((COURSE / "teachers.md").read_text(encoding="utf-8").partition("## Objectives")[2])
    assert len(rows) > 25
    tests = {
        name
        for file in Path(__file__).parents[1].glob("**/test_*.py")
        for name in TEST.findall(file.read_text("utf-8"))
    }
    practised: dict[int, set[int]] = {}
    for objective, shown, number, exercises, checked in rows:
        assert shown == number, objective
        for other, exercise in re.findall(r"(?:page (\d+): )?\b(\d+)\b", exercises):
            practised.setdefault(int(other or number), set()).add(int(exercise))
        assert checked == "by the teacher" or checked.strip("`") in tests, checked
    assert practised == {number: set(range(1, len(answers(number)) + 1)) for number in range(1, len(PAGES) + 1)}


def test_what_is_pressed_in_slicer_exists():
    """Buttons, sections, samples and verdicts that pages 2 and 10 name are the panel's."""
    panel = (ROOT / "UNetSegmenter" / "Resources" / "UI" / "UNetSegmenter.ui").read_text(encoding="utf-8")
    shown = {text.replace("&amp;", "") for text in re.findall(r"<string>([^<]+)</string>", panel)}
    library = ROOT / "UNetSegmenter" / "UNetSegmenterLib" / "panel"
    samples = set(re.findall(r'"(UNetSegmenterSample\w+)"', (library / "sample_data.py").read_text(encoding="utf-8")))
    choice = (library / "widgets" / "structure_choice.py").read_text(encoding="utf-8")
    keys = set(re.search(r'^PREVIOUS_KEY, NEXT_KEY = "(\w)", "(\w)"', choice, re.MULTILINE).groups())
    for number in (2, 10):
        section = re.search(r"^## In Slicer.*?(?=^## )", text_of(number), re.DOTALL | re.MULTILINE)[0]
        named = set(re.findall(r"\*\*([^*]+)\*\*", section)) - {"left kidney"}
        assert len(named) > 5 and not named - shown - samples - keys
    verdicts = re.search(r"verdict \(([^)]+)\)", text_of(10))[1]
    assert set(" ".join(verdicts.split()).replace("*", "").split(", ")) == set(SCORES.values())


def test_pictures_are_small_and_used():
    text = "".join(page.read_text(encoding="utf-8") for page in COURSE.glob("*.md"))
    for picture in (COURSE / "pictures").iterdir():
        assert picture.stat().st_size < LARGEST_BYTES, picture
        assert f"pictures/{picture.name}" in text, f"no page shows {picture}"
