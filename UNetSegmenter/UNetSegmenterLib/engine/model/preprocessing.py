"""Preprocessing: from a scan's values to the network's input, the same for training, validation and prediction."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..io.geometry import sizes_text
from ..io.slicing import STORED, Slicing, check_orientation, slicing_along, stored_slicing
from .normalisation import Affine, Normalisation, window
from .spline import resample_cubic, slices_are_far_apart

if TYPE_CHECKING:
    from torch import Tensor

    from ..io.geometry import Geometry

RESAMPLING_BATCH = 16  # slices resampled at a time: a few MB of float32 at 512 x 512


@dataclass(frozen=True)
class Preprocessing:
    """How a scan becomes the network's input, and what the network's output needs of it.

    Args:
        spacing_mm: in-plane pixel size, between rows and between columns; None takes the scan's pixels as they are.
        normalisation: how values become the network's numbers.
        input_slices: neighbouring slices given as channels (1, 3 or 5).
        slice_distance_mm: wanted distance between them; None takes the next slices.
        size_multiple: rows and columns are padded to multiples of it.
        axis: the slicing axis, "axial", "coronal" or "sagittal", or "stored": slices as the scan's file has them.
        orientation: where rows and columns increase to, two letters of R L A P I S; "" as a radiologist looks at the axis.
        stored_axes: array axes of slices, rows and columns for the axis "stored", as ITK reads the file.
        interpolation: "linear", antialiased when shrinking, or "cubic", a B-spline without antialiasing as nnU-Net has it.
        crop_to_nonzero: leave out the slices, rows and columns around the scan that are 0, as nnU-Net does.
        patch_size: rows and columns that the network reads at a time; None for the whole slice.
        patch_step: distance of two patches as a fraction of their size.
        padding: where pixels are added to a slice that is too small: at the "end", or around the "centre".
        pad_value: the normalised value of added pixels.
        mirror_axes: along which axes slices may be mirrored for test-time augmentation: 0 rows, 1 columns.
        intensities: "HU", or "any" for scans whose values have no unit.
    """

    spacing_mm: tuple[float, float] | None
    normalisation: Normalisation
    input_slices: int = 1
    slice_distance_mm: float | None = 3.0
    size_multiple: int = 16
    _: KW_ONLY
    axis: str = "axial"
    orientation: str = ""
    stored_axes: tuple[int, int, int] = (0, 1, 2)
    interpolation: str = "linear"
    crop_to_nonzero: bool = False
    patch_size: tuple[int, int] | None = None
    patch_step: float = 0.5
    padding: str = "end"
    pad_value: float = -1.0
    mirror_axes: tuple[int, ...] = ()
    intensities: str = "HU"

    def __post_init__(self) -> None:
        if self.axis != STORED:
            check_orientation(self.axis, self.orientation)
        elif sorted(self.stored_axes) != [0, 1, 2] or self.orientation:
            raise InputError(
                f'Stored slices have the axes {self.stored_axes} and the orientation "{self.orientation}"; each of 0, 1 and 2 '
                'once, and the orientation "", are expected: stored slices are never turned.'
            )
        if len(set(self.mirror_axes)) != len(self.mirror_axes):
            raise InputError(f"Slices are mirrored along the axes {self.mirror_axes}; each of them once is expected.")
        if self.input_slices not in (1, 3, 5):
            raise InputError(f"The network has {self.input_slices} input slices; 1, 3 or 5 are expected.")
        if min(self.spacing_mm or (1.0,)) <= 0 or self.size_multiple < 1:
            raise InputError(
                f"Pixels of {self.spacing_mm} mm and size multiple {self.size_multiple} are not usable; positive sizes and a "
                "multiple of at least 1 are expected."
            )

    @property
    def window_hu(self) -> tuple[float, float] | None:
        """The HU that are told apart; None where the normalisation clips nothing or the values are not HU."""
        return self.normalisation.clip if self.intensities == "HU" else None

    @property
    def whole_hu(self) -> bool:
        """Whether resampled values are rounded to whole HU, as in what `unetseg prepare` stores."""
        return self.normalisation.name == "window" and self.intensities == "HU" and self.interpolation == "linear"

    @property
    def pixel_mm(self) -> float | None:
        """Size of a pixel; None where it is taken as it is, or rows and columns differ."""
        return self.spacing_mm[0] if self.spacing_mm and self.spacing_mm[0] == self.spacing_mm[1] else None

    def pixels_text(self) -> str:
        """Pixels in words, such as "1.5 mm pixels" or "pixels of 1 x 2 mm"."""
        if self.spacing_mm is None:
            return "pixels as they are"
        pixel_mm = self.pixel_mm
        return f"pixels of {sizes_text(self.spacing_mm, 'g')} mm" if pixel_mm is None else f"{pixel_mm:g} mm pixels"

    def slicing(self, geometry: Geometry) -> Slicing:
        """How a scan is cut into slices for the network."""
        if self.axis == STORED:
            return stored_slicing(geometry, self.stored_axes)
        return slicing_along(geometry, self.axis, self.orientation)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that fits `card.schema.json`."""
        return asdict(self) | {"normalisation": self.normalisation.to_json()}

    @property
    def is_of_training(self) -> bool:
        """Whether `unetseg train` prepares slices in this way: axial, square pixels, a window in HU that becomes -1..1."""
        sizes = (self.input_slices, self.slice_distance_mm, self.size_multiple)
        same = self == Preprocessing(self.spacing_mm, self.normalisation, *sizes)
        return same and self.pixel_mm is not None and self.normalisation == window(*self.normalisation.clip or (0, 1))

    def to_training_json(self) -> dict[str, Any]:
        """The choices of training alone, as preprocessed data sets and the states of runs store them.

        Raises:
            InputError: training does not prepare slices in that way.
        """
        if not self.is_of_training:
            raise InputError("Training takes axial slices, square pixels and a window in HU alone.")
        return {
            "spacing_mm": self.pixel_mm,
            "window_hu": self.normalisation.clip,
            "input_slices": self.input_slices,
            "slice_distance_mm": self.slice_distance_mm,
            "size_multiple": self.size_multiple,
            "axis": self.axis,
        }

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Preprocessing:
        """What `to_json` or `to_training_json` wrote; the latter is also that of cards of format 1."""
        values = dict(plain)
        if "window_hu" in values:
            values["normalisation"] = {"name": "window", "clip": values.pop("window_hu")}
        values["normalisation"] = Normalisation.from_json(values["normalisation"])
        if isinstance(values["spacing_mm"], (int, float)):
            values["spacing_mm"] = (values["spacing_mm"],) * 2
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values | lists)


def network_size(
    size: tuple[int, int], in_plane_mm: tuple[float, float], preprocessing: Preprocessing
) -> tuple[int, int]:
    """Rows and columns at the network's grid of a slice of `size` pixels of `in_plane_mm`."""
    wanted = preprocessing.spacing_mm or in_plane_mm
    axes = list(zip(size, in_plane_mm, wanted, strict=True))
    if preprocessing.interpolation == "cubic":  # as nnU-Net calculates it, to the last bit, which decides about halves
        rows, columns = (max(1, round(mm / to * n)) for n, mm, to in axes)
    else:
        rows, columns = (max(1, round(n * mm / to)) for n, mm, to in axes)
    return rows, columns


def network_slices(
    values: np.ndarray,
    in_plane_mm: tuple[float, float],
    preprocessing: Preprocessing,
    slice_mm: float | None = None,
) -> np.ndarray:
    """Clip slices as the normalisation says and resample them in-plane.

    Args:
        values: (slices, rows, columns), any strides.
        in_plane_mm: size of a pixel, between rows and between columns.
        preprocessing: clip, pixel size and interpolation.
        slice_mm: distance of two slices, which cubic interpolation asks (see `spline.slices_are_far_apart`).

    Returns:
        (slices, network rows, network columns): int16 if the values are whole HU, else float32.
    """
    size = network_size((values.shape[1], values.shape[2]), in_plane_mm, preprocessing)
    result = np.empty((values.shape[0], *size), dtype=np.int16 if preprocessing.whole_hu else np.float32)
    limits = _cubic_limits(values, in_plane_mm, preprocessing, slice_mm)
    for start in range(0, values.shape[0], RESAMPLING_BATCH):
        batch = preprocessing.normalisation.clipped(values[start : start + RESAMPLING_BATCH])
        if size != batch.shape[1:]:
            cubic = preprocessing.interpolation == "cubic"
            batch = resample_cubic(batch, size, limits) if cubic else _resampled(batch, size)
        result[start : start + RESAMPLING_BATCH] = np.rint(batch) if preprocessing.whole_hu else batch
    return result


def _cubic_limits(
    values: np.ndarray, in_plane_mm: tuple[float, float], preprocessing: Preprocessing, slice_mm: float | None
) -> tuple[float, float] | None:
    """The scan's smallest and largest value where these bound what a spline overshoots to; None for each slice's own."""
    if preprocessing.interpolation != "cubic" or slice_mm is None or preprocessing.spacing_mm is None:
        return None
    if slices_are_far_apart((slice_mm, *in_plane_mm), (slice_mm, *preprocessing.spacing_mm)):
        return None
    low, high = preprocessing.normalisation.clipped(np.array([values.min(), values.max()]))
    return float(low), float(high)


def _resampled(slices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Slices (slices, rows, columns) at the size of the network's grid, float32, bilinear."""
    import torch
    from torch.nn import functional

    batch = torch.from_numpy(np.ascontiguousarray(slices, dtype=np.float32))[:, None]
    shrinks = size[0] < batch.shape[2] or size[1] < batch.shape[3]
    return functional.interpolate(batch, size, mode="bilinear", align_corners=False, antialias=shrinks)[:, 0].numpy()


def network_labels(labels: np.ndarray, in_plane_mm: tuple[float, float], preprocessing: Preprocessing) -> np.ndarray:
    """Resample axial label slices to the network's grid: each class linearly, then the largest fraction wins.

    Args:
        labels: (slices, rows, columns) class indices.
        in_plane_mm: size of a pixel, between rows and between columns.
        preprocessing: pixel size of the network.

    Returns:
        uint8 (slices, network rows, network columns).
    """
    import torch
    from torch.nn import functional

    size = network_size((labels.shape[1], labels.shape[2]), in_plane_mm, preprocessing)
    if size == labels.shape[1:]:
        return np.ascontiguousarray(labels, dtype=np.uint8)
    result = np.empty((labels.shape[0], *size), dtype=np.uint8)
    shrinks = size[0] < labels.shape[1] or size[1] < labels.shape[2]
    for start in range(0, labels.shape[0], RESAMPLING_BATCH):
        batch = torch.from_numpy(np.ascontiguousarray(labels[start : start + RESAMPLING_BATCH], dtype=np.uint8))
        largest = torch.zeros(len(batch), *size)
        winner = torch.zeros(len(batch), *size, dtype=torch.uint8)
        for value in batch.unique().tolist():  # one class at a time: of a hundred, a few are in these slices
            fraction = (batch == value).float()[:, None]
            fraction = functional.interpolate(fraction, size, mode="bilinear", align_corners=False, antialias=shrinks)[
                :, 0
            ]
            winner[fraction > largest] = value
            largest = torch.maximum(largest, fraction)
        result[start : start + RESAMPLING_BATCH] = winner.numpy()
    return result


def neighbour_step(slice_spacing_mm: float, preprocessing: Preprocessing) -> int:
    """Slices of the scan from one input slice to the next, at least 1, so that they are about `slice_distance_mm` apart."""
    distance_mm = preprocessing.slice_distance_mm
    return 1 if distance_mm is None else max(1, round(distance_mm / slice_spacing_mm))


def neighbour_offsets(input_slices: int, step: int) -> list[int]:
    """Slice offsets of the network's input channels, such as [-3, 0, 3]; the middle one is the slice itself."""
    reach = input_slices // 2
    return [step * offset for offset in range(-reach, reach + 1)]


def stack_slices(values: Tensor, centres: Tensor, offsets: list[int], affine: Affine) -> Tensor:
    """Network input for the slices `centres` of one scan.

    Args:
        values: (slices, rows, columns) at the network's grid, clipped; beyond the ends the last slice is repeated.
        centres: slice numbers (B,).
        offsets: see `neighbour_offsets`.
        affine: the linear part of the normalisation.

    Returns:
        float32 (B, len(offsets), rows, columns).
    """
    index = (centres[:, None] + centres.new_tensor(offsets)).clamp(0, values.shape[0] - 1)
    return affine(values[index], index)


def pad_to_multiple(slices: Tensor, multiple: int) -> Tensor:
    """Pad rows and columns at their end to multiples of `multiple` with the window's lower end (air)."""
    from torch.nn import functional

    rows, columns = (-slices.shape[-2]) % multiple, (-slices.shape[-1]) % multiple
    return functional.pad(slices, (0, columns, 0, rows), value=-1.0) if rows or columns else slices
