"""Batches are sampled on the device: which slices, which pixels, which neighbours."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from unetseg.training.augmentation import augment
from unetseg.training.configuration import TrainingConfig
from unetseg.training.device_data import DeviceData
from unetseg.training.distributed import ProcessGroup
from unetseg.training.optimisation import Learner, update_average
from unetseg.training.training_loop import next_batch

from .blob_training import NEUTRAL


def test_patches_of_oversampled_slices_contain_the_structure(prepared_blobs):
    """Also where it lies at the rim, which a patch about the slice's middle would never see; others lie anywhere."""
    train_cases = prepared_blobs.of_split("train")
    labels = np.zeros_like(prepared_blobs.labels)
    for case in train_cases:
        region = case.region(labels)
        region[:, 1:4, 2:5] = 1  # a corner
        region[:, -6:-2, -5:-1] = 2  # the opposite one
    rim = replace(prepared_blobs, labels=labels)
    data = DeviceData(rim, train_cases, prepared_blobs.preprocessing, torch.device("cpu"))
    config = TrainingConfig(batch_size=600, foreground_fraction=0.5, patch=(32, 32), depth=2, augmentation=NEUTRAL)
    generator = torch.Generator().manual_seed(0)
    images, labels, centres = data.sample_batch(config, generator)
    _, targets = augment(images, labels, config.patch, NEUTRAL, generator, centres)
    _, structures = data.sample_slices(config, torch.Generator().manual_seed(0))
    assert (targets[:300] == structures[:, None, None]).any(dim=(1, 2)).all()
    _, middle = augment(images, labels, (16, 16), NEUTRAL, generator)
    assert not middle.any(), "the middle of the slice holds neither"
    corner, size = data.regions[data.sample_slices(config, torch.Generator().manual_seed(0))[0]].unbind(1)
    reach = size - 32
    assert (centres - 16 >= corner).all()
    assert (centres + 16 <= corner + size).all()
    spread = ((centres - 16 - corner) / reach)[300:]
    assert spread.mean(dim=0).tolist() == pytest.approx([0.5, 0.5], abs=0.07)
    assert spread.std(dim=0).tolist() == pytest.approx([12**-0.5] * 2, abs=0.05)


def test_pixels_of_a_structure_are_sampled_uniformly(prepared_blobs):
    train_cases = prepared_blobs.of_split("train")
    labels = np.zeros_like(prepared_blobs.labels)
    for case in train_cases:
        case.region(labels)[:, 20, 18:22] = 1
    data = DeviceData(
        replace(prepared_blobs, labels=labels), train_cases, prepared_blobs.preprocessing, torch.device("cpu")
    )
    config = TrainingConfig(batch_size=4000, foreground_fraction=1.0, patch=(8, 8), depth=2)
    *_, centres = data.sample_batch(config, torch.Generator().manual_seed(0))
    corner = data.regions[data.sample_slices(config, torch.Generator().manual_seed(0))[0], 0]
    columns, counts = (centres - corner)[:, 1].unique(return_counts=True)
    assert columns.tolist() == [18.5, 19.5, 20.5, 21.5]
    assert counts.min() > 900


def test_a_slice_smaller_than_the_patch_lies_in_its_middle(prepared_blobs):
    data = DeviceData(
        prepared_blobs, prepared_blobs.of_split("train"), prepared_blobs.preprocessing, torch.device("cpu")
    )
    *_, centres = data.sample_batch(TrainingConfig(batch_size=50, patch=(64, 64)), torch.Generator().manual_seed(0))
    regions = data.regions[data.sample_slices(TrainingConfig(batch_size=50), torch.Generator().manual_seed(0))[0]]
    torch.testing.assert_close(centres, regions[:, 0] + regions[:, 1] / 2)


def test_structures_are_oversampled(prepared_blobs):
    data = DeviceData(
        prepared_blobs, prepared_blobs.of_split("train"), prepared_blobs.preprocessing, torch.device("cpu")
    )
    rate = {}
    for share in (0.0, 1.0):
        config = TrainingConfig(batch_size=400, foreground_fraction=share)
        _, labels, _ = data.sample_batch(config, torch.Generator().manual_seed(0))
        rate[share] = (labels == 1).any(dim=(1, 2)).float().mean().item()
    assert rate[1.0] > rate[0.0] + 0.05


def test_every_structure_leads_as_many_slices(prepared_blobs):
    """Of 4,000 led slices, half are drawn for the liver and half for the spleen, evenly over the slices that have them."""
    data = DeviceData(
        prepared_blobs, prepared_blobs.of_split("train"), prepared_blobs.preprocessing, torch.device("cpu")
    )
    data.labels = torch.arange(len(data.images), dtype=torch.uint8)[:, None, None]
    _, drawn, _ = data.sample_batch(
        TrainingConfig(batch_size=4000, foreground_fraction=1.0), torch.Generator().manual_seed(0)
    )
    counts = torch.bincount(drawn[:, 0, 0], minlength=len(data.images)).float()
    has = [torch.from_numpy((prepared_blobs.labels[:20] == index).any(axis=(1, 2))) for index in (1, 2)]
    expected = 2000 * (has[0] / has[0].sum() + has[1] / has[1].sum())
    assert ((counts - expected).abs() <= 5 * expected.sqrt()).all()


class HostWaits(TorchDispatchMode):
    """Counts what makes a GPU wait: numbers that Python reads from a tensor, and tensors made from Python's numbers."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in ("_local_scalar_dense", "item", "nonzero", "lift_fresh", "is_nonzero"):
            self.seen.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("memory_bytes", [None, 0])
def test_a_batch_is_sampled_and_augmented_without_the_host(prepared_blobs, memory_bytes):
    config, cpu = TrainingConfig(batch_size=6, patch=(32, 32), base_width=4, depth=2), torch.device("cpu")
    preprocessing = replace(prepared_blobs.preprocessing, input_slices=3)
    data = DeviceData(prepared_blobs, prepared_blobs.of_split("train"), preprocessing, cpu, memory_bytes)
    learner = Learner(config, prepared_blobs, ProcessGroup(cpu))
    with HostWaits() as waits:
        images, targets = next_batch(data, config, 0, learner.process_group)
        learner.accumulate_gradients(images, targets)
        update_average(learner.average, learner.network, 0.9)
        assert waits.seen == []
        images.max().item()
        assert waits.seen == ["_local_scalar_dense"], "what is looked for would be seen"


def test_neighbours_never_come_from_another_case(prepared_blobs):
    data = DeviceData(
        prepared_blobs, prepared_blobs.cases, replace(prepared_blobs.preprocessing, input_slices=5), torch.device("cpu")
    )
    data.images = torch.arange(len(prepared_blobs.images), dtype=torch.int16)[:, None, None].expand(
        -1, 2, 2
    )  # slice numbers as HU
    images, *_ = data.sample_batch(
        TrainingConfig(batch_size=300, neighbour_jitter=0.5), torch.Generator().manual_seed(0)
    )
    numbers = (images[:, :, 0, 0] * 250 + 50).round().long()
    assert (numbers // 10 == numbers[:, 2:3] // 10).all()
    assert (numbers[:, 0] < numbers[:, 2]).any()
