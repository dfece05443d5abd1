"""Proof: a scan of 512 x 512 x 275 voxels, its seconds, the network's part of them, and the labels of float32."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from unetseg.data.preprocessed_dataset import PreprocessedDataset, read_preprocessed_dataset
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, shipped_checkpoints
from UNetSegmenterLib.engine.model.device import choose_device, precision_name
from UNetSegmenterLib.engine.model.prediction import Predictor
from UNetSegmenterLib.engine.model.preprocessing import network_slices

from .hardware import Timeline, device_name
from .proof import Goal, Result, Setup

SHAPE, SMALL_SHAPE = (275, 512, 512), (24, 96, 96)
REPEATS = 5
SAME_LABELS = 0.9995


def run(setup: Setup) -> Result:
    """Predict the scan in the precision of the device, then in float32 without TF32."""
    device = choose_device(setup.device)
    scan = enlarged_scan(read_preprocessed_dataset(setup.preprocessed), SMALL_SHAPE if setup.small else SHAPE)
    checkpoint = load_checkpoint(shipped_checkpoints()[0])
    began = time.perf_counter()
    predictor = Predictor(checkpoint, setup.device)
    first, fast = _predict(predictor, scan)
    started = time.perf_counter() - began
    seconds, network = [], []
    for _ in range(1 if setup.small else REPEATS):
        with _network_seconds(predictor, Timeline(device)) as spans:
            taken, fast = _predict(predictor, scan)
        seconds.append(taken)
        network.append(sum(spans))
    began = time.perf_counter()
    slices = scan.geometry.to_axial(scan.array)
    spacing = scan.geometry.axial_spacing_mm
    network_slices(slices, spacing[1:], checkpoint.card.preprocessing, spacing[0])
    resampling = time.perf_counter() - began
    reference_seconds, reference = _float32(checkpoint, setup.device, scan)
    same = fast == reference
    structures = (fast > 0) | (reference > 0)
    median, of_network = statistics.median(seconds), statistics.median(network)
    figures: dict[str, Any] = {
        "device": device_name(device),
        "precision": precision_name(predictor.dtype),
        "voxels": " x ".join(map(str, scan.array.shape)),
        "seconds": median,
        "seconds_of_each": seconds,
        "first_with_start_up_s": started,
        "first_without_loading_s": first,
        "network_s": of_network,
        "network_share": of_network / median,
        "resampling_to_the_network_s": resampling,
        "float32_s": reference_seconds,
        "batch_size": predictor.batch_size,
        "structure_voxels": int((reference > 0).sum()),
        "labels_as_float32": float(same.mean()),
        "labels_as_float32_of_structures": float(same[structures].mean()) if structures.any() else float("nan"),
    }
    if device.type == "cuda":
        figures["peak_device_gb"] = torch.cuda.max_memory_allocated(device) / 2**30
    share = figures["labels_as_float32"]
    goal = Goal(
        f"labels equal to float32's in at least {SAME_LABELS:.2%} of voxels", f"{share:.4%}", share >= SAME_LABELS
    )
    return Result(figures, [goal])


def _predict(predictor: Predictor, scan: Volume) -> tuple[float, np.ndarray]:
    """Seconds, and labels."""
    began = time.perf_counter()
    labels = predictor.predict(scan).segmentation.labels
    return time.perf_counter() - began, labels


def _float32(checkpoint: Any, device: str, scan: Volume) -> tuple[float, np.ndarray]:
    """Seconds and labels in float32; TF32, which rounds the factors of convolutions to 10 bits, is switched off for it."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        predictor = Predictor(checkpoint, device, dtype=torch.float32)
        _predict(predictor, scan)
        return _predict(predictor, scan)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def _network_seconds(predictor: Predictor, timeline: Timeline) -> Iterator[list[float]]:
    """Seconds of each call of the network, filled in when the context ends."""
    spans: list[float] = []
    marks: list[tuple[Any, Any]] = []
    network, starts = predictor.networks[0], threading.local()  # on a CPU each thread predicts a batch

    def begin(*_: object) -> None:
        starts.mark = timeline.mark()

    before = network.register_forward_pre_hook(begin)
    after = network.register_forward_hook(lambda *_: marks.append((starts.mark, timeline.mark())))
    try:
        yield spans
    finally:
        before.remove()
        after.remove()
        timeline.wait()
        spans += [timeline.seconds(start, end) for start, end in marks]


def enlarged_scan(dataset: PreprocessedDataset, shape: tuple[int, int, int]) -> Volume:
    """The case with the most slices, trilinearly enlarged to `shape`: real anatomy where no scan of that size is at hand."""
    case = max(dataset.cases, key=lambda one: one.stop - one.start)
    hu = torch.from_numpy(np.array(case.region(dataset.images), dtype=np.float32))[None, None]
    large = torch.nn.functional.interpolate(hu, shape, mode="trilinear", align_corners=False)[0, 0]
    in_plane = dataset.preprocessing.spacing_mm or case.spacing_mm[1:]
    lengths = [n * step for n, step in zip(hu.shape[2:], (case.spacing_mm[0], *in_plane), strict=True)]
    spacing = tuple(length / n for length, n in zip(lengths, shape, strict=True))
    return Volume(large.round().to(torch.int16).numpy(), Geometry(shape, spacing), case.name)
