"""`unetseg compare` and the plausibility in its report: whose yardstick, and which scan."""

import numpy as np
import pytest
from unetseg.cli import main
from UNetSegmenterLib.engine.checkpoint import save_checkpoint
from UNetSegmenterLib.engine.findings import reference_statistics
from UNetSegmenterLib.engine.segmentation import Segmentation, write_seg_nrrd
from UNetSegmenterLib.engine.structures import known_structure
from UNetSegmenterLib.engine.volume import Geometry, Volume, write_volume

from ..engine.checkpoints import small_card, small_weights
from .command import tree
from .datasets import blobs

STRUCTURES = (known_structure("liver", 1, 1), known_structure("spleen", 2, 2))


@pytest.fixture
def pair(tmp_path):
    """Paths of a prediction with a second piece of liver, and of its reference."""
    _, labels = blobs(0)
    geometry = Geometry(labels.shape, (3.0, 2.0, 2.0))
    reference = Segmentation(labels, geometry, STRUCTURES, "reference")
    wrong = labels.copy()
    wrong[0:2, 0:6, 0:6] = 1
    for name, array in (("prediction", wrong), ("reference", labels)):
        write_seg_nrrd(Segmentation(array, geometry, STRUCTURES, name), tmp_path / f"{name}.seg.nrrd")
    card = small_card(structures=STRUCTURES, statistics=reference_statistics([(reference, None)] * 3))
    save_checkpoint(tmp_path / "small.pt", card, small_weights(card, 0))
    return tmp_path


def compared(folder, *options):
    status = main(
        ["compare", f"{folder}/prediction.seg.nrrd", f"{folder}/reference.seg.nrrd", "--output", f"{folder}/out",
         *map(str, options)]
    )  # fmt: skip
    page = folder / "out" / "report.html"
    return status, page.read_text(encoding="utf-8") if page.is_file() else ""


def test_a_checkpoint_is_the_yardstick_of_plausibility(pair):
    status, text = compared(pair)
    assert status == 0 and "rule of thumb" in text
    status, text = compared(pair, "--checkpoint", pair / "small.pt")
    assert status == 0 and "3 training cases" in text and "rule of thumb" not in text


def test_a_scan_on_another_grid_serves_and_one_elsewhere_leaves_nothing(pair, capsys):
    hu = np.random.default_rng(0).normal(0, 20, (20, 40, 44)).astype(np.int16)
    finer = Geometry((20, 40, 44), (1.5, 2.0, 2.0), (0.0, 0.0, -0.75))
    write_volume(Volume(hu, finer), pair / "finer.nii.gz")
    status, text = compared(pair, "--scan", pair / "finer.nii.gz")
    assert status == 0 and 'id="findings"' in text and 'id="viewer"' in text
    assert "another grid than the scan" in capsys.readouterr().err
    away = Geometry(finer.shape, finer.spacing_mm, (900.0, 0.0, 0.0))
    write_volume(Volume(hu, away), pair / "away.nii.gz")
    before = tree(pair)
    assert compared(pair, "--scan", pair / "away.nii.gz", "--output", pair / "other")[0] == 2
    assert "lie apart" in capsys.readouterr().err and tree(pair) == before
