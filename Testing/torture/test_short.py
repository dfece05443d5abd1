"""The short version of `make torture`: every subject, with the cases that cost least."""

import gc
import importlib

import pytest

from .__main__ import SUBJECTS
from .harness import Tally, open_files


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_case_ends_in_a_right_result_or_a_clear_error(name, tmp_path):
    subject = importlib.import_module(f".{name}", __package__)
    files = open_files()
    tally = Tally(tmp_path)
    subject.run(tally, subject.SHORT)
    assert not tally.bugs, "\n".join(tally.bugs)
    assert tally.right, "no case had a result"
    gc.collect()  # an error keeps what it went through
    assert open_files() <= files, "files were left open"
