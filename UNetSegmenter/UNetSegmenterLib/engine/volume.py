"""A CT volume: HU array and its place in the patient, read from and written to the usual files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .files import write_whole
from .nifti import is_whole, non_finite

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
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

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

    def is_close(self, other: Geometry, tolerance_mm: float = 1e-2) -> bool:
        """Whether every voxel of both grids lies at the same place within `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
        corners[:, :3] *= np.asarray(self.shape[::-1]) - 1
        gap = corners @ (self.affine_lps() - other.affine_lps()).T
        return bool(np.abs(gap[:, :3]).max() <= tolerance_mm)


_PERMUTATIONS: tuple[tuple[int, int, int], ...] = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


@dataclass(frozen=True)
class Note:
    """One line that the checks of an input say: `severity` is "info", "warning" or "error"."""

    severity: str
    text: str


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


def read_image(path: Path | str) -> tuple[np.ndarray, Geometry]:
    """Array and geometry of a 3D scalar image file (NIfTI, NRRD, MetaImage, ...), values as they are stored.

    Raises InputError if the file is missing, is no image, or is not one scalar value a voxel in three dimensions.
    """
    import SimpleITK as sitk

    reader = _open_image(Path(path))
    size = _three_dimensions(path, reader)
    if reader.GetDimension() > 3:
        reader.SetExtractSize([*size, *[0] * (reader.GetDimension() - 3)])
    damaged = f"{path} is cut off or damaged: its header reads but not all of its voxels; copy or export it again."
    nifti = Path(path).name.lower().endswith((".nii", ".nii.gz"))
    if nifti and not is_whole(Path(path)):
        raise InputError(damaged)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(damaged) from error
    array = sitk.GetArrayFromImage(image)
    if nifti and array.dtype.kind == "f":
        array.reshape(-1)[non_finite(Path(path))] = np.nan
    return array, Geometry.from_sitk(image)


def read_geometry(path: Path | str) -> Geometry:
    """Geometry of a 3D image file from its header alone; raises InputError as `read_image` does."""
    reader = _open_image(Path(path))
    columns, rows, slices = _three_dimensions(path, reader)
    n = reader.GetDimension()
    x, y, z = reader.GetSpacing()[:3]
    direction = np.asarray(reader.GetDirection()).reshape(n, n)[:3, :3]
    return Geometry(
        (slices, rows, columns),
        (z, y, x),
        tuple(reader.GetOrigin()[:3]),
        tuple(tuple(float(value) for value in row) for row in direction),  # type: ignore[arg-type]
    )


def _open_image(path: Path) -> sitk.ImageFileReader:
    import SimpleITK as sitk

    if not path.exists():
        raise InputError(f"{path} does not exist; choose an image file or a DICOM folder.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(
            f"{path} is not an image that can be read (NIfTI, NRRD, MetaImage or DICOM expected)."
        ) from error
    return reader


def _three_dimensions(path: Path | str, reader: sitk.ImageFileReader) -> list[int]:
    size = list(reader.GetSize())
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    if len(size) != 3 or reader.GetNumberOfComponents() != 1:
        found = " x ".join(map(str, reader.GetSize())) + f" with {reader.GetNumberOfComponents()} value(s) a voxel"
        raise InputError(
            f"{path} is {found}; a single 3D scan with one value a voxel is expected, so extract one first."
        )
    return size


def read_volume(path: Path | str) -> Volume:
    """Read a CT volume from an image file or a DICOM folder.

    HU come back as int16 where that is exact, else as float32. Raises InputError for anything that is not one 3D scan.
    """
    path = Path(path)
    if path.is_dir():
        from .dicom import read_dicom_folder

        array, geometry, notes = read_dicom_folder(path)
    else:
        array, geometry = read_image(path)
        notes = []
    name = path.name.split(".nii")[0] if ".nii" in path.name else path.stem if path.is_file() else path.name
    volume = Volume(as_hu(array), geometry, name, tuple(notes))
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


def write_volume(volume: Volume, path: Path | str) -> None:
    """Write array and geometry to an image file; the format goes by the ending. Raises InputError if it can't."""
    write_image(volume.array, volume.geometry, path)


def write_image(
    array: np.ndarray, geometry: Geometry, path: Path | str, metadata: dict[str, str] | None = None
) -> None:
    """Write an array `(slices, rows, columns)` whole or not at all (a neighbour file is renamed into place)."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    geometry.stamp(image)
    for key, value in (metadata or {}).items():
        image.SetMetaData(key, value)
    write_whole(path, lambda partial: sitk.WriteImage(image, str(partial), useCompression=True))
