"""The short version of `make torture`: every subject, with the cases that cost least."""

import gc
import importlib

import pytest

from .__main__ import PANEL, SUBJECTS
from .harness import Tally, open_files


@pytest.mark.parametrize("name", PANEL)
def test_subjects_of_the_panel_can_be_run(name):
    """What they try, with fewer runs, is in Testing/panel/jobs: two jobs at once, kills, memory."""
    subject = importlib.import_module(f".{name}", __package__)
    assert subject.NAME and subject.TRIED and subject.FULL >= subject.SHORT and callable(subject.run)


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name not in PANEL])
def test_every_case_ends_in_a_right_result_or_a_clear_error(name, tmp_path):
    subject = importlib.import_module(f".{name}", __package__)
    files = open_files()
    tally = Tally(tmp_path)
    subject.run(tally, subject.SHORT)
    assert not tally.bugs, "\n".join(tally.bugs)
    assert tally.right, "no case had a result"
    gc.collect()  # an error keeps what it went through
    assert open_files() <= files, "files were left open"
