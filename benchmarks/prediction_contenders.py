"""The ways to run one trained network over a scan that the prediction benchmark compares (prediction_speed.py).

All get the same weights and the same file. `Pipeline` is what a script around a network does: read, window, resample,
run, resample the logits back, take the largest. It runs the network in PyTorch, MONAI, ONNX Runtime or OpenVINO. Ours
is the engine's `Predictor`; nnU-Net brings its own steps (nnunet_contender.py).
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor, nn
from torch.nn import functional
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint, load_checkpoint, save_with_card
from UNetSegmenterLib.engine.model.device import keep_freed_memory
from UNetSegmenterLib.engine.model.prediction import Predictor
from UNetSegmenterLib.engine.model.preprocessing import neighbour_offsets, neighbour_step, network_size

BATCH = 4  # slices per forward pass where a contender takes several; more gains nothing on a CPU


@dataclass(frozen=True)
class Contender:
    """One way to run the network.

    Attributes:
        name: name in the table.
        packages: what has to be installed for it, by the names they are imported by.
        open: loads or compiles the network of a checkpoint.
    """

    name: str
    packages: tuple[str, ...]
    open: Callable[[Checkpoint], Pipeline]

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]


class Pipeline:
    """A script around a network, in float32 PyTorch, one slice after the other.

    Args:
        checkpoint: one that `unetseg train` wrote: axial slices, square pixels, a window in HU, one fold.
    """

    batch_size = 1

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.card = checkpoint.card
        assert self.card.preprocessing.is_of_training and len(checkpoint.weights) <= 1
        self.network = self.load(checkpoint)

    def load(self, checkpoint: Checkpoint) -> Any:
        """What `logits` runs."""
        return checkpoint.network()

    def labels(self, scan: Path) -> np.ndarray:
        """From the file to class indices, uint8 (slices, rows, columns)."""
        hu, spacing_mm = read(scan)
        slices = self.prepared(hu, spacing_mm)
        labels, done = np.empty(hu.shape, np.uint8), 0
        with torch.inference_mode():
            for logits in self.logits(self.batches(slices, spacing_mm)):
                size = network_size(hu.shape[1:], spacing_mm[1:], self.card.preprocessing)
                large = functional.interpolate(logits[:, :, : size[0], : size[1]], hu.shape[1:], mode="bilinear")
                labels[done : done + len(large)] = large.argmax(dim=1).numpy()
                done += len(large)
        return labels

    def network_alone(self, hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> Callable[[], object]:
        """Prepare the slices; what is returned runs the network over all of them and forgets the logits."""
        batches = list(self.batches(self.prepared(hu, spacing_mm), spacing_mm))

        @torch.inference_mode()
        def run() -> None:
            deque(self.logits(batches), maxlen=0)

        return run

    def logits(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """The network's output (B, classes, H, W) for each batch (B, input slices, H, W)."""
        yield from map(self.network, batches)

    def prepared(self, hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> Tensor:
        """Slices at the network's pixel size, the window mapped to -1..1, padded: (slices, H, W)."""
        preprocessing = self.card.preprocessing
        low, high = preprocessing.window_hu
        size = network_size(hu.shape[1:], spacing_mm[1:], preprocessing)
        slices = torch.empty(len(hu), *size)
        for number, one in enumerate(hu):
            clipped = torch.from_numpy(one.clip(low, high).astype(np.float32))[None, None]
            slices[number] = functional.interpolate(clipped, size, mode="bilinear", antialias=True)[0, 0]
        slices = (slices - (low + high) / 2) * (2 / (high - low))
        rows, columns = (-n % preprocessing.size_multiple for n in size)
        return functional.pad(slices, (0, columns, 0, rows), value=-1.0)

    def batches(self, slices: Tensor, spacing_mm: tuple[float, float, float]) -> Iterator[Tensor]:
        """Slices with their neighbours as channels, some at a time."""
        preprocessing = self.card.preprocessing
        step = neighbour_step(spacing_mm[0], preprocessing)
        offsets = torch.tensor(neighbour_offsets(preprocessing.input_slices, step))
        for centres in torch.arange(len(slices)).split(self.batch_size):
            yield slices[(centres[:, None] + offsets).clamp(0, len(slices) - 1)]


class Ours(Pipeline):
    """The engine's predictor, in the precision that it chooses or in the one given."""

    batch_size = BATCH

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype | None = None) -> None:
        keep_freed_memory()
        self.predictor = Predictor(checkpoint, "cpu", dtype=dtype)
        super().__init__(checkpoint)

    def load(self, checkpoint: Checkpoint) -> nn.Module:
        """The network as the predictor has prepared it."""
        return self.predictor.networks[0]

    def labels(self, scan: Path) -> np.ndarray:
        """As `unetseg segment` makes them."""
        return self.predictor.predict(read_volume(scan)).segmentation.labels

    def logits(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """One batch per core at a time, as in the predictor."""
        dtype, threads = self.predictor.dtype, torch.get_num_threads()

        @torch.inference_mode()
        def forward(batch: Tensor) -> Tensor:
            return self.network(batch.to(dtype, memory_format=torch.channels_last))

        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(forward, batches)


class OursFromOnnx(Ours):
    """The engine's predictor with the exported file in place of the checkpoint: ONNX Runtime runs the network."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        with tempfile.TemporaryDirectory() as folder:
            super().__init__(load_checkpoint(exported(checkpoint, folder)))


class Monai(Pipeline):
    """MONAI's `SliceInferer`, which takes the volume and gives back its logits."""

    def logits(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """The slices become one volume; its logits are given out in parts."""
        from monai.inferers import SliceInferer

        volume = torch.cat(list(batches)).movedim(0, 1)[None]  # (1, input slices, slices, H, W)
        inferer = SliceInferer(roi_size=volume.shape[3:], spatial_dim=0, sw_batch_size=BATCH)
        logits: Tensor = inferer(volume, self.network)  # type: ignore[assignment]
        yield from logits[0].movedim(1, 0).split(BATCH)


class OnnxRuntime(Pipeline):
    """The exported network in ONNX Runtime, on all cores."""

    batch_size = BATCH

    def load(self, checkpoint: Checkpoint) -> Any:
        """A session of the exported network."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        with tempfile.TemporaryDirectory() as folder:
            network = exported(checkpoint, folder).read_bytes()
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])

    def logits(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """One batch after the other."""
        for batch in batches:
            yield torch.from_numpy(self.network.run(None, {"slices": batch.numpy()})[0])


class OpenVino(Pipeline):
    """The exported network in OpenVINO with its settings for throughput: as many requests at a time as it asks for.

    Args:
        checkpoint: see `Pipeline`.
        precision: "f32" or "bf16".
    """

    batch_size = BATCH

    def __init__(self, checkpoint: Checkpoint, precision: str) -> None:
        self.precision = precision
        super().__init__(checkpoint)

    def load(self, checkpoint: Checkpoint) -> Any:
        """The requests of the compiled network."""
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        with tempfile.TemporaryDirectory() as folder:
            network = exported(checkpoint, folder).read_bytes()
        model = core.compile_model(core.read_model(network), "CPU", settings)
        requests = model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        return [model.create_infer_request() for _ in range(requests)]

    def logits(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """All requests busy, results in the order of the batches."""
        free, running = list(self.network), deque[Any]()
        for batch in batches:
            if not free:
                yield self._finish(running, free)
            running.append(free.pop())
            running[-1].start_async({0: batch.numpy()})
        while running:
            yield self._finish(running, free)

    def _finish(self, running: deque[Any], free: list[Any]) -> Tensor:
        request = running.popleft()
        request.wait()
        logits = torch.from_numpy(
            request.get_output_tensor(0).data.astype(np.float32)
        )  # a copy: the request is used again
        free.append(request)
        return logits


def exported(checkpoint: Checkpoint, folder: str) -> Path:
    """The file that `unetseg export` writes of the checkpoint: batch and size free, batch normalisation as trained."""
    from unetseg.cli.main import main

    alone, path = Path(folder) / "network.pt", Path(folder) / "network.onnx"
    save_with_card(checkpoint, checkpoint.card, alone)  # the checkpoint's own file may be an ensemble
    if status := main(["export", str(alone), str(path)]):
        raise RuntimeError(f"unetseg export ended with status {status}.")
    return path


def read(scan: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """HU (slices, rows, columns) and spacing in mm in that order.

    Raises:
        ValueError: the scan is not stored as axial slices in LPS directions, so the contenders would see different slices.
    """
    image = sitk.ReadImage(str(scan))
    if not np.allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-3):
        raise ValueError(f"{scan} is not stored in LPS directions, which this benchmark needs.")
    return sitk.GetArrayFromImage(image), tuple(reversed(image.GetSpacing()))  # type: ignore[return-value]
