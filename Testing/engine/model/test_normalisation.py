"""Normalisation by name: numbers worked out by hand, and what is refused."""

import numpy as np
import pytest
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.normalisation import Normalisation, window

SLICES = np.array([[[0, 10], [20, 30]], [[100, 100], [100, 140]]], np.int16)


def normalised(normalisation, slices=SLICES):
    clipped = torch.from_numpy(normalisation.clipped(slices))
    return normalisation.affine(slices)(clipped, torch.arange(len(slices)))


def test_window_maps_its_ends_and_clips():
    hu = np.array([-1000, -160, 40, 240, 3000], np.int16).reshape(1, 1, 5)
    assert normalised(window(-160, 240), hu).flatten().tolist() == [-1, -1, 0, 1, 1]
    to_one = Normalisation("window", (-160, 240), (0.0, 1.0))
    assert normalised(to_one, hu).flatten().tolist() == [0, 0, 0.5, 1, 1]


def test_ct_is_clipped_and_standardised_with_numbers_of_the_training_data():
    found = normalised(Normalisation("ct", clip=(5, 120), mean=20, sd=10))
    assert found.flatten().tolist() == pytest.approx([-1.5, -1, 0, 1, 8, 8, 8, 10])


@pytest.mark.parametrize("over", ["scan", "slice"])
def test_z_score_has_mean_0_and_sd_1(over):
    found = normalised(Normalisation("z-score", over=over)).double()
    for part in [found] if over == "scan" else found:
        assert part.mean().item() == pytest.approx(0, abs=1e-6)
        assert part.std(correction=0).item() == pytest.approx(1, abs=1e-6)


def test_rescale_reaches_both_ends_of_its_range():
    whole = normalised(Normalisation("rescale", range=(0.0, 1.0)))
    assert (whole.min(), whole.max()) == (0, 1)
    for part in normalised(Normalisation("rescale", range=(0.0, 1.0), over="slice")):
        assert (part.min(), part.max()) == (0, 1)


@pytest.mark.parametrize("name", ["z-score", "rescale"])
@pytest.mark.parametrize("over", ["scan", "slice"])
def test_a_scan_of_one_value_stays_finite(name, over):
    assert torch.isfinite(normalised(Normalisation(name, over=over), np.full((2, 3, 3), 7, np.int16))).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "sharpen"}, "window, ct, z-score, rescale, none are known"),
        ({"name": "ct", "mean": 1.0}, 'lacks "clip"'),
        ({"name": "window", "clip": (5.0, 5.0)}, "a rising range"),
        ({"name": "rescale", "range": (1.0, 0.0)}, "a rising range"),
        ({"name": "ct", "clip": (0.0, 1.0), "sd": 0.0}, "a positive sd"),
        ({"name": "z-score", "over": "study"}, '"scan" or "slice"'),
    ],
)
def test_what_can_not_be_used_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        Normalisation(**values)


def test_json_keeps_what_the_name_needs():
    for one in (window(-1, 5), Normalisation("ct", (0, 1), mean=2.0, sd=3.0), Normalisation("z-score", over="slice")):
        assert Normalisation.from_json(one.to_json()) == one
    assert Normalisation("none").to_json() == {"name": "none"}
