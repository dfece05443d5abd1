"""What a card can ask of prediction beyond `unetseg train`: other axes, pixels, ensembles, mirroring, crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.normalisation import Normalisation
from UNetSegmenterLib.engine.model.prediction import Predictor

from ..checkpoints import small_card, small_weights

OBLIQUE = ((0.0, 0.6, -0.8), (-1.0, 0.0, 0.0), (0.0, -0.8, -0.6))


def scan(shape=(9, 24, 20), spacing=(3.0, 1.1, 1.3), seed=0):
    coarse = torch.rand(1, 1, 4, 6, 5, generator=torch.Generator().manual_seed(seed)) * 600 - 300
    hu = torch.nn.functional.interpolate(coarse, shape, mode="trilinear")[0, 0].numpy().astype(np.int16)
    return Volume(hu, Geometry(shape, spacing, direction=OBLIQUE), "blobs")


def predictor(seeds=(0,), mirroring=False, **changes):
    card = small_card()
    card = replace(card, preprocessing=replace(card.preprocessing, **changes))
    checkpoint = Checkpoint(card, tuple(small_weights(card, seed) for seed in seeds), None, "")
    return Predictor(checkpoint, "cpu", dtype=torch.float32, mirroring=mirroring)


def labels(predictor, volume):
    return predictor.predict(volume).segmentation.labels


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("orientation", ["", "reversed"])
def test_slices_of_any_axis_are_predicted_like_axial_ones_of_a_turned_scan(axis, orientation):
    letters = {"axial": "LA", "coronal": "RS", "sagittal": "PS"}[axis] if orientation else ""
    volume = scan()
    asked = predictor(axis=axis, orientation=letters)
    slicing = asked.preprocessing.slicing(volume.geometry)
    turned = Volume(np.ascontiguousarray(slicing.view(volume.array)), Geometry(slicing.shape, slicing.spacing_mm))
    expected = labels(predictor(), turned)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(slicing.view(labels(asked, volume)), expected)


def test_stored_slices_are_those_of_the_file():
    volume = scan()
    straight = Volume(volume.array, Geometry(volume.geometry.shape, volume.geometry.spacing_mm))
    np.testing.assert_array_equal(labels(predictor(axis="stored"), volume), labels(predictor(), straight))


def test_pixels_have_a_size_per_axis_or_stay_as_they_are():
    volume = scan()
    as_stored = predictor(axis="stored", spacing_mm=None)
    same_mm = predictor(axis="stored", spacing_mm=(1.1, 1.3))
    np.testing.assert_array_equal(labels(as_stored, volume), labels(same_mm, volume))
    assert (labels(as_stored, volume) != labels(predictor(axis="stored"), volume)).any()


def test_an_ensemble_averages_logits(tmp_path):
    volume, both = scan(), predictor(seeds=(0, 1))
    stacked = torch.rand(2, 3, 24, 20) * 2 - 1
    alone = [predictor(seeds=(seed,)).logits(stacked) for seed in (0, 1)]
    torch.testing.assert_close(both.logits(stacked), (alone[0] + alone[1]) / 2)
    save_checkpoint(tmp_path / "two.pt", both.checkpoint.card, both.checkpoint.weights, half=False)
    reopened = Predictor(load_checkpoint(tmp_path / "two.pt"), "cpu", dtype=torch.float32)
    np.testing.assert_array_equal(labels(reopened, volume), labels(both, volume))
    with pytest.raises(InputError, match="holds 2 networks"):
        reopened.checkpoint.network()


def test_mirroring_averages_over_every_combination_of_the_allowed_axes():
    stacked = torch.rand(2, 3, 24, 20) * 2 - 1
    one = predictor().logits
    expected = [one(stacked), one(stacked.flip(2)).flip(2), one(stacked.flip(3)).flip(3)]
    expected.append(one(stacked.flip(2, 3)).flip(2, 3))
    found = predictor(mirror_axes=(0, 1), mirroring=True).logits(stacked)
    torch.testing.assert_close(found, sum(expected) / 4)
    torch.testing.assert_close(
        predictor(mirror_axes=(1,), mirroring=True).logits(stacked), (expected[0] + expected[2]) / 2
    )
    with pytest.raises(InputError, match="not trained with mirrored"):
        predictor(mirroring=True)


def test_what_is_0_around_the_scan_is_left_out():
    volume = scan()
    inside = (slice(2, 7), slice(3, 21), slice(4, 19))
    padded = np.zeros_like(volume.array)
    padded[inside] = np.where(volume.array[inside] == 0, 1, volume.array[inside])
    found = predictor(axis="stored", crop_to_nonzero=True).predict(replace(volume, array=padded))
    cropped = Volume(padded[inside], Geometry((5, 18, 15), volume.geometry.spacing_mm))
    np.testing.assert_array_equal(found.segmentation.labels[inside], labels(predictor(axis="stored"), cropped))
    outside = found.segmentation.labels.copy()
    outside[inside] = 0
    assert not outside.any()
    assert found.complete
    empty = replace(volume, array=np.zeros_like(volume.array))
    assert predictor(axis="stored", crop_to_nonzero=True).predict(empty).complete


def test_each_normalisation_reaches_the_network():
    """A network that reads z-scores draws the same for a scan in other units; one that reads a window does not."""
    volume = scan()
    other_units = replace(volume, array=(volume.array * 2.0 + 500).astype(np.float32))
    measured = predictor(normalisation=Normalisation("z-score"), intensities="any")
    np.testing.assert_array_equal(labels(measured, volume), labels(measured, other_units))
    assert (labels(predictor(), volume) != labels(predictor(), other_units)).any()
    per_slice = predictor(normalisation=Normalisation("rescale", over="slice"), intensities="any")
    shifted = replace(volume, array=volume.array + np.arange(9, dtype=np.int16)[:, None, None] * 50)
    stored = predictor(normalisation=Normalisation("rescale", over="slice"), intensities="any", axis="stored")
    np.testing.assert_array_equal(labels(stored, volume), labels(stored, shifted))
    assert labels(per_slice, volume).any()
