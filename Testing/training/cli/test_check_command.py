"""`unetseg check` on what people really give it: other grids, other places, files of one organ, nothing at all."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from unetseg.cli.check import finding_lines
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_image
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8
from UNetSegmenterLib.engine.plausibility.finding import Finding
from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics

from ...engine.checkpoints import small_card
from ..command import unetseg_here
from ..datasets import write_checkpoint

GRID = Geometry((16, 40, 44), (3.0, 2.0, 2.0), (5.0, -7.0, 11.0))


def organs():
    """A liver and a spleen, values 1 and 2, and their scan."""
    place = np.stack(np.meshgrid(*[np.arange(n) for n in GRID.shape], indexing="ij"), axis=-1)
    labels = np.zeros(GRID.shape, np.uint8)
    labels[(((place - (8, 20, 12)) / (5, 9, 8)) ** 2).sum(axis=-1) < 1] = 1
    labels[(((place - (9, 24, 34)) / (4, 6, 5)) ** 2).sum(axis=-1) < 1] = 2
    return labels, np.where(labels, 80, -60).astype(np.int16)


@pytest.fixture
def files(tmp_path):
    labels, hu = organs()
    write_image(labels, GRID, tmp_path / "labels.nii.gz")
    write_image(hu, GRID, tmp_path / "scan.nii.gz")
    return tmp_path


def findings(folder):
    return json.loads((folder / "out" / "findings.json").read_text(encoding="utf-8"))


def test_labels_on_another_grid_are_brought_onto_the_scan(files):
    labels, _ = organs()
    coarse = Geometry((16, 20, 22), (3.0, 4.0, 4.0), GRID.origin_lps)
    write_image(labels[:, ::2, ::2], coarse, files / "coarse.nii.gz")
    done = unetseg_here("check", files / "coarse.nii.gz", "--scan", files / "scan.nii.gz", "--output", files / "out")
    assert done.returncode == 0, done.stderr
    assert "coarse has another grid than the scan and was resampled to it" in done.stderr
    unetseg_here("check", files / "labels.nii.gz", "--scan", files / "scan.nii.gz", "--output", files / "same")
    ml = [[f["value"] for f in findings(files) if f["check"] == "presence"]]
    whole = json.loads((files / "same" / "findings.json").read_text(encoding="utf-8"))
    ml.append([f["value"] for f in whole if f["check"] == "presence"])
    assert ml[0] == pytest.approx(ml[1], rel=0.15)


def test_labels_and_scan_of_two_patients_are_told_apart(files):
    _, hu = organs()
    write_image(hu, Geometry(GRID.shape, GRID.spacing_mm, (5000.0, 0.0, 0.0)), files / "far.nii.gz")
    done = unetseg_here("check", files / "labels.nii.gz", "--scan", files / "far.nii.gz", "--output", files / "out")
    assert done.returncode == 2
    assert "labels and the scan far lie apart: no labelled voxel is inside the scan" in done.stderr
    assert not (files / "out").exists()


def test_nothing_to_check_is_no_clean_bill(files):
    write_image(np.zeros(GRID.shape, np.uint8), GRID, files / "empty.nii.gz")
    done = unetseg_here("check", files / "empty.nii.gz", "--output", files / "out")
    assert done.returncode == 2
    assert "holds no labelled voxel" in done.stderr and "Traceback" not in done.stderr


def test_one_organ_drawn_by_somebody_else(files):
    """A file of ones called spleen is checked as a spleen, and nobody misses the structures it does not speak of."""
    labels, hu = organs()
    structures = tuple(s for s in ABDOMEN8 if s.name in ("liver", "spleen"))
    structures = tuple(
        type(s)(s.name, index, (index,), s.color, s.terminology) for index, s in enumerate(structures, start=1)
    )
    case = Segmentation(labels, GRID, structures, "case"), Volume(hu, GRID)
    write_checkpoint(files / "pair.pt", structures=structures, statistics=training_statistics([case] * 6))
    write_image((labels == 2).astype(np.uint8), GRID, files / "my_spleen.nii.gz")
    done = unetseg_here(
        "check", files / "my_spleen.nii.gz", "--scan", files / "scan.nii.gz", "--checkpoint", files / "pair.pt",
        "--output", files / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = findings(files)
    assert {f["structure"] for f in found} == {"spleen"}
    assert all(f["severity"] == "pass" for f in found), done.stdout
    assert any("6 training cases" in f["sentence"] for f in found)


def test_a_label_map_is_checked_along_the_slicing_axis_of_the_checkpoint(files):
    """NIfTI can't hold the axis; a .seg.nrrd can, and keeps its own."""
    labels, _ = organs()
    labels[:, 20] = 0  # one coronal slice
    write_image(labels, GRID, files / "torn.nii.gz")
    write_seg_nrrd(Segmentation(labels, GRID, ABDOMEN8[:2]), files / "torn.seg.nrrd")
    preprocessing = replace(small_card().preprocessing, axis="coronal")
    path = write_checkpoint(files / "coronal.pt", preprocessing=preprocessing)
    done = unetseg_here("check", files / "torn.nii.gz", "--checkpoint", path, "--output", files / "out")
    assert "1 empty coronal slice between" in done.stdout, done.stdout
    assert "limits: rules of thumb; add statistics with unetseg release MODEL DATASET" in done.stdout
    for name, more in (("torn.nii.gz", ()), ("torn.seg.nrrd", ("--checkpoint", path))):
        done = unetseg_here("check", files / name, *more, "--output", files / "other")
        assert done.returncode == 0 and "coronal" not in done.stdout, done.stdout
    done = unetseg_here("check", files / "torn.nii.gz", "--output", files / "out")
    assert "limits: rules of thumb; name a model to use its training statistics" in done.stdout


def test_the_most_severe_structure_is_first_with_its_findings_below():
    def says(structure, severity, text, check="extent", value=1.0):
        return Finding(check, structure, severity, value, "", None, f"{structure.capitalize()}: {text}.", "ml")

    present = says("aorta", "pass", "is there", "presence", 100.0)
    apart = says("aorta", "warn", "lies apart", "components", 0.1)
    found = [says("liver", "warn", "is odd"), says("spleen", "warn", "is thin"), says("spleen", "fail", "is gone")]
    assert list(finding_lines([present, apart, *found])) == [
        "1 of 1 structure looks plausible.",
        "fail  Spleen: 1 not plausible, 1 worth a look",
        "        fail  Is gone.",
        "        warn  Is thin.",
        "warn  Liver: is odd.",
        "warn  Small components apart from the main body, each structure's below 1 ml and 0.5%: aorta (0.1 ml).",
    ]
    assert list(finding_lines([present])) == ["1 of 1 structure looks plausible."]
    assert list(finding_lines([])) == []
