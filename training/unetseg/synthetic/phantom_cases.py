"""Synthetic hearts in the layout of MM-WHS, for tests, courses and benchmarks.

MM-WHS (Zhuang and Shen, Medical Image Analysis 31, 2016) may not be redistributed, so nothing here is taken from it except
its file names, its label values and the textbook arrangement of the seven structures. A phantom is the anatomy of
phantom_anatomy.py sampled on a grid, with pose, partial volume and noise, stored in one of the ways of scanners. A
network that segments phantoms says nothing about patients.

Directions are LPS throughout: x to the patient's left, y to the back, z to the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from UNetSegmenterLib.engine.io.atomic_files import write_atomically

from .phantom_anatomy import LABEL_VALUES, LEFT_ATRIUM, anatomy, rotation

__all__ = ["LABEL_VALUES", "STRAY_LEFT_ATRIUM", "Phantom", "make_phantom", "write_phantoms"]

STRAY_LEFT_ATRIUM = 421
"""MM-WHS holds a few voxels of this value; they mean left atrium."""


@dataclass(frozen=True)
class Phantom:
    """One synthetic scan: `image` in HU (int16) and `labels` in MM-WHS values (int16), both (slices, rows, columns)."""

    image: np.ndarray
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]  # (column, row, slice), ITK's order, as origin and direction are
    origin_lps: tuple[float, float, float]
    direction: tuple[float, ...]

    def to_sitk(self) -> tuple[sitk.Image, sitk.Image]:
        """The scan and its labels as images with the phantom's geometry."""
        images = []
        for array in (self.image, self.labels):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing(self.spacing_mm)
            image.SetOrigin(self.origin_lps)
            image.SetDirection(self.direction)
            images.append(image)
        return images[0], images[1]


def make_phantom(
    seed: int,
    shape: tuple[int, int, int] = (80, 128, 128),
    orientation: str = "varied",
    stray_label: bool = False,
) -> Phantom:
    """One heart in a torso, the same for the same arguments.

    Args:
        seed: seed of shape, pose, contrast and noise.
        shape: (slices, rows, columns) of the axial grid; the field of view is always about 165 x 245 x 245 mm, so a smaller
            shape means larger voxels.
        orientation: "lps" (axial slices, no rotation) or "varied": flipped, left-handed, sagittal or oblique storage by seed.
        stray_label: give a few voxels of the left atrium the value 421, as in MM-WHS.

    Raises:
        ValueError: the orientation is neither of the two.
    """
    if orientation not in ("lps", "varied"):
        raise ValueError(f"orientation is {orientation!r}; it must be 'lps' or 'varied'.")
    random = np.random.default_rng(seed)
    fields_mm = np.array([random.uniform(158, 174), *[random.uniform(230, 262)] * 2])
    spacing = fields_mm / np.array(shape)
    angles_rad = np.radians(random.uniform(-8, 8, 3))
    tilt = rotation(angles_rad) if orientation == "varied" and seed % 6 == 5 else np.eye(3)
    points = _grid(shape, spacing, tilt, random.uniform(-6, 6, 3))
    labels, tissue = anatomy(points, random)
    image = _scan(tissue.reshape(shape), spacing, random)
    labels = labels.reshape(shape)
    if stray_label:
        atrium = np.flatnonzero(labels == LEFT_ATRIUM)
        labels.ravel()[random.choice(atrium, min(8, atrium.size), replace=False)] = STRAY_LEFT_ATRIUM
    corner = points.reshape(*shape, 3)[0, 0, 0].astype(float) + random.uniform(-150, 150, 3)
    variant = seed % 6 if orientation == "varied" else 0
    return _store(image, labels, spacing=spacing, corner=corner, tilt=tilt, variant=variant)


def _write(image: sitk.Image, path: Path) -> None:
    sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)


def write_phantoms(
    folder: str | Path,
    count: int,
    seed: int = 0,
    *,
    shape: tuple[int, int, int] = (80, 128, 128),
    orientation: str = "varied",
) -> list[tuple[Path, Path]]:
    """Write hearts under the names of MM-WHS, such as `ct_train_1001_image.nii.gz` and `ct_train_1001_label.nii.gz`.

    Every tenth heart, beginning with the third, has the stray label 421.

    Args:
        folder: folder to write, made if it does not exist.
        count: number of hearts.
        seed: seed of the first heart; each one has the next seed.
        shape: as for `make_phantom`.
        orientation: as for `make_phantom`.

    Returns:
        The (image, label) paths.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for case in range(count):
        phantom = make_phantom(seed + case, shape, orientation, stray_label=case % 10 == 2)
        stem = f"ct_train_{1001 + case}"
        pair = (folder / f"{stem}_image.nii.gz", folder / f"{stem}_label.nii.gz")
        for image, path in zip(phantom.to_sitk(), pair, strict=True):
            write_atomically(path, partial(_write, image))
        paths.append(pair)
    return paths


def _grid(shape: Sequence[int], spacing: np.ndarray, tilt: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """LPS positions (voxels, 3) of an axial grid around `centre`, turned by `tilt`; float32."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    local = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    return (local @ tilt.T + centre).astype(np.float32)


def _scan(tissue: np.ndarray, spacing: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Blur (point spread of about 1 mm) and correlated noise; HU (slices, rows, columns) -> int16."""
    image = sitk.GetImageFromArray(tissue)
    image.SetSpacing([float(step) for step in spacing[::-1]])
    sharp = sitk.SmoothingRecursiveGaussian(image, random.uniform(0.8, 1.2))
    noise = sitk.GetImageFromArray(random.standard_normal(tissue.shape, np.float32))
    grain = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(noise, 0.7))
    level = random.uniform(14, 30) / float(grain.std())
    return np.clip(np.rint(sitk.GetArrayFromImage(sharp) + level * grain), -1024, 3071).astype(np.int16)


_STORAGE = {
    # how (i, j, k) of the stored image run along the axial grid's x, y, z, and which of them run backwards
    0: ((0, 1, 2), (False, False, False)),
    1: ((0, 1, 2), (True, True, False)),
    2: ((0, 1, 2), (True, False, False)),
    3: ((1, 2, 0), (False, True, False)),
    4: ((0, 1, 2), (False, False, True)),
    5: ((0, 1, 2), (False, False, False)),
}


def _store(
    image: np.ndarray, labels: np.ndarray, *, spacing: np.ndarray, corner: np.ndarray, tilt: np.ndarray, variant: int
) -> Phantom:
    """The axial arrays in one of the ways scanners and converters store them; LPS positions stay the same."""
    order, backwards = _STORAGE[variant]
    steps = np.diag(spacing[::-1])[:, list(order)]
    counts = np.array(image.shape[::-1])[list(order)]
    origin = corner.copy()
    axes = tilt @ steps
    for axis, flipped in enumerate(backwards):
        if flipped:
            origin = origin + axes[:, axis] * (counts[axis] - 1)
            axes[:, axis] *= -1
    lengths = np.linalg.norm(axes, axis=0)
    transposed = tuple(2 - order[axis] for axis in (2, 1, 0))
    flips = tuple(2 - axis for axis in range(3) if backwards[axis])

    def stored(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.flip(array.transpose(transposed), flips))

    return Phantom(
        stored(image),
        stored(labels),
        tuple(float(v) for v in lengths),  # type: ignore[arg-type]
        tuple(float(v) for v in origin),  # type: ignore[arg-type]
        tuple(float(v) + 0.0 for v in (axes / lengths).ravel()),
    )
