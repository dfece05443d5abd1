"""The lists that Slicer's build installs from are those of the tree."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def lists_tool():
    spec = importlib.util.spec_from_file_location("cmake_lists", ROOT / "tools" / "cmake_lists.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_every_file_of_the_module_is_listed():
    tool = lists_tool()
    text = tool.LISTS.read_text(encoding="utf-8")
    scripts, others = tool.module_files()
    remedy = "run: python tools/cmake_lists.py"
    assert tool.listed(text, "MODULE_PYTHON_SCRIPTS") == scripts, remedy
    assert tool.listed(text, "MODULE_PYTHON_RESOURCES") == others, remedy


def test_a_new_file_is_noticed(tmp_path):
    tool = lists_tool()
    (tmp_path / "UNetSegmenterLib").mkdir()
    for name in (
        "UNetSegmenter.py",
        "UNetSegmenterLib/new.py",
        "UNetSegmenterLib/new.json",
        "UNetSegmenterLib/notes.md",
    ):
        (tmp_path / name).touch()
    assert tool.module_files(tmp_path) == (
        ["${MODULE_NAME}.py", "UNetSegmenterLib/new.py"],
        ["UNetSegmenterLib/new.json"],
    )


def test_the_fetched_viewer_is_packaged_where_it_is():
    tool = lists_tool()
    text = tool.LISTS.read_text(encoding="utf-8")
    assert not [entry for entry in tool.listed(text, "MODULE_PYTHON_RESOURCES") if entry.endswith(tool.FETCHED)]
    for name in tool.FETCHED:
        place = f"UNetSegmenterLib/engine/report/{name}"
        taken = rf'if\(EXISTS "[^"]*{re.escape(place)}"\)\s*list\(APPEND MODULE_PYTHON_RESOURCES {re.escape(place)}\)'
        assert re.search(taken, text)


def test_training_is_not_packaged():
    for path in (ROOT / "CMakeLists.txt", ROOT / "UNetSegmenter" / "CMakeLists.txt"):
        assert "add_subdirectory(training" not in path.read_text(encoding="utf-8")


def test_icon_and_ui_file_are_there():
    for name in ("Icons/UNetSegmenter.png", "UI/UNetSegmenter.ui", "requirements.txt"):
        assert (ROOT / "UNetSegmenter" / "Resources" / name).stat().st_size > 0
