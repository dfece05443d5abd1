"""Clipped HU and nominal spacing are found where they are, and nowhere else."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.source_checks import (
    beyond_clipped,
    clipped_ends,
    clipped_text,
    default_spacing_text,
    nominal_spacing_text,
)
from unetseg.training.preparation import prepare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.image_writing import write_volume
from UNetSegmenterLib.engine.io.volume import Volume

from ..command import unetseg_here
from ..datasets import write_dataset

SCANS = os.environ.get("UNETSEGMENTER_SCANS", "")  # docs/contributing.md says what the folder holds
real = pytest.mark.skipif(
    not SCANS, reason="$UNETSEGMENTER_SCANS names no folder with real scans (docs/contributing.md)"
)


def ct(seed=0, shape=(30, 64, 64)) -> np.ndarray:
    """Air, soft tissue and bone as a CT has them: peaks of noise, and nothing heaped up at an end but air."""
    rng = np.random.default_rng(seed)
    array = rng.normal(40, 40, shape)
    array[:, :, :20] = -1000
    array[:, 30:34, 30:60] = rng.normal(600, 250, (shape[0], 4, 30))
    return array.clip(-1000, 3000).astype(np.int16)


def volume(array) -> Volume:
    return Volume(array, Geometry(array.shape, (3.0, 2.0, 2.0)))


def test_a_whole_ct_is_not_clipped():
    assert clipped_ends(volume(ct())) == (None, None)
    assert clipped_text((None, None)) == ""


@pytest.mark.parametrize(("low", "high"), [(-125, 275), (-160, 240), (-100, 300)])
def test_both_ends_of_a_windowed_copy_are_found(low, high):
    ends = clipped_ends(volume(ct().clip(low, high)))
    assert ends == (low, high)
    assert f"below {low} and above {high}" in clipped_text(ends)


def test_one_end_alone_is_found():
    assert clipped_ends(volume(ct().clip(-1000, 200))) == (None, 200)
    assert clipped_ends(volume(ct().clip(-200, 3000))) == (-200, None)


def test_drawings_and_scans_without_hu_are_no_matter():
    drawing = np.zeros((10, 20, 20), np.int16)
    drawing[:, 5:15] = 100
    assert clipped_ends(volume(drawing)) == (None, None)
    assert clipped_ends(Volume(ct().clip(0, 200), Geometry((30, 64, 64), (1.0, 1.0, 1.0)), intensities="any")) == (
        None,
        None,
    )


def test_clipping_matters_within_the_window_alone():
    ends = {"a": (-125.0, 275.0), "b": (None, None), "c": (None, 275.0)}
    assert beyond_clipped(ends, (-125.0, 275.0)) == []
    assert beyond_clipped(ends, (-100.0, 300.0)) == ["a", "c"]


def scans(count, spacing=(3.0, 0.8, 0.8), size=(90, 512, 512), patient=None):
    return [(patient or f"p{number}", spacing, size) for number in range(count)]


def test_one_field_of_view_for_all_patients_is_suspicious():
    assert "nominal" in nominal_spacing_text(scans(6))
    assert nominal_spacing_text(scans(5)) == ""  # too few
    assert nominal_spacing_text(scans(9, patient="the same")) == ""
    assert nominal_spacing_text([*scans(8), ("p9", (3.0, 0.7, 0.7), (90, 512, 512))]) == ""
    assert nominal_spacing_text([*scans(8), ("p9", (3.0, 0.8, 0.8), (90, 400, 400))]) == ""  # resampled to one spacing


def test_voxels_of_a_millimetre_are_suspicious_where_no_scanner_is_so_wide():
    assert "1 x 1 x 1 mm" in default_spacing_text((1.0, 1.0, 1.0), (200, 512, 512))
    assert default_spacing_text((1.0, 1.0, 1.0), (300, 350, 380)) == ""
    assert default_spacing_text((1.0, 0.9, 0.9), (300, 512, 512)) == ""


@real
@pytest.mark.parametrize("name", ["liver/chaos_ct.nii.gz", "chest-ct-1mm.nii.gz"])
def test_real_scans_with_all_their_hu_are_left_alone(name):
    scan = read_volume(Path(SCANS) / name)
    assert clipped_ends(scan) == (None, None)
    assert default_spacing_text(scan.geometry.axial_spacing_mm, scan.geometry.axial_shape) == ""


@real
def test_the_copies_of_a_challenge_are_found():
    dataset = read_dataset(Path(SCANS) / "abdomen8")
    found = [read_volume(case.image) for case in dataset.cases[:6]]
    assert {clipped_ends(scan) for scan in found} == {(-125.0, 275.0)}
    assert "1.52 x 1.52" in nominal_spacing_text(
        (scan.name, scan.geometry.axial_spacing_mm, scan.geometry.axial_shape) for scan in found
    )


def test_commands_say_it(tmp_path):
    folder = write_dataset(tmp_path / "data", cases=6)
    for file in (folder / "imagesTr").iterdir():
        scan = read_volume(file)
        write_volume(Volume(scan.array.clip(-50, 200), scan.geometry), file)
    shown = unetseg_here("info", file)
    assert "clipped below -50 and above 200" in " ".join(shown.stderr.split())
    shown = " ".join(unetseg_here("info", folder).stdout.split())
    assert "clipped below -50 and above 200" in shown
    assert "may be nominal" in shown
    prepare(read_dataset(folder), tmp_path / "wide", window_hu=(-200.0, 300.0))
    prepare(read_dataset(folder), tmp_path / "narrow", window_hu=(-50.0, 200.0))
    wide, narrow = (
        json.loads((tmp_path / name / "pack.json").read_text())["fingerprint"]["warnings"]
        for name in ("wide", "narrow")
    )
    assert any("HU of all cases were clipped within the window" in text for text in wide)
    assert not any("clipped" in text for text in narrow)
