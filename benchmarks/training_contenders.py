"""The sources of batches that the training benchmark compares; all read the same slices in the same order.

`our_batches` is what `train` does. The others use a DataLoader whose workers read and augment single slices:
with our own augmentation (`SliceByIndex`, which isolates the loader), with those of nnU-Net (`NnunetSlice`) and with MONAI's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from unetseg.training.augmentation import augment
from unetseg.training.configuration import TrainingConfig
from unetseg.training.device_data import DeviceData
from unetseg.training.training_loop import step_generator
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

Batch = tuple[Tensor, Tensor]
Contender = Callable[[], Iterator[Batch]]


def contenders(
    data: DeviceData, preprocessing: Preprocessing, config: TrainingConfig, device: torch.device, workers: int
) -> dict[str, Contender]:
    """What to compare, by name, ours first; nnU-Net's transforms only where batchgeneratorsv2 is installed."""
    own = SliceByIndex(data, preprocessing, config)

    def loaded(make: Callable[[], Dataset]) -> Contender:
        return lambda: loader_batches(make(), data, config, device, workers)

    found: dict[str, Contender] = {
        "ours, on the device": lambda: our_batches(data, config, device),
        "loader, our changes": loaded(lambda: own),
    }
    if has_nnunet():
        found["loader, nnU-Net's changes"] = loaded(lambda: NnunetSlice(own, config))
    found["MONAI, cached"] = loaded(lambda: monai_dataset(own, config))
    return found


def has_nnunet() -> bool:
    """Whether nnU-Net's augmentation is installed; it is not part of the environment (docs/speed.md)."""
    from importlib.util import find_spec

    return find_spec("batchgeneratorsv2") is not None


class SliceByIndex(Dataset):
    """Single slices with their neighbours and our augmentation, as a worker of a loader reads them."""

    def __init__(self, data: DeviceData, preprocessing: Preprocessing, config: TrainingConfig) -> None:
        self.images, self.labels = data.images.cpu(), data.labels.cpu()
        self.first, self.last, self.step = (part.cpu() for part in (data.first, data.last, data.step))
        self.affine, self.config = preprocessing.normalisation.affine(), config
        self.reach = preprocessing.input_slices // 2

    def raw(self, index: int) -> Batch:
        """(input slices, H, W) float32 in -1..1 and labels (H, W) uint8."""
        offsets = torch.arange(-self.reach, self.reach + 1) * self.step[index]
        near = torch.minimum(torch.maximum(index + offsets, self.first[index]), self.last[index])
        return self.affine(self.images[near], torch.as_tensor(near)), self.labels[index]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Batch:
        image, label = self.raw(index)
        generator = torch.Generator().manual_seed(torch.initial_seed() + index)
        images, targets = augment(image[None], label[None], self.config.patch, self.config.augmentation, generator)
        return images[0], targets[0]


def our_batches(data: DeviceData, config: TrainingConfig, device: torch.device) -> Iterator[Batch]:
    """What `train` does."""
    for step in range(config.steps):
        generator = step_generator(config, step, device)
        images, labels, centres = data.sample_batch(config, generator)
        yield augment(images, labels, config.patch, config.augmentation, generator, centres)


def loader_batches(
    dataset: Dataset, data: DeviceData, config: TrainingConfig, device: torch.device, workers: int
) -> Iterator[Batch]:
    """The same slices, read by worker processes."""
    drawn = (data.sample_slices(config, step_generator(config, step, device))[0] for step in range(config.steps))
    slices = [batch.tolist() for batch in drawn]
    loader = DataLoader(
        dataset, batch_sampler=slices, num_workers=workers, pin_memory=device.type == "cuda", prefetch_factor=4
    )
    for batch in loader:
        images, targets = (batch["image"], batch["label"][:, 0]) if isinstance(batch, dict) else batch
        yield images.to(device, non_blocking=True), targets.to(device, non_blocking=True).long()


class NnunetSlice(Dataset):
    """A slice augmented by nnU-Net's own transforms, with its probabilities and ranges."""

    def __init__(self, slices: SliceByIndex, config: TrainingConfig) -> None:
        self.slices, self.transforms = slices, nnunet_transforms(config.patch)

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> Batch:
        image, label = self.slices.raw(index)
        # Outside the slice the transforms give 0, so the window's lower end, air, is 0 while they run.
        changed = self.transforms(image=image + 1, segmentation=label[None].to(torch.int16))
        return changed["image"] - 1, changed["segmentation"][0]


def nnunet_transforms(patch: tuple[int, int]) -> Any:
    """The list of nnU-Net 2.8.1 for its 2D configuration: nnUNetTrainer.get_training_transforms, without deep supervision.

    Rotations and mirrored axes are those of configure_rotation_dummyDA_mirroring_and_inital_patch_size.
    """
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
    from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
    from batchgeneratorsv2.transforms.utils.random import RandomTransform
    from batchgeneratorsv2.transforms.utils.remove_label import RemoveLabelTansform

    turn = math.radians(15 if max(patch) / min(patch) > 1.5 else 180)
    spatial = SpatialTransform(
        patch, patch_center_dist_from_border=0, random_crop=False, p_elastic_deform=0, p_rotation=0.2,
        rotation=(-turn, turn), p_scaling=0.2, scaling=(0.7, 1.4), p_synchronize_scaling_across_axes=1,
        bg_style_seg_sampling=False, border_mode_seg="constant", padding_value_seg=-1,
    )  # fmt: skip
    noise = GaussianNoiseTransform(noise_variance=(0, 0.1), p_per_channel=1, synchronize_channels=True)
    blur = GaussianBlurTransform(
        blur_sigma=(0.5, 1.0), synchronize_channels=False, synchronize_axes=False, p_per_channel=0.5, benchmark=True
    )
    brightness = MultiplicativeBrightnessTransform(
        multiplier_range=BGContrast((0.75, 1.25)), synchronize_channels=False, p_per_channel=1
    )
    contrast = ContrastTransform(
        contrast_range=BGContrast((0.75, 1.25)), preserve_range=True, synchronize_channels=False, p_per_channel=1
    )
    coarse = SimulateLowResolutionTransform(
        scale=(0.5, 1), synchronize_channels=False, synchronize_axes=True, ignore_axes=None, allowed_channels=None,
        p_per_channel=0.5,
    )  # fmt: skip
    inverted, gamma = (
        GammaTransform(
            gamma=BGContrast((0.7, 1.5)),
            p_invert_image=invert,
            synchronize_channels=False,
            p_per_channel=1,
            p_retain_stats=1,
        )
        for invert in (1, 0)
    )
    sometimes = (
        (noise, 0.1), (blur, 0.2), (brightness, 0.15), (contrast, 0.15), (coarse, 0.25), (inverted, 0.1), (gamma, 0.3)
    )  # fmt: skip
    chosen = [RandomTransform(transform, apply_probability=p) for transform, p in sometimes]
    return ComposeTransforms([spatial, *chosen, MirrorTransform(allowed_axes=(0, 1)), RemoveLabelTansform(-1, 0)])


def monai_dataset(slices: SliceByIndex, config: TrainingConfig) -> Dataset:
    """MONAI's cached data set with random transforms of the same kinds and ranges as ours."""
    from monai.data import CacheDataset
    from monai.transforms import (
        Compose,
        RandAdjustContrastd,
        RandAffined,
        RandGaussianNoised,
        RandGaussianSmoothd,
        RandScaleIntensityd,
        RandShiftIntensityd,
        ToTensord,
    )

    settings, rows = config.augmentation, config.patch
    both, image = ["image", "label"], ["image"]
    transforms = Compose(
        [
            RandAffined(
                both,
                prob=1.0,
                rotate_range=math.radians(settings.rotation_degrees),
                scale_range=(1 / settings.scale - 1, settings.scale - 1),
                translate_range=[settings.shift * n / 2 for n in rows],
                spatial_size=rows,
                mode=("bilinear", "nearest"),
                padding_mode="border",
            ),
            RandAdjustContrastd(image, prob=settings.fraction, gamma=(1 / settings.gamma, settings.gamma)),
            RandScaleIntensityd(image, prob=1.0, factors=settings.contrast),
            RandShiftIntensityd(image, prob=1.0, offsets=settings.brightness),
            RandGaussianSmoothd(image, prob=settings.fraction, sigma_x=(0.1, 0.8), sigma_y=(0.1, 0.8)),
            RandGaussianNoised(image, prob=settings.fraction, std=settings.noise),
            ToTensord(both, track_meta=False),
        ]
    )
    items = [dict(zip(both, (part[0], part[1][None]), strict=True)) for part in map(slices.raw, range(len(slices)))]
    return CacheDataset(items, transforms, progress=False)
