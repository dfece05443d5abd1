"""Proof: the tests of training and prediction that compare a device with the CPU (`pytest --device cuda`)."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from xml.etree import ElementTree

from .carried import ROOT
from .proof import Goal, Result, Setup

FILES = (
    "Testing/engine/model/test_prediction_on_a_device.py",
    "Testing/training/training/test_training_on_a_device.py",
)
QUICK = "not learns and not resumed"  # for a rehearsal: these two train


def run(setup: Setup) -> Result:
    """Run them in a process of their own; a test that fails is named with its last lines."""
    if find_spec("pytest") is None:
        return Result(notes=["pytest is not installed, so the tests were left out"], failure="pytest is not installed")
    report = setup.work / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--device={setup.device}"]
    command += [f"--junitxml={report}", "--tb=short", *FILES, *(["-k", QUICK] if setup.small else [])]
    outcome = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False, timeout=max(5, setup.seconds_left())
    )
    suite = next(ElementTree.parse(report).getroot().iter("testsuite")) if report.exists() else None
    if suite is None:
        raise RuntimeError(f"pytest wrote no report:\n{(outcome.stdout + outcome.stderr)[-4000:]}")
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    rows = [_row(case) for case in suite.iter("testcase")]
    result = Result({"passed": passed, **counts, "table": rows})
    wrong = counts["failures"] + counts["errors"]
    result.goals.append(Goal("all tests pass", f"{passed} passed, {wrong} failed", outcome.returncode == 0))
    if outcome.returncode:
        result.notes.append(outcome.stdout[-6000:])
    return result


def _row(case: ElementTree.Element) -> dict[str, str]:
    """A test, what became of it, and its seconds."""
    what = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
    name = re.sub(r"^test_", "", case.get("name", "")).replace("_", " ")
    return {"test": name, "outcome": what, "seconds": f"{float(case.get('time', 0)):.2f}"}
