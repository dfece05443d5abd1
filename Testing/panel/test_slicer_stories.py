"""The stories for a real Slicer, run on the stand-in as far as that goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
START = "import slicer, sys; sys.path[:0] = ['Testing', 'Testing/slicer']; import host; host.start()\n"


@pytest.mark.slow
def test_the_stories_pass_on_the_stand_in():
    """In a window of real sizes, under tool tips as Slicer wraps them."""
    code = START + "from host.scripted import load_module; load_module('UNetSegmenter/UNetSegmenter.py')\n"
    code += "from host.window import open_window; open_window(slicer.util.getModuleWidget('UNetSegmenter'))\n"
    code += "from host import pythonqt; pythonqt.PythonQtLike.wraps_tool_tips = True\n"
    if "UNETSEGMENTER_SCREENSHOTS" not in os.environ:  # drawing what the views show takes as long as the stories
        code += "slicer.app.layoutManager().draw = lambda: None\n"
    code += "import run; sys.exit(run.run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--output", str(ROOT / ".cache" / "stories")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=900, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert ", 0 failed" in done.stdout


def test_the_stories_use_nothing_but_what_slicer_ships():
    allowed = {"__future__", "argparse", "gc", "html", "importlib", "os", "pathlib", "re", "sys"}
    allowed |= {"tempfile", "time", "traceback"}
    allowed |= {
        "numpy",
        "qt",
        "slicer",
        "torch",
        "vtk",
        "world",
        "stories",
        "job_stories",
        "view_stories",
        "eyes",
        "SampleData",
        "UNetSegmenter",
        "UNetSegmenterLib",
    }
    import ast

    for path in (ROOT / "Testing" / "slicer").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert {name.split(".")[0] for name in names} <= allowed, f"{path.name}: {names}"
