"""The Python of docs/cookbook.md that needs no Slicer, as it stands there, one block after the other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint

from ..engine.checkpoints import small_card, small_weights

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cookbook.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_cookbook_without_slicer(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    card = small_card()
    save_checkpoint("model.pt", card, small_weights(card))
    write_case(card)
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8").partition("\n## Anywhere else")[2])
    assert len(blocks) > 9
    names = {}
    for block in blocks:
        exec(compile(block, "docs/cookbook.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "Small abdomen" in printed and "slices/s on cpu" in printed and "not there.nii.gz" in printed
    assert {"report.html", "metrics.csv", "summary.json"} <= {path.name for path in Path("report").iterdir()}
    assert names["percent"][1].max() <= 100 and len(names["dataset"].cases) == 3


def write_case(card) -> None:
    """The scan and the reference that the page names: noise, and a block for each structure."""
    geometry = Geometry((12, 40, 44), (3.0, 2.0, 2.0))
    hu = np.random.default_rng(0).normal(40, 60, geometry.shape).astype(np.int16)
    labels = np.zeros(geometry.shape, np.uint8)
    for structure in card.structures:
        labels[3:9, 8:30, 12 * structure.index - 8 : 12 * structure.index] = structure.index
    write_volume(Volume(hu, geometry, "case1"), "case1.nii.gz")
    write_seg_nrrd(Segmentation(labels, geometry, card.structures), "case1_reference.seg.nrrd")
