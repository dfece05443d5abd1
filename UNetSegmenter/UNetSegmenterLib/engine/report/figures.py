"""Figures beside the report, for a written one: charts as SVG, pictures as PNG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..comparison import Comparison
from ..volume import write_whole
from .case_set import distributions
from .svg import box_plot_svg, curve_svg, standalone


def write_figures(
    folder: Path | str, comparisons: Sequence[Comparison], pictures: Sequence[tuple[str, bytes]] = ()
) -> list[Path]:
    """Write a slice curve a structure for a single case, box plots for several, and pictures; returns the paths.

    `pictures` are (caption, PNG bytes); the file is named after the caption up to its first colon. Raises InputError if a
    file can't be written.
    """
    charts = (
        {f"slices-{row.structure}": curve_svg(row.structure, row.curve) for row in comparisons[0].rows if row.curve}
        if len(comparisons) == 1
        else {
            f"{key.removesuffix('_mm')}-per-structure": box_plot_svg(groups, label, unit, share)
            for key, label, unit, share, groups in distributions(comparisons)
        }
    )
    files = {f"{file_name(name)}.svg": standalone(svg).encode() for name, svg in charts.items()}
    files |= {f"{file_name(caption.split(':')[0].lower())}.png": png for caption, png in pictures}
    for name, content in files.items():
        write_whole(Path(folder) / name, lambda partial, content=content: partial.write_bytes(content))  # type: ignore[misc]
    return [Path(folder) / name for name in files]


def file_name(text: str) -> str:
    """`text` without what a file's name can't have."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "case"
