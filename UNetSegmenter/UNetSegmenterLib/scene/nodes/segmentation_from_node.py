"""Segmentation and label map nodes as the engine's segmentation, on any grid and from under any transform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import slicer
import vtk

from ...engine.errors import InputError
from ...engine.io.geometry import Geometry
from ...engine.io.slicing_axis import AXIAL, slicing_axis
from ...engine.labels.label_values import MAX_STRUCTURES, as_labels, undeclared_structures
from ...engine.labels.postprocessing_change import POSTPROCESSING_TAG, PostprocessingChange
from ...engine.labels.seg_nrrd import CONFIDENCE_TAG, SLICING_AXIS_TAG, SOURCE_VALUES_TAG, confidence_from_tag
from ...engine.labels.segmentation import Segmentation
from ...engine.labels.structures import Structure, known_structure
from ...engine.labels.terminology import Terminology
from .node_attributes import ATTRIBUTE_PREFIX, module_attributes
from .node_grids import (
    REFERENCE_GEOMETRY,
    ReferenceGrid,
    image_geometry,
    labels_on_grid,
    reference_text,
    target_grid,
    transform_between,
    volume_geometry,
)
from .surfaces import BINARY_LABELMAP
from .volume_nodes import voxels

_UNSPECIFIED = "85756007"  # SNOMED CT "Tissue": what Slicer writes for a segment without a chosen terminology
_SLICING_AXIS = SLICING_AXIS_TAG.removeprefix(ATTRIBUTE_PREFIX)
_Layer = tuple[np.ndarray, Geometry]


def segmentation_from_node(
    node: slicer.vtkMRMLNode, reference: ReferenceGrid = None, structures: Sequence[Structure] | None = None
) -> Segmentation:
    """A segmentation node or a label map volume node as labels on the grid of `reference`.

    Parent transforms on both sides are applied, warping ones too. Voxels of the same grid are copied, those of another
    are resampled with nearest neighbour. The node is not changed.

    Args:
        node: Segmentation node or label map volume node.
        reference: A volume node (its parent transform counts), a geometry in world coordinates, a geometry with the
            transform node it is under, or None for the node's own grid.
        structures: Declares the values of a label map; None takes them from the node's own colour table, else from the
            values.

    Raises:
        InputError: for a node that is neither, for more than 255 structures, and for values that are not declared.
    """
    if node.IsA("vtkMRMLSegmentationNode"):
        found, layers = _from_segments(node, reference)
    elif node.IsA("vtkMRMLScalarVolumeNode"):
        found, layers = _from_label_map(node, structures)
    else:
        raise InputError(
            f'"{node.GetName()}" is a {node.GetNodeTagName()} node; a segmentation or a label map volume is expected.'
        )
    own = layers[0][1] if layers and reference is None else None
    grid, target = target_grid(node, reference, own)
    to_source = transform_between(target, node.GetParentTransformNode())
    labels = np.zeros(grid.shape, dtype=np.uint8)
    hidden: dict[int, list[np.ndarray]] = {}
    for number, (layer_labels, geometry) in enumerate(layers):
        resampled = labels_on_grid(layer_labels, geometry, grid, to_source)
        if number == 0:
            labels = resampled
        else:
            _paint(labels, resampled, hidden)
    overlaps = {index: np.unique(np.concatenate(covered)) for index, covered in hidden.items()}
    return Segmentation(
        labels,
        grid,
        tuple(found),
        node.GetName(),
        attributes={key: text for key, text in module_attributes(node).items() if key != _SLICING_AXIS},
        overlaps=overlaps,
        confidence=_confidence(node),
        postprocessing=_postprocessing(node),
        slicing_axis=slicing_axis_of(node),
    )


def slicing_axis_of(node: slicer.vtkMRMLNode) -> str:
    """The slicing axis of the network that drew a segmentation: an attribute of the node, or a tag that came with its file."""
    stored = node.GetAttribute(SLICING_AXIS_TAG) or next(filter(None, _tags(node, SLICING_AXIS_TAG)), AXIAL)
    return slicing_axis(stored).name


def _confidence(node: slicer.vtkMRMLNode) -> dict[int, float]:
    """The network's confidence along each segment's outline when it drew it, by index, for segments that have it as a tag."""
    found = ((index, confidence_from_tag(tag)) for index, tag in enumerate(_tags(node, CONFIDENCE_TAG), start=1))
    return {index: value for index, value in found if value is not None}


def _postprocessing(node: slicer.vtkMRMLNode) -> dict[int, PostprocessingChange]:
    """What postprocessing changed of each segment, by index, for segments that have it as a tag."""
    tags = enumerate(_tags(node, POSTPROCESSING_TAG), start=1)
    return {index: change for index, tag in tags if (change := PostprocessingChange.from_tag(tag)) is not None}


def _tags(node: slicer.vtkMRMLNode, name: str) -> list[str]:
    """A tag of each segment, empty where it has none; no tags for a node that is no segmentation."""
    segments = node.GetSegmentation() if node.IsA("vtkMRMLSegmentationNode") else None
    return [_tag(segments.GetNthSegment(i), name) for i in range(segments.GetNumberOfSegments())] if segments else []


def has_grid(node: slicer.vtkMRMLNode) -> bool:
    """Whether a node has a grid; empty segments without a reference geometry have none."""
    if not node.IsA("vtkMRMLSegmentationNode"):
        return True
    segments = node.GetSegmentation()
    if not segments.ContainsRepresentation(BINARY_LABELMAP) or segments.GetConversionParameter(REFERENCE_GEOMETRY):
        return True
    layers = range(segments.GetNumberOfLayers(BINARY_LABELMAP))
    return any(segments.GetLayerDataObject(number, BINARY_LABELMAP).GetNumberOfPoints() for number in layers)


def structures_of(node: slicer.vtkMRMLSegmentationNode) -> tuple[Structure, ...]:
    """The segments of a node as structures, indices 1..n in the node's order; no voxel is read."""
    segments = node.GetSegmentation()
    count = segments.GetNumberOfSegments()
    if count > MAX_STRUCTURES:
        raise InputError(f'"{node.GetName()}" holds {count} segments; at most {MAX_STRUCTURES} are expected.')
    return tuple(_structure(segments.GetNthSegment(number), number + 1) for number in range(count))


def _structure(segment: slicer.vtkSegment, index: int) -> Structure:
    stored, entry = _tag(segment, SOURCE_VALUES_TAG), _tag(segment, slicer.vtkSegment.GetTerminologyEntryTagName())
    values = tuple(int(part) for part in stored.split(",") if part.strip().isdigit()) or (index,)
    terminology = Terminology.from_entry(entry)
    if terminology is not None and terminology.type.value == _UNSPECIFIED:
        terminology = None
    red, green, blue = (round(255 * channel) for channel in segment.GetColor())
    return Structure(segment.GetName() or f"segment {index}", index, values, (red, green, blue), terminology)


def _tag(segment: slicer.vtkSegment, name: str) -> str:
    text = vtk.reference("")
    return str(text) if segment.GetTag(name, text) else ""


def _from_segments(
    node: slicer.vtkMRMLSegmentationNode, reference: ReferenceGrid
) -> tuple[Sequence[Structure], list[_Layer]]:
    """Structures, and each labelmap layer as uint8 indices with its grid."""
    structures = structures_of(node)
    segments = node.GetSegmentation()
    if structures and not segments.ContainsRepresentation(BINARY_LABELMAP):
        segments = _with_label_maps(node, reference)
    layers = []
    for number in range(segments.GetNumberOfLayers(BINARY_LABELMAP)):
        image = segments.GetLayerDataObject(number, BINARY_LABELMAP)
        if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
            continue
        values = {}
        for segment_id in segments.GetSegmentIDsForLayer(number, BINARY_LABELMAP):
            values[int(segments.GetSegment(segment_id).GetLabelValue())] = segments.GetSegmentIndex(segment_id) + 1
        layers.append((_indexed(voxels(image, node.GetName()), values), image_geometry(image)))
    return structures, layers


def _with_label_maps(node: slicer.vtkMRMLSegmentationNode, reference: ReferenceGrid) -> slicer.vtkSegmentation:
    """A copy of a segmentation made of surfaces, turned into label maps on the reference grid."""
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(node.GetSegmentation())
    if reference is not None:
        grid = target_grid(node, reference, None)[0]
        copy.SetConversionParameter(REFERENCE_GEOMETRY, reference_text(grid))
    if not copy.CreateRepresentation(BINARY_LABELMAP):
        raise InputError(
            f'"{node.GetName()}" holds no label map and none could be made of it; convert it in the Segmentations module.'
        )
    return copy


def _from_label_map(
    node: slicer.vtkMRMLScalarVolumeNode, structures: Sequence[Structure] | None
) -> tuple[Sequence[Structure], list[_Layer]]:
    geometry = volume_geometry(node)
    array = as_labels(voxels(node.GetImageData(), node.GetName()), f'"{node.GetName()}"')
    counts = _counts(array)
    found = {int(value): int(counts[value]) for value in np.flatnonzero(counts) if value}
    if structures is None:
        structures = _undeclared(node, found)
    values = {value: structure.index for structure in structures for value in structure.values}
    undeclared = [f"{value} ({count} voxels)" for value, count in found.items() if value not in values]
    if undeclared:
        raise InputError(
            f'"{node.GetName()}" holds undeclared label values: {", ".join(undeclared[:8])}; declared are '
            f"{', '.join(map(str, sorted(values)))}: declare them or remove them."
        )
    return structures, [(_indexed(array, values), geometry)]


def _undeclared(node: slicer.vtkMRMLScalarVolumeNode, found: Mapping[int, int]) -> list[Structure]:
    """Structures by the node's own colour table; tables that come with Slicer name values by chance, so they don't count.

    Without such a table, a node of one value is the structure that it is named after, as a file of one value is.
    """
    structures = undeclared_structures(f'"{node.GetName()}"', found, node.GetName())
    display = node.GetDisplayNode()
    table = display.GetColorNode() if display else None
    if table is None or table.GetSingletonTag() is not None:
        return structures
    names = (
        table.GetColorName(one.values[0]) if one.values[0] < table.GetNumberOfColors() else "" for one in structures
    )
    return [
        known_structure(name, one.index, one.values) if name else one
        for one, name in zip(structures, names, strict=True)
    ]


def _indexed(array: np.ndarray, values: Mapping[int, int]) -> np.ndarray:
    """Label values to structure indices as uint8; values that are not in `values` become background."""
    if array.dtype == np.uint8 and all(value == index for value, index in values.items()):
        present = np.flatnonzero(_counts(array))
        if all(int(value) in values for value in present if value):
            return array
    if array.dtype.kind not in "ui" or array.dtype.itemsize > 2:
        indices = np.zeros(array.shape, dtype=np.uint8)
        for value, index in values.items():
            indices[array == value] = index
        return indices
    table = np.zeros(65536, dtype=np.uint8)
    for value, index in values.items():
        table[value] = index
    return table[array.view(np.uint16) if array.dtype == np.int16 else array]


def _counts(array: np.ndarray) -> np.ndarray:
    """How often each value 0.. occurs in unsigned voxels; slice by slice, because bincount works on a copy in int64."""
    total = np.zeros(np.iinfo(array.dtype).max + 1, dtype=np.int64)
    for plane in array:
        counts = np.bincount(plane.reshape(-1))
        total[: len(counts)] += counts
    return total


def _paint(labels: np.ndarray, layer: np.ndarray, hidden: dict[int, list[np.ndarray]]) -> None:
    """Put a layer over `labels` and note per structure which voxels (flat) are covered."""
    covered = np.flatnonzero((labels != 0) & (layer != 0)) if labels.any() else np.empty(0, dtype=np.intp)
    if covered.size:
        below = labels.reshape(-1)[covered]
        for index in np.unique(below):
            hidden.setdefault(int(index), []).append(covered[below == index])
    np.copyto(labels, layer, where=layer != 0)
