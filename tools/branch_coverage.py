"""Print how many branches of the engine and of the training package the tests took, and fail where a floor misses the goal.

python tools/branch_coverage.py build/coverage/coverage.json
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path, PurePath

FLOORS = ("UNetSegmenterLib/engine", "unetseg")
GOAL = 0.90  # of the branches of each floor


def counts_by_room(report: dict) -> dict[str, list[int]]:
    """Statements run, statements, branches taken and branches of each folder below a floor, and of the floor itself."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for name, file in report["files"].items():
        summary = file["summary"]
        found = [summary[key] for key in ("covered_lines", "num_statements", "covered_branches", "num_branches")]
        path = PurePath(name.replace("\\", "/")).as_posix()
        floor = next(floor for floor in FLOORS if f"{floor}/" in path)
        room, _, rest = path.split(f"{floor}/")[1].partition("/")
        for key in {floor, f"{floor}/{room}" if rest else floor}:
            counts[key] = [a + b for a, b in zip(counts[key], found, strict=True)]
    return dict(sorted(counts.items()))


def main(path: Path) -> int:
    """Print the table of a report that `coverage json` wrote; 1 where a floor misses the goal."""
    counts = counts_by_room(json.loads(path.read_text(encoding="utf-8")))
    print(f"{'':34}{'statements':>12}{'':>8}{'branches':>12}")
    for room, (run, statements, taken, branches) in counts.items():
        shares = (f"{a / b:>7.1%}" if b else f"{'':>7}" for a, b in ((run, statements), (taken, branches)))
        print(f"{room:34}{run:>6}/{statements:<6}{next(shares)}{taken:>6}/{branches:<5}{next(shares)}")
    missed = [floor for floor in FLOORS if floor not in counts or counts[floor][2] < GOAL * counts[floor][3]]
    for floor in missed:
        print(f"{floor}: fewer than {GOAL:.0%} of the branches were taken")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
