"""Deliberate corruptions do what their name says, and the benchmark of the plausibility checks counts right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from unetseg.synthetic.corruptions import CORRUPTIONS
from unetseg.synthetic.phantom_cases import make_phantom
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import HEART
from UNetSegmenterLib.engine.plausibility.finding import FAIL, PASS, WARN, Finding
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check
from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics

from benchmarks.plausibility_agreement import (
    LabelledCase,
    alarm_table,
    corrupt,
    folds,
    new_alarms,
    rank_correlation,
    spearman,
    trial_table,
)

SMALL = (40, 64, 64)


def heart(seed: int) -> LabelledCase:
    phantom = make_phantom(seed, SMALL, "lps")
    geometry = Geometry.from_sitk(phantom.to_sitk()[0])
    labels = np.zeros(SMALL, np.uint8)
    for structure in HEART:
        labels[np.isin(phantom.labels, structure.values)] = structure.index
    return LabelledCase(
        f"heart{seed}", Segmentation(labels, geometry, HEART, f"heart{seed}"), Volume(phantom.image, geometry)
    )


@pytest.fixture(scope="module")
def case() -> LabelledCase:
    return heart(30)


@pytest.fixture(scope="module")
def statistics() -> dict:
    return training_statistics((c.segmentation, c.volume) for c in map(heart, range(8)))


def corrupted(kind: str, case: LabelledCase, seed: int = 0):
    found = CORRUPTIONS[kind](case.segmentation, np.random.default_rng(seed))
    assert found is not None
    before, after = case.segmentation.labels, found.segmentation.labels
    assert not np.array_equal(before, after)
    index = {s.name: s.index for s in HEART}
    return before, after, [index[name] for name in found.structures]


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_same_seed_same_corruption_and_the_original_is_left_alone(kind, case):
    untouched = case.segmentation.labels.copy()
    first, second = (corrupted(kind, case, 4)[1] for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(case.segmentation.labels, untouched)


def test_mirrored_and_upside_down_reverse_one_axis_each(case):
    before, after, _ = corrupted("mirrored left-right", case)
    assert np.array_equal(before[:, :, ::-1], after)
    before, after, _ = corrupted("upside-down stack", case)
    assert np.array_equal(before[::-1], after)


def test_swapped_and_fused_keep_the_foreground(case):
    before, after, (first, second) = corrupted("two structures swapped", case)
    assert np.array_equal(before == first, after == second)
    before, after, (taken, into) = corrupted("two structures fused", case)
    assert not (after == taken).any()
    assert np.array_equal((before == taken) | (before == into), after == into)


def test_removed_halved_and_dropped_only_take_away(case):
    for kind, share in (("a structure removed", (0, 0)), ("half a structure cut off", (0.4, 0.6)),
                        ("half cut off obliquely", (0.4, 0.6)), ("slices dropped in the middle", (0.5, 0.97))):  # fmt: skip
        before, after, (index,) = corrupted(kind, case)
        assert set(np.unique(after[before != after])) == {0}
        assert share[0] <= np.count_nonzero(after == index) / np.count_nonzero(before == index) <= share[1]


def test_small_component_is_one_millilitre_far_away(case):
    before, after, (index,) = corrupted("a component of 1 ml far away", case)
    added = np.argwhere(before != after) * case.segmentation.geometry.spacing_mm
    assert len(added) * case.segmentation.geometry.voxel_ml == pytest.approx(1, rel=0.25)
    organ = np.argwhere(before == index) * case.segmentation.geometry.spacing_mm
    assert min(np.linalg.norm(organ - place, axis=1).min() for place in added[::5]) > 25


def test_hole_is_shut_in(case):
    before, after, (index,) = corrupted("a hole", case)
    lost = before != after
    assert 0.4 < np.count_nonzero(lost) * case.segmentation.geometry.voxel_ml < 1.3
    for axis in range(3):
        for step in (-1, 1):
            assert set(np.unique(np.roll(before, step, axis)[lost])) == {index}


def test_shift_is_twenty_millimetres(case):
    before, after, (index,) = corrupted("a 20 mm shift", case, 1)
    spacing = case.segmentation.geometry.spacing_mm
    moved = (np.argwhere(after == index).mean(axis=0) - np.argwhere(before == index).mean(axis=0)) * spacing
    assert (
        10 < np.linalg.norm(moved) < 30
    )  # it gives way to its neighbours, so its centre moves by a little more or less


def test_new_alarms_are_those_that_were_not_there_before():
    def finding(severity, structure="liver", name="volume"):
        return Finding(name, structure, severity, None, "", None, "")

    before = [finding(WARN), finding(PASS, "spleen")]
    after = [finding(WARN), finding(FAIL, "spleen"), finding(WARN, "", "order"), finding(WARN, "stomach")]
    assert new_alarms(after, before, ["liver", "spleen"]) == after[1:3]


def test_folds_test_every_case_once_on_limits_it_did_not_make():
    pairs = list(folds(14, 7))
    assert sorted(i for _, test in pairs for i in test) == list(range(14))
    assert all(not set(calibration) & set(test) for calibration, test in pairs)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([1, 2, 3], [10, 20, 30], 1), ([1, 2, 3], [3, 2, 1], -1), ([0, 0, 1, 2], [0.9, 0.8, 0.5, 0.1], -0.9487)],
)
def test_spearman_known_answers(first, second, expected):
    assert spearman(first, second) == pytest.approx(expected, abs=1e-4)
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))


def test_unseen_heart_is_quiet_and_its_corruptions_are_seen(case, statistics):
    before = check(case.segmentation, case.volume, statistics)
    assert not [f.sentence for f in before if f.severity == FAIL]
    trials = list(corrupt(case, before, statistics, repeats=1, seed=0))
    assert sum(trial.with_scan != PASS for trial in trials) >= 0.7 * len(
        trials
    )  # eight hearts of 4 mm voxels say little
    assert "| **all** |" in trial_table(trials)
    assert "**all, 1 patients**" in alarm_table({"heart30": before})


def test_rank_correlation_of_findings_and_dice(tmp_path, statistics):
    cases = [heart(seed) for seed in range(30, 34)]
    for number, one in enumerate(cases):  # more structures removed from case to case
        labels = one.segmentation.labels.copy()
        labels[labels > 7 - number] = 0
        write_seg_nrrd(replace(one.segmentation, labels=labels), tmp_path / f"{one.name}.seg.nrrd")
    found = rank_correlation(tmp_path, cases, statistics)
    assert (found.cases_n, found.structures_n) == (4, 28)
    assert found.structures_rho < -0.9
    assert found.cases_rho < -0.9
