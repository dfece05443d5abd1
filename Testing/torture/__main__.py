"""`python -m Testing.torture`: try all of it, say what was tried, and print a table; exit code 1 if anything was a bug."""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "UNetSegmenter"), str(ROOT / "training")]

from .harness import Tally

SUBJECTS = (
    "image_headers",
    "dicom_headers",
    "damaged_compression",
    "checkpoints",
    "label_sets",
    "worker_messages",
    "killed_worker",
    "killed_trainer",
    "killed_evaluator",
    "panel_repetition",
    "two_panels",
    "full_disk",
    "long_scan",
)
PANEL = ("killed_worker", "panel_repetition", "two_panels")
"""Subjects that start the panel's stand-in, which a process has once."""
HEAD = f"{'subject':24} {'tried':>7} {'right':>7} {'refused':>8} {'bugs':>5} {'seconds':>8}"


def main() -> int:
    """Run the subjects that were asked for, one after the other, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m Testing.torture", description=__doc__.splitlines()[0])
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}; all by default")
    parser.add_argument("--seed", type=int, default=0, help="the same seed tries the same cases")
    parser.add_argument("--share", type=float, default=1.0, help="the share of the cases that is tried")
    parser.add_argument("--short", action="store_true", help="as many cases as the test suite tries")
    options = parser.parse_args()
    if unknown := set(options.subjects) - set(SUBJECTS):
        parser.error(f"no subject {', '.join(sorted(unknown))}; known are {', '.join(SUBJECTS)}")
    rows, bugs = [], []
    for name in options.subjects or SUBJECTS:
        subject = importlib.import_module(f".{name}", __package__)
        count = subject.SHORT if options.short else max(1, round(subject.FULL * options.share))
        print(f"{subject.NAME}: {subject.TRIED} ({count:,} cases)", flush=True)
        started = time.perf_counter()
        folder = Path(tempfile.mkdtemp(prefix="torture-"))
        tally = Tally(folder, options.seed)
        try:
            subject.run(tally, count)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        seconds = time.perf_counter() - started
        for kind, times in tally.messages.most_common(6):
            print(f"    {times:6} x {kind}")
        for line in (*tally.notes, *(f"BUG {bug}" for bug in tally.bugs)):
            print(f"    {line}", flush=True)
        numbers = f"{tally.tried:7,} {tally.right:7,} {tally.refused:8,} {len(tally.bugs):5} {seconds:8.1f}"
        rows.append(f"{subject.NAME:24} {numbers}")
        print(f"    {' '.join(numbers.split())}  (tried, right, refused, bugs, seconds)", flush=True)
        bugs += tally.bugs
    print("\n".join(["", HEAD, *rows]))
    print(f"seed {options.seed}: {len(bugs) or 'no'} bug{'s' * (len(bugs) != 1)}")
    return bool(bugs)


if __name__ == "__main__":
    sys.exit(main())
