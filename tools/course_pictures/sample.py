"""The sample scan as the course shows it, and what its pictures share."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from unetseg.data.sample_download import SampleCase, default_cache, read_sample
from unetseg.plots.plotting import check_plotting, new_figure
from UNetSegmenterLib.engine.io.atomic_files import write_atomically

SLICE = 91  # axial slice with both kidneys, liver, gallbladder and the spleen's lower end
SOFT_TISSUE = (-150.0, 250.0)
SPACING_MM = 3.0
INK, ACCENT, SECOND = "#22303c", "#ff2d55", "#00d5ff"
COLOURS = 128


@cache
def sample() -> SampleCase:
    """The sample scan and its machine-made reference."""
    return read_sample()


@cache
def scan() -> np.ndarray:
    """HU in axial order, (112, 101, 122): slices from feet to head, rows from front to back, columns from right to left."""
    volume = sample().volume
    return volume.geometry.to_axial(volume.array).astype(np.float32)


@cache
def reference() -> np.ndarray:
    """Labels of the reference in axial order, (112, 101, 122)."""
    return sample().reference.geometry.to_axial(sample().reference.labels)


def index_of(structure: str) -> int:
    """Label index of a structure in the reference."""
    return next(one.index for one in sample().reference.structures if one.name == structure)


def chest_scan() -> Path:
    """The chest CT of LIDC-IDRI-0314 (CC BY 3.0) as NIfTI, which has to be fetched from the Cancer Imaging Archive by hand."""
    path = default_cache() / "LIDC-IDRI-0314.nii.gz"
    if not path.is_file():
        raise SystemExit(f"Convert the CT series of LIDC-IDRI-0314 to {path}, which this picture shows")
    return path


def panels(width: float, height: float, rows: int, columns: int) -> tuple[Any, Any]:
    """A figure of that many inches and its axes, as one row of axes."""
    check_plotting()
    figure = new_figure(width, height)
    return figure, np.ravel(figure.subplots(rows, columns))


def show(axes: Any, picture: np.ndarray, title: str, window: tuple[float, float] = SOFT_TISSUE, **options: Any) -> None:
    """A slice in grey with its title and no ticks."""
    axes.imshow(picture, cmap="gray", vmin=window[0], vmax=window[1], interpolation="nearest", **options)
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_axis_off()


def outline(axes: Any, mask: np.ndarray, colour: str, width: float = 2.0) -> None:
    """The outline of a mask over a picture of its size."""
    axes.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=[width])


def save(figure: Any, path: Path, dots_per_inch: int = 100) -> None:
    """A small PNG: few colours, no metadata that changes from run to run, and as large as its titles need."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dots_per_inch, format="png", facecolor="white", bbox_inches="tight", pad_inches=0.08)
    picture = Image.open(buffer).convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    write_atomically(path, lambda partial: picture.save(partial, format="PNG", optimize=True))
