"""The slices of a data set on the training device, sampled by index with no loader and no worker processes.

A batch is sampled without Python reading a number from the device or sending one to it: a GPU would wait for each. Where the
device has no memory for all slices, those of the next steps are read while it computes (slice_exchange.py).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.preprocessing import (
    Preprocessing,
    neighbour_offsets,
    neighbour_step,
)

from ..data.preprocessed_dataset import PreprocessedCase, PreprocessedDataset
from ..data.structure_presence import structure_presence
from .configuration import TrainingConfig
from .slice_exchange import KeptSlices, SliceExchange


class DeviceData:
    """Slices and labels of the given cases; `sample_batch` returns batches of them on the device.

    Args:
        dataset: the preprocessed data set.
        cases: the cases whose slices are sampled.
        preprocessing: window, input slices and slice distance.
        device: where the slices are kept.
        memory_bytes: memory of the device for slices, beside which some batches need theirs; None for as much as they need.
            The batches are the same, whatever it is.
        part: the part of each batch that this process needs, where several share it.

    Attributes:
        slice_count: number of slices that are sampled.
        images: int16 (kept slices, rows, columns), all of them where `exchange` is None.
        labels: uint8 (kept slices, rows, columns).
        exchange: reads the slices that the device has no memory for.

    Raises:
        InputError: the device has not the memory for them.
    """

    def __init__(
        self,
        dataset: PreprocessedDataset,
        cases: tuple[PreprocessedCase, ...],
        preprocessing: Preprocessing,
        device: torch.device,
        memory_bytes: int | None = None,
        part: slice = slice(None),
    ) -> None:
        self.cases, self.device, self.part = cases, device, part
        lengths = [case.stop - case.start for case in cases]
        self.slice_count = sum(lengths)
        self.bytes_per_slice = dataset.images[:1].nbytes + dataset.labels[:1].nbytes
        presence = np.concatenate([_presence(dataset, case) for case in cases])
        self._keep_slices(dataset, presence, memory_bytes)
        self.affine = preprocessing.normalisation.affine()
        self.offsets = torch.tensor(neighbour_offsets(preprocessing.input_slices, 1), device=device)
        starts = np.cumsum([0, *lengths[:-1]])
        steps = [neighbour_step(case.spacing_mm[0], preprocessing) for case in cases]
        self.first, self.last, self.step = (
            torch.tensor(np.repeat(values, lengths), device=device)  # (N,) of each slice's case
            for values in (starts, starts + lengths - np.int64(1), steps)
        )
        regions = np.array([[(case.top, case.left), (case.rows, case.columns)] for case in cases], dtype=np.float32)
        self.regions = torch.from_numpy(np.repeat(regions, lengths, axis=0)).to(device)  # (N, 2, 2): corner and size
        found = {one.index: np.flatnonzero(column) for one, column in zip(dataset.structures, presence.T, strict=True)}
        found = {index: slices for index, slices in found.items() if len(slices)}
        counts = np.array([len(slices) for slices in found.values()], dtype=np.int64)
        # The slices of the first structure, then of the second and so on; where each list begins, and its length.
        self.slices_with, self.begins, self.counts, self.present = (
            torch.from_numpy(values).to(device)
            for values in (
                np.concatenate([np.empty(0, np.int64), *found.values()]),
                np.cumsum(counts) - counts,
                counts,
                np.array(list(found), dtype=np.uint8),
            )
        )
        whole = len(self.images) == self.slice_count
        self.exchange = None if whole else SliceExchange(self._kept_images, self._kept_labels, self.draw, device)

    def _keep_slices(self, dataset: PreprocessedDataset, presence: np.ndarray, memory_bytes: int | None) -> None:
        """Bring the slices that are sampled most often to the device, as many as the memory is for."""
        numbers = np.concatenate([np.arange(case.start, case.stop) for case in self.cases])
        count = (
            self.slice_count if memory_bytes is None else min(self.slice_count, memory_bytes // self.bytes_per_slice)
        )
        chance = (presence / np.maximum(presence.sum(axis=0), 1)).sum(
            axis=1
        )  # of foreground oversampling, not normalised
        kept = np.sort(np.argsort(-chance, kind="stable")[:count])
        try:
            self._kept_images, self._kept_labels = (
                KeptSlices(array, numbers, kept, self.device) for array in (dataset.images, dataset.labels)
            )
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{count} slices to train on ({count * self.bytes_per_slice / 2**30:.1f} GB) do not fit into the memory of "
                f"{self.device}; keep fewer there, with a smaller --device-memory."
            ) from error
        self.images, self.labels = self._kept_images.tensor, self._kept_labels.tensor

    def exchange_text(self) -> str:
        """How many slices stay on the device and where the others come from."""
        total_gb = self.slice_count * self.bytes_per_slice / 2**30
        return (
            f"the {self.slice_count} slices to train on take {total_gb:.1f} GB; {len(self.images)} of them stay on "
            f"{self.device}, and the others are read while it computes"
        )

    def close(self) -> None:
        """End the threads that read slices."""
        if self.exchange:
            self.exchange.close()

    def sample_batch(self, config: TrainingConfig, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Random slices with their neighbours, their labels, and the centres of the patches to cut from them.

        Returns:
            Images (B, input slices, H, W) float32 in -1..1, labels (B, H, W) uint8 and centres (B, 2), as `affine_grid`
            takes them; of this process's part of the batch.
        """
        read = self.exchange.batch(config, generator) if self.exchange else None  # before the generator is drawn from
        slices, structures, index = self.draw(config, generator)
        images, labels = read or (self.images[index], self.labels[slices])
        chance = torch.rand(config.batch_size, 2, device=self.device, generator=generator)[self.part]
        centres = self._centres(self.regions[slices], labels, structures, config.patch, chance)
        return self.affine(images, index), labels, centres

    def draw(self, config: TrainingConfig, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """What this process's part of a batch consists of.

        Returns:
            Slice numbers (B,), the structures that the first of them were sampled for (<= B,), and the numbers of the slices
            with their neighbours (B, input slices).
        """
        slices, structures = self.sample_slices(config, generator)
        step = self._jittered(self.step[slices], config.neighbour_jitter, generator)
        slices, structures, step = slices[self.part], structures[self.part], step[self.part]
        index = slices[:, None] + step[:, None] * self.offsets
        index = torch.minimum(torch.maximum(index, self.first[slices, None]), self.last[slices, None])
        return slices, structures, index

    def batch_cases(self, config: TrainingConfig, generator: Generator) -> dict[str, list[int]]:
        """Which slices `sample_batch` returns for a generator in the same state: case name to slice numbers."""
        drawn: dict[str, list[int]] = {}
        starts = np.cumsum([0] + [case.stop - case.start for case in self.cases])
        for position in sorted(self.sample_slices(config, generator)[0].tolist()):
            which = int(np.searchsorted(starts, position, side="right")) - 1
            drawn.setdefault(self.cases[which].name, []).append(position - int(starts[which]))
        return drawn

    def sample_slices(self, config: TrainingConfig, generator: Generator) -> tuple[Tensor, Tensor]:
        """Numbers of a batch's slices, with foreground oversampling.

        `foreground_fraction` of the slices come first, each with a structure that was sampled uniformly; the others are
        sampled uniformly from all slices.

        Returns:
            Slice numbers (B,) and the structure indices of the oversampled slices (<= B,).
        """
        device = self.device
        drawn = torch.randint(self.slice_count, (config.batch_size,), device=device, generator=generator)
        count = round(config.foreground_fraction * config.batch_size) if len(self.counts) else 0
        if not count:
            return drawn, self.present[:0]
        wanted = torch.randint(len(self.counts), (count,), device=device, generator=generator)
        counts = self.counts[wanted]
        position = (torch.rand(count, device=device, generator=generator) * counts).long()
        position = torch.minimum(position, counts - 1)  # a product of float32 can be rounded up to the count itself
        slices = self.slices_with[self.begins[wanted] + position]
        return torch.cat([slices, drawn[count:]]), self.present[wanted]

    @staticmethod
    def _centres(regions: Tensor, labels: Tensor, structures: Tensor, patch: tuple[int, int], chance: Tensor) -> Tensor:
        """Centres of the patches (B, 2): a random pixel of an oversampled slice's structure, else a random position.

        A patch stays within its case's own pixels (`regions`) if it fits into them, and is centred on them if it does not.
        """
        count, columns = len(structures), labels.shape[2]
        corner, size = regions.unbind(1)
        half = torch.stack([(size[:, axis] / 2).clamp(max=patch[axis] / 2) for axis in (0, 1)], dim=1)
        lowest, highest = corner + half, corner + size - half
        anywhere = lowest + chance * (highest - lowest)
        inside = (labels[:count] == structures[:, None, None]).flatten(1).cumsum(dim=1, dtype=torch.int32)
        wanted = (chance[:count, :1] * inside[:, -1:]).int() + 1  # 1-based rank of the pixel within the structure
        pixel = torch.searchsorted(inside, wanted)[:, 0]
        on_structure = torch.stack([pixel // columns, pixel % columns], dim=1) + 0.5
        on_structure = torch.minimum(torch.maximum(on_structure, lowest[:count]), highest[:count])
        return torch.cat([on_structure, anywhere[count:]])

    @staticmethod
    def _jittered(step: Tensor, fraction: float, generator: Generator) -> Tensor:
        """Neighbours of some slices at twice the distance, of as many at none: other slice distances, ends of a scan."""
        draw = torch.rand(len(step), device=step.device, generator=generator)
        return torch.where(draw < fraction / 2, 0, torch.where(draw < fraction, 2 * step, step))


def _presence(dataset: PreprocessedDataset, case: PreprocessedCase) -> np.ndarray:
    """Which slices of a case hold which structures (slices, structures): as it was stored, else by reading its labels."""
    if dataset.presence is not None:
        return np.asarray(dataset.presence[case.start : case.stop])
    return structure_presence(dataset.labels[case.start : case.stop], dataset.structures)
