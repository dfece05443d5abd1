"""All plausibility checks together, and those of presence, order, position, tissue and confidence, on known faults."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import ANY, Volume
from UNetSegmenterLib.engine.labels.postprocessing_change import PostprocessingChange
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.plausibility.anatomy import Anatomy
from UNetSegmenterLib.engine.plausibility.finding import FAIL, PASS, SEVERITIES, WARN, Finding
from UNetSegmenterLib.engine.plausibility.findings_page import findings_page
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check
from UNetSegmenterLib.engine.plausibility.rules import CHECKS
from UNetSegmenterLib.engine.plausibility.training_statistics import limits_text, training_statistics

from .conftest import ORGANS, SHAPE, SPACING, alarms, label_at, patient, with_labels


def test_calibration_cases_raise_no_alarm(statistics):
    for seed in range(12):
        assert [f.sentence for f in check(*patient(seed), statistics) if f.severity != PASS] == []


def test_unseen_patients_raise_hardly_any_alarm_and_no_failure(statistics):
    found = [f for seed in range(100, 110) for f in check(*patient(seed), statistics)]
    assert not [f.sentence for f in found if f.severity == FAIL]
    assert sum(f.severity == WARN for f in found) <= 0.02 * len(found)


def test_one_finding_a_check_and_structure(statistics, unseen):
    found = check(*unseen, statistics)
    keys = [(f.check, f.structure) for f in found if f.check != "order"]
    assert len(keys) == len(set(keys))
    assert {f.check for f in found} <= set(CHECKS)
    assert {f.severity for f in found} <= set(SEVERITIES)
    for finding in found:
        assert finding.sentence.endswith(".")
        stored = json.loads(json.dumps(finding.to_json()))
        assert Finding.from_json(stored) == finding
        former = {"place_ras" if key == "position_ras_mm" else key: value for key, value in stored.items()}
        assert Finding.from_json(former) == finding


def test_statistics_are_json_and_survive_it(statistics, unseen):
    again = json.loads(json.dumps(statistics))
    assert statistics["cases"] == 12
    assert check(*unseen, again) == check(*unseen, statistics)


def test_statistics_of_another_version_are_refused(statistics, unseen):
    with pytest.raises(InputError, match=r"version 7.*reads version 1"):
        check(*unseen, statistics | {"version": 7})


def test_missing_structure_fails_and_points_to_its_place(statistics, unseen):
    segmentation, volume = unseen
    where = np.argwhere(segmentation.labels == 2).mean(axis=0)
    gone = with_labels(segmentation, lambda labels: np.putmask(labels, labels == 2, 0))
    (finding,) = alarms(check(gone, volume, statistics), "presence")
    assert (finding.structure, finding.severity) == ("spleen", FAIL)
    z, y, x = where * SPACING
    assert np.linalg.norm(np.array(finding.position_ras_mm) - (-x, -y, z)) < 12


def test_structure_outside_the_field_of_view_is_no_alarm(statistics):
    segmentation, volume = patient(98)
    top = segmentation.geometry.shape[0] - 14  # the scan ends above the kidneys

    def cropped(array):
        return np.ascontiguousarray(array[-top + 4 :])

    geometry = Geometry(cropped(segmentation.labels).shape, SPACING)
    labels = cropped(segmentation.labels)
    labels[np.isin(labels, (3, 4))] = 0
    found = check(Segmentation(labels, geometry, ORGANS), Volume(cropped(volume.array), geometry), statistics)
    missing = {f.structure: f for f in found if f.check == "presence" and f.value == 0}
    assert set(missing) == {"left kidney", "right kidney"}
    assert all(f.severity == PASS and "outside" in f.sentence for f in missing.values())


def test_often_removed_organ_only_warns():
    structures = (*ORGANS[:4], known_structure("gallbladder", 5, 5))
    cases = [(replace(s, structures=structures), v) for s, v in map(patient, range(8))]
    training = training_statistics(cases)
    segmentation, volume = patient(99)
    gone = with_labels(replace(segmentation, structures=structures), lambda a: np.putmask(a, a == 5, 0))
    (finding,) = alarms(check(gone, volume, training), "presence")
    assert finding.severity == WARN


def test_a_finding_leads_to_a_voxel_of_its_structure(statistics, unseen):
    segmentation, volume = unseen
    found = check(replace(segmentation, confidence={1: 0.9}), volume, statistics)
    indices = {structure.name: structure.index for structure in ORGANS}
    led = [
        f for f in found if f.structure and f.position_ras_mm is not None and f.check not in ("tissue", "continuity")
    ]
    assert len(led) > 40
    assert [f.sentence for f in led if label_at(segmentation, f) != indices[f.structure]] == []


def test_a_hollow_structure_is_shown_where_it_is():
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:30, 10:50, 10:60] = 1
    labels[10:30, 14:46, 14:56] = 0  # a tube: its centroid lies in the air inside
    segmentation = Segmentation(labels, Geometry(SHAPE, SPACING), ORGANS[:1])
    (finding,) = [f for f in check(segmentation) if f.check == "presence"]
    assert label_at(segmentation, finding) == 1


def test_odd_tissue_is_shown_where_it_lies(statistics, unseen):
    """Both sides of the liver's label lie on bone: the finding leads into the bone, not to the liver's middle."""
    segmentation, volume = unseen
    far = np.argwhere(segmentation.labels == 1)
    hu = volume.array.copy()
    for z, y, x in (far[far[:, 2].argmin()], far[far[:, 2].argmax()]):
        hu[z - 3 : z + 4, y - 4 : y + 5, x - 4 : x + 5] = 900
    bone = replace(volume, array=hu)
    (finding,) = alarms(check(segmentation, bone, statistics), "tissue", "liver")
    assert "far brighter" in finding.sentence
    right, anterior, superior = finding.position_ras_mm
    voxel_index = np.rint(np.array((superior, -anterior, -right)) / SPACING).astype(int)
    assert hu[tuple(voxel_index)] == 900


def test_a_label_that_runs_on_into_other_tissue_is_shown_there(statistics, unseen):
    """A long tail below the liver lies in something darker, as when bowel is drawn as liver; the liver itself is right."""
    segmentation, volume = unseen
    lowest, *middle = (
        np.argwhere(segmentation.labels == 1).min(axis=0)[0],
        *np.argwhere(segmentation.labels == 1).mean(axis=0)[1:],
    )
    y, x = (int(v) for v in middle)
    tail = (slice(0, lowest + 1), slice(y - 2, y + 3), slice(x - 2, x + 3))
    longer = with_labels(segmentation, lambda labels: labels[tail].fill(1))
    hu = volume.array.copy()
    hu[tail] = 60
    (finding,) = alarms(check(longer, replace(volume, array=hu), statistics), "tissue", "liver")
    assert "from its lower to its upper end" in finding.sentence
    assert finding.position_ras_mm[2] / 3 <= lowest


def test_a_wrong_neighbour_is_shown_where_they_touch(statistics, unseen):
    segmentation, volume = unseen
    kidney = np.argwhere(segmentation.labels == 3).mean(axis=0).round().astype(int)
    arm = (slice(kidney[0] - 6, kidney[0] + 7), slice(kidney[1] - 6, kidney[1] + 6), slice(23, kidney[2] + 1))

    def reach_over(labels):
        labels[arm][labels[arm] == 0] = 4  # the right kidney grows an arm to the left one

    wrong = with_labels(segmentation, reach_over)
    finding = next(f for f in alarms(check(wrong, volume, statistics), "neighbours") if "kidney" in f.sentence)
    right, anterior, superior = finding.position_ras_mm
    voxel_index = np.rint(np.array((superior, -anterior, -right)) / SPACING).astype(int)
    around = wrong.labels[tuple(slice(v - 1, v + 2) for v in voxel_index)]
    assert {3, 4} <= set(np.unique(around)), finding.sentence


def test_sentences_name_direction_unit_and_expectation(statistics, unseen):
    """What the user reads: direction, unit and what was expected, and no number without a noun."""
    segmentation, volume = unseen
    high = with_labels(segmentation, lambda labels: labels.__setitem__(slice(None), np.where(labels == 3, 0, labels)))
    high.labels[26:38, 38:48, 44:54] = 3  # the left kidney sits under the ribs
    text = " ".join(f.sentence for f in alarms(check(high, volume, statistics), "position", "left kidney"))
    assert re.search(
        r"Left kidney: lies \d+(\.\d+)? mm higher than the other structures predict; expected .* lower to .* higher",
        text,
    ), text
    names = {"left kidney": "CT_left kidney"}
    spelled = tuple(replace(s, name=names.get(s.name, s.name)) for s in ORGANS)
    text = [f.sentence for f in check(replace(segmentation, structures=spelled), volume) if "kidney" in f.structure]
    assert any(sentence.startswith("CT_left kidney: ") for sentence in text), "the name as it is written"


def test_mirrored_labels_reverse_left_and_right(statistics, unseen):
    segmentation, volume = unseen
    mirrored = replace(segmentation, labels=np.ascontiguousarray(segmentation.labels[:, :, ::-1]))
    turned = replace(volume, array=np.ascontiguousarray(volume.array[:, :, ::-1]))
    order = alarms(check(mirrored, turned, statistics), "order")
    assert [f.severity for f in order] == [FAIL]
    assert "mirrored" in order[0].sentence


def test_order_needs_no_statistics(unseen):
    segmentation, volume = unseen
    assert not alarms(check(segmentation, volume), "order")
    mirrored = replace(segmentation, labels=np.ascontiguousarray(segmentation.labels[:, :, ::-1]))
    assert alarms(check(mirrored, volume), "order")


def test_label_in_the_wrong_tissue(statistics, unseen):
    segmentation, volume = unseen
    moved = replace(segmentation, labels=np.roll(segmentation.labels, 20, axis=1))
    assert len(alarms(check(moved, volume, statistics), "tissue")) >= 4


def test_confidence_at_the_boundary(statistics, unseen):
    segmentation, volume = unseen
    confidence = dict.fromkeys(range(1, 6), 0.95)
    assert not alarms(check(replace(segmentation, confidence=confidence), volume, statistics), "confidence")
    found = check(replace(segmentation, confidence=confidence | {2: 0.65}), volume, statistics)
    (finding,) = alarms(found, "confidence")
    assert (finding.structure, finding.severity, finding.value) == ("spleen", WARN, 65)
    assert label_at(segmentation, finding) == 2
    assert not [f for f in check(segmentation, volume, statistics) if f.check == "confidence"], "no network drew it"


def test_what_postprocessing_changed_is_told_and_is_no_fault(statistics, unseen):
    segmentation, volume = unseen
    before = check(segmentation, volume, statistics)
    changed = replace(segmentation, postprocessing={2: PostprocessingChange(3, 2.1, 1, 0.3), 1: PostprocessingChange()})
    found = check(changed, volume, statistics)
    (finding,) = [one for one in found if one not in before]
    assert (finding.check, finding.structure, finding.severity, finding.unit) == (
        "postprocessing",
        "spleen",
        PASS,
        "ml",
    )
    assert finding.value == pytest.approx(2.4)
    assert finding.sentence == ("Spleen: by postprocessing 3 components removed (2.1 ml), 1 cavity filled (0.3 ml).")
    page = findings_page(found)
    assert page.changed == (finding,) and finding not in page.passed and finding.structure not in page.small


def test_unknown_structures_are_checked_by_rules_of_thumb():
    structures = (known_structure("thingamajig", 1, 7), known_structure("whatsit", 2, 9))
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:20, 10:20, 10:20] = 1
    found = check(Segmentation(labels, Geometry(SHAPE, SPACING), structures))
    missing = [f for f in found if f.check == "presence" and f.value == 0]
    assert [(f.structure, f.severity) for f in missing] == [("whatsit", WARN)]
    assert not [f for f in found if f.severity == FAIL]
    assert any("rule of thumb" in f.sentence for f in found)


def test_other_spelling_of_a_known_name(statistics, unseen):
    segmentation, volume = unseen
    names = ("Liver", "Spleen", "kidney_left", "Kidney Right", "stomach")
    spelled = tuple(replace(s, name=name) for s, name in zip(ORGANS, names, strict=True))
    found = check(replace(segmentation, structures=spelled), volume, statistics)
    assert not [f.sentence for f in found if f.severity != PASS]
    assert any("12 training cases" in f.sentence and f.structure == "kidney_left" for f in found)


def test_empty_segmentation_and_single_slice(statistics):
    empty = Segmentation(np.zeros(SHAPE, np.uint8), Geometry(SHAPE, SPACING), ORGANS)
    found = check(empty, None, statistics)
    assert len(found) == len(ORGANS)
    assert all(f.check == "presence" and f.severity == FAIL for f in found)
    slice_ = np.zeros((1, 60, 70), np.uint8)
    slice_[0, 20:30, 20:30] = 1
    check(Segmentation(slice_, Geometry((1, 60, 70), SPACING), ORGANS), None, statistics)
    patient_, volume = patient(99)
    geometry = Geometry((1, *SHAPE[1:]), SPACING)
    one = Segmentation(patient_.labels[22:23].copy(), geometry, ORGANS), Volume(volume.array[22:23].copy(), geometry)
    found = check(*one, statistics)
    shown = {f.check for f in alarms(found, None) if f.check != "presence"}
    assert shown <= {"border", "tissue"}, "a single slice has no order, no ends and no whole organs"
    assert check(Segmentation(np.zeros(SHAPE, np.uint8), Geometry(SHAPE, SPACING), ())) == []


def test_wrong_grid_is_refused(unseen):
    segmentation, volume = unseen
    elsewhere = replace(volume, geometry=replace(volume.geometry, origin_lps=(50.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="resample"):
        check(segmentation, elsewhere)


def test_few_training_cases_never_fail_by_number(unseen):
    training = training_statistics(patient(seed) for seed in range(2))
    segmentation, volume = unseen
    found = check(with_labels(segmentation, lambda a: np.putmask(a, a == 1, 0)), volume, training)
    assert not [f.sentence for f in found if f.severity == FAIL]


def test_nominal_spacing_is_named_and_only_warns(unseen):
    training = training_statistics((patient(seed) for seed in range(12)), nominal_spacing=True)
    segmentation, volume = unseen
    half = replace(segmentation.geometry, spacing_mm=(1.0, 0.7, 0.7))
    found = check(replace(segmentation, geometry=half), replace(volume, geometry=half), training)
    sized = alarms(found, "volume") + alarms(found, "extent")
    assert sized
    assert all(f.severity == WARN for f in sized)
    assert any("nominal spacing" in f.sentence for f in sized)


TURNS = {
    "left-handed": (((-1, 0, 0), (0, 1, 0), (0, 0, 1)), lambda a: a[:, :, ::-1]),
    "feet first": (((1, 0, 0), (0, 1, 0), (0, 0, -1)), lambda a: a[::-1]),
    "sagittal": (((0, 0, 1), (1, 0, 0), (0, 1, 0)), lambda a: a.transpose(2, 0, 1)),
}


@pytest.mark.parametrize("turn", TURNS)
def test_storage_makes_no_difference(turn, statistics, unseen):
    segmentation, volume = unseen
    direction, store = TURNS[turn]
    labels, hu = (np.ascontiguousarray(store(array)) for array in (segmentation.labels, volume.array))
    sizes = {"sagittal": (SPACING[2], SPACING[0], SPACING[1])}.get(turn, SPACING)
    ends = {"left-handed": ((SHAPE[2] - 1) * 2.0, 0, 0), "feet first": (0, 0, (SHAPE[0] - 1) * 3.0)}.get(
        turn, (0, 0, 0)
    )
    geometry = Geometry(
        labels.shape, sizes, tuple(float(v) for v in ends), tuple(tuple(map(float, r)) for r in direction)
    )
    found = check(Segmentation(labels, geometry, ORGANS), Volume(hu, geometry), statistics)
    expected = check(segmentation, volume, statistics)
    assert [(f.check, f.structure, f.severity) for f in found] == [(f.check, f.structure, f.severity) for f in expected]
    for here, there in zip(found, expected, strict=True):
        if there.value is not None:
            assert here.value == pytest.approx(there.value, rel=1e-3, abs=1e-3)
        if there.position_ras_mm is not None:
            assert np.allclose(here.position_ras_mm, there.position_ras_mm, atol=0.05)


@settings(max_examples=25, deadline=None)
@given(
    flips=st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3),
    order=st.permutations((0, 1, 2)),
    stride=st.sampled_from((0.4, 0.8, 1.6)),
    voxel_index=st.tuples(*[st.integers(0, 11)] * 3),
)
def test_position_in_ras_is_that_of_the_voxel(flips, order, stride, voxel_index):
    direction = np.zeros((3, 3))
    for axis, row in enumerate(order):
        direction[row, axis] = flips[axis]
    geometry = Geometry((12, 13, 14), (2.0, stride, stride), (5.0, -7.0, 11.0), tuple(map(tuple, direction.tolist())))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[voxel_index] = 1
    anatomy = Anatomy(Segmentation(labels, geometry, ORGANS[:1]))
    x, y, z, _ = geometry.affine_lps() @ (*voxel_index[::-1], 1)
    found = [anatomy.to_ras_mm(part.centroid) for part in anatomy.present.values()]
    if found:  # thinning in plane may step over a single voxel
        assert np.allclose(found[0], (-x, -y, z), atol=0.02)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_noise_never_breaks_a_check(seed):
    random = np.random.default_rng(seed)
    shape = tuple(int(n) for n in random.integers(1, 12, 3))
    labels = random.integers(0, 4, shape).astype(np.uint8)
    geometry = Geometry(shape, tuple(float(v) for v in random.uniform(0.3, 6, 3)))
    volume = Volume(random.integers(-1024, 3000, shape).astype(np.int16), geometry)
    for finding in check(Segmentation(labels, geometry, ORGANS[:3]), volume):
        assert finding.value is None or np.isfinite(finding.value)


@pytest.mark.parametrize("with_statistics", [True, False], ids=["statistics", "rules of thumb"])
def test_values_that_are_no_hu_are_compared_with_each_other_alone(unseen, with_statistics):
    """Nothing is said of gas, fat, HU or the body's outline; where tissue goes on beyond an outline still counts."""
    patients = [(labels, replace(scan, intensities=ANY)) for labels, scan in (patient(seed) for seed in range(6))]
    statistics = training_statistics(patients) if with_statistics else None
    segmentation, volume = unseen
    for shifted in (0, 3000):
        scan = Volume(volume.array + np.int16(shifted), volume.geometry, intensities=ANY)
        found = check(segmentation, scan, statistics)
        assert not [finding for finding in found if "HU" in finding.sentence or "hold air" in finding.sentence]
        assert [f.sentence for f in found if f.check == "position" and "body" in f.sentence] == []
        assert alarms(found, "tissue") == []
        edges = {finding.structure for finding in found if "beyond" in finding.sentence}
        assert edges == ({organ.name for organ in ORGANS} if with_statistics else set())


def test_what_the_limits_are_is_said_in_one_line(statistics):
    assert limits_text(statistics) == "limits: training statistics of 12 cases"
    assert limits_text({"cases": 1}) == "limits: training statistics of 1 case"
    for nothing in (None, {}):
        assert limits_text(nothing) == "limits: rules of thumb; add statistics with unetseg release MODEL DATASET"
        assert limits_text(nothing, model=False).startswith("limits: rules of thumb; name a model")
