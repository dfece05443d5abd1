"""The pages from top to bottom in an empty folder: every command works with what those before it left."""

from __future__ import annotations

import re
import shlex

import pytest

from .pages import PAGES, blocks, run, run_python, with_options

FEW_STEPS = {"--steps": "6", "--validate-every": "3"}


def shell(code: str, folder) -> None:
    """The lines of a block: unetseg as the page has it, but for fewer steps; of the rest what changes files."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line.partition(";")[0])
        if words[:1] == ["unetseg"]:
            run(with_options(words[1:], FEW_STEPS), folder)
        elif words[:1] == ["echo"]:
            text, _, name = words[1:]
            (folder / name).write_text(text + "\n", encoding="utf-8")
        elif words[:1] in (["cat"], ["head"]):
            assert (folder / words[-1]).is_file(), line
        elif words[:1] not in (["cp"], ["rm"], ["mv"]):
            raise AssertionError(f"a command that this walk does not know: {line}")


@pytest.mark.slow
def test_every_page_works_after_those_before_it(tmp_path):
    for number in range(1, len(PAGES) + 1):
        for code in blocks(number, "python") if number == 2 else []:
            run_python(code, tmp_path)
        for code in blocks(number, "sh"):
            if not re.search(r"^unetseg info spoilt", code, re.MULTILINE):  # test_2_annotations.py does this exercise
                shell(code, tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert {"hearts", "preprocessed", "runs", "evaluated", "segmented", "compared", "checked"} <= left
    report = (tmp_path / "compared" / "report.html").read_text(encoding="utf-8")
    assert "training statistics of 4 cases" in report, "the yardstick of page 10"
