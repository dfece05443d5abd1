"""Synthetic hearts: the layout of MM-WHS, and an arrangement that deserves the name."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from unetseg.synthetic.phantom_cases import LABEL_VALUES, make_phantom, write_phantoms

MYO, LA, LV, RA, RV, AO, PA = LABEL_VALUES
SMALL = (40, 64, 64)


def centroids(labels: np.ndarray) -> dict[int, np.ndarray]:
    """Centroids as (superior, posterior, left) voxels of an axial LPS array."""
    return {value: np.argwhere(labels == value).mean(axis=0) for value in LABEL_VALUES}


@pytest.mark.parametrize("seed", range(4))
def test_arrangement_of_the_heart(seed):
    at = centroids(make_phantom(seed, SMALL, "lps").labels)
    up, back, left = 0, 1, 2
    assert at[LV][left] > at[RV][left]
    assert at[LV][back] > at[RV][back]
    assert at[RA][left] < at[LA][left]
    assert at[LA][back] > max(at[value][back] for value in (LV, RV, RA, MYO, AO))
    assert at[AO][up] > at[LV][up]
    assert at[PA][up] > at[RV][up]
    assert np.linalg.norm((at[MYO] - at[LV])[1:]) < 4


@pytest.mark.parametrize("seed", range(4))
def test_neighbours(seed):
    labels = make_phantom(seed, (80, 128, 128), "lps").labels.astype(int)
    touching = set()
    for axis in range(3):
        here, there = (
            np.take(labels, range(*span), axis) for span in ((0, labels.shape[axis] - 1), (1, labels.shape[axis]))
        )
        pairs = np.stack([np.minimum(here, there), np.maximum(here, there)], axis=-1)[
            (here != there) & (here * there > 0)
        ]
        touching |= {tuple(int(v) for v in pair) for pair in np.unique(pairs, axis=0)}
    for pair in ((LV, MYO), (LV, LA), (LV, AO), (RV, RA), (RV, PA)):
        assert tuple(sorted(pair)) in touching
    for pair in ((LV, RV), (LV, PA), (LV, RA), (RV, LA)):
        assert tuple(sorted(pair)) not in touching


def test_volumes_and_hu_are_those_of_a_heart():
    phantom = make_phantom(1)
    voxel_ml = np.prod(phantom.spacing_mm) / 1000
    for value, (low, high) in {
        MYO: (80, 220),
        LA: (40, 140),
        LV: (70, 190),
        RA: (50, 160),
        RV: (80, 240),
        AO: (20, 80),
    }.items():
        assert low < np.count_nonzero(phantom.labels == value) * voxel_ml < high
    assert 70 < np.median(phantom.image[phantom.labels == MYO]) < 140
    assert 270 < np.median(phantom.image[phantom.labels == LV]) < 460
    assert phantom.image.min() < -900
    assert phantom.image.dtype == np.int16


def test_same_seed_same_heart_other_seed_another():
    first, again, other = make_phantom(3, SMALL), make_phantom(3, SMALL), make_phantom(9, SMALL)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert first.origin_lps == again.origin_lps
    assert not np.array_equal(first.labels, other.labels)


@pytest.mark.parametrize("seed", range(5))
def test_storage_does_not_move_the_heart(seed):
    stored, plain = (make_phantom(seed, SMALL, orientation).to_sitk()[1] for orientation in ("varied", "lps"))
    there = sitk.Resample(stored, plain, sitk.Transform(), sitk.sitkNearestNeighbor)
    assert np.array_equal(sitk.GetArrayFromImage(there), sitk.GetArrayFromImage(plain))


def test_oblique_heart_lies_where_the_straight_one_lies():
    stored, plain = (make_phantom(5, SMALL, orientation).to_sitk()[1] for orientation in ("varied", "lps"))
    assert abs(stored.GetDirection()[0]) < 0.9999
    there = sitk.GetArrayFromImage(sitk.Resample(stored, plain, sitk.Transform(), sitk.sitkNearestNeighbor))
    straight = sitk.GetArrayFromImage(plain)
    for value in (LV, RV, LA):
        both = 2 * np.count_nonzero((there == value) & (straight == value))
        assert both / (np.count_nonzero(there == value) + np.count_nonzero(straight == value)) > 0.9


def test_files_are_named_as_mm_whs_names_them(tmp_path):
    paths = write_phantoms(tmp_path, 3, seed=5, shape=(16, 32, 32))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[:2] == ["ct_train_1001_image.nii.gz", "ct_train_1001_label.nii.gz"]
    assert len(names) == 6
    for image_path, label_path in paths:
        image, label = sitk.ReadImage(str(image_path)), sitk.ReadImage(str(label_path))
        assert np.allclose(image.GetDirection(), label.GetDirection())
        assert image.GetSize() == label.GetSize()
        assert set(np.unique(sitk.GetArrayFromImage(label))) <= {0, 421, *LABEL_VALUES}
    assert 421 in sitk.GetArrayFromImage(sitk.ReadImage(str(paths[2][1])))


def test_unknown_orientation_is_refused():
    with pytest.raises(ValueError, match="orientation"):
        make_phantom(0, SMALL, "upright")
