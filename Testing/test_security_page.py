"""SECURITY.md says of each threat which tests show that it is held; they exist and hold tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ITEM = re.compile(r"^\* \*\*(.+?)\*\* could (.+?) Against it: (.+?) Tests: (.+)\.$", re.MULTILINE)
THREATS = ITEM.findall(PAGE.replace("\n  ", " "))
NAMED = sorted(set(re.findall(r"`(Testing/[\w/]+\.py)`", PAGE)))


def test_every_threat_names_what_holds_and_its_tests():
    assert len(THREATS) >= 9
    for _, _, _, tests in THREATS:
        assert re.search(r"`Testing/[\w/]+\.py`", tests)
    subjects = " ".join(row[0] for row in THREATS)
    for subject in ("checkpoint", "data set", "DICOM", "card", "configuration", "File names"):
        assert subject in subjects


@pytest.mark.parametrize("name", NAMED)
def test_the_tests_that_it_names_exist(name):
    assert re.search(r"^def test_\w+\(", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_page_is_linked_where_people_look():
    assert "SECURITY.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "SECURITY.md" in (ROOT / "training" / "README.md").read_text(encoding="utf-8")
