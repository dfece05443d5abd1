"""Augmentation moves image and label together, and each change is as large as its entry in the configuration."""

from dataclasses import replace

import pytest
import torch
from unetseg.training.augmentation import affine_grid, augment, change_intensity, elastic_displacement
from unetseg.training.configuration import Augmentation

from .blob_training import NEUTRAL


def test_neutral_augmentation_is_the_centre_of_the_slice():
    images = torch.rand(2, 3, 20, 24) * 2 - 1
    labels = torch.randint(0, 4, (2, 20, 24), dtype=torch.uint8)
    seen, targets = augment(images, labels, (12, 16), NEUTRAL, torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen, images[:, :, 4:16, 4:20], atol=1e-4, rtol=0)
    assert torch.equal(targets, labels[:, 4:16, 4:20].long())


def test_augmentation_moves_image_and_label_together():
    """A disc stays a disc of the same place in both, whatever the draw; nothing is mirrored."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    labels = torch.where((y - 20) ** 2 + (x - 44) ** 2 < 64, 2, 0).to(torch.uint8).expand(16, 48, 64)
    images = torch.where(labels > 0, 0.8, -0.5)[:, None].float()
    settings = Augmentation(contrast=0.0, brightness=0.0, gamma=1.0, noise=0.0, blur=0.0)
    seen, targets = augment(images, labels, (48, 64), settings, torch.Generator().manual_seed(3))
    assert ((seen[:, 0] > 0.15) == (targets == 2)).float().mean() > 0.99
    centres = torch.stack([(target == 2).nonzero().float().mean(dim=0) for target in targets])
    assert (centres[:, 1] > 32).all(), "a mirrored slice would have the disc on the other side"
    assert centres.std(dim=0).min() > 1, "the draws differ"


def test_elastic_deformation_moves_image_and_label_together():
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    labels = (((y // 8) + (x // 8)) % 2).to(torch.uint8).expand(16, 48, 64)
    images = labels[:, None].float() - 0.5
    settings = replace(NEUTRAL, elastic=0.1)
    seen, targets = augment(images, labels, (48, 64), settings, torch.Generator().manual_seed(3))
    assert ((seen[:, 0] > 0) == (targets == 1)).float().mean() > 0.97
    changed = (targets != labels).float().mean(dim=(1, 2))
    assert changed.max() > 0.15 and changed.std() > 0.03, "some slices are deformed much, others hardly"


def test_elastic_deformation_is_a_fraction_of_the_patch_and_smooth():
    field = elastic_displacement(400, (64, 128), (32, 16), 0.25, torch.Generator().manual_seed(0))
    pixels = field.flip(3) * torch.tensor([32.0, 64.0])  # rows and columns
    assert (pixels.abs().amax(dim=(0, 1, 2)) < torch.tensor([8.0, 4.0]) * 1.3).all()  # bicubic overshoots a little
    assert (pixels.abs().amax(dim=(0, 1, 2)) > torch.tensor([8.0, 4.0]) * 0.8).all()
    assert pixels.diff(dim=1).abs()[..., 0].max() < 8 / 2, "neighbouring pixels move alike"


def test_low_resolution_keeps_plain_regions_and_blurs_detail():
    settings = replace(NEUTRAL, low_resolution=1.0, fraction=1.0)
    detail = torch.tensor([0.5, -0.5]).repeat(12)[None, None, None].expand(8, 1, 20, 24)
    plain = torch.full((8, 1, 21, 25), 0.3)
    blurred = change_intensity(detail, settings, torch.Generator().manual_seed(0))
    assert 0 < blurred.abs().amax(dim=(1, 2, 3)).min() < 0.3 < blurred.abs().amax() <= 0.5
    torch.testing.assert_close(change_intensity(plain, settings, torch.Generator().manual_seed(0)), plain)


def test_shift_is_a_fraction_of_the_patch():
    """A shift of up to a quarter of a 32 x 16 patch moves its middle by up to 8 rows and 4 columns, whatever the slice's size."""
    settings = Augmentation(rotation_degrees=0, scale=1.0, shift=0.25)
    grid = affine_grid(2000, (64, 128), (32, 16), settings, torch.Generator().manual_seed(0))
    middles = grid.mean(dim=(1, 2)).flip(1) * torch.tensor([32.0, 64.0])  # rows and columns from the slice's middle
    assert middles.abs().amax(dim=0).tolist() == pytest.approx([8, 4], rel=0.01)
    assert middles.mean(dim=0).abs().max() < 0.3


def test_rotation_keeps_shapes_on_unequal_sides():
    """Rotated by a quarter turn, a square in an oblong patch is still a square of the same area."""
    grid = affine_grid(
        64, (40, 80), (40, 80), Augmentation(rotation_degrees=90, scale=1.0, shift=0.0), torch.Generator()
    )
    square = torch.zeros(64, 1, 40, 80)
    square[:, :, 14:26, 34:46] = 1
    turned = torch.nn.functional.grid_sample(square, grid, align_corners=False)
    torch.testing.assert_close(turned.sum(dim=(1, 2, 3)), torch.full((64,), 144.0), rtol=0.03, atol=0)


def test_outside_of_the_slice_is_air():
    images = torch.full((4, 1, 16, 16), 0.7)
    labels = torch.ones(4, 16, 16, dtype=torch.uint8)
    seen, targets = augment(images, labels, (32, 32), NEUTRAL, torch.Generator())
    assert seen[:, :, 0, 0].tolist() == [[-1.0]] * 4
    assert targets[:, 0, 0].tolist() == [0] * 4
