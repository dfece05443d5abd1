"""Patches as nnU-Net places, weights and mirrors them."""

import itertools

import numpy as np
import pytest
import torch
from UNetSegmenterLib.engine.model.sliding_window import (
    mirrored_logits,
    mirrorings,
    padded_to,
    patch_starts,
    patch_weights,
    patched_logits,
)


@pytest.mark.parametrize(
    ("length", "patch", "step", "expected"),
    [
        (110, 64, 0.5, [0, 23, 46]),
        (64, 64, 0.5, [0]),
        (65, 64, 0.5, [0, 1]),
        (200, 64, 1, [0, 45, 91, 136]),
        (9, 4, 0.5, [0, 2, 3, 5]),
    ],
)
def test_patches_begin_where_nnunets_do(length, patch, step, expected):
    assert patch_starts(length, patch, step) == expected


@pytest.mark.parametrize(("length", "patch", "step"), itertools.product((50, 77, 512), (32, 50), (0.25, 0.5, 1)))
def test_patches_reach_from_end_to_end(length, patch, step):
    starts = patch_starts(length, patch, step)
    assert starts[0] == 0
    assert starts[-1] == length - patch
    assert max(np.diff(starts), default=0) <= patch * step + 1


@pytest.mark.parametrize("size", [(64, 64), (7, 13), (32, 20)])
def test_weights_are_scipys_gaussian(size):
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy comes with the extra 'training'")
    point = np.zeros(size)
    point[size[0] // 2, size[1] // 2] = 1
    expected = ndimage.gaussian_filter(point, [length / 8 for length in size], mode="constant")
    expected = (expected / expected.max() * 10).astype(np.float16)
    assert np.array_equal(patch_weights(size).numpy(), expected.astype(np.float32))
    assert patch_weights(size).min() > 0


def test_weights_of_a_large_patch_are_nowhere_0():
    assert patch_weights((1024, 1024)).min() > 0


def test_patches_of_a_network_that_sees_single_pixels_give_what_it_gives_of_the_whole():
    slices = torch.randn(2, 1, 50, 37)

    def network(part):
        return torch.cat([part, -2 * part], dim=1)

    logits = patched_logits(network, slices, (16, 32), 0.5)
    assert torch.allclose(logits, network(slices), atol=1e-5)


def test_pixels_near_a_patchs_centre_count_more():
    numbers = iter(range(3))
    logits = patched_logits(lambda part: torch.full_like(part, next(numbers)), torch.zeros(1, 1, 8, 16), (8, 8), 0.5)[
        0, 0
    ]
    assert logits[0, 0] == 0
    assert logits[0, -1] == 2
    assert torch.all(logits[:, 1:] >= logits[:, :-1])
    assert 0 < logits[0, 5] < 1


def test_every_combination_of_axes_is_mirrored_once_and_mirrored_back():
    assert mirrorings((0, 1)) == [(), (2,), (3,), (2, 3)]
    assert mirrorings((1,)) == [(), (3,)]
    slices = torch.randn(1, 1, 6, 5)
    seen = []

    def network(part):
        seen.append(part)
        return part

    assert torch.allclose(mirrored_logits(network, slices, (0, 1)), slices)
    assert [torch.equal(part, slices.flip(axes)) for part, axes in zip(seen, mirrorings((0, 1)), strict=True)] == [
        True
    ] * 4


def test_mirrored_logits_are_the_mean():
    ramp = torch.arange(4.0).expand(1, 1, 3, 4)
    assert torch.equal(mirrored_logits(lambda part: ramp, ramp, (1,)), torch.full((1, 1, 3, 4), 1.5))


@pytest.mark.parametrize(("padding", "top", "left"), [("end", 0, 0), ("centre", 1, 2)])
def test_pads_at_the_end_or_around_the_centre_with_the_odd_pixel_at_the_end(padding, top, left):
    padded, (rows, columns) = padded_to(torch.ones(1, 1, 5, 4), (8, 9), padding, -3.0)
    assert padded.shape == (1, 1, 8, 9)
    assert (rows.start, columns.start) == (top, left)
    assert torch.all(padded[:, :, rows, columns] == 1)
    assert padded.sum() == 20 - 3 * (72 - 20)


def test_a_larger_slice_is_not_padded():
    slices = torch.ones(1, 1, 9, 9)
    assert padded_to(slices, (8, 9), "centre", 0)[0] is slices
