"""Figures beside the report, for a written one: charts as SVG, pictures as PNG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..evaluation.comparison import Comparison
from ..io.atomic_files import write_atomically
from .case_set import distributions
from .svg import box_plot_svg, curve_svg, standalone

_LONGEST = 60  # characters of a name; a file system takes 255 bytes


def write_figures(
    folder: Path | str, comparisons: Sequence[Comparison], pictures: Sequence[tuple[str, bytes]] = ()
) -> list[Path]:
    """Write a slice curve a structure for a single case, box plots for several, and pictures; returns the paths.

    `pictures` are (caption, PNG bytes); the file is named after the caption up to its first colon. Raises InputError if a
    file can't be written.
    """
    charts = (
        [(f"slices-{row.structure}", curve_svg(row.structure, row.curve)) for row in comparisons[0].rows if row.curve]
        if len(comparisons) == 1
        else [
            (f"{key.removesuffix('_mm')}-per-structure", box_plot_svg(groups, label, unit, share))
            for key, label, unit, share, groups in distributions(comparisons)
        ]
    )
    taken: set[str] = set()
    files = {f"{unique_name(name, taken)}.svg": standalone(svg).encode() for name, svg in charts}
    files |= {f"{unique_name(caption.split(':')[0].lower(), taken)}.png": png for caption, png in pictures}
    for name, content in files.items():
        write_atomically(Path(folder) / name, lambda partial, content=content: partial.write_bytes(content))  # type: ignore[misc]
    return [Path(folder) / name for name in files]


def unique_name(text: str, taken: set[str]) -> str:
    """`text` without what a file's name can't have, numbered where it is `taken` on a disk that ignores case; adds to `taken`."""
    stem = name = re.sub(r"[^\w.-]+", "-", text).strip("-.")[:_LONGEST] or "case"
    number = 2
    while name.casefold() in taken:
        name, number = f"{stem}-{number}", number + 1
    taken.add(name.casefold())
    return name
