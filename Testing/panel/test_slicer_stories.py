"""The stories for a real Slicer, told to the stand-in as far as that goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
START = "import slicer, sys; sys.path[:0] = ['Testing', 'Testing/slicer']; import host; host.start()\n"


@pytest.mark.slow
def test_the_stories_pass_on_the_stand_in():
    code = START + "from host.scripted import load_module; load_module('UNetSegmenter/UNetSegmenter.py')\n"
    code += "import run; sys.exit(run.run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--output", str(ROOT / ".cache" / "stories")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=600, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert ", 0 failed" in done.stdout


def test_the_stories_use_nothing_but_what_slicer_ships():
    allowed = {"__future__", "argparse", "gc", "importlib", "os", "sys", "tempfile", "time", "traceback", "pathlib"}
    allowed |= {
        "numpy",
        "qt",
        "slicer",
        "torch",
        "vtk",
        "world",
        "stories",
        "job_stories",
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
