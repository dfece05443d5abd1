"""A CT volume: HU array and its place in the patient, read from and written to the usual files."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..labels.label_values import file_stem
from .files import write_whole

if TYPE_CHECKING:
    import SimpleITK as sitk

Matrix3 = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

IDENTITY: Matrix3 = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of an array `(slices, rows, columns)` lie in the patient.

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

    def stamp(self, image: sitk.Image) -> None:
        """Give a SimpleITK image of this shape this spacing, origin and direction."""
        z, y, x = self.spacing_mm
        image.SetSpacing((x, y, z))
        image.SetOrigin(self.origin_lps)
        image.SetDirection([value for row in self.direction for value in row])

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres, by the determinant: sheared voxels are smaller than their edges say."""
        return float(np.prod(self.spacing_mm) * abs(np.linalg.det(self.direction))) / 1000.0

    def affine_lps(self) -> np.ndarray:
        """4x4 matrix from the voxel index (column, row, slice, 1) to LPS in mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.direction) * np.asarray(self.spacing_mm[::-1])
        matrix[:3, 3] = self.origin_lps
        return matrix

    def axial(self) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        """How to see the array in the patient's axial order.

        Returns the array axes that lie closest to superior, posterior and left, each used once, and whether each of them
        has to be reversed to run inferior to superior, anterior to posterior and right to left. An oblique scan goes by
        its nearest axes, so its "axial" slices are the acquired ones.
        """
        cosines = np.asarray(self.direction)[::-1, ::-1]  # rows: S, P, L; columns: array axes (slice, row, column)
        best = max(_PERMUTATIONS, key=lambda axes: sum(abs(cosines[i, axis]) for i, axis in enumerate(axes)))
        flips = tuple(bool(cosines[i, axis] < 0) for i, axis in enumerate(best))
        return best, flips  # type: ignore[return-value]

    def to_axial(self, array: np.ndarray) -> np.ndarray:
        """View of `array` (shape of this geometry) with axes inferior-superior, anterior-posterior, right-left.

        No copy is made: what is written into the view lands in the array.
        """
        axes, flips = self.axial()
        return array.transpose(axes)[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]

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
        """How far the volume's edges leave a right angle at most, at the end of the shorter edge of each two."""
        axes = np.asarray(self.direction).T
        extent = np.asarray(self.shape[::-1]) * np.asarray(self.spacing_mm[::-1])
        return max(abs(float(axes[i] @ axes[j])) * min(extent[i], extent[j]) for i, j in ((0, 1), (0, 2), (1, 2)))

    def tilt_degrees(self) -> float:
        """Largest angle by which two axes leave the right angle."""
        axes = np.asarray(self.direction).T
        cosines = [abs(float(axes[i] @ axes[j])) for i, j in ((0, 1), (0, 2), (1, 2))]
        return float(np.degrees(np.arcsin(min(1.0, max(cosines)))))

    def shift_mm(self, other: Geometry) -> float:
        """How far a voxel of one grid lies at most from the same voxel of the other; infinite if their shapes differ."""
        if self.shape != other.shape:
            return math.inf
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
        corners[:, :3] *= np.asarray(self.shape[::-1]) - 1
        gap = corners @ (self.affine_lps() - other.affine_lps()).T
        return float(np.linalg.norm(gap[:, :3], axis=1).max())

    def is_close(self, other: Geometry, tolerance_mm: float | None = None) -> bool:
        """Whether both are one grid: every voxel of both lies at the same place within `tolerance_mm`.

        Without one, by the rule for all pairs of grids: within `SAME_GRID_MM`, and within a quarter of a voxel, so that the
        nearest neighbour of each voxel is the same voxel of the other grid.
        """
        if tolerance_mm is None:
            tolerance_mm = min(SAME_GRID_MM, *(SAME_GRID_VOXELS * mm for mm in (*self.spacing_mm, *other.spacing_mm)))
        return self.shift_mm(other) <= tolerance_mm


SAME_GRID_MM, SAME_GRID_VOXELS = 0.15, 0.25
"""Grids that lie closer than both are one: a direction rounded to 1e-4 rad moves the end of a whole body by 0.12 mm."""

_WRITTEN = (".nii.gz", ".nii", ".nrrd", ".mha")

SHEAR_MM = 0.5
"""An edge of a volume that leaves the right angle by more (`Geometry.shear_mm`) is no rounding: its voxels are no boxes."""

_PERMUTATIONS: tuple[tuple[int, int, int], ...] = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


@dataclass(frozen=True)
class Note:
    """One line that the checks of an input say: `severity` is "info", "warning" or "error"; `details` for the curious."""

    severity: str
    text: str
    details: str = ""


@dataclass(frozen=True)
class Volume:
    """A CT volume: HU `array` of `(slices, rows, columns)`, its geometry and the name people know it by."""

    array: np.ndarray
    geometry: Geometry
    name: str = ""
    notes: tuple[Note, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise InputError(
                f"{self.name or 'The volume'} has an array of {self.array.shape} but a geometry of {self.geometry.shape}."
            )


def read_image(path: Path | str, resample: bool = False, labels: bool = False) -> tuple[np.ndarray, Geometry]:
    """Array and geometry of a 3D scalar image file (NIfTI, NRRD, MetaImage), values as they are stored.

    What its header contradicts itself in is logged. Sheared voxels are resampled to a straight grid with `resample`, by the
    nearest voxel where they are `labels`. Raises InputError if the file is missing, damaged, sheared without `resample`, or
    not one scalar value a voxel in three dimensions.
    """
    from .image_file import read_scalar_file

    image = read_scalar_file(path, resample, labels)
    log_notes(path, image.notes)
    return image.array, image.geometry


def log_notes(path: Path | str, notes: Iterable[Note]) -> None:
    """Log what the reader of a file warns of, where no face shows the notes themselves."""
    for note in notes:
        if note.severity != "info":
            logging.getLogger(__name__).warning("%s: %s", path, note.text)


def read_geometry(path: Path | str, resample: bool = False) -> Geometry:
    """Geometry of a 3D image file from its header alone; raises InputError as `read_image` does."""
    from .image_file import read_image_header
    from .straighten import check_straight, straight_geometry

    header = read_image_header(path)
    if resample:
        return straight_geometry(header.geometry)
    check_straight(Path(path), header.geometry, header.notes)
    return header.geometry


def read_volume(path: Path | str, resample: bool = False) -> Volume:
    """Read a CT volume from an image file or from DICOM, a folder or one multi-frame file.

    HU come back as int16 where that is exact, else as float32. `resample` brings sheared or uneven slices onto a straight,
    even grid, which are refused otherwise. Raises InputError for anything that is not one 3D scan.
    """
    from .image_file import is_dicom, read_scalar_file

    path = Path(path)
    if path.is_dir() or (path.is_file() and is_dicom(path)):
        from .dicom import read_dicom
        from .dicom_objects import refuse_dicom_object

        refuse_dicom_object(path)
        image = read_dicom(path, resample)
    else:
        image = read_scalar_file(path, resample)
    name = path.name if path.is_dir() else file_stem(path)
    volume = Volume(as_hu(image.array), image.geometry, name, image.notes)
    for note in check_volume(volume):
        if note.severity == "error":
            raise InputError(f"{path}: {note.text}")
    return volume


def as_hu(array: np.ndarray) -> np.ndarray:
    """The same values as int16 if they fit without loss, else as float32; int16 and float32 arrays are not copied."""
    if array.dtype in (np.int16, np.float32):
        return array
    if np.issubdtype(array.dtype, np.integer):
        lowest, highest = int(array.min(initial=0)), int(array.max(initial=0))
        if lowest >= -32768 and highest <= 32767:
            return array.astype(np.int16)
    elif array.dtype == np.float64 and np.isfinite(array).all():
        whole = array.astype(np.int16, casting="unsafe") if np.abs(array).max(initial=0) <= 32767 else None
        if whole is not None and np.array_equal(whole, array):
            return whole
    return array.astype(np.float32)


def check_volume(volume: Volume) -> list[Note]:
    """What a person should know before a CT network sees this volume; errors come first.

    Reads every voxel once. Errors: NaN or infinite voxels, a constant image, no slices. Warnings: values that can't be
    HU, few slices, unusual spacing. Notes that the reader left (missing slices and the like) are included.
    """
    array = volume.array
    if array.size == 0:
        return [Note("error", "the scan holds no voxels; load it again.")]
    lowest, highest = float(array.min()), float(array.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        return [
            Note("error", "the scan holds NaN or infinite values where HU are expected; repair or export it again.")
        ]
    if lowest == highest:
        return [Note("error", f"every voxel is {lowest:g}, so there is no anatomy to see; choose the scan itself.")]
    notes = [*volume.notes, *_check_hu(lowest, highest), *_check_grid(volume.geometry)]
    return sorted(notes, key=lambda note: ("error", "warning", "info").index(note.severity))


def _check_hu(lowest: float, highest: float) -> Iterable[Note]:
    if lowest >= 0 and highest <= 255:
        yield Note(
            "warning",
            f"values run from {lowest:g} to {highest:g}: 8-bit greys, it seems, where a CT network reads HU.",
        )
    elif lowest >= -10:
        yield Note(
            "warning",
            f"the lowest value is {lowest:g}: HU reach about -1000 in air, so this may be MR or lack its rescale.",
        )
    elif highest < 100:
        yield Note("warning", f"the highest value is {highest:g} HU: bone is missing, so this may not be a whole CT.")


def _check_grid(geometry: Geometry) -> Iterable[Note]:
    if geometry.shear_mm() > SHEAR_MM:
        yield Note("error", sheared_text(geometry))
    between, *in_plane = geometry.axial_spacing_mm
    slices = geometry.to_axial(np.empty(geometry.shape, dtype=np.bool_)).shape[0]
    if slices < 10:
        yield Note("warning", f"only {slices} axial slice(s): 3D views and plausibility need more.")
    if not all(0.2 <= value <= 5 for value in in_plane) or not 0.2 <= between <= 10:
        size = " x ".join(f"{value:.3g}" for value in (*in_plane, between))
        yield Note("warning", f"voxels of {size} mm are unusual for CT: check that the file keeps its spacing.")
    if geometry.axial()[0] != (0, 1, 2):
        yield Note(
            "info",
            f"stored as {geometry.orientation()}: the scan is read in axial order and the result returns to its grid.",
        )
    if (angle := geometry.obliqueness_degrees()) > 1:
        yield Note("info", f"oblique by {angle:.0f} degrees: slices are taken as acquired.")


def sheared_text(geometry: Geometry) -> str:
    """What is wrong with sheared voxels, and what to do."""
    return (
        f"the voxels are sheared, as of a tilted gantry: the axes leave the right angle by {geometry.tilt_degrees():.3g} "
        f"degrees ({geometry.shear_mm():.3g} mm over the volume), so that sizes and distances in mm would be wrong; resample "
        "it to a straight grid, by --resample on the command line or in 3D Slicer."
    )


def write_volume(volume: Volume, path: Path | str) -> None:
    """Write array and geometry to an image file; the format goes by the ending. Raises InputError if it can't."""
    write_image(volume.array, volume.geometry, path)


def write_image(
    array: np.ndarray, geometry: Geometry, path: Path | str, metadata: dict[str, str] | None = None
) -> None:
    """Write an array `(slices, rows, columns)` whole or not at all (a neighbour file is renamed into place).

    Raises InputError if it can't be written, also for endings that stand for two files or for none that is known.
    """
    import SimpleITK as sitk

    path = Path(path)
    ending = next((ending for ending in _WRITTEN if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise InputError(
            f"{path} ends as no image that is written; name it {', '.join(_WRITTEN[:-1])} or {_WRITTEN[-1]}."
        )
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    geometry.stamp(image)
    for key, value in (metadata or {}).items():
        image.SetMetaData(key, value)

    def write(partial: Path) -> None:
        # ITK takes .hdr and .img for endings wherever they stand in a name, and writes another file than it was told to.
        plain = partial.with_name(f".partial-{secrets.token_hex(4)}{ending}")
        try:
            sitk.WriteImage(image, str(plain), useCompression=True)
            plain.replace(partial)
        finally:
            plain.unlink(missing_ok=True)

    write_whole(path, write)
