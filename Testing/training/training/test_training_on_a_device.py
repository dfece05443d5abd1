"""Training on a computing device, compared with the CPU; `pytest --device cuda` runs these tests on a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from unetseg.training.augmentation import augment
from unetseg.training.configuration import Augmentation, TrainingConfig
from unetseg.training.device_data import DeviceData
from unetseg.training.distributed import ProcessGroup
from unetseg.training.losses import LOSSES, make_loss
from unetseg.training.optimisation import Learner
from unetseg.training.training_loop import next_batch, step_generator, train
from unetseg.training.training_state import read_state
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

from ..datasets import preprocessed_blobs

GENTLE = Augmentation(rotation_degrees=5, scale=1.1, contrast=0.1, brightness=0.05, gamma=1.1, noise=0.05)
SMALL = TrainingConfig(steps=12, batch_size=4, patch=(32, 32), base_width=4, depth=2)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    return preprocessed_blobs(tmp_path_factory.mktemp("blobs"))


def device_data(blobs, device) -> DeviceData:
    preprocessing = replace(blobs.preprocessing, input_slices=3, size_multiple=4)
    return DeviceData(blobs, blobs.of_split("train"), preprocessing, device)


def test_it_learns(device, blobs, tmp_path):
    config = replace(SMALL, steps=90, batch_size=8, learning_rate=1e-2, ema=0.9, augmentation=GENTLE)
    path = train(blobs, tmp_path / "run", config, str(device), validate_every=45, save_every=1000)
    card = load_checkpoint(path).card
    assert min(card.validation[name]["dice"]["mean"] for name in ("liver", "spleen")) > 0.9
    assert card.training["device"].startswith(device.type)


def test_a_resumed_run_ends_with_the_same_weights(device, blobs, tmp_path):
    """To the bit, also of the average and of the optimiser's moments."""

    class Interrupted(Exception):
        pass

    def stop(progress):
        if progress.step == 10:
            raise Interrupted

    config = replace(SMALL, steps=24, batch_size=8, base_width=16)
    options = {"device": str(device), "save_every": 5, "validate_every": 1000}
    train(blobs, tmp_path / "whole", config, **options)
    with pytest.raises(Interrupted):
        train(blobs, tmp_path / "parts", config, watch=stop, **options)
    train(blobs, tmp_path / "parts", config, **options)
    whole, parts = (read_state(tmp_path / run / "state.pt")["parts"] for run in ("whole", "parts"))
    for name in ("network", "average"):
        for key, tensor in whole[name].items():
            assert torch.equal(tensor, parts[name][key]), f"{name}.{key}"
    for index, moments in whole["optimiser"]["state"].items():
        for key, tensor in moments.items():
            assert torch.equal(tensor, parts["optimiser"]["state"][index][key]), f"optimiser {index} {key}"


def test_kernels_are_chosen_that_repeat_themselves(device, blobs, tmp_path):
    """Without this, cuDNN may add up gradients in the order in which threads end."""
    torch.backends.cudnn.deterministic = False
    train(blobs, tmp_path / "run", replace(SMALL, steps=1), str(device))
    assert torch.backends.cudnn.deterministic


def test_a_step_does_not_wait_for_the_device(device, blobs):
    if device.type != "cuda":
        pytest.skip("CUDA alone reports that it waits; test_device_data.py looks for the causes on a CPU")
    data = device_data(blobs, device)
    learner = Learner(SMALL, blobs, ProcessGroup(device))
    learner.step(0, *next_batch(data, SMALL, 0, learner.process_group))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in (1, 2):
            learner.step(step, *next_batch(data, SMALL, step, learner.process_group))
        with pytest.raises(RuntimeError, match="synchroniz"):
            torch.ones(2, device=device).max().item()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_slices_reach_the_device_unchanged(device, blobs):
    config = replace(SMALL, batch_size=32, neighbour_jitter=0.5)
    here, there = device_data(blobs, torch.device("cpu")), device_data(blobs, device)
    generator = step_generator(config, 3, device)
    images, labels, centres = there.sample_batch(config, generator)
    assert {part.device.type for part in (images, labels, centres)} == {device.type}
    slices = there.sample_slices(config, step_generator(config, 3, device))[0].cpu()
    expected = here.affine(here.images[slices], slices)
    torch.testing.assert_close(images[:, 1].cpu(), expected)
    assert torch.equal(labels.cpu(), here.labels[slices])


def test_augmentation_without_changes_is_the_slice_itself(device, blobs):
    none = Augmentation().scaled(0)
    images, labels, _ = device_data(blobs, device).sample_batch(SMALL, step_generator(SMALL, 0, device))
    size = (images.shape[2], images.shape[3])
    same, targets = augment(images, labels, size, none, step_generator(SMALL, 1, device))
    torch.testing.assert_close(same, images.clamp(-1, 1), atol=1e-4, rtol=0)
    assert (targets == labels).float().mean() > 0.999


def test_augmentation_draws_the_same_views_again(device, blobs):
    data = device_data(blobs, device)
    views = []
    for _ in range(2):
        generator = step_generator(SMALL, 5, device)
        views.append(augment(*data.sample_batch(SMALL, generator)[:2], SMALL.patch, SMALL.augmentation, generator))
    assert torch.equal(views[0][0], views[1][0])
    assert torch.equal(views[0][1], views[1][1])


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_are_those_of_the_cpu(device, name):
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(3, 4, 24, 20, generator=generator)
    targets = torch.randint(4, (3, 24, 20), generator=generator)
    values, gradients = [], []
    for where in ("cpu", device):
        own = logits.to(where).requires_grad_()
        value = make_loss(name)(own, targets.to(where))
        value.backward()
        values.append(value.detach().cpu())
        gradients.append(own.grad.cpu())
    torch.testing.assert_close(*values, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-3)


def test_one_step_changes_the_weights_as_on_the_cpu(device, blobs):
    """Of the same batch, in float32; AdamW's first step is the sign of the gradient, so small gradients may differ."""
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    cpu = torch.device("cpu")
    batch = next_batch(device_data(blobs, cpu), SMALL, 0, ProcessGroup(cpu))
    gradients = []
    for where in (cpu, device):
        learner = Learner(SMALL, blobs, ProcessGroup(where), dtype=torch.float32)
        loss = learner.accumulate_gradients(*(part.to(where) for part in batch))
        gradients.append((loss.cpu(), [weight.grad.cpu() for weight in learner.network.parameters()]))
    torch.backends.cudnn.allow_tf32 = tf32
    torch.testing.assert_close(gradients[0][0], gradients[1][0], atol=1e-4, rtol=1e-4)
    for one, other in zip(gradients[0][1], gradients[1][1], strict=True):
        assert (one - other).norm() <= 1e-2 * one.norm() + 1e-5


def test_memory_that_ends_splits_the_batch(device, blobs):
    if device.type != "cuda":
        pytest.skip("the memory of a GPU alone can be limited for a process")
    config = replace(SMALL, batch_size=64, base_width=64, patch=(256, 256))
    data = device_data(blobs, device)
    learner = Learner(config, blobs, ProcessGroup(device))
    batch = next_batch(data, config, 0, learner.process_group)
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved(device) + 3 * 2**30
    torch.cuda.set_per_process_memory_fraction(held / torch.cuda.get_device_properties(device).total_memory)
    try:
        loss = learner.step(0, *batch)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert learner.micro_batches > 1
    assert torch.isfinite(loss)
