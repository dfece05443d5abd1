"""Checks of shape and size on labels whose faults are known, one fault at a time."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.plausibility.finding import FAIL, WARN
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check

from .conftest import ORGANS, SHAPE, alarms, with_labels


def test_small_component_is_found_where_it_lies(statistics, unseen):
    segmentation, volume = unseen
    dotted = with_labels(segmentation, lambda labels: labels[2:6, 50:54, 60:64].fill(1))
    (finding,) = alarms(check(dotted, volume, statistics), "components", "liver")
    assert finding.severity == WARN
    assert finding.value == pytest.approx(64 * 12 / 1000, rel=1e-3)  # 64 voxels of 3 x 2 x 2 mm
    assert np.allclose(finding.position_ras_mm, (-61.5 * 2, -51.5 * 2, 3.5 * 3), atol=0.1)


def test_small_components_are_one_fault_and_fail_by_their_share(statistics, unseen):
    """A small component far away makes the organ neither longer nor full of gaps, whatever its size in ml."""
    segmentation, volume = unseen
    liver = int((segmentation.labels == 1).sum())

    def dotted(rows):
        return with_labels(segmentation, lambda labels: [labels[0:2, y : y + 6, 60:66].fill(1) for y in rows])

    few, many = (alarms(check(dotted(rows), volume, statistics), None, "liver") for rows in ([4], range(0, 56, 8)))
    assert [(finding.check, finding.severity) for finding in few] == [("components", WARN)]
    assert [(finding.check, finding.severity) for finding in many] == [("components", FAIL)]
    assert many[0].value == pytest.approx(100 * 7 * 72 / (liver + 7 * 72), rel=1e-3)


def test_thousands_of_small_components_fold_into_one_finding(statistics, unseen):
    segmentation, volume = unseen
    random = np.random.default_rng(0)

    def sprinkle(labels):
        labels[(random.random(SHAPE) < 0.01) & (labels == 0)] = 2

    found = check(with_labels(segmentation, sprinkle), volume, statistics)
    (finding,) = alarms(found, "components", "spleen")
    assert finding.severity == FAIL
    assert re.search(r"\d,\d{3} components", finding.sentence)


def test_the_distance_of_a_small_component_is_that_from_the_body(statistics, unseen):
    """3 mm below a liver of 14 cm: near, and not "7 cm away" as from its middle."""
    segmentation, volume = unseen
    lowest = np.argwhere(segmentation.labels == 1).min(axis=0)[0]
    z, (y, x) = int(lowest), np.argwhere(segmentation.labels[lowest] == 1).mean(axis=0).round().astype(int)
    dotted = with_labels(segmentation, lambda labels: labels[z - 4 : z - 1, y : y + 4, x : x + 4].fill(1))
    (finding,) = alarms(check(dotted, volume, statistics), "components", "liver")
    assert "9 mm from it" in finding.sentence


def test_several_cavities_are_counted_and_the_largest_is_shown(statistics, unseen):
    segmentation, volume = unseen
    z, y, x = (int(v) for v in np.argwhere(segmentation.labels == 1).mean(axis=0))

    def hollow(labels):
        labels[z - 2 : z + 2, y - 6 : y - 3, x - 2 : x + 2] = 0
        labels[z - 3 : z + 3, y + 2 : y + 6, x - 3 : x + 3] = 0

    (finding,) = alarms(check(with_labels(segmentation, hollow), volume, statistics), "cavities")
    assert "2 cavities" in finding.sentence
    right, anterior, superior = finding.position_ras_mm
    assert z - 3 <= superior / 3 < z + 3 and y + 2 <= -anterior / 2 < y + 6 and x - 3 <= -right / 2 < x + 3


def test_cavity_volume_and_place(statistics, unseen):
    segmentation, volume = unseen
    centre = tuple(int(v) for v in np.argwhere(segmentation.labels == 1).mean(axis=0))
    hollow = tuple(slice(c - 3, c + 3) for c in centre)
    found = check(with_labels(segmentation, lambda labels: labels[hollow].fill(0)), volume, statistics)
    (finding,) = alarms(found, "cavities")
    assert finding.structure == "liver"
    assert finding.value == pytest.approx(216 * 0.012, rel=1e-3)


def test_another_structure_inside_is_no_cavity(statistics, unseen):
    segmentation, volume = unseen
    centre = tuple(int(v) for v in np.argwhere(segmentation.labels == 1).mean(axis=0))
    inner = tuple(slice(c - 3, c + 3) for c in centre)
    found = check(with_labels(segmentation, lambda labels: labels[inner].fill(2)), volume, statistics)
    assert not alarms(found, "cavities", "liver")


def test_an_outline_that_jumps_from_slice_to_slice(statistics, unseen):
    """Every second slice of the liver is two pixels larger on its left side: no check of whole slices sees that."""
    segmentation, volume = unseen

    def ragged(labels):
        for plane in labels[::2]:
            liver = plane == 1
            grown = np.zeros_like(liver)
            grown[:, 2:] = liver[:, :-2]
            plane[grown & (plane == 0)] = 1

    (finding,) = alarms(check(with_labels(segmentation, ragged), volume, statistics), "continuity", "liver")
    assert "to and fro" in finding.sentence
    right, anterior, superior = finding.position_ras_mm
    row = segmentation.labels[round(superior / 3), round(-anterior / 2)]
    assert abs(-right / 2 - np.flatnonzero(row == 1).max()) <= 3, "at the ragged side"


def test_empty_slices_in_the_middle_fail(statistics, unseen):
    segmentation, volume = unseen
    middle = int(np.argwhere(segmentation.labels == 1).mean(axis=0)[0])

    def drop(labels):
        block = labels[middle : middle + 2]
        block[block == 1] = 0

    (finding,) = alarms(check(with_labels(segmentation, drop), volume, statistics), "continuity", "liver")
    assert (finding.severity, finding.value) == (FAIL, 2)
    assert finding.position_ras_mm[2] == pytest.approx((middle + 0.5) * 3, abs=0.1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flat_face_of_a_cut_organ(axis, statistics, unseen):
    segmentation, _ = unseen
    middle = int(np.argwhere(segmentation.labels == 3).mean(axis=0)[axis])

    def cut(labels):
        there = np.moveaxis(labels, axis, 0)[middle:]
        there[there == 3] = 0

    found = check(with_labels(segmentation, cut), None, statistics)
    (finding,) = alarms(found, "cut face", "left kidney")
    assert ("superior", "posterior", "left")[axis] in finding.sentence


def test_organ_of_twice_the_size(statistics, unseen):
    segmentation, volume = unseen
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1)
    big = (((grid - (14, 42, 48)) / (11, 9, 9)) ** 2).sum(axis=-1) < 1
    found = check(with_labels(segmentation, lambda a: np.putmask(a, big & (a == 0), 3)), volume, statistics)
    assert alarms(found, "volume", "left kidney")


def test_border_warns_and_takes_the_edge_off_sizes(statistics, unseen):
    segmentation, volume = unseen
    cut = slice(24, None)
    geometry = replace(segmentation.geometry, shape=(16, *SHAPE[1:]))
    labels = np.ascontiguousarray(segmentation.labels[cut])
    scan = Volume(np.ascontiguousarray(volume.array[cut]), geometry)
    found = check(Segmentation(labels, geometry, ORGANS), scan, statistics)
    assert {f.structure for f in alarms(found, "border")} >= {"liver", "spleen"}
    assert all(f.severity == WARN for f in alarms(found, "border"))
    assert not [f for f in found if f.check == "volume" and f.structure == "liver"]
