"""Volume and segmentation nodes to and from the engine's arrays, in memory and in the same grid.

Works on the nodes themselves (`slicer`, `vtk`), so that it does the same inside 3D Slicer and on the `slicer-core`
wheel. Geometry is taken from and given to nodes by spacing, origin and directions, not through a matrix that would
have to be taken apart again: what goes in comes back bit for bit, left-handed and oblique grids included.

A node's geometry is the one under its parent transform; results are put under the same transform.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ...engine.errors import InputError
from ...engine.io.geometry import Geometry
from ...engine.io.volume import Volume, as_hu
from ...engine.labels.bounding_boxes import bounding_box
from ...engine.labels.seg_nrrd import CONFIDENCE_TAG, SOURCE_VALUES_TAG
from ...engine.labels.segmentation import Segmentation
from ..views.surfaces import BINARY_LABELMAP, CLOSED_SURFACE, DEFAULT_SMOOTHING, make_surfaces

ATTRIBUTE_PREFIX = "UNetSegmenter."
_SCALARS = {np.dtype(np.uint8): vtk.VTK_UNSIGNED_CHAR, np.dtype(np.int16): vtk.VTK_SHORT}


# --- geometry ----------------------------------------------------------------------------------------------------------


def nodes_of_class(scene: slicer.vtkMRMLScene, name: str) -> list[Any]:
    """All nodes of a class, in the order of the scene."""
    return [scene.GetNthNodeByClass(number, name) for number in range(scene.GetNumberOfNodesByClass(name))]


def volume_geometry(node: slicer.vtkMRMLVolumeNode) -> Geometry:
    """Grid of a volume node, parent transforms left out. Raises InputError if it holds no voxels."""
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise InputError(f'"{node.GetName()}" has no image data; load the scan again or choose another volume.')
    directions = _matrix3()
    node.GetIJKToRASDirections(directions)
    return _geometry(image.GetDimensions(), node.GetSpacing(), node.GetOrigin(), directions)


def image_geometry(image: slicer.vtkOrientedImageData) -> Geometry:
    """Grid of an oriented image in its own extent: the first voxel is that of the lowest indices."""
    low = image.GetExtent()[::2]
    directions = _matrix3()
    image.GetDirections(directions)
    spacing = image.GetSpacing()
    origin = list(image.GetOrigin())
    if any(low):
        origin = [
            start + sum(directions[row][axis] * spacing[axis] * low[axis] for axis in range(3))
            for row, start in enumerate(origin)
        ]
    return _geometry(image.GetDimensions(), spacing, origin, directions)


def _matrix3() -> list[list[float]]:
    return [[0.0, 0.0, 0.0] for _ in range(3)]


def _geometry(dimensions, spacing, origin_ras, directions_ras) -> Geometry:
    """From VTK's order and RAS to array order and LPS: the first two world axes change sign."""
    columns, rows, slices = dimensions
    x, y, z = origin_ras
    signs = (-1.0, -1.0, 1.0)
    direction = tuple(
        tuple(sign * value + 0.0 for value in row) for sign, row in zip(signs, directions_ras, strict=True)
    )
    return Geometry((slices, rows, columns), tuple(spacing[::-1]), (-x + 0.0, -y + 0.0, z), direction)


def ras_geometry(geometry: Geometry) -> tuple[tuple[float, ...], tuple[float, ...], list[list[float]]]:
    """Spacing (x, y, z), origin and directions of a geometry as MRML has them, in RAS."""
    x, y, z = geometry.origin_lps
    signs = (-1.0, -1.0, 1.0)
    directions = [[sign * v + 0.0 for v in row] for sign, row in zip(signs, geometry.direction, strict=True)]
    return geometry.spacing_mm[::-1], (-x + 0.0, -y + 0.0, z), directions


# --- volumes -----------------------------------------------------------------------------------------------------------


def volume_from_node(node: slicer.vtkMRMLVolumeNode) -> Volume:
    """The scan of a volume node: HU array `(slices, rows, columns)` and geometry under its parent transform.

    An int16 or float32 array is the node's own memory, not a copy: read it, never write into it. Raises InputError for
    a node without voxels or with several values a voxel.
    """
    geometry = volume_geometry(node)
    return Volume(as_hu(voxels(node.GetImageData(), node.GetName())), geometry, node.GetName())


def volume_to_node(volume: Volume, scene: slicer.vtkMRMLScene, name: str | None = None) -> slicer.vtkMRMLVolumeNode:
    """Add a scalar volume node with a copy of the array, a display node and grey colours."""
    image = vtk.vtkImageData()
    image.SetDimensions(volume.array.shape[::-1])
    image.GetPointData().SetScalars(_scalars(volume.array))
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name or volume.name or "CT")
    spacing, origin, directions = ras_geometry(volume.geometry)
    node.SetSpacing(spacing)
    node.SetOrigin(origin)
    node.SetIJKToRASDirections(directions)
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    return node


def voxels(image: vtk.vtkImageData, name: str) -> np.ndarray:
    """View of an image's voxels as `(slices, rows, columns)`."""
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            f'"{name}" has {image.GetNumberOfScalarComponents()} values a voxel where one is expected; extract one '
            "component first."
        )
    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def _scalars(array: np.ndarray) -> vtk.vtkDataArray:
    """A VTK array that owns a copy of the voxels (int16 and uint8 keep their type)."""
    return numpy_support.numpy_to_vtk(array.reshape(-1), deep=True, array_type=_SCALARS.get(array.dtype))


# --- segmentations -----------------------------------------------------------------------------------------------------


def segmentation_to_node(
    segmentation: Segmentation,
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLVolumeNode | None = None,
    node: slicer.vtkMRMLSegmentationNode | None = None,
    name: str | None = None,
    provenance: Mapping[str, str] | None = None,
    surfaces: bool = True,
    smoothing: float = DEFAULT_SMOOTHING,
) -> slicer.vtkMRMLSegmentationNode:
    """Show a segmentation as a segmentation node and return it.

    One segment a structure in the structures' order, with name, colour and terminology, all in one shared labelmap
    layer (structures that overlap get layers of their own). With `volume_node` the node takes its reference geometry
    and parent transform and stands beside it in the subject hierarchy. `node` is filled anew if given, else a node is
    added. `provenance` and the segmentation's own attributes become node attributes `UNetSegmenter.<key>`; those of an
    earlier result are removed. `surfaces` makes 3D surfaces and shows them, smoothed by `smoothing` (0..1, Slicer's
    smoothing factor). If anything goes wrong, no node is added, and what `node` held is still there.
    """
    segments = _segments_of(segmentation)  # before anything is changed: this is where memory runs out
    is_new = node is None
    if is_new:
        node = scene.AddNewNodeByClass(
            "vtkMRMLSegmentationNode", scene.GenerateUniqueName(name or segmentation.name or "Segmentation")
        )
    with removed_on_error(*([node] if is_new else [])):
        if name and not is_new:
            node.SetName(name)
        _show_segments(node, segments, segmentation, volume_node, provenance)
        if surfaces:
            make_surfaces(node, smoothing)
    return node


@contextmanager
def removed_on_error(*nodes: slicer.vtkMRMLNode) -> Iterator[None]:
    """What is done to nodes that were added a moment ago: if it goes wrong, they leave the scene again."""
    try:
        yield
    except BaseException:
        for node in nodes:
            remove_node(node)
        raise


def remove_node(node: slicer.vtkMRMLNode) -> None:
    """Remove a node, and the display and storage nodes that it has."""
    scene, own = node.GetScene(), []
    if scene is None:
        return
    if node.IsA("vtkMRMLDisplayableNode"):
        own = [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
        own += [node.GetNthStorageNode(number) for number in range(node.GetNumberOfStorageNodes())]
    scene.RemoveNode(node)
    for one in own:
        if one is not None and scene.IsNodePresent(one):
            scene.RemoveNode(one)


def _show_segments(
    node: slicer.vtkMRMLSegmentationNode,
    segments: Sequence[tuple[str, slicer.vtkSegment]],
    segmentation: Segmentation,
    volume_node: slicer.vtkMRMLVolumeNode | None,
    provenance: Mapping[str, str] | None,
) -> None:
    node.CreateDefaultDisplayNodes()
    modifying = node.StartModify()
    try:
        _fill(node.GetSegmentation(), segments)
        _set_reference(node, segmentation.geometry, volume_node)
        _set_attributes(node, {**segmentation.attributes, **(provenance or {})})
        if volume_node is not None:
            node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
        _set_display(node.GetDisplayNode())
    finally:
        node.EndModify(modifying)
    if volume_node is not None:
        place_beside(node, volume_node)


def place_beside(node: slicer.vtkMRMLNode, neighbour: slicer.vtkMRMLNode) -> None:
    """Put a node into the folder (study, patient) of `neighbour` in the subject hierarchy, if that is in one."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if hierarchy is None:
        return
    beside = hierarchy.GetItemByDataNode(neighbour)
    if not beside:
        return
    folder = hierarchy.GetItemParent(beside)
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(folder, node)
    hierarchy.SetItemParent(item, folder)


def _fill(segmentation: slicer.vtkSegmentation, segments: Sequence[tuple[str, slicer.vtkSegment]]) -> None:
    segmentation.RemoveAllSegments()
    segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
    for wanted, segment in segments:
        segmentation.AddSegment(segment, segmentation.GenerateUniqueSegmentID(wanted))


def _segments_of(segmentation: Segmentation) -> list[tuple[str, slicer.vtkSegment]]:
    """Segments with the ids that they want, not yet in any node."""
    made = []
    separate = segmentation.overlaps
    labels = (
        np.where(np.isin(segmentation.labels, list(separate)), 0, segmentation.labels)
        if separate
        else segmentation.labels
    )
    shared = labelmap_image(labels.astype(np.uint8, copy=False), segmentation.geometry)
    for structure in segmentation.structures:
        own = structure.index in separate
        segment = slicer.vtkSegment()
        segment.SetName(structure.name)
        segment.SetNameAutoGenerated(False)
        segment.SetColor([channel / 255 for channel in structure.color])
        segment.SetColorAutoGenerated(False)
        segment.SetTag(SOURCE_VALUES_TAG, ",".join(map(str, structure.values)))
        if structure.terminology is not None:
            segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), structure.terminology.entry())
        if structure.index in segmentation.confidence:
            segment.SetTag(CONFIDENCE_TAG, f"{segmentation.confidence[structure.index]:.4f}")
        segment.SetLabelValue(1 if own else structure.index)
        image = shared
        if own:
            image = labelmap_image(segmentation.mask(structure.index).astype(np.uint8), segmentation.geometry)
        segment.AddRepresentation(BINARY_LABELMAP, image)
        made.append((f"Segment_{structure.index}", segment))
    return made


def labelmap_image(labels: np.ndarray, geometry: Geometry) -> slicer.vtkOrientedImageData:
    """Labels as Slicer's labelmap, cropped to what is not background: surfaces and memory go by its extent."""
    box = bounding_box(labels)
    image = slicer.vtkOrientedImageData()
    spacing, origin, directions = ras_geometry(geometry)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirections(directions)
    if box is None:
        # As an empty segment of Slicer's own: the file of one voxel that a box of one makes ends Slicer when it is opened.
        image.SetExtent(0, -1, 0, -1, 0, -1)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        return image
    k, j, i = box
    image.SetExtent(i.start, i.stop - 1, j.start, j.stop - 1, k.start, k.stop - 1)
    image.GetPointData().SetScalars(_scalars(np.ascontiguousarray(labels[box])))
    return image


def reference_text(geometry: Geometry) -> str:
    """A grid as Slicer's conversion parameter "Reference image geometry"."""
    image = slicer.vtkOrientedImageData()
    spacing, origin, directions = ras_geometry(geometry)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirections(directions)
    slices, rows, columns = geometry.shape
    image.SetExtent(0, columns - 1, 0, rows - 1, 0, slices - 1)
    return slicer.vtkSegmentationConverter.SerializeImageGeometry(image)


def _set_reference(
    node: slicer.vtkMRMLSegmentationNode, geometry: Geometry, volume_node: slicer.vtkMRMLVolumeNode | None
) -> None:
    if volume_node is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
        return
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    node.GetSegmentation().SetConversionParameter(name, reference_text(geometry))


def _set_attributes(node: slicer.vtkMRMLNode, attributes: Mapping[str, str]) -> None:
    for key in list(node.GetAttributeNames()):
        if key.startswith(ATTRIBUTE_PREFIX):
            node.RemoveAttribute(key)
    for key, value in attributes.items():
        node.SetAttribute(key if key.startswith(ATTRIBUTE_PREFIX) else ATTRIBUTE_PREFIX + key, str(value))


def attributes(node: slicer.vtkMRMLNode) -> dict[str, str]:
    """The node's `UNetSegmenter.` attributes without that prefix."""
    names = [key for key in node.GetAttributeNames() if key.startswith(ATTRIBUTE_PREFIX)]
    return {key.removeprefix(ATTRIBUTE_PREFIX): node.GetAttribute(key) for key in names}


def _set_display(display: slicer.vtkMRMLSegmentationDisplayNode) -> None:
    display.SetVisibility(True)
    display.SetPreferredDisplayRepresentationName2D(BINARY_LABELMAP)
    display.SetPreferredDisplayRepresentationName3D(CLOSED_SURFACE)
