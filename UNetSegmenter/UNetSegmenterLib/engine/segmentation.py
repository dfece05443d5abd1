"""A segmentation: which voxels belong to which structure, read from and written to the files people have.

`.seg.nrrd` carries what 3D Slicer's segmentation node holds (names, colours, terminology); label maps carry values that
somebody has to declare; a folder with one binary file a structure carries names as file names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .errors import InputError
from .files import write_whole
from .label_values import IMAGE_ENDINGS, MOST_STRUCTURES, as_labels, file_stem, to_indices, undeclared_structures
from .matching import match_structures
from .structures import Structure, Terminology, known_structure
from .volume import Geometry, read_image, write_image

__all__ = [
    "IMAGE_ENDINGS", "MOST_STRUCTURES", "Segmentation", "file_stem", "read_segmentation", "resample", "resample_labels",
    "write_labelmap", "write_seg_nrrd",
]  # fmt: skip

SOURCE_VALUES_TAG = "UNetSegmenter.SourceValues"
CONFIDENCE_TAG = "UNetSegmenter.Confidence"
_UNSPECIFIED = "85756007"  # SNOMED CT "Tissue": what Slicer writes for a segment whose terminology nobody chose


@dataclass(frozen=True)
class Segmentation:
    """Labels `(slices, rows, columns)` uint8 with 0 = background and value = `Structure.index`, and their geometry.

    Where structures overlap, `labels` shows the later one; `overlaps` keeps, by structure index, the flat voxel indices
    that lie under another one. `mask` gives the whole structure. `confidence` is how sure the network was along each
    outline when it drew it (mean largest probability, 0 to 1, by structure index), as far as a network did.
    """

    labels: np.ndarray
    geometry: Geometry
    structures: tuple[Structure, ...]
    name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    overlaps: Mapping[int, np.ndarray] = field(default_factory=dict)
    confidence: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels.shape != self.geometry.shape:
            raise InputError(f"{self.name}: labels of {self.labels.shape} on a grid of {self.geometry.shape}.")

    def mask(self, index: int) -> np.ndarray:
        """Boolean array of all voxels of the structure with this index, those under another structure included."""
        mask = self.labels == index
        if index in self.overlaps:
            mask.reshape(-1)[self.overlaps[index]] = True
        return mask

    def overlap_ml(self) -> float:
        """Volume that more than one structure claims, in ml."""
        if not self.overlaps:
            return 0.0
        return len(np.unique(np.concatenate(list(self.overlaps.values())))) * self.geometry.voxel_ml


def read_segmentation(
    path: Path | str,
    structures: Sequence[Structure] | None = None,
    only_declared: bool = False,
    named_ones: bool = False,
) -> Segmentation:
    """Read a `.seg.nrrd`, a label map, or a folder with one binary file a structure.

    `structures` declares the values of a label map; without it each value becomes a structure of its own ("label 3"),
    or the structure that the file is named after if it holds one value. Slicer's files and folders bring names: a
    declared structure that is found there by terminology or name gets its declared index, name and values, others get
    the indices after those, or are refused with `only_declared`. With `named_ones` so does a label map of ones whose file
    is named after a declared structure: "liver.nii.gz" is the liver, whatever value 1 is declared to mean. Raises
    InputError for what is none of these, and for label values that `structures` doesn't declare.
    """
    path = Path(path)
    header = None if path.is_dir() else _slicer_header(path)
    if path.is_dir() or header is not None:
        named = _read_folder(path) if header is None else _read_slicer(path, header)
        return named if structures is None else _as_declared(named, structures, path if only_declared else None)
    array, geometry = read_image(path)
    labels = as_labels(array, path)
    values, counts = np.unique(labels, return_counts=True)
    found = {int(value): int(count) for value, count in zip(values, counts, strict=True) if value}
    if named_ones and structures is not None and set(found) == {1}:
        (own,) = undeclared_structures(path, found)
        if match_structures([replace(own, values=())], structures).pairs:
            ones = Segmentation(to_indices(labels, found, [own], path), geometry, (own,), file_stem(path))
            return _as_declared(ones, structures, None)
    if structures is None:
        structures = undeclared_structures(path, found)
    return Segmentation(to_indices(labels, found, structures, path), geometry, tuple(structures), file_stem(path))


def _as_declared(segmentation: Segmentation, declared: Sequence[Structure], strict: Path | None) -> Segmentation:
    """The same voxels under the indices of `declared`; with `strict` naming the source, others are refused."""
    nameless = [
        replace(structure, values=()) for structure in segmentation.structures
    ]  # their values mean nothing here
    matching = match_structures(nameless, declared)
    new = {pair.prediction.index: pair.reference for pair in matching.pairs}
    others = [structure for structure in segmentation.structures if structure.index not in new]
    if others and strict is not None:
        raise InputError(
            f"{strict} holds structures that nobody declares: {', '.join(other.name for other in others)}; declared are "
            f"{', '.join(structure.name for structure in declared)}: declare them or remove them."
        )
    after = max((structure.index for structure in declared), default=0)
    if after + len(others) > MOST_STRUCTURES:
        raise InputError(
            f"{segmentation.name} has {after + len(others)} structures; at most {MOST_STRUCTURES} are expected."
        )
    new |= {other.index: replace(other, index=after + place) for place, other in enumerate(others, start=1)}
    table = np.zeros(256, dtype=np.uint8)
    for index, structure in new.items():
        table[index] = structure.index
    return replace(
        segmentation,
        labels=table[segmentation.labels],
        structures=tuple(sorted(new.values(), key=lambda structure: structure.index)),
        overlaps={new[index].index: places for index, places in segmentation.overlaps.items()},
        confidence={new[index].index: value for index, value in segmentation.confidence.items()},
    )


def _read_folder(folder: Path) -> Segmentation:
    files = sorted(file for file in folder.iterdir() if file.name.lower().endswith(IMAGE_ENDINGS))
    if not files:
        raise InputError(
            f"{folder} holds no image file; one binary file a structure is expected, such as liver.nii.gz."
        )
    if len(files) > MOST_STRUCTURES:
        raise InputError(f"{folder} holds {len(files)} images; at most {MOST_STRUCTURES} structures are expected.")
    geometry, structures, masks = None, [], []
    for index, file in enumerate(files, start=1):
        array, own = read_image(file)
        if geometry is not None and not own.is_close(geometry):
            raise InputError(
                f"{file} has another grid ({_grid(own)}) than {files[0].name} ({_grid(geometry)}); all files of a "
                "folder must share one."
            )
        geometry = geometry or own
        values = np.unique(array)
        values = values[values != 0]
        if len(values) > 1:
            raise InputError(
                f"{file} holds {len(values)} values besides 0; one binary file a structure is expected, so give the "
                "label map itself instead of its folder."
            )
        value = int(values[0]) if len(values) else 1
        structures.append(known_structure(file_stem(file), index, (value,)))
        masks.append(array != 0)
    assert geometry is not None
    labels, overlaps = _paint(geometry.shape, masks)
    # Every file has the value 1, which tells nothing apart: the position in the folder does.
    structures = [replace(structure, values=(structure.index,)) for structure in structures]
    return Segmentation(labels, geometry, tuple(structures), folder.name, {}, overlaps)


def _paint(shape: tuple[int, ...], masks: Sequence[np.ndarray]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Labels with mask n as n + 1, later over earlier, and what each structure has under others."""
    labels = np.zeros(shape, dtype=np.uint8)
    for index, mask in enumerate(masks, start=1):
        labels[mask] = index
    hidden = ((i, np.flatnonzero(mask & (labels != i))) for i, mask in enumerate(masks, start=1))
    return labels, {index: places for index, places in hidden if places.size}


def _grid(geometry: Geometry) -> str:
    size = " x ".join(str(n) for n in geometry.shape[::-1])
    return f"{size} voxels of {' x '.join(f'{mm:.3g}' for mm in geometry.spacing_mm[::-1])} mm"


# --- 3D Slicer's .seg.nrrd -------------------------------------------------------------------------------------------


def _slicer_header(path: Path) -> dict[str, str] | None:
    """Header entries of a file written by Slicer's segmentation node, None for any other file."""
    if not path.name.lower().endswith((".nrrd", ".nhdr")) or not path.is_file():
        return None
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None  # read_image says what is wrong with it
    header = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    slicers = any(re.fullmatch(r"Segment\d+_ID|Segmentation_\w+", key) for key in header)
    return header if slicers or path.name.lower().endswith(".seg.nrrd") else None


def _read_slicer(path: Path, header: Mapping[str, str]) -> Segmentation:
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path} is damaged: its header reads but its voxels do not; save it again in Slicer."
        ) from error
    if image.GetDimension() != 3:
        raise InputError(f"{path} has {image.GetDimension()} dimensions; a segmentation of one 3D scan is expected.")
    array = sitk.GetArrayFromImage(image)
    layers = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    count = sum(re.fullmatch(r"Segment\d+_ID", key) is not None for key in header)
    if count > MOST_STRUCTURES:
        raise InputError(f"{path} holds {count} segments; at most {MOST_STRUCTURES} are expected.")
    structures, sources, confidence = [], [], {}
    for index in range(1, count + 1):
        entry = {key.split("_", 1)[1]: value for key, value in header.items() if key.startswith(f"Segment{index - 1}_")}
        layer, value = _source(entry, len(layers), path)
        tags = dict(tag.split(":", 1) for tag in entry.get("Tags", "").split("|") if ":" in tag)
        structures.append(_structure(entry, tags, index, value))
        sources.append((layer, value))
        if (sure := confidence_from_tag(tags.get(CONFIDENCE_TAG, ""))) is not None:
            confidence[index] = sure
    labels, overlaps = _paint_layers(as_labels(layers, path), sources)
    attributes = {key: value for key, value in header.items() if not re.match(r"(Segment\d*(ation)?|ITK|NRRD)_", key)}
    geometry = Geometry.from_sitk(image)
    return Segmentation(labels, geometry, tuple(structures), file_stem(path), attributes, overlaps, confidence)


def _source(entry: Mapping[str, str], layers: int, path: Path) -> tuple[int, int]:
    """Layer and label value of a segment."""
    try:
        layer, value = int(entry.get("Layer", 0)), int(entry.get("LabelValue", 1))
    except ValueError:
        layer = value = -1
    if not 0 <= layer < layers or value < 0:
        raise InputError(
            f"{path}: segment {entry.get('Name')} is said to have the value {entry.get('LabelValue')} in layer "
            f"{entry.get('Layer')}, but the file has {layers} layer(s) of whole numbers; save it again in Slicer."
        )
    return layer, value


def confidence_from_tag(text: str) -> float | None:
    """What the segment tag `CONFIDENCE_TAG` holds, or None where that is no number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _paint_layers(layers: np.ndarray, sources: Sequence[tuple[int, int]]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Labels from Slicer's layers, where segment n is all of `sources[n - 1]` = (layer, label value)."""
    if len(layers) > 1:
        return _paint(layers.shape[1:], [layers[layer] == value for layer, value in sources])
    table = np.zeros(int(layers.max(initial=0)) + 1, dtype=np.uint8)
    for index, (_, value) in enumerate(sources, start=1):
        if 0 <= value < len(table):
            table[value] = index
    return table[layers[0]], {}


def _structure(entry: Mapping[str, str], tags: Mapping[str, str], index: int, value: int) -> Structure:
    name = entry.get("Name") or entry.get("ID") or f"label {value}"
    try:
        color = tuple(round(255 * float(part)) for part in entry["Color"].split())
    except (KeyError, ValueError):
        color = known_structure(name, index, (value,)).color
    stored = tags.get(SOURCE_VALUES_TAG, "")
    values = tuple(int(part) for part in stored.split(",")) if re.fullmatch(r"\d+(,\d+)*", stored) else (value,)
    terminology = Terminology.from_entry(tags.get("TerminologyEntry", ""))
    if terminology is not None and terminology.type.value == _UNSPECIFIED:
        terminology = None
    return Structure(name, index, values, color, terminology)  # type: ignore[arg-type]


def write_seg_nrrd(segmentation: Segmentation, path: Path | str) -> None:
    """Write a file that Slicer opens as a segmentation, with names, colours, terminology and reference geometry.

    Structures that overlap are written in layers of their own. Raises InputError if the file can't be written.
    """
    import SimpleITK as sitk

    layers, places = _layers(segmentation)
    metadata = dict(segmentation.attributes)
    metadata |= {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
        "Segmentation_ConversionParameters": _reference_geometry(segmentation.geometry),
    }
    extent = " ".join(f"0 {size - 1}" for size in segmentation.geometry.shape[::-1])
    for number, structure in enumerate(segmentation.structures):
        layer, value = places[structure.index]
        tags = f"{SOURCE_VALUES_TAG}:{','.join(map(str, structure.values))}|"
        if structure.terminology is not None:
            tags += f"TerminologyEntry:{structure.terminology.entry()}|"
        if structure.index in segmentation.confidence:
            tags += f"{CONFIDENCE_TAG}:{segmentation.confidence[structure.index]:.4f}|"
        fields = {
            "ID": f"Segment_{structure.index}",
            "Name": structure.name,
            "NameAutoGenerated": "0",
            "Color": " ".join(f"{channel / 255:.6g}" for channel in structure.color),
            "ColorAutoGenerated": "0",
            "Extent": extent,
            "LabelValue": str(value),
            "Layer": str(layer),
            "Tags": tags,
        }
        metadata |= {f"Segment{number}_{key}": text for key, text in fields.items()}
    if len(layers) == 1:
        write_image(layers[0], segmentation.geometry, path, metadata)
        return
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.stack(layers, axis=-1)), isVector=True)
    segmentation.geometry.stamp(image)
    for key, text in metadata.items():
        image.SetMetaData(key, text)
    write_whole(path, lambda partial: sitk.WriteImage(image, str(partial), useCompression=True))


def _layers(segmentation: Segmentation) -> tuple[list[np.ndarray], dict[int, tuple[int, int]]]:
    """Label arrays without overlap, and (layer, value) of each structure index."""
    places = {structure.index: (0, structure.index) for structure in segmentation.structures}
    if not segmentation.overlaps:
        return [segmentation.labels], places
    layers = [
        np.where(np.isin(segmentation.labels, list(segmentation.overlaps)), 0, segmentation.labels).astype(np.uint8)
    ]
    for index in sorted(segmentation.overlaps):
        places[index] = (len(layers), 1)
        layers.append(segmentation.mask(index).astype(np.uint8))
    return layers, places


def _reference_geometry(geometry: Geometry) -> str:
    """Slicer's conversion parameter for the grid, as it serialises it: image to world in RAS, then the extent."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.affine_lps()
    extent = [bound for size in geometry.shape[::-1] for bound in (0, size - 1)]
    text = "".join(f"{value:.17g};" for value in ras.flatten()) + "".join(f"{bound};" for bound in extent)
    return f"Reference image geometry|{text}|Image geometry description string.&"


def write_labelmap(segmentation: Segmentation, path: Path | str) -> None:
    """Write one label map (NIfTI by its ending) whose values are the first source value of each structure.

    Where structures overlap, the later one is written. Raises InputError if the file can't be written.
    """
    values = [structure.values[0] for structure in segmentation.structures]
    table = np.zeros(256, dtype=np.uint8 if max(values, default=0) <= 255 else np.uint16)
    for structure in segmentation.structures:
        table[structure.index] = structure.values[0]
    write_image(table[segmentation.labels], segmentation.geometry, path)


# --- other grids -----------------------------------------------------------------------------------------------------


def resample_labels(labels: np.ndarray, geometry: Geometry, target: Geometry) -> np.ndarray:
    """Labels on the grid `target`, each voxel taken from the nearest one of `geometry`, 0 outside; uint8."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(labels, dtype=np.uint8))
    geometry.stamp(image)
    grid = sitk.ResampleImageFilter()
    grid.SetSize([int(size) for size in target.shape[::-1]])
    z, y, x = target.spacing_mm
    grid.SetOutputSpacing((x, y, z))
    grid.SetOutputOrigin(target.origin_lps)
    grid.SetOutputDirection([value for row in target.direction for value in row])
    grid.SetInterpolator(sitk.sitkNearestNeighbor)
    grid.SetDefaultPixelValue(0)
    return sitk.GetArrayFromImage(grid.Execute(image))


def resample(segmentation: Segmentation, target: Geometry) -> Segmentation:
    """The same segmentation on another grid, nearest neighbour, overlaps included."""
    labels = resample_labels(segmentation.labels, segmentation.geometry, target)
    overlaps = {}
    for index in segmentation.overlaps:
        mask = resample_labels(segmentation.mask(index), segmentation.geometry, target).astype(bool)
        overlaps[index] = np.flatnonzero(mask & (labels != index))
    return replace(segmentation, labels=labels, geometry=target, overlaps=overlaps)
