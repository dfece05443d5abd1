"""What `make coverage` measures and prints, and when it fails."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from .tools_as_modules import tool

ROOT = Path(__file__).resolve().parents[1]


def report(engine_taken: int, training_taken: int) -> dict:
    """What `coverage json` writes of two files with ten branches each, and of one without branches."""

    def file(lines, statements, taken, branches):
        names = ("covered_lines", "num_statements", "covered_branches", "num_branches")
        return {"summary": dict(zip(names, (lines, statements, taken, branches), strict=True))}

    return {
        "files": {
            "UNetSegmenter/UNetSegmenterLib/engine/io/nifti.py": file(9, 10, engine_taken, 10),
            "UNetSegmenter/UNetSegmenterLib/engine/errors.py": file(5, 5, 0, 0),
            "training\\unetseg\\cli\\train.py": file(3, 4, training_taken, 10),  # as Windows has it
        }
    }


def test_the_figures_are_by_floor_and_by_room():
    counts = tool("branch_coverage").counts_by_room(report(9, 7))
    assert counts == {
        "UNetSegmenterLib/engine": [14, 15, 9, 10],
        "UNetSegmenterLib/engine/io": [9, 10, 9, 10],
        "unetseg": [3, 4, 7, 10],
        "unetseg/cli": [3, 4, 7, 10],
    }


@pytest.mark.parametrize(
    ("engine", "training", "missed"), [(9, 9, []), (8, 9, ["UNetSegmenterLib/engine"]), (9, 8, ["unetseg"])]
)
def test_it_fails_where_a_floor_misses_the_goal(tmp_path, capsys, engine, training, missed):
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps(report(engine, training)), encoding="utf-8")
    assert tool("branch_coverage").main(path) == bool(missed)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if "fewer than 90%" in line] == missed
    assert any(line.startswith("unetseg/cli") and f"{training}/10" in line for line in lines)


def test_both_floors_and_every_process_are_measured():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["coverage"]["run"]
    assert settings["branch"] and "subprocess" in settings["patch"] and settings["parallel"]
    assert [(ROOT / one).is_dir() for one in settings["source"]] == [True, True]
    assert [f"{floor}" in "/".join(settings["source"]) for floor in tool("branch_coverage").FLOORS] == [True, True]
