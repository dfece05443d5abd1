"""The pack on the training device: int16 slices and uint8 labels, drawn by index with no loader and no workers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor
from UNetSegmenterLib.engine.preprocessing import Preprocessing, neighbour_offsets, neighbour_step, normalise

from .pack import Pack, PackedCase
from .recipe import Recipe


class DeviceData:
    """Slices of the given cases; `draw` returns a batch that never left the device."""

    def __init__(
        self, pack: Pack, cases: tuple[PackedCase, ...], preprocessing: Preprocessing, device: torch.device
    ) -> None:
        slices = np.concatenate([np.arange(case.start, case.stop) for case in cases])
        self.cases = cases
        self.window_hu = preprocessing.window_hu
        self.input_slices = preprocessing.input_slices
        self.images = torch.from_numpy(pack.images[slices]).to(device)  # (N, H, W) int16
        self.labels = torch.from_numpy(pack.labels[slices]).to(device)  # (N, H, W) uint8
        lengths = [case.stop - case.start for case in cases]
        starts = np.cumsum([0, *lengths[:-1]])
        steps = [neighbour_step(case.spacing_mm[0], preprocessing) for case in cases]
        self.first, self.last, self.step = (
            torch.tensor(np.repeat(values, lengths), device=device)  # (N,) of each slice's case
            for values in (starts, starts + lengths - np.int64(1), steps)
        )
        self.slices_with = [
            found.to(device)
            for index in range(1, len(pack.structures) + 1)
            if len(found := torch.from_numpy(np.flatnonzero((pack.labels[slices] == index).any(axis=(1, 2)))))
        ]

    def draw(self, recipe: Recipe, generator: Generator) -> tuple[Tensor, Tensor]:
        """Random slices with their neighbours: (B, input slices, H, W) float32 in -1..1 and labels (B, H, W) uint8."""
        centres = self._centres(recipe, generator)
        offsets = torch.tensor(neighbour_offsets(self.input_slices, 1), device=centres.device)
        step = self._jittered(self.step[centres], recipe.neighbour_jitter, generator)
        index = centres[:, None] + step[:, None] * offsets
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
        if not self.slices_with:
            return drawn
        wanted = torch.randint(len(self.slices_with), (recipe.batch_size,), generator=_on_cpu(generator)).tolist()
        for place in range(round(recipe.foreground_share * recipe.batch_size)):
            candidates = self.slices_with[wanted[place]]
            drawn[place] = candidates[torch.randint(len(candidates), (1,), device=device, generator=generator)[0]]
        return drawn

    @staticmethod
    def _jittered(step: Tensor, share: float, generator: Generator) -> Tensor:
        """Neighbours of some slices at twice the distance, of as many at none: other slice distances, ends of a scan."""
        draw = torch.rand(len(step), device=step.device, generator=generator)
        return torch.where(draw < share / 2, 0, torch.where(draw < share, 2 * step, step))


def _on_cpu(generator: Generator) -> Generator:
    """Generator for choices made by Python, with the same seed."""
    return Generator().manual_seed(generator.initial_seed())
