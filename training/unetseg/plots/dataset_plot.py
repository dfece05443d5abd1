"""The figure of a data set: spacings, fields of view, HU inside structures, and the structures' volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.labels.structures import Structure

from ..data.dataset_summary import fields_of_view_mm
from ..data.fingerprint import CaseFacts
from .plotting import mark_tissues, new_figure, plot_colors, save_figure

BIN_HU = 10
POINTS = "#3b5b7a"


def plot_dataset(name: str, known: Sequence[CaseFacts], structures: Sequence[Structure], path: Path) -> None:
    """Draw a PNG of the cases' facts."""
    figure = new_figure(13, 9)
    (spacing, field), (hu, volumes) = figure.subplots(2, 2)
    _points(
        spacing, [(facts.spacing_mm[2], facts.spacing_mm[0]) for facts in known], "pixel size, mm", "slice distance, mm"
    )
    _points(
        field,
        [(fields_of_view_mm(facts)[0], fields_of_view_mm(facts)[2]) for facts in known],
        "field of view right to left, mm",
        "field of view feet to head, mm",
    )
    _histograms(hu, known, structures)
    _volumes(volumes, known, structures)
    figure.suptitle(f"{name}: {counted(len(known), 'case')}, {counted(sum(facts.size[0] for facts in known), 'slice')}")
    save_figure(figure, path)


def _points(axes: Any, points: Sequence[tuple[float, float]], across: str, up: str) -> None:
    """One point per case; cases with the same values share a larger point with their number."""
    together = Counter((round(x, 3), round(y, 3)) for x, y in points)
    xs, ys = zip(*together, strict=True)
    axes.scatter(xs, ys, s=[30 + 20 * n for n in together.values()], color=POINTS, alpha=0.6, linewidth=0)
    for (x, y), n in together.items():
        if n > 1:
            axes.annotate(counted(n, "case"), (x, y), xytext=(9, 6), textcoords="offset points", fontsize=9)
    for values, limit in ((xs, axes.set_xlim), (ys, axes.set_ylim)):
        limit(0, 1.15 * max(values))
    axes.set(xlabel=across, ylabel=up)
    axes.spines[["top", "right"]].set_visible(False)


def _histograms(axes: Any, known: Sequence[CaseFacts], structures: Sequence[Structure]) -> None:
    hu = np.concatenate([facts.hu_sample for facts in known])
    indices = np.concatenate([facts.index_sample for facts in known])
    low, high = np.percentile(hu, [0.1, 99.9]) if hu.size else (-200.0, 300.0)
    low, high = min(-200.0, float(low) - 50), max(300.0, float(high) + 50)
    edges = np.arange(low, high + BIN_HU, BIN_HU)
    colors = plot_colors(structures)
    for structure in structures:
        inside = hu[indices == structure.index]
        if inside.size:
            counts, _ = np.histogram(inside, bins=edges)
            percentage = 100 * counts / inside.size
            axes.step(edges[:-1], percentage, where="post", color=colors[structure.index], label=structure.name)
    mark_tissues(axes, low, high)
    axes.set(ylabel=f"% of a structure's voxels in {BIN_HU} HU", ylim=(0, None))
    if hu.size:
        axes.legend(fontsize=8, framealpha=0.5)


def _volumes(axes: Any, known: Sequence[CaseFacts], structures: Sequence[Structure]) -> None:
    present = [
        [facts.structure_ml[part.name] for facts in known if facts.structure_ml[part.name] > 0] for part in structures
    ]
    boxes = axes.boxplot(present, showfliers=False, patch_artist=True, widths=0.6, medianprops={"color": "black"})
    colors = plot_colors(structures)
    for position, (box, structure, ml) in enumerate(zip(boxes["boxes"], structures, present, strict=True), start=1):
        box.set(facecolor=(*colors[structure.index], 0.5))
        offsets = np.linspace(-0.15, 0.15, len(ml)) if len(ml) > 1 else [0.0]
        axes.scatter(position + np.asarray(offsets), ml, s=12, color=POINTS, zorder=3)
    names = [f"{part.name}\n{len(ml)} of {len(known)}" for part, ml in zip(structures, present, strict=True)]
    axes.set_xticks(range(1, len(names) + 1), names, rotation=35, ha="right", fontsize=8)
    values = [ml for part in present for ml in part]
    if values and max(values) > 20 * min(values):
        axes.set_yscale("log")
    axes.set(ylabel="volume, ml")
    axes.spines[["top", "right"]].set_visible(False)
