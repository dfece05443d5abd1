"""The grid of a volume: the position of its voxels in the patient; and the differences of two grids."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import SimpleITK as sitk

Matrix3 = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

IDENTITY: Matrix3 = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""4x4 matrix from LPS to RAS, which is also the one from RAS to LPS."""


SAME_GRID_MM, SAME_GRID_VOXELS = 0.15, 0.25
"""Grids closer than both are the same grid: a direction rounded to 1e-4 rad moves the end of a whole body by 0.12 mm."""

SHEAR_MM = 0.5
"""A volume whose edges leave the right angle by more (`Geometry.shear_mm`) is sheared; less is rounding."""

_PERMUTATIONS: tuple[tuple[int, int, int], ...] = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))

NOTED_SHIFT_MM = 0.01
"""Rounding in a file's header moves voxels by less; a larger shift between two grids that are taken as one is noted."""

_NEGLIGIBLE_MM = 1e-3  # parts of a difference below this are left out of its description


@dataclass(frozen=True)
class Geometry:
    """The position in the patient of the voxels of an array `(slices, rows, columns)`.

    `spacing_mm` is in array order (slice, row, column). `origin_lps` is the centre of voxel (0, 0, 0) in mm, and the
    columns of `direction` are the LPS unit vectors along columns, rows and slices (x, y, z index), as in ITK.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_lps: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: Matrix3 = IDENTITY

    @classmethod
    def from_sitk(cls, image: sitk.Image) -> Geometry:
        """Geometry of a three-dimensional SimpleITK image."""
        x, y, z = (float(value) for value in image.GetSpacing())
        columns, rows, slices = image.GetSize()
        flat = image.GetDirection()
        direction = tuple(tuple(float(value) for value in flat[3 * row : 3 * row + 3]) for row in range(3))
        origin = tuple(float(value) for value in image.GetOrigin())
        return cls((slices, rows, columns), (z, y, x), origin, direction)  # type: ignore[arg-type]

    def apply_to(self, image: sitk.Image) -> None:
        """Set spacing, origin and direction of a SimpleITK image of this shape."""
        z, y, x = self.spacing_mm
        image.SetSpacing((x, y, z))
        image.SetOrigin(self.origin_lps)
        image.SetDirection([value for row in self.direction for value in row])

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres, by the determinant, which is right for sheared voxels, too."""
        return float(np.prod(self.spacing_mm) * abs(np.linalg.det(self.direction))) / 1000.0

    def affine_lps(self) -> np.ndarray:
        """4x4 matrix from the voxel index (column, row, slice, 1) to LPS in mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.direction) * np.asarray(self.spacing_mm[::-1])
        matrix[:3, 3] = self.origin_lps
        return matrix

    def affine_ras(self) -> np.ndarray:
        """4x4 matrix from the voxel index (column, row, slice, 1) to RAS in mm."""
        return LPS_TO_RAS @ self.affine_lps()

    def position_lps_mm(self, voxel_index: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
        """LPS coordinates of an array index (slice, row, column), which may lie between voxels."""
        x, y, z, _ = self.affine_lps() @ [*voxel_index[::-1], 1.0]
        return float(x), float(y), float(z)

    def position_ras_mm(self, voxel_index: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
        """RAS coordinates of an array index (slice, row, column), which may lie between voxels."""
        x, y, z = self.position_lps_mm(voxel_index)
        return -x, -y, z

    def shape_text(self) -> str:
        """Number of columns, rows and slices, such as "512 x 512 x 275"."""
        return sizes_text(self.shape[::-1])

    def spacing_text(self, digits: str = ".3g") -> str:
        """Spacing of columns, rows and slices in mm, such as "0.781 x 0.781 x 1"; `digits` is Python's format."""
        return sizes_text(self.spacing_mm[::-1], digits)

    def grid_text(self) -> str:
        """The grid in words: its centre, its size and its spacing."""
        x, y, z = self.position_lps_mm([(size - 1) / 2 for size in self.shape])
        return f"centre at LPS {x:.0f}, {y:.0f}, {z:.0f} mm, {self.shape_text()} voxels of {self.spacing_text()} mm"

    def axial(self) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        """Axes and flips that turn the array into the patient's axial order.

        Returns:
            The array axes closest to superior, posterior and left, each used once, and for each of them whether it has to be
            reversed to run inferior to superior, anterior to posterior and right to left. The "axial" slices of an oblique
            scan are the acquired ones.
        """
        cosines = np.asarray(self.direction)[::-1, ::-1]  # rows: S, P, L; columns: array axes (slice, row, column)
        best = max(_PERMUTATIONS, key=lambda axes: sum(abs(cosines[i, axis]) for i, axis in enumerate(axes)))
        flips = tuple(bool(cosines[i, axis] < 0) for i, axis in enumerate(best))
        return best, flips  # type: ignore[return-value]

    def to_axial(self, array: np.ndarray) -> np.ndarray:
        """View of `array` (shape of this geometry) with axes inferior-superior, anterior-posterior, right-left.

        No copy is made: writing into the view changes the array.
        """
        axes, flips = self.axial()
        return array.transpose(axes)[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]

    @property
    def axial_shape(self) -> tuple[int, int, int]:
        """Shape of the axial view (slices, rows, columns)."""
        axes, _ = self.axial()
        return tuple(self.shape[axis] for axis in axes)  # type: ignore[return-value]

    @property
    def axial_spacing_mm(self) -> tuple[float, float, float]:
        """Spacing of the axial view (slice, row, column)."""
        axes, _ = self.axial()
        return tuple(self.spacing_mm[axis] for axis in axes)  # type: ignore[return-value]

    def orientation(self) -> str:
        """Letters of the directions in which columns, rows and slices run, such as "LPS" (nearest axes if oblique)."""
        axes, flips = self.axial()
        letters = {axis: "SIPALR"[2 * i + flip] for i, (axis, flip) in enumerate(zip(axes, flips, strict=True))}
        return letters[2] + letters[1] + letters[0]

    def obliqueness_degrees(self) -> float:
        """Largest angle between an array axis and the patient axis nearest to it."""
        axes, _ = self.axial()
        cosines = np.asarray(self.direction)[::-1, ::-1]
        nearest = [min(1.0, abs(float(cosines[i, axis]))) for i, axis in enumerate(axes)]
        return float(np.degrees(np.arccos(min(nearest))))

    def shear_mm(self) -> float:
        """Largest deviation of the volume's edges from a right angle, at the end of the shorter edge of each two."""
        axes = np.asarray(self.direction).T
        extent = np.asarray(self.shape[::-1]) * np.asarray(self.spacing_mm[::-1])
        return max(abs(float(axes[i] @ axes[j])) * min(extent[i], extent[j]) for i, j in ((0, 1), (0, 2), (1, 2)))

    def tilt_degrees(self) -> float:
        """Largest deviation of two axes from a right angle."""
        axes = np.asarray(self.direction).T
        cosines = [abs(float(axes[i] @ axes[j])) for i, j in ((0, 1), (0, 2), (1, 2))]
        return float(np.degrees(np.arcsin(min(1.0, max(cosines)))))

    def shift_mm(self, other: Geometry) -> float:
        """Largest distance of a voxel from the same voxel of the other grid; infinite if their shapes differ."""
        if self.shape != other.shape:
            return math.inf
        return largest_shift_mm(self.shape, self.affine_lps(), other.affine_lps())

    def is_close(self, other: Geometry, tolerance_mm: float | None = None) -> bool:
        """Whether both are one grid: every voxel of both lies at the same position within `tolerance_mm`.

        The default tolerance is `SAME_GRID_MM`, or a quarter of the shortest voxel edge if that is less, so that the nearest
        neighbour of each voxel is the same voxel of the other grid.
        """
        if tolerance_mm is None:
            tolerance_mm = min(SAME_GRID_MM, *(SAME_GRID_VOXELS * mm for mm in (*self.spacing_mm, *other.spacing_mm)))
        return self.shift_mm(other) <= tolerance_mm


def sheared_text(geometry: Geometry) -> str:
    """The message for sheared voxels: what is wrong, and what to do."""
    return (
        f"the voxels are sheared, as by a tilted gantry: the axes leave the right angle by {geometry.tilt_degrees():.3g} "
        f"degrees ({geometry.shear_mm():.3g} mm over the volume), so that sizes and distances in mm would be wrong; resample "
        "it to a straight grid, by --resample on the command line or in 3D Slicer."
    )


def sizes_text(sizes: Iterable[float], digits: str = "") -> str:
    """Sizes in the order given, such as "512 x 512 x 275"; `digits` is Python's format of each."""
    return " x ".join(f"{size:{digits}}" for size in sizes)


def box_corners(shape: Sequence[int]) -> np.ndarray:
    """Voxel indices (column, row, slice, 1) of the eight corners of an array `(slices, rows, columns)`; (8, 4)."""
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    corners[:, :3] *= np.asarray(shape[::-1]) - 1
    return corners


def largest_shift_mm(shape: Sequence[int], one: np.ndarray, other: np.ndarray) -> float:
    """Largest distance between the positions that two 4x4 affines give to the same voxel of an array of this shape."""
    gap = box_corners(shape) @ (one - other).T
    return float(np.linalg.norm(gap[:, :3], axis=1).max())


def grid_difference(one: Geometry, other: Geometry) -> str:
    """How two grids differ, with as many digits as the difference needs; empty if no difference matters."""
    parts = []
    if one.shape != other.shape:
        parts.append(f"{one.shape_text()} against {other.shape_text()} voxels")
    reach = np.asarray(one.shape) * np.abs(np.subtract(one.spacing_mm, other.spacing_mm))
    if reach.max() > _NEGLIGIBLE_MM:
        mine, others = texts_apart(one.spacing_mm[::-1], other.spacing_mm[::-1])
        parts.append(f"voxels of {mine} against {others} mm")
    away_mm = float(np.linalg.norm(np.subtract(one.origin_lps, other.origin_lps)))
    if away_mm > _NEGLIGIBLE_MM:
        parts.append(f"origins {_short(away_mm, 3)} mm apart")
    turned = _turned_degrees(one, other)
    if np.radians(turned) * max(np.asarray(one.shape) * one.spacing_mm) > _NEGLIGIBLE_MM:
        parts.append(f"axes turned by {_short(turned, 2)} degrees ({one.orientation()} against {other.orientation()})")
    return "; ".join(parts)


def same_grid_note(one: Geometry, other: Geometry, whose: str) -> str:
    """The note on two grids that `Geometry.is_close` takes as one; empty if they differ by rounding alone.

    Args:
        one: a grid.
        other: another grid.
        whose: what the two grids belong to, such as "prediction and reference".
    """
    shift_mm = one.shift_mm(other)
    if shift_mm <= NOTED_SHIFT_MM:
        return ""
    return (
        f"The grids of {whose} lie up to {shift_mm:.2g} mm apart ({grid_difference(one, other)}): they were taken as the "
        "same grid."
    )


def _short(value: float, digits: int) -> str:
    """A number with some significant digits, and at least all of its whole ones, so that none gets an exponent."""
    return f"{value:.{digits}g}" if value < 10**digits - 0.5 else f"{value:.0f}"


def texts_apart(one: Sequence[float], other: Sequence[float]) -> tuple[str, str]:
    """Both rows of numbers as text, with four digits or as many more as show their difference."""
    for digits in range(4, 18):
        mine, others = (sizes_text(row, f".{digits}g") for row in (one, other))
        if mine != others:
            break
    return mine, others


def _turned_degrees(one: Geometry, other: Geometry) -> float:
    """Largest angle between the same axis of both grids, from the chord, which is exact for small angles."""
    chords = np.linalg.norm(np.subtract(one.direction, other.direction), axis=0)
    return float(np.degrees(2 * np.arcsin(np.clip(chords / 2, 0, 1)).max()))
