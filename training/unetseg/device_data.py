"""The pack on the training device: int16 slices and uint8 labels, drawn by index with no loader and no workers.

A batch is drawn without a number that Python would have to read or send: a GPU would stop for each.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.preprocessing import Preprocessing, neighbour_offsets, neighbour_step, normalise

from .pack import Pack, PackedCase
from .recipe import Recipe


class DeviceData:
    """Slices of the given cases; `draw` returns a batch that never left the device.

    Raises InputError if the device has not the memory for them.
    """

    def __init__(
        self, pack: Pack, cases: tuple[PackedCase, ...], preprocessing: Preprocessing, device: torch.device
    ) -> None:
        slices = np.concatenate([np.arange(case.start, case.stop) for case in cases])
        images, labels = pack.images[slices], pack.labels[slices]
        try:
            self.images = torch.from_numpy(images).to(device)  # (N, H, W) int16
            self.labels = torch.from_numpy(labels).to(device)  # (N, H, W) uint8
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{len(slices)} slices to train on ({(images.nbytes + labels.nbytes) / 2**30:.1f} GB) do not fit into the memory "
                f"of {device}; prepare a pack with a coarser --spacing or a smaller --size."
            ) from error
        self.cases = cases
        self.window_hu = preprocessing.window_hu
        self.offsets = torch.tensor(neighbour_offsets(preprocessing.input_slices, 1), device=device)
        lengths = [case.stop - case.start for case in cases]
        starts = np.cumsum([0, *lengths[:-1]])
        steps = [neighbour_step(case.spacing_mm[0], preprocessing) for case in cases]
        self.first, self.last, self.step = (
            torch.tensor(np.repeat(values, lengths), device=device)  # (N,) of each slice's case
            for values in (starts, starts + lengths - np.int64(1), steps)
        )
        found = [np.flatnonzero((labels == part.index).any(axis=(1, 2))) for part in pack.structures]
        counts = np.array([len(part) for part in found if len(part)], dtype=np.int64)
        # The slices of the first structure that there is, of the second and so on; where each begins, how many they are.
        self.slices_with, self.begins, self.counts = (
            torch.from_numpy(values).to(device)
            for values in (np.concatenate(found), np.cumsum(counts) - counts, counts)
        )

    def draw(self, recipe: Recipe, generator: Generator) -> tuple[Tensor, Tensor]:
        """Random slices with their neighbours: (B, input slices, H, W) float32 in -1..1 and labels (B, H, W) uint8."""
        centres = self._centres(recipe, generator)
        step = self._jittered(self.step[centres], recipe.neighbour_jitter, generator)
        index = centres[:, None] + step[:, None] * self.offsets
        index = torch.minimum(torch.maximum(index, self.first[centres, None]), self.last[centres, None])
        return normalise(self.images[index], self.window_hu), self.labels[centres]

    def batch_cases(self, recipe: Recipe, generator: Generator) -> dict[str, list[int]]:
        """Which slices of which cases `draw` gives for a generator in the same state: case name to slice numbers."""
        drawn: dict[str, list[int]] = {}
        starts = np.cumsum([0] + [case.stop - case.start for case in self.cases])
        for place in sorted(self._centres(recipe, generator).tolist()):
            which = int(np.searchsorted(starts, place, side="right")) - 1
            drawn.setdefault(self.cases[which].name, []).append(place - int(starts[which]))
        return drawn

    def _centres(self, recipe: Recipe, generator: Generator) -> Tensor:
        """Slices drawn evenly, and `foreground_share` of them for a structure drawn evenly."""
        device = self.images.device
        drawn = torch.randint(len(self.images), (recipe.batch_size,), device=device, generator=generator)
        led = round(recipe.foreground_share * recipe.batch_size) if len(self.counts) else 0
        if not led:
            return drawn
        wanted = torch.randint(len(self.counts), (led,), device=device, generator=generator)
        place = (torch.rand(led, device=device, generator=generator) * self.counts[wanted]).long()
        return torch.cat([self.slices_with[self.begins[wanted] + place], drawn[led:]])

    @staticmethod
    def _jittered(step: Tensor, share: float, generator: Generator) -> Tensor:
        """Neighbours of some slices at twice the distance, of as many at none: other slice distances, ends of a scan."""
        draw = torch.rand(len(step), device=step.device, generator=generator)
        return torch.where(draw < share / 2, 0, torch.where(draw < share, 2 * step, step))
