"""3D surfaces of a segmentation node, made by Slicer's own converter, structure by structure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ...engine.labels.bounding_boxes import bounding_box

BINARY_LABELMAP = "Binary labelmap"
CLOSED_SURFACE = "Closed surface"
DEFAULT_SMOOTHING = 0.7  # takes the steps of 2 to 5 mm slices off a surface; Slicer's own default is 0.5


def make_surfaces(node: slicer.vtkMRMLSegmentationNode, smoothing: float = DEFAULT_SMOOTHING) -> None:
    """Make the 3D surfaces of all segments anew and show them.

    Surface nets (Frisken 2022, vtkSurfaceNets3D) give half the triangles of Slicer's default flying edges in half the
    time; the smoothing (0..1) is Slicer's own, so its slider goes on working. Slicer converts a shared layer once
    per segment over its whole extent; here each segment is converted within its own bounding box, with the same result:
    one stray voxel then no longer costs a pass over the whole scan for every structure.
    """
    for _ in surface_steps(node, smoothing):
        pass


def surface_steps(node: slicer.vtkMRMLSegmentationNode, smoothing: float = DEFAULT_SMOOTHING) -> Iterator[str]:
    """Do what `make_surfaces` does one segment at a time: yields the name of each segment when its surface is made.

    For an interface that must stay responsive; the views show the surfaces after the last step.
    """
    segments = node.GetSegmentation()
    _choose_method(segments, smoothing)
    for segment_id in segments.GetSegmentIDs():
        segment = segments.GetSegment(segment_id)
        image = segment.GetRepresentation(BINARY_LABELMAP) if segment is not None else None
        if image is not None:
            surface = surface_of_label(image, int(segment.GetLabelValue()), segments)
            segment.AddRepresentation(CLOSED_SURFACE, surface)
            yield segment.GetName()
    segments.InvokeEvent(slicer.vtkSegmentation.ContainedRepresentationNamesModified)
    node.CreateClosedSurfaceRepresentation()  # for segments without a label map, and to tell the views
    if node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetVisibility3D(True)


def _choose_method(segments: slicer.vtkSegmentation, smoothing: float) -> None:
    segments.SetConversionParameter("Conversion method", "1")
    segments.SetConversionParameter("Smoothing factor", str(smoothing))


def surface_of_label(
    image: slicer.vtkOrientedImageData, value: int, like: slicer.vtkSegmentation | None = None
) -> vtk.vtkPolyData:
    """The surface of one label of a layer, empty where it holds none; made with the conversion parameters of `like`."""
    cropped = _cropped(image, value)
    if cropped is None:
        return vtk.vtkPolyData()
    alone, segment = slicer.vtkSegmentation(), slicer.vtkSegment()
    alone.SetSourceRepresentationName(BINARY_LABELMAP)
    if like is not None:
        alone.CopyConversionParameters(like)
    else:
        _choose_method(alone, DEFAULT_SMOOTHING)
    segment.SetLabelValue(1)
    segment.AddRepresentation(BINARY_LABELMAP, cropped)
    alone.AddSegment(segment, "Segment_1")
    alone.CreateRepresentation(CLOSED_SURFACE)
    return segment.GetRepresentation(CLOSED_SURFACE) or vtk.vtkPolyData()


def _cropped(image: slicer.vtkOrientedImageData, value: int) -> slicer.vtkOrientedImageData | None:
    """One label of a layer as 1 in its bounding box, None if it isn't there."""
    scalars = image.GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        return None
    mask = numpy_support.vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1]) == value
    box = bounding_box(mask)
    if box is None:
        return None
    k, j, i = box
    x, _, y, _, z, _ = image.GetExtent()
    made = slicer.vtkOrientedImageData()
    made.SetSpacing(image.GetSpacing())
    made.SetOrigin(image.GetOrigin())
    made.CopyDirections(image)
    made.SetExtent(x + i.start, x + i.stop - 1, y + j.start, y + j.stop - 1, z + k.start, z + k.stop - 1)
    voxels = np.ascontiguousarray(mask[box]).view(np.uint8).reshape(-1)
    made.GetPointData().SetScalars(numpy_support.numpy_to_vtk(voxels, deep=True, array_type=vtk.VTK_UNSIGNED_CHAR))
    return made
