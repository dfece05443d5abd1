"""Slicer's `.seg.nrrd` files: segments with names, colours and terminology, and their reference geometry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..counting import counted
from ..errors import InputError
from ..io.file_names import file_stem
from ..io.image_header import quoted
from ..io.image_reading import log_notes, read_image_file, read_image_header
from ..io.image_writing import write_image
from ..io.slicing_axis import AXIAL, slicing_axis
from .label_values import LARGEST_VALUE, MAX_STRUCTURES, as_labels
from .postprocessing_change import POSTPROCESSING_TAG, PostprocessingChange
from .seg_nrrd_grid import reference_geometry, reference_geometry_text, uncropped
from .segmentation import Segmentation, paint
from .structures import Structure, known_structure
from .terminology import TISSUE, Terminology

SOURCE_VALUES_TAG = "UNetSegmenter.SourceValues"
CONFIDENCE_TAG = "UNetSegmenter.Confidence"
SLICING_AXIS_TAG = "UNetSegmenter.SlicingAxis"
"""Name of the attribute with the slicing axis of the network, unless it is axial; also a tag of each segment, because Slicer
keeps the tags of a file that it opens and saves, but not its attributes."""


def seg_nrrd_header(path: Path) -> dict[str, str] | None:
    """Header entries of a file written by Slicer's segmentation node, None for any other file."""
    if not path.name.lower().endswith((".nrrd", ".nhdr")) or not path.is_file():
        return None
    try:
        header = read_image_header(path).fields
    except InputError:
        return None  # read_image will raise the error
    slicers = any(re.fullmatch(r"Segment\d+_ID|Segmentation_\w+", key) for key in header)
    return header if slicers or path.name.lower().endswith(".seg.nrrd") else None


def read_seg_nrrd(path: Path, header: Mapping[str, str], resample: bool = False) -> Segmentation:
    """The segments of a file, on the grid that they were drawn on; raises InputError for a file that contradicts itself."""
    image = read_image_file(path, resample, labels=True)
    log_notes(path, image.notes)
    layers = as_labels(np.moveaxis(image.array, -1, 0) if image.array.ndim == 4 else image.array[None], path)
    entries = _entries(header, layers, path)
    sources = _sources(entries, len(layers), path)
    structures, confidence, changes, axis = [], {}, {}, header.get(SLICING_AXIS_TAG, AXIAL)
    values = _distinct([value for _, value in sources])
    for index, (entry, value) in enumerate(zip(entries, values, strict=True), start=1):
        tags = dict(tag.split(":", 1) for tag in entry.get("Tags", "").split("|") if ":" in tag)
        structures.append(_structure(entry, tags, index, value))
        if (found := confidence_from_tag(tags.get(CONFIDENCE_TAG, ""))) is not None:
            confidence[index] = found
        if (change := PostprocessingChange.from_tag(tags.get(POSTPROCESSING_TAG, ""))) is not None:
            changes[index] = change
        axis = tags.get(SLICING_AXIS_TAG, axis)
    labels, overlaps = _paint_layers(layers, sources)
    notes = _unassigned_voxels(layers, sources, path)
    known = labels.size > 1 or bool(labels.any()) or reference_geometry(header) is not None
    labels, overlaps, geometry, grid_notes = uncropped(labels, overlaps, image.geometry, header, path)
    not_attributes = rf"(Segment\d*(ation)?|ITK|NRRD)_|{re.escape(SLICING_AXIS_TAG)}$"
    attributes = {key: value for key, value in header.items() if not re.match(not_attributes, key)}
    return Segmentation(
        labels,
        geometry,
        tuple(structures),
        file_stem(path),
        attributes=attributes,
        overlaps=overlaps,
        confidence=confidence,
        postprocessing=changes,
        notes=notes + grid_notes,
        grid_is_known=known,
        slicing_axis=slicing_axis(axis).name,
    )


def _entries(header: Mapping[str, str], layers: np.ndarray, path: Path) -> list[dict[str, str]]:
    """The header's fields of each segment, in the order of the segments' numbers, which may have gaps.

    A file without segments has one for each value, as in Slicer.
    """
    entries: dict[int, dict[str, str]] = {}
    for key, text in header.items():
        if found := re.fullmatch(r"Segment(\d{1,9})_(\w+)", key):
            entries.setdefault(int(found[1]), {})[found[2]] = text
    named = [entries[number] for number in sorted(entries) if {"ID", "Name"} & set(entries[number])]
    if not named:
        named = [
            {"Name": f"Segment_{value}", "LabelValue": str(value), "Layer": str(layer)}
            for layer, array in enumerate(layers)
            for value in np.unique(array)
            if value
        ]
    if len(named) > MAX_STRUCTURES:
        raise InputError(f"{path} holds {len(named)} segments; at most {MAX_STRUCTURES} are expected.")
    return named


def _sources(entries: Sequence[Mapping[str, str]], layers: int, path: Path) -> list[tuple[int, int]]:
    """Layer and label value of each segment; without layers in the header each has its own, as in files of Slicer 4.10."""
    unnamed = layers > 1 and not any("Layer" in entry for entry in entries)
    sources = [_source(entry, number if unnamed else 0, layers, path) for number, entry in enumerate(entries)]
    for number, source in enumerate(sources):
        if source[1] and source in sources[:number]:
            names = (quoted(str(entries[other].get("Name"))) for other in (sources.index(source), number))
            raise InputError(
                f"{path}: the segments {' and '.join(names)} both have the value {source[1]} in layer "
                f"{source[0]}, so their voxels can't be distinguished; save it again in Slicer."
            )
    return sources


def _source(entry: Mapping[str, str], own_layer: int, layers: int, path: Path) -> tuple[int, int]:
    try:
        layer, value = int(entry.get("Layer", own_layer)), int(entry.get("LabelValue", 1))
    except ValueError:
        layer = value = -1
    if not 0 <= layer < layers or not 1 <= value <= LARGEST_VALUE:
        shown = (entry.get("Name"), entry.get("LabelValue", 1), entry.get("Layer", own_layer))
        name, value_text, layer_text = (quoted(str(part)) for part in shown)
        raise InputError(
            f"{path}: segment {name} has the value {value_text} in layer {layer_text}, but the file "
            f"has {counted(layers, 'layer')} of whole numbers up to {LARGEST_VALUE}; save it again in Slicer."
        )
    return layer, 0 if _is_empty(entry.get("Extent", "")) else value


def _is_empty(extent: str) -> bool:
    """Whether the extent of a segment is empty, such as "0 -1 0 -1 0 -1"."""
    bounds = extent.split()
    is_extent = len(bounds) == 6 and all(re.fullmatch(r"-?\d{1,18}", bound) for bound in bounds)
    return is_extent and any(int(high) < int(low) for low, high in zip(bounds[::2], bounds[1::2], strict=True))


def _distinct(values: Sequence[int]) -> list[int]:
    """The label values, with a new value for each that repeats: every layer counts from 1, but a label map has one layer."""
    distinct: list[int] = []
    for value in values:
        taken = value in distinct or not value
        new = max([*values, *distinct]) + 1
        if taken and new > LARGEST_VALUE:
            new = next(number for number in range(1, LARGEST_VALUE) if number not in (*values, *distinct))
        distinct.append(new if taken else value)
    return distinct


def _unassigned_voxels(layers: np.ndarray, sources: Sequence[tuple[int, int]], path: Path) -> tuple[str, ...]:
    """A note on voxels with a value that belongs to no segment."""
    left_out = 0
    for number, layer in enumerate(layers):
        named = np.zeros(65536, dtype=bool)
        named[[0, *(value for layer_number, value in sources if layer_number == number and value < 65536)]] = True
        left_out += int(np.count_nonzero(~named[layer]))
    if not left_out:
        return ()
    return (f"{left_out} voxels of {path.name} have a value that belongs to no segment; they were left out.",)


def confidence_from_tag(text: str) -> float | None:
    """The number of the segment tag `CONFIDENCE_TAG`, None if it is no number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _paint_layers(layers: np.ndarray, sources: Sequence[tuple[int, int]]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Labels from Slicer's layers, where segment n is all of `sources[n - 1]` = (layer, label value); value 0 is nothing."""
    if len(layers) > 1:
        return paint(layers.shape[1:], [(layers[layer] == value) & (value > 0) for layer, value in sources])
    table = np.zeros(int(layers.max(initial=0)) + 1, dtype=np.uint8)
    for index, (_, value) in enumerate(sources, start=1):
        if 0 < value < len(table):
            table[value] = index
    return table[layers[0]], {}


def _structure(entry: Mapping[str, str], tags: Mapping[str, str], index: int, value: int) -> Structure:
    name = entry.get("Name") or entry.get("ID") or f"label {value}"
    try:
        red, green, blue = (round(255 * min(1.0, max(0.0, float(part)))) for part in entry["Color"].split())
        color = (red, green, blue)
    except (KeyError, ValueError):
        color = known_structure(name, index, (value,)).color
    stored = tags.get(SOURCE_VALUES_TAG, "")
    values = tuple(int(part) for part in stored.split(",")) if re.fullmatch(r"\d{1,5}(,\d{1,5})*", stored) else (value,)
    if not all(1 <= one <= LARGEST_VALUE for one in values):
        values = (value,)
    terminology = Terminology.from_entry(tags.get("TerminologyEntry", ""))
    if terminology is not None and terminology.type.value == TISSUE.value:
        terminology = None
    return Structure(name, index, values, color, terminology)


def write_seg_nrrd(segmentation: Segmentation, path: Path | str) -> None:
    """Write a file that Slicer opens as a segmentation, with names, colours, terminology and reference geometry.

    Structures that overlap are written in layers of their own. Raises InputError if the file can't be written.
    """
    layers, layer_values = _layers(segmentation)
    axis = slicing_axis(segmentation.slicing_axis)
    metadata = dict(segmentation.attributes) | ({} if axis.name == AXIAL else {SLICING_AXIS_TAG: axis.name})
    metadata |= {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
        "Segmentation_ConversionParameters": reference_geometry_text(segmentation.geometry),
    }
    extent = " ".join(f"0 {size - 1}" for size in segmentation.geometry.shape[::-1])
    for number, structure in enumerate(segmentation.structures):
        layer, value = layer_values[structure.index]
        tags = f"{SOURCE_VALUES_TAG}:{','.join(map(str, structure.values))}|"
        if structure.terminology is not None:
            tags += f"TerminologyEntry:{structure.terminology.entry()}|"
        if structure.index in segmentation.confidence:
            tags += f"{CONFIDENCE_TAG}:{segmentation.confidence[structure.index]:.4f}|"
        if structure.index in segmentation.postprocessing:
            tags += f"{POSTPROCESSING_TAG}:{segmentation.postprocessing[structure.index].tag}|"
        if axis.name != AXIAL:
            tags += f"{SLICING_AXIS_TAG}:{axis.name}|"
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
    write_image(layers[0] if len(layers) == 1 else np.stack(layers, axis=-1), segmentation.geometry, path, metadata)


def _layers(segmentation: Segmentation) -> tuple[list[np.ndarray], dict[int, tuple[int, int]]]:
    """Label arrays without overlap, and (layer, value) of each structure index."""
    layer_values = {structure.index: (0, structure.index) for structure in segmentation.structures}
    if not segmentation.overlaps:
        return [segmentation.labels], layer_values
    layers = [
        np.where(np.isin(segmentation.labels, list(segmentation.overlaps)), 0, segmentation.labels).astype(np.uint8)
    ]
    for index in sorted(segmentation.overlaps):
        layer_values[index] = (len(layers), 1)
        layers.append(segmentation.mask(index).astype(np.uint8))
    return layers, layer_values
