"""Take the pictures of README and docs anew: `make pictures`, or

    python -m tools.screenshots [GROUP...] [--output FOLDER] [--nnunet FOLDER --abdomen8 DATASET]

For use after a new checkpoint or a change of what the panel or a report looks like; then look at each. The sample scan is
fetched once, as `unetseg demo` does; hearts and the networks of the course are kept in .cache/course. Two groups need more
and are taken only where it is given: an nnU-Net of the eight organs of abdomen8, and the data set (docs/models.md).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from . import course_pictures, panel_pictures, report_pictures
from .options import Options

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Group:
    """Pictures that one program makes together.

    Attributes:
        take: The program.
        pictures: Their file names, in the folder of the screenshots or that of the course.
        needs: The options without which it can't run.
    """

    take: Callable[[Options], None]
    pictures: tuple[str, ...]
    needs: tuple[str, ...] = ()


GROUPS = {
    "states": Group(
        panel_pictures.states,
        ("empty.png", "refused.png", "ready.png", "running.png", "cancelled.png", "crashed.png", "done.png"),
    ),
    "comparison": Group(
        panel_pictures.comparison,
        (
            "panel-compare.png", "findings.png", "distinct-colours.png", "layout-two-rows.png", "layout-one-row.png",
            "layout-3d.png", "panel-errors.png",
        ),
    ),
    "correction": Group(panel_pictures.correction, ("correct.png",)),
    "windows": Group(panel_pictures.windows, ("panel-dark.png", "panel-scaled.png")),
    "import": Group(panel_pictures.import_of_onnx, ("import-onnx.png", "probability.png")),
    "report": Group(
        report_pictures.demo, ("demo.png", "high-dice.png", "report-findings.png", "report-viewer.png")
    ),
    "course": Group(
        course_pictures.of_the_checkpoint, ("two-annotations.png", "six-results.png", "unet.svg")
    ),
    "hearts": Group(
        course_pictures.hearts,
        ("info-scan.png", "info-hearts.png", "course-curves.png", "test-set.png", "review.png"),
    ),
    "nnunet": Group(panel_pictures.import_of_nnunet, ("import-nnunet.png", "imported-nnunet.png"), ("nnunet", "abdomen8")),
    "abdomen8": Group(course_pictures.abdomen8, ("info-abdomen8.png",), ("abdomen8",)),
}  # fmt: skip


def shrink(path: Path) -> None:
    """Write a picture in 256 colours, if it has more: a quarter of the size."""
    with Image.open(path) as full:
        if full.mode != "P":
            full.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE).save(path, optimize=True)


def main() -> None:
    """Take the named groups, or all whose files are given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)}; all if none is named")
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--nnunet", type=Path, help="folder of a trained 2d nnU-Net of the organs of abdomen8")
    parser.add_argument("--abdomen8", type=Path, help="the data set of the released checkpoint, nnU-Net layout")
    given = parser.parse_args()
    unknown = [name for name in given.groups if name not in GROUPS]
    if unknown:
        parser.error(f"there is no group {unknown[0]}; there are {', '.join(GROUPS)}")
    options = Options(given.output.resolve(), given.nnunet, given.abdomen8)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in given.groups or GROUPS:
        missing = [f"--{one}" for one in GROUPS[name].needs if getattr(options, one) is None]
        if missing:
            print(f"{name}: not taken, needs {' and '.join(missing)}", flush=True)
            continue
        started = time.monotonic()
        GROUPS[name].take(options)
        for picture in map(options.output.joinpath, GROUPS[name].pictures):
            if picture.suffix == ".png" and picture.exists():  # those of the course have another folder
                shrink(picture)
        print(f"{name}: {', '.join(GROUPS[name].pictures)} in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
