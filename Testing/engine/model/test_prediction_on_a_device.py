"""Prediction on a computing device, compared with the CPU in float32; `pytest --device cuda` runs these tests on a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.architectures import PLAIN_CONV_UNET, unet
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, shipped_checkpoints
from UNetSegmenterLib.engine.model.device import available_devices, choose_device, fastest_precision, mixed_precision
from UNetSegmenterLib.engine.model.prediction import Predictor
from UNetSegmenterLib.engine.model.upsampling import upsampled_labels, upsampled_logits

from ..checkpoints import small_card, small_weights


@pytest.fixture(autouse=True)
def exact_float32():
    """GPUs round the factors of float32 convolutions to 10 bits by default (TF32), which is no reference."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def scan(shape=(11, 40, 36), spacing=(3.0, 1.1, 1.3)) -> Volume:
    """Smooth random blobs in HU."""
    coarse = torch.from_numpy(np.random.default_rng(0).normal(50, 150, (1, 1, 4, 6, 6)).astype(np.float32))
    hu = torch.nn.functional.interpolate(coarse, shape, mode="trilinear")[0, 0].numpy().astype(np.int16)
    return Volume(hu, Geometry(shape, spacing), "blobs")


def saved(folder, **changes) -> Checkpoint:
    card = small_card(**changes)
    save_checkpoint(folder / "small.pt", card, small_weights(card))
    return load_checkpoint(folder / "small.pt")


def labels_of(checkpoint: Checkpoint, volume: Volume, device: torch.device | str, **options) -> np.ndarray:
    return Predictor(checkpoint, str(device), **options).predict(volume).segmentation.labels


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"axis": "coronal"},
        {"axis": "sagittal"},
        {"interpolation": "cubic"},
        {"patch_size": (16, 24), "padding": "centre"},
        {"crop_to_nonzero": True},
    ],
    ids=lambda changes: next(iter(changes), "plain"),
)
def test_float32_labels_are_those_of_the_cpu(device, tmp_path, changes):
    checkpoint = saved(tmp_path, preprocessing=replace(small_card().preprocessing, **changes))
    ours, reference = (labels_of(checkpoint, scan(), where, dtype=torch.float32) for where in (device, "cpu"))
    assert len(np.unique(reference)) > 2, "a reference of one class would hold everything equal"
    assert (ours == reference).mean() > 0.999


def test_mirrored_slices_too(device, tmp_path):
    checkpoint = saved(tmp_path, preprocessing=replace(small_card().preprocessing, mirror_axes=(0, 1)))
    ours, reference = (
        labels_of(checkpoint, scan(), where, dtype=torch.float32, mirroring=True) for where in (device, "cpu")
    )
    assert (ours == reference).mean() > 0.999


def test_the_shipped_network_in_the_precision_of_the_device(device):
    checkpoint = load_checkpoint(shipped_checkpoints()[0])
    volume = scan((9, 96, 96), (3.0, 2.6, 2.6))
    fast, reference = (
        labels_of(checkpoint, volume, where, dtype=dtype) for where, dtype in ((device, None), ("cpu", torch.float32))
    )
    assert (reference > 0).any(), "a reference of background would hold everything equal"
    assert (fast == reference).mean() > 0.995


def test_percent_and_confidence_are_those_of_the_cpu(device, tmp_path):
    checkpoint, volume = saved(tmp_path), scan()
    results = []
    for where in (device, "cpu"):
        percent = {2: np.zeros(volume.geometry.shape, np.uint8)}
        segmentation = (
            Predictor(checkpoint, str(where), dtype=torch.float32).predict(volume, percent=percent).segmentation
        )
        results.append((percent[2], segmentation.confidence))
    assert results[1][0].max() > 50
    assert np.abs(results[0][0].astype(int) - results[1][0]).max() <= 1
    np.testing.assert_allclose(*(list(confidence.values()) for _, confidence in results), atol=2e-3)


def test_batches_of_any_size_give_the_same_labels(device, tmp_path):
    checkpoint = saved(tmp_path)
    one, other = (labels_of(checkpoint, scan(), device, dtype=torch.float32, batch_size=size) for size in (1, 7))
    assert (one == other).mean() > 0.999


def test_a_cancel_is_obeyed(device, tmp_path):
    done = []
    predictor = Predictor(saved(tmp_path), str(device), batch_size=2)
    prediction = predictor.predict(scan(), lambda now, _: done.append(now), lambda: bool(done))
    assert not prediction.complete
    assert prediction.slices_done == done[-1] < 11
    assert not prediction.segmentation.labels[prediction.slices_done :].any()


@pytest.mark.parametrize("size", [(24, 28), (51, 50), (9, 11)])
def test_labels_are_the_largest_of_the_resampled_logits(device, size):
    logits = torch.randn(3, 20, 24, 28, generator=torch.Generator().manual_seed(1)).to(device)
    labels, resampled = upsampled_labels(logits, size), upsampled_logits(logits, size)
    chosen = resampled.gather(1, labels[:, None].long())[:, 0]
    torch.testing.assert_close(chosen, resampled.amax(dim=1))


def test_memory_that_ends_halves_the_batch(device, tmp_path):
    if device.type != "cuda":
        pytest.skip("the memory of a GPU alone can be limited for a process")
    card = small_card(network=unet(3, 4, base_width=32, depth=2))
    save_checkpoint(tmp_path / "wide.pt", card, small_weights(card))
    checkpoint, volume = load_checkpoint(tmp_path / "wide.pt"), scan((64, 256, 256), (3.0, 2.0, 2.0))
    reference = labels_of(checkpoint, volume, device, batch_size=1)
    predictor = Predictor(checkpoint, str(device), batch_size=64)
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved(device) + 600 * 2**20
    torch.cuda.set_per_process_memory_fraction(held / torch.cuda.get_device_properties(device).total_memory)
    try:
        prediction = predictor.predict(volume)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert prediction.complete
    assert predictor.batch_size < 64
    assert (prediction.segmentation.labels == reference).mean() > 0.95


def test_the_device_is_known_and_named(device):
    assert choose_device(str(device)).type == device.type
    assert device.type in {known["device"] for known in available_devices()}
    assert device.type != "cuda" or available_devices()[0]["device"] == "cuda"


def test_precision_follows_the_hardware(device):
    dtype = mixed_precision(device)
    if device.type == "cuda":
        assert dtype == (torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16)
        network = replace(small_card().network, architecture=PLAIN_CONV_UNET)
        assert fastest_precision(network, device) == torch.float16
    a, b = (torch.randn(64, 64, device=device) for _ in range(2))
    error = (a.to(dtype) @ b.to(dtype)).float() - a @ b
    assert error.abs().max() / (a @ b).abs().max() < 0.02
