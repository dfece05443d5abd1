"""The slices of a data set on the training device, sampled by index with no loader and no worker processes.

A batch is sampled without Python reading a number from the device or sending one to it: a GPU would wait for each.
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
from .configuration import TrainingConfig


class DeviceData:
    """Slices and labels of the given cases; `sample_batch` returns a batch that never left the device.

    Args:
        dataset: the preprocessed data set.
        cases: the cases whose slices are sampled.
        preprocessing: window, input slices and slice distance.
        device: where the slices are kept.

    Raises:
        InputError: the device has not the memory for them.
    """

    def __init__(
        self,
        dataset: PreprocessedDataset,
        cases: tuple[PreprocessedCase, ...],
        preprocessing: Preprocessing,
        device: torch.device,
    ) -> None:
        slices = np.concatenate([np.arange(case.start, case.stop) for case in cases])
        images, labels = dataset.images[slices], dataset.labels[slices]
        try:
            self.images = torch.from_numpy(images).to(device)  # (N, H, W) int16
            self.labels = torch.from_numpy(labels).to(device)  # (N, H, W) uint8
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{len(slices)} slices to train on ({(images.nbytes + labels.nbytes) / 2**30:.1f} GB) do not fit into the memory "
                f"of {device}; prepare the data set with a coarser --spacing or a smaller --size."
            ) from error
        self.cases = cases
        self.affine = preprocessing.normalisation.affine()
        self.offsets = torch.tensor(neighbour_offsets(preprocessing.input_slices, 1), device=device)
        lengths = [case.stop - case.start for case in cases]
        starts = np.cumsum([0, *lengths[:-1]])
        steps = [neighbour_step(case.spacing_mm[0], preprocessing) for case in cases]
        self.first, self.last, self.step = (
            torch.tensor(np.repeat(values, lengths), device=device)  # (N,) of each slice's case
            for values in (starts, starts + lengths - np.int64(1), steps)
        )
        regions = np.array([[(case.top, case.left), (case.rows, case.columns)] for case in cases], dtype=np.float32)
        self.regions = torch.from_numpy(np.repeat(regions, lengths, axis=0)).to(device)  # (N, 2, 2): corner and size
        found = {one.index: np.flatnonzero((labels == one.index).any(axis=(1, 2))) for one in dataset.structures}
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

    def sample_batch(self, config: TrainingConfig, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Random slices with their neighbours, their labels, and the centres of the patches to cut from them.

        Returns:
            Images (B, input slices, H, W) float32 in -1..1, labels (B, H, W) uint8 and centres (B, 2), as `affine_grid`
            takes them.
        """
        slices, structures = self.sample_slices(config, generator)
        step = self._jittered(self.step[slices], config.neighbour_jitter, generator)
        index = slices[:, None] + step[:, None] * self.offsets
        index = torch.minimum(torch.maximum(index, self.first[slices, None]), self.last[slices, None])
        labels = self.labels[slices]
        centres = self._centres(slices, labels, structures, config.patch, generator)
        return self.affine(self.images[index], index), labels, centres

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
        device = self.images.device
        drawn = torch.randint(len(self.images), (config.batch_size,), device=device, generator=generator)
        count = round(config.foreground_fraction * config.batch_size) if len(self.counts) else 0
        if not count:
            return drawn, self.present[:0]
        wanted = torch.randint(len(self.counts), (count,), device=device, generator=generator)
        counts = self.counts[wanted]
        position = (torch.rand(count, device=device, generator=generator) * counts).long()
        position = torch.minimum(position, counts - 1)  # a product of float32 can be rounded up to the count itself
        slices = self.slices_with[self.begins[wanted] + position]
        return torch.cat([slices, drawn[count:]]), self.present[wanted]

    def _centres(
        self, slices: Tensor, labels: Tensor, structures: Tensor, patch: tuple[int, int], generator: Generator
    ) -> Tensor:
        """Centres of the patches (B, 2): a random pixel of an oversampled slice's structure, else a random position.

        A patch stays within its case's own pixels if it fits into them, and is centred on them if it does not.
        """
        batch, count, columns = len(labels), len(structures), labels.shape[2]
        corner, size = self.regions[slices].unbind(1)
        half = torch.stack([(size[:, axis] / 2).clamp(max=patch[axis] / 2) for axis in (0, 1)], dim=1)
        lowest, highest = corner + half, corner + size - half
        chance = torch.rand(batch, 2, device=labels.device, generator=generator)
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
