"""Checks from slice to slice follow the slicing axis of the network that drew the labels; all others do not care for it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.plausibility.anatomy import Anatomy
from UNetSegmenterLib.engine.plausibility.finding import Finding
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check
from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics

from .conftest import alarms, patient, with_labels

ARRAY_AXES = {"axial": 0, "coronal": 1, "sagittal": 2}


@pytest.fixture(scope="module")
def of_axis() -> dict[str, dict]:
    patients = [patient(number) for number in range(6)]
    return {
        axis: training_statistics([(replace(labels, slicing_axis=axis), scan) for labels, scan in patients])
        for axis in ARRAY_AXES
    }


def without_slice(segmentation: Segmentation, axis: str, index: int = 1) -> tuple[Segmentation, int]:
    """The middle slice of a structure along an axis emptied, and its number."""
    middle = round(float(np.argwhere(segmentation.labels == index)[:, ARRAY_AXES[axis]].mean()))

    def empty(labels):
        part = np.moveaxis(labels, ARRAY_AXES[axis], 0)[middle]
        part[part == index] = 0

    return with_labels(segmentation, empty), middle


def along(finding: Finding, axis: str) -> float:
    """The number of the slice that a finding leads to, in the upright grid of `patient`."""
    right, anterior, superior = finding.position_ras_mm
    return (superior / 3, -anterior / 2, -right / 2)[ARRAY_AXES[axis]]


@pytest.mark.parametrize("axis", ARRAY_AXES)
def test_an_empty_slice_is_a_gap_along_its_own_axis_alone(axis):
    segmentation, volume = patient(99)
    torn, middle = without_slice(segmentation, axis)
    for checked in ARRAY_AXES:
        found = alarms(check(replace(torn, slicing_axis=checked), volume), "continuity", "liver")
        assert len(found) == (checked == axis), checked
        for gap in found:
            noun = "empty slice" if axis == "axial" else f"empty {axis} slice"
            assert f"1 {noun} between its first and its last one" in gap.sentence
            assert gap.expected == f"no {noun}"
            assert along(gap, axis) == pytest.approx(middle, abs=0.51)


@pytest.mark.parametrize("axis", ARRAY_AXES)
def test_with_statistics_too(of_axis, axis):
    """There is one finding per structure: the one that is farthest beyond its limit."""
    segmentation, volume = patient(99)
    torn, middle = without_slice(segmentation, axis)
    for checked in ARRAY_AXES:
        found = check(replace(torn, slicing_axis=checked), volume, of_axis[checked])
        found = alarms(found, "continuity", "liver")
        assert len(found) == (checked == axis), checked
        for finding in found:
            assert (f"{axis} slice" in finding.sentence) == (axis != "axial")
            assert along(finding, axis) == pytest.approx(middle, abs=1.1)


@pytest.mark.parametrize("axis", ARRAY_AXES)
def test_slices_that_are_drawn_to_and_fro_are_found_along_their_axis(of_axis, axis):
    """Every other slice shifted by three pixels within itself: ragged along the slicing axis, and nowhere else."""
    segmentation, volume = patient(99)
    number = ARRAY_AXES[axis]
    step = max(1, round(3.0 / segmentation.geometry.spacing_mm[number]))

    def shift(labels):
        slices = np.moveaxis(labels, number, 0)
        for layer in range(len(slices)):
            if layer // step % 2:
                slices[layer] = np.roll(slices[layer], 3, axis=1)

    ragged = with_labels(segmentation, shift)
    (finding,) = alarms(check(replace(ragged, slicing_axis=axis), volume, of_axis[axis]), "continuity", "liver")
    noun = "slice" if axis == "axial" else f"{axis} slice"
    assert re.search(rf"(from {noun} to slice|two {noun}s about 3 mm|between {noun}s about 3 mm)", finding.sentence)


@pytest.mark.parametrize("axis", ARRAY_AXES)
def test_slices_are_never_thinned_along_the_slicing_axis(axis):
    segmentation, volume = patient(99, spacing=(0.5, 0.5, 0.5))
    anatomy = Anatomy(replace(segmentation, slicing_axis=axis), volume)
    assert anatomy.stride == tuple(1 if number == ARRAY_AXES[axis] else 3 for number in range(3))


def test_limits_of_another_axis_do_not_count_from_slice_to_slice(of_axis):
    segmentation, volume = patient(99)
    torn, _ = without_slice(segmentation, "coronal")
    found = check(replace(torn, slicing_axis="coronal"), volume, of_axis["axial"])
    sources = {
        finding.check: re.search(r"\((rule of thumb|\d+ training cases)", finding.sentence)
        for finding in found
        if finding.structure == "liver"
    }
    assert sources["continuity"][1] == "rule of thumb" and sources["volume"][1] == "6 training cases"


def test_axial_statistics_do_not_name_their_axis(of_axis):
    """Cards of earlier versions stay as they are."""
    assert "slicing_axis" not in of_axis["axial"] and of_axis["coronal"]["slicing_axis"] == "coronal"


@pytest.mark.parametrize("axis", ARRAY_AXES)
def test_no_training_case_raises_an_alarm_along_its_axis(of_axis, axis):
    for seed in range(6):
        segmentation, volume = patient(seed)
        assert alarms(check(replace(segmentation, slicing_axis=axis), volume, of_axis[axis]), None) == []
