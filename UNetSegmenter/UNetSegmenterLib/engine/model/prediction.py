"""Prediction: a checkpoint segments a whole volume slice by slice, and the labels are on the volume's own grid."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import InputError
from ..labels.segmentation import Segmentation
from .architectures import ONNX
from .confidence import OutlineConfidence, outline_sums
from .device import choose_device, fastest_precision
from .network import UNet
from .postprocessing import Changes, postprocess
from .preprocessing import neighbour_offsets, neighbour_step, network_slices, pad_to_multiple, stack_slices
from .sliding_window import mirrored_logits, padded_to, patched_logits
from .upsampling import upsampled_labels, upsampled_logits

if TYPE_CHECKING:
    from ..io.slicing import Slicing
    from ..io.volume import Volume
    from .checkpoint import Checkpoint
    from .network import DoubleConvolution
    from .preprocessing import Preprocessing

CPU_BATCH, GPU_BATCH = 4, 32  # slices per forward pass; on a CPU more gains nothing and costs memory
WIDEST_MM = 5_000  # a wider slice means a spacing in other units, and would need terabytes
MOST_WORKERS = 8  # batches at the same time on a CPU: each needs memory for its own feature maps

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]


class _BeyondFloat16Error(Exception):
    """Logits are infinite or NaN: float16, which older GPUs compute in, ends at 65,504."""


@dataclass(frozen=True)
class _Batch:
    """What some slices came to: labels (B, rows, columns), percent by structure index, and sums along the outlines."""

    labels: np.ndarray
    percent: dict[int, np.ndarray]
    outlines: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Output:
    """Where the slices of a prediction are written: views of (slices, rows, columns), and sums along the outlines."""

    labels: np.ndarray
    percent: dict[int, np.ndarray]
    confidence: OutlineConfidence

    @torch.inference_mode()
    def batch(self, logits: Tensor) -> _Batch:
        """Labels, and the probabilities that are wanted, from the logits of a batch at the network's grid."""
        size = self.labels.shape[1:]
        labels = upsampled_labels(logits, size).cpu().numpy()
        percent = {}
        if self.percent:
            probabilities = upsampled_logits(logits, size).float().softmax(dim=1)
            percent = {
                index: (100 * probabilities[:, index]).round().to(torch.uint8).cpu().numpy() for index in self.percent
            }
        return _Batch(labels, percent, outline_sums(logits))

    def store(self, begin: int, batch: _Batch) -> None:
        """Write a batch that begins with slice `begin`."""
        end = begin + len(batch.labels)
        self.labels[begin:end] = batch.labels
        for index, values in batch.percent.items():
            self.percent[index][begin:end] = values
        self.confidence.add(*batch.outlines)


@dataclass(frozen=True)
class Prediction:
    """The labels of a scan and how they were made.

    Args:
        segmentation: on the scan's grid; what was not predicted is background.
        slices_done: how many slices were predicted; fewer than `slices` after a cancel.
        slices: all slices of the scan along the slicing axis.
        seconds: the time it took.
        device: device and precision, for the user.
    """

    segmentation: Segmentation
    slices_done: int
    slices: int
    seconds: float
    device: str

    @property
    def complete(self) -> bool:
        """Whether all slices were predicted."""
        return self.slices_done == self.slices


class Predictor:
    """A checkpoint ready to predict on a device: batch normalisation folded, channels last, in the fastest precision.

    Args:
        checkpoint: what predicts.
        device: "auto" (cuda, mps, cpu in that order), "cpu", "cuda", "cuda:1" or "mps".
        batch_size: slices per forward pass; by default what suits the device.
        dtype: the precision; by default `fastest_precision` of the network on the device.
        mirroring: average over mirrored slices too, along the axes that the card allows.
        postprocessing: whether the card's postprocessing follows.

    Raises:
        InputError: this machine does not have the device, or the card allows no mirroring.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        batch_size: int | None = None,
        dtype: torch.dtype | None = None,
        mirroring: bool = False,
        postprocessing: bool = True,
    ) -> None:
        self.checkpoint = checkpoint
        self.postprocessing = postprocessing
        self.preprocessing = checkpoint.card.preprocessing
        self.mirror_axes = _mirror_axes(self.preprocessing) if mirroring else ()
        self.device = self._device(device)
        self.batch_size = batch_size or (CPU_BATCH if self.device.type == "cpu" else GPU_BATCH)
        self._prepare(self._precision(dtype))

    @property
    def _is_onnx(self) -> bool:
        return self.checkpoint.card.network.architecture == ONNX

    def _device(self, name: str) -> torch.device:
        if not self._is_onnx:
            return choose_device(name)
        from .onnx_network import onnx_device

        return onnx_device(name)

    def _precision(self, dtype: torch.dtype | None) -> torch.dtype:
        network = self.checkpoint.card.network
        return torch.float32 if self._is_onnx else dtype or fastest_precision(network, self.device)  # ONNX has its own

    def _prepare(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.networks = [self._ready(network) for network in self.checkpoint.networks()]

    def _ready(self, network: nn.Module) -> nn.Module:
        if self._is_onnx:
            return network.open_on(self.device)  # type: ignore[operator]
        if isinstance(network, UNet):
            network = fold_batch_norm(network)
        return network.to(self.device).to(memory_format=torch.channels_last).to(self.dtype)  # type: ignore[call-overload]

    @property
    def device_name(self) -> str:
        """Name of the device and the precision it computes in, for the user."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        if self._is_onnx:
            return f"{name} (ONNX Runtime)"
        return f"{name} ({str(self.dtype).removeprefix('torch.')})"

    def predict(
        self,
        volume: Volume,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        labels: np.ndarray | None = None,
        percent: Mapping[int, np.ndarray] | None = None,
    ) -> Prediction:
        """Segment a volume.

        Args:
            volume: a scan in HU, on any grid.
            progress: called with (slices done, all slices) after each batch.
            cancelled: asked before each batch; a cancel keeps the finished slices.
            labels: uint8 zeros of the volume's shape, to write into; a memory-mapped file outlives this process.
            percent: such an array for each structure, by index, whose probability is wanted: it gets the softmax of the logits on
                the volume's grid in whole percent, before postprocessing.

        Raises:
            InputError: the volume has no voxels, or a spacing that no scanner has.
        """
        slicing = self.preprocessing.slicing(volume.geometry)
        _check_size(slicing)
        started = time.perf_counter()
        card = self.checkpoint.card
        if labels is None:
            labels = np.zeros(volume.geometry.shape, dtype=np.uint8)
        confidence = OutlineConfidence(card.network.classes)
        values = slicing.view(volume.array)
        box = nonzero_box(values) if self.preprocessing.crop_to_nonzero else (slice(None),) * 3
        percent_views = {index: slicing.view(array)[box] for index, array in (percent or {}).items()}
        output = _Output(slicing.view(labels)[box], percent_views, confidence)
        done = self._predict_slices(values[box], slicing.spacing_mm, output, progress, cancelled)
        slices = slicing.shape[0]
        done = slices if done == len(values[box]) else done
        changes: Changes = {}
        if done == slices and self.postprocessing:
            changes = postprocess(labels, card.postprocessing, volume.geometry.voxel_ml)
        name = f"{volume.name} {card.title}".strip()
        segmentation = Segmentation(
            labels, volume.geometry, card.structures, name,
            confidence=confidence.means(), postprocessing=changes, slicing_axis=slicing.axis,
        )  # fmt: skip
        return Prediction(segmentation, done, slices, time.perf_counter() - started, self.device_name)

    def _predict_slices(
        self,
        values: np.ndarray,
        spacing_mm: tuple[float, float, float],
        output: _Output,
        progress: Progress | None,
        cancelled: Cancelled | None,
    ) -> int:
        preprocessing = self.preprocessing
        offsets = neighbour_offsets(preprocessing.input_slices, neighbour_step(spacing_mm[0], preprocessing))
        affine = preprocessing.normalisation.affine(values)
        grid = torch.from_numpy(network_slices(values, spacing_mm[1:], preprocessing, spacing_mm[0])).to(self.device)

        def predicted_batch(begin: int, end: int) -> _Batch:
            centres = torch.arange(begin, end, device=self.device)
            logits = self.logits(stack_slices(grid, centres, offsets, affine))
            if not torch.isfinite(logits.sum()):
                raise _BeyondFloat16Error if self.dtype == torch.float16 else self._not_finite()
            return output.batch(logits)

        done = begun = 0
        total = values.shape[0]
        running: deque[Future[_Batch]] = deque()
        with self._pool() as (pool, workers):
            while done < total and not (cancelled and cancelled()):
                while begun < total and len(running) < workers:
                    end = min(begun + self.batch_size, total)
                    running.append(pool.submit(predicted_batch, begun, end))
                    begun = end
                try:
                    batch = running.popleft().result()
                except (torch.OutOfMemoryError, _BeyondFloat16Error) as error:
                    wait(running)
                    self._relax(error)
                    running.clear()
                    begun = done
                    continue
                output.store(done, batch)
                done += len(batch.labels)
                if progress:
                    progress(done, total)
        return done

    def logits(self, stacked: Tensor) -> Tensor:
        """Logits float32 (B, classes, rows, columns) of stacked slices (B, input slices, rows, columns) at the network's grid.

        The mean over the networks of an ensemble, and over mirrored slices where these are wanted.
        """
        total = self._network_logits(self.networks[0], stacked)
        for network in self.networks[1:]:
            total = total + self._network_logits(network, stacked)
        return total / len(self.networks) if len(self.networks) > 1 else total

    @torch.inference_mode()
    def _network_logits(self, network: nn.Module, stacked: Tensor) -> Tensor:
        """Logits float32 of one network, in patches where the card has them."""
        settings = self.preprocessing
        multiple = settings.size_multiple
        size = settings.patch_size or [length + -length % multiple for length in stacked.shape[2:]]
        padded, inside = padded_to(stacked, size, settings.padding, settings.pad_value)

        def mirrored(slices: Tensor) -> Tensor:
            ready = slices.to(self.dtype, memory_format=torch.channels_last)
            return mirrored_logits(network, ready, self.mirror_axes)

        if settings.patch_size is None:
            logits = mirrored(padded)
        else:
            logits = patched_logits(mirrored, padded, settings.patch_size, settings.patch_step)
        return logits[:, :, inside[0], inside[1]]

    @contextmanager
    def _pool(self) -> Iterator[tuple[ThreadPoolExecutor, int]]:
        """Threads that predict one batch each, and their number: one for a GPU, one per core for a CPU.

        On a CPU each thread takes a whole batch rather than a part of every convolution: such parts wait for each other
        after every layer, and six times as long where other programs use the cores too.
        """
        if self.device.type != "cpu":
            with ThreadPoolExecutor(1) as pool:
                yield pool, 1
            return
        with _one_thread_each() as threads:
            workers = min(threads, MOST_WORKERS)
            with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield pool, workers

    def _not_finite(self) -> InputError:
        return InputError(
            f"The network of {self.checkpoint.path} gives values that are not finite for this scan, so there are no labels; "
            "check the normalisation in its card, and that it was not damaged in training."
        )

    def _relax(self, error: Exception) -> None:
        """Continue in float32, or with half as many slices per batch; raises InputError if one slice is too large."""
        if isinstance(error, _BeyondFloat16Error):
            self._prepare(torch.float32)
            logging.warning("Values beyond float16 on %s: continuing in float32", self.device)
            return
        if self.batch_size == 1:
            raise InputError(f"One slice does not fit into the memory of {self.device_name}; choose the device cpu.")
        self.batch_size //= 2
        torch.cuda.empty_cache()
        logging.warning("Out of memory on %s: continuing with %d slices per batch", self.device, self.batch_size)


@torch.inference_mode()
def network_logits(network: nn.Module, stacked: Tensor, size_multiple: int, dtype: torch.dtype) -> Tensor:
    """Logits (B, classes, rows, columns) of stacked slices (B, input slices, rows, columns) at the network's grid."""
    rows, columns = stacked.shape[2:]
    padded = pad_to_multiple(stacked, size_multiple).to(dtype, memory_format=torch.channels_last)
    return network(padded)[:, :, :rows, :columns]


def nonzero_box(values: np.ndarray) -> tuple[slice, slice, slice]:
    """The smallest box (slices, rows, columns) that holds every voxel that is not 0; everything if all are 0."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero((values != 0).any(axis=others))
        box.append(slice(filled[0], filled[-1] + 1) if len(filled) else slice(None))
    return box[0], box[1], box[2]


def _mirror_axes(preprocessing: Preprocessing) -> tuple[int, ...]:
    if not preprocessing.mirror_axes:
        raise InputError("The model was not trained with mirrored slices, so mirroring would harm; leave it out.")
    return preprocessing.mirror_axes


def _check_size(slicing: Slicing) -> None:
    if 0 in slicing.shape:
        raise InputError(f"The scan has {slicing.shape} voxels, so there is nothing to segment; load it again.")
    _, *in_plane_mm = slicing.spacing_mm
    width_mm = max(n * mm for n, mm in zip(slicing.shape[1:], in_plane_mm, strict=True))
    if not 0 < width_mm <= WIDEST_MM:
        raise InputError(
            f"The scan's slices are {width_mm / 1000:,.0f} m wide by its spacing of {in_plane_mm[0]:g} x {in_plane_mm[1]:g} mm; "
            "check that the file has its spacing in mm."
        )


def fold_batch_norm(network: UNet) -> UNet:
    """Fold every batch normalisation into the convolution before it, in place; returns the network."""

    def fold(block: DoubleConvolution) -> nn.Sequential:
        layers: list[Any] = list(block)
        first, first_norm, _, second, second_norm, _ = layers
        first, second = fuse_conv_bn_eval(first, first_norm), fuse_conv_bn_eval(second, second_norm)
        return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))

    network.entry = fold(network.entry)  # type: ignore[assignment]
    network.down = nn.ModuleList(fold(block) for block in network.down)  # type: ignore[arg-type]
    for up in network.up:
        up.convolutions = fold(up.convolutions)  # type: ignore[arg-type]
    return network


@contextmanager
def _one_thread_each() -> Iterator[int]:
    """Let torch run each operation on the thread that calls it; yields how many threads it uses otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
