"""Pictures of the course that are made by its own commands, and of a review of its new hearts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from unetseg.cli.main import main as unetseg

from ..course_pictures import run_pictures
from ..course_pictures.__main__ import FOLDER, PICTURES
from . import panel_pictures
from .browser import top_of_page
from .options import Options

NEW_HEARTS = ["--count", "7", "--seed", "2001", "--size", "64", "--slices", "24"]  # page 8


def of_the_checkpoint(_: Options) -> None:
    """Those that show the shipped checkpoint or its network."""
    for name in ("two-annotations.png", "six-results.png", "unet.svg"):
        PICTURES[name](FOLDER / name)


def hearts(options: Options) -> None:
    """What `info`, `train` and `evaluate` draw, and the review; trains two networks if they are not there."""
    first, squared = (run_pictures.run_of_loss(loss) for loss in ("dice_ce", "mse"))
    shutil.copyfile(first / "curves.png", options.output / "course-curves.png")
    folder = run_pictures.WORK / "hearts"
    scan, label = (str(folder / f"ct_train_1001_{kind}.nii.gz") for kind in ("image", "label"))
    with tempfile.TemporaryDirectory() as temporary:
        drawn, new = Path(temporary) / "drawn.png", Path(temporary) / "newhearts"
        for name, arguments in (("info-scan", [scan, "--label", label]), ("info-hearts", [str(folder)])):
            unetseg(["info", *arguments, "--plot", str(drawn)])
            drawn.replace(options.output / f"{name}.png")
        unetseg(["phantom", str(new), *NEW_HEARTS])
        evaluated = Path(temporary) / "evaluated"
        networks = [str(first / "checkpoint.pt"), str(new), "--baseline", str(squared / "checkpoint.pt")]
        unetseg(["evaluate", *networks, "--output", str(evaluated)])
        top_of_page(evaluated / "report.html", options.output / "test-set.png", 960, 1760)
        panel_pictures.review(options, first / "checkpoint.pt", new)


def abdomen8(options: Options) -> None:
    """The plots of a whole data set."""
    path = options.output / "info-abdomen8.png"
    path.unlink(missing_ok=True)
    unetseg(["info", str(options.abdomen8), "--plot", str(path)])
