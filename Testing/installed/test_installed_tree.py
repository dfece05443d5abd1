"""The extension as Slicer installs it: configured by its own CMake files, whole, and the panel works from there.

`make installed-test` runs all of the panel's tests on such a tree, and with Slicer's own macros if their sources are there
(docs/publishing.md). Here are the tree and a few of those tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..tools_as_modules import tool

ROOT = Path(__file__).resolve().parents[2]
MODULES = Path("lib", "Slicer-5.12", "qt-scripted-modules")
TESTS = ("Testing/panel/test_module.py", "Testing/panel/sections/test_report_section.py")
FEW = "self_test or samples_are_registered or one_press_compares"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of the modules in an installed tree."""
    if shutil.which("cmake", path=search_path()) is None:
        pytest.skip("cmake is not installed")
    folder = tmp_path_factory.mktemp("installed")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "install_tree.py", folder / "tree"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return folder / "tree" / MODULES


def search_path() -> str:
    """Where programs are found: first beside the Python that runs the tests."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def test_the_tree_holds_every_file_of_the_module_and_no_other(installed):
    scripts, others = tool("cmake_lists").module_files()
    expected = {name.replace("${MODULE_NAME}", "UNetSegmenter") for name in (*scripts, *others)}
    found = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    viewer = "UNetSegmenterLib/engine/report/niivue.umd.js"
    assert found - {viewer} == expected
    assert (viewer in found) == (ROOT / "UNetSegmenter" / viewer).exists()


def test_the_panel_passes_its_tests_from_the_installed_tree(installed):
    pytest.importorskip("slicer", reason="slicer-core is needed")
    pytest.importorskip("PySide6", reason="PySide6 is needed")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, "-k", FEW]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), str(ROOT / "training")])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr


def test_nothing_of_the_source_tree_is_used(installed):
    code = "import UNetSegmenterLib, UNetSegmenterLib.panel; print(UNetSegmenterLib.__file__, UNetSegmenterLib.panel.__path__[0])"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert all(Path(line).is_relative_to(installed) for line in done.stdout.split())
