"""Slices that the device has no memory for: some stay there, the others are read from the files while it computes.

Which slices a step needs follows from its seed alone. So threads draw the batches of the next steps, read what is not on the
device into pinned memory and copy it on a stream of their own. A batch that was read ahead is taken only where the generator is
in the very state that it was drawn from; any other is read when it is asked for. The batches are therefore those of data that
stay on the device as a whole, to the bit, and reading ahead decides about the time alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from UNetSegmenterLib.engine.errors import InputError

from ..data.slice_reader import SliceReader
from .configuration import TrainingConfig

AHEAD = 4  # batches that are read ahead, each by one thread
STAGED_BYTES = 2**26  # read at a time while the slices that stay are copied to the device

Draw = Callable[[TrainingConfig, Generator], tuple[Tensor, Tensor, Tensor]]


class KeptSlices:
    """Slices of one array that stay on the device, and the array that the others are read from.

    Args:
        array: (slices, rows, columns) of the data set.
        numbers: (N,) the slices of the array that are trained on.
        kept: positions in `numbers` of those that stay, in rising order.
        device: where they stay.

    Attributes:
        tensor: (kept, rows, columns) on the device.
    """

    def __init__(self, array: np.ndarray, numbers: np.ndarray, kept: np.ndarray, device: torch.device) -> None:
        self.reader, self.numbers, self.device = SliceReader(array), numbers, device
        self.slots = np.full(len(numbers), -1)  # where in `tensor` each slice is, -1 for those that are not there
        self.slots[kept] = np.arange(len(kept))
        dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
        self.tensor = torch.empty((len(kept), *array.shape[1:]), dtype=dtype, device=device)
        step = max(1, STAGED_BYTES // max(1, array[:1].nbytes))
        for start in range(0, len(kept), step):
            part = self.tensor[start : start + step]
            part.copy_(self._staged(kept[start : start + step]))

    def gather(self, positions: np.ndarray) -> Tensor:
        """The slices at these positions in `numbers`, in that order: (n, rows, columns) on the device."""
        slots = self.slots[positions]
        here, missing = np.flatnonzero(slots >= 0), np.flatnonzero(slots < 0)
        staged = self._staged(positions[missing])
        result = torch.empty((len(positions), *self.tensor.shape[1:]), dtype=self.tensor.dtype, device=self.device)
        if self.device.type == "cpu":  # by numpy, as torch would start threads of its own beside those of the training
            result.numpy()[here] = self.tensor.numpy()[slots[here]]
            result.numpy()[missing] = staged.numpy()
            return result
        here_, missing_, slots_ = (torch.from_numpy(part).to(self.device) for part in (here, missing, slots[here]))
        result.index_copy_(0, here_, self.tensor[slots_])
        return result.index_copy_(0, missing_, staged.to(self.device, non_blocking=True))

    def _staged(self, positions: np.ndarray) -> Tensor:
        """Slices read into memory that a GPU can copy from by itself; torch reuses it once it has done so."""
        size = (len(positions), *self.tensor.shape[1:])
        staged = torch.empty(size, dtype=self.tensor.dtype, pin_memory=self.device.type == "cuda")
        self.reader.read(self.numbers[positions], staged.numpy())
        return staged


@dataclass(frozen=True)
class _Batch:
    """Images (B, input slices, H, W) and labels (B, H, W) of a batch, and the event after which a GPU has them."""

    images: Tensor
    labels: Tensor
    copied: Any = None


@dataclass(frozen=True)
class _ReadAhead:
    """A batch that is being read, and what it was drawn from."""

    config: TrainingConfig
    state: Tensor
    batch: Future[_Batch]


class SliceExchange:
    """Reads the batches of the next steps while the device computes.

    Args:
        images: the images that stay and where the others are.
        labels: the same for the labels.
        draw: what a batch consists of; called in the threads, with a generator of their own.
        device: where the batches are needed.
    """

    def __init__(self, images: KeptSlices, labels: KeptSlices, draw: Draw, device: torch.device) -> None:
        self.images, self.labels, self.draw, self.device = images, labels, draw, device
        self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="slices")
        self._ahead: deque[_ReadAhead] = deque()
        self._stream = None
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # what the threads read has to be there before their stream starts
            self._stream = torch.cuda.Stream(device, priority=-1)

    def batch(self, config: TrainingConfig, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images (B, input slices, H, W) and labels (B, H, W) of the batch that `draw` draws next from the generator.

        The generator is left as it is; the batches of the seeds after its own are read ahead.

        Raises:
            InputError: the data set was changed, or the device has no memory for what is read ahead.
        """
        if not (self._ahead and _is_drawn_from(self._ahead[0], config, generator.get_state())):
            while self._ahead:
                self._ahead.popleft().batch.cancel()
            self._read(config, generator.get_state())
        batch = self._ahead.popleft().batch
        while len(self._ahead) < AHEAD:
            following = Generator(self.device).manual_seed(generator.initial_seed() + 1 + len(self._ahead))
            self._read(config, following.get_state())
        try:
            return self._received(batch.result())
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"The memory of {self.device} is too full for the slices of the next {AHEAD} steps; keep fewer slices "
                "there, with a smaller --device-memory."
            ) from error

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _read(self, config: TrainingConfig, state: Tensor) -> None:
        self._ahead.append(_ReadAhead(config, state, self._threads.submit(self._load, config, state)))

    def _load(self, config: TrainingConfig, state: Tensor) -> _Batch:
        """Draw and read a batch; runs in a thread."""
        with self._on_own_stream():
            generator = Generator(self.device)
            generator.set_state(state)
            slices, _, index = self.draw(config, generator)
            positions = index.cpu().numpy()
            images = self.images.gather(positions.ravel())
            images = images.view(*positions.shape, *images.shape[1:])
            labels = self.labels.gather(slices.cpu().numpy())
            return _Batch(images, labels, self._stream.record_event() if self._stream else None)

    def _on_own_stream(self) -> AbstractContextManager[Any]:
        return torch.cuda.stream(self._stream) if self._stream else nullcontext()

    def _received(self, batch: _Batch) -> tuple[Tensor, Tensor]:
        """The tensors of a batch, for the stream that computes."""
        if batch.copied:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(batch.copied)
            for tensor in (batch.images, batch.labels):
                tensor.record_stream(stream)  # so that their memory is not used again before that stream is done
        return batch.images, batch.labels


def _is_drawn_from(ahead: _ReadAhead, config: TrainingConfig, state: Tensor) -> bool:
    return ahead.config == config and torch.equal(ahead.state, state)
