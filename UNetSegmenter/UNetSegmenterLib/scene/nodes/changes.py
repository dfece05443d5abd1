"""Whether a segmentation is still what this module made of it, or somebody has drawn in it since."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import slicer

from ...engine.labels.bounding_boxes import bounding_box
from ..views.surfaces import BINARY_LABELMAP
from .segmentation_nodes import ATTRIBUTE_PREFIX, voxels

KEY = ATTRIBUTE_PREFIX + "LabelsCRC32"


def remember_labels(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Write the checksum of a node's labels into the node, where a saved scene keeps it."""
    node.SetAttribute(KEY, labels_checksum(node))


def was_changed(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether a node's labels are others than `remember_labels` found; False where it was never called."""
    known = node.GetAttribute(KEY)
    return bool(known) and labels_checksum(node) != known


def labels_checksum(node: slicer.vtkMRMLSegmentationNode) -> str:
    """Checksum of segments, their names and their labels, wherever the extents of the label maps end."""
    segments = node.GetSegmentation()
    named = [(one, segments.GetSegment(one)) for one in segments.GetSegmentIDs()]
    plain: list[object] = [(one, segment.GetName(), segment.GetLabelValue()) for one, segment in named]
    total = 0
    for image in _layers(segments):
        labels = voxels(image, node.GetName())
        box = bounding_box(labels)
        if box is None:
            continue
        cropped = labels[box]
        k, j, i = box
        x, _, y, _, z, _ = image.GetExtent()
        plain.append((x + i.start, y + j.start, z + k.start, *cropped.shape))
        for plane in cropped:
            total = zlib.crc32(np.ascontiguousarray(plane, dtype=np.uint16).data, total)
    return f"{zlib.crc32(repr(plain).encode(), total):08x}"


def labels_time(node: slicer.vtkMRMLSegmentationNode) -> int:
    """Rises when somebody draws in a segmentation or changes its segments, not with how it is shown."""
    segments = node.GetSegmentation()
    times = [image.GetMTime() for image in _layers(segments)]
    return hash((tuple(segments.GetSegmentIDs()), *times))


def _layers(segments: slicer.vtkSegmentation) -> Iterator[slicer.vtkOrientedImageData]:
    for number in range(segments.GetNumberOfLayers(BINARY_LABELMAP)):
        image = segments.GetLayerDataObject(number, BINARY_LABELMAP)
        if image is not None and image.GetNumberOfPoints() and image.GetPointData().GetScalars() is not None:
            yield image
