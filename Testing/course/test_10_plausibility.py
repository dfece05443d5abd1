"""What page 10 says of its six results, of those that can be made without a network."""

from __future__ import annotations

import numpy as np
import pytest
from unetseg.data.sample_download import default_cache
from UNetSegmenterLib.engine.evaluation.measures import measure
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, shipped_checkpoints
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check

from tools.course_pictures import judgement_pictures, sample

from .pages import answers


@pytest.fixture(autouse=True)
def _sample_scan():
    if not any(default_cache().glob("totalsegmentator-*")):
        pytest.skip("the sample scan is not there: unetseg demo fetches it")


def findings_of(labels: np.ndarray) -> set[tuple[str, str]]:
    """Check and structure of every finding that is not a pass, for labels in axial order."""
    case = sample.sample()
    stored = np.zeros_like(case.reference.labels)
    case.reference.geometry.to_axial(stored)[:] = labels
    changed = Segmentation(stored, case.reference.geometry, case.reference.structures, "changed")
    statistics = load_checkpoint(shipped_checkpoints()[0]).card.statistics
    return {(one.check, one.structure) for one in check(changed, case.volume, statistics) if one.severity != "pass"}


@pytest.mark.slow
def test_what_the_checks_find():
    plain = findings_of(sample.reference())
    exchanged = findings_of(judgement_pictures._kidneys_exchanged()) - plain
    missing = findings_of(judgement_pictures._slices_missing()) - plain
    pelvis = findings_of(judgement_pictures._component_in_the_pelvis()) - plain
    mirrored = findings_of(sample.reference()[:, :, ::-1]) - plain
    assert {structure for name, structure in exchanged if name in ("order", "position")} >= {
        "left kidney",
        "right kidney",
    }
    assert ("continuity", "right kidney") in missing
    assert ("components", "spleen") in pelvis
    assert {name for name, _ in mirrored} & {"order", "position"} and {name for name, _ in mirrored} & {"tissue"}
    assert "C (order of the kidneys), D (empty slices), E (sides, air), F (components)" in answers(10)[2]


def test_what_a_dice_hides():
    missing, pelvis = judgement_pictures._slices_missing(), judgement_pictures._component_in_the_pelvis()
    kidney, liver, spleen = (
        measure(labels == sample.index_of(name), sample.reference() == sample.index_of(name), (sample.SPACING_MM,) * 3)
        for labels, name in ((missing, "right kidney"), (missing, "liver"), (pelvis, "spleen"))
    )
    said = f"D has {kidney.dice:.2f} for the right kidney and {liver.dice:.2f} for the liver, F {spleen.dice:.2f} for the spleen"
    assert f"{said}, with an HD95 of {spleen.hd95_mm:.0f} mm." in answers(10)[2]
