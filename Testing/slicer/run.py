"""The stories of the panel, told to a real 3D Slicer; prints `N passed, N failed` and exits 0 or 1.

Slicer --no-splash --testing --additional-module-paths UNetSegmenter --python-script Testing/slicer/run.py
    [--output DIR] [--only WORD] [--quick]

Needs what Slicer ships and torch, nothing else: scan and checkpoints are made on the spot. Screenshots of each story at
each size of the window go to --output (default: a folder "stories" in $UNETSEGMENTER_SCREENSHOTS, else among Slicer's
temporary files); the last lines say where. --quick takes none, and repeats what is to leave no memory behind fewer times.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import slicer

SCROLL_BAR_PIXELS = 20  # by which the panel is wider while it is short enough to have none
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def tell(story, world) -> tuple[str, str]:
    """Tell one story in an empty scene: "passed", "skipped" or "failed", and the reason or what was measured."""
    escaped: list[str] = []
    before, sys.excepthook = sys.excepthook, lambda *error: escaped.append("".join(traceback.format_exception(*error)))
    try:
        world.empty()
        before_pixels = world.panel_pixels()
        text = story(world)
        world.settle()
        after_pixels = world.panel_pixels()
        world.pictures(story.__name__)
        if after_pixels > before_pixels + SCROLL_BAR_PIXELS:
            return "failed", f"the panel takes {after_pixels} pixels, {before_pixels} before the story"
        if escaped:
            return "failed", "an exception reached only the console:\n" + escaped[0]
        return "passed", text or ""
    except world.Skip as reason:
        return "skipped", str(reason)
    except Exception:
        world.picture(f"failed-{story.__name__}")
        return "failed", traceback.format_exc()
    finally:
        sys.excepthook = before


def default_output() -> Path:
    """Where screenshots go if the command line does not say so."""
    return Path(os.environ.get("UNETSEGMENTER_SCREENSHOTS") or slicer.app.temporaryPath) / "stories"


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=default_output(), help="folder for screenshots")
    parser.add_argument("--only", default="", help="tell only the stories whose name holds this word")
    parser.add_argument("--quick", action="store_true", help="no screenshots, and few rounds of what is repeated")
    options, _ = parser.parse_known_args(arguments)
    import stories
    from world import WINDOW_SIZES, World

    counts = {"passed": 0, "failed": 0, "skipped": 0}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="unetsegmenter-stories-") as folder:
        world = World(Path(folder), None if options.quick else options.output, quick=options.quick)
        if world.window() is None:
            print("no main window here: pictures show the panel alone, sizes of the window are left out", flush=True)
        else:
            world.resize(WINDOW_SIZES[0])
        for story in stories.STORIES:
            if options.only not in story.__name__:
                continue
            since = time.perf_counter()
            verdict, text = tell(story, world)
            counts[verdict] += 1
            print(f"{verdict:8} {story.__name__} ({time.perf_counter() - since:.1f} s) {text}", flush=True)
        world.empty()
        world.close()
    for wanted, got in world.smaller.items():
        print(
            f"the window became {got[0]} x {got[1]} where {wanted[0]} x {wanted[1]} was wanted: the screen is smaller"
        )
    if not options.quick:
        print(f"pictures are in {options.output}")
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{slicer.app.applicationName} {slicer.app.applicationVersion}, {time.perf_counter() - started:.0f} s")
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}", flush=True)
    return int(counts["failed"] > 0 or counts["passed"] == 0)


if __name__ == "__main__":
    try:
        status = run(sys.argv[1:])
    except Exception:
        traceback.print_exc()
        print("0 passed, 1 failed", flush=True)
        status = 1
    slicer.util.exit(status)
