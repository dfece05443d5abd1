"""Work of a user in a segmentation: whether its labels were changed, and corrected copies of predictions.

The prediction stays as the network made it, so that it can still be compared and checked. The copy has no
`CheckpointSHA256`: it is work of a user, and no run may replace it without a question.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import slicer

from ...engine.evaluation.verdict import clean_text
from ...engine.labels.bounding_boxes import bounding_box
from .node_attributes import ATTRIBUTE_PREFIX, module_attributes
from .scene_nodes import nodes_of_class, place_beside
from .surfaces import BINARY_LABELMAP
from .volume_nodes import voxels

ROLE = ATTRIBUTE_PREFIX + "CorrectedFrom"  # node reference: survives a scene file, whatever id the node gets
FROM, BY, TIME = "CorrectedFrom", "CorrectedBy", "CorrectedTime"
KEPT = {"Checkpoint": "CorrectedCheckpoint", "CheckpointSHA256": "CorrectedCheckpointSHA256"}
_CHECKSUM = ATTRIBUTE_PREFIX + "LabelsCRC32"


def save_labels_checksum(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Write the checksum of a node's labels into the node, where a saved scene keeps it."""
    node.SetAttribute(_CHECKSUM, labels_checksum(node))


def is_changed(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether a node's labels have changed since `save_labels_checksum`; False where that was never called."""
    known = node.GetAttribute(_CHECKSUM)
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
    """A number that changes when a user draws in a segmentation or changes its segments, not when its display changes."""
    segments = node.GetSegmentation()
    times = [image.GetMTime() for image in _layers(segments)]
    return hash((tuple(segments.GetSegmentIDs()), *times))


def _layers(segments: slicer.vtkSegmentation) -> Iterator[slicer.vtkOrientedImageData]:
    for number in range(segments.GetNumberOfLayers(BINARY_LABELMAP)):
        image = segments.GetLayerDataObject(number, BINARY_LABELMAP)
        if image is not None and image.GetNumberOfPoints() and image.GetPointData().GetScalars() is not None:
            yield image


def correction_of(prediction: Any) -> Any:
    """The corrected copy of a prediction, None if there is none in the scene."""
    segmentations = nodes_of_class(prediction.GetScene(), "vtkMRMLSegmentationNode")
    return next((node for node in segmentations if prediction_of(node) is prediction), None)


def prediction_of(node: Any) -> Any:
    """The prediction that a segmentation is a corrected copy of; None for other segmentations or without the prediction."""
    return node.GetNodeReference(ROLE)


def is_correction(node: Any) -> bool:
    """Whether a segmentation was copied from a prediction to be corrected."""
    return bool(node.GetAttribute(ATTRIBUTE_PREFIX + FROM))


def is_uncorrected_prediction(node: Any) -> bool:
    """Whether a segmentation was made by a network and no user has corrected it."""
    named = {name: node.GetAttribute(ATTRIBUTE_PREFIX + name) for name in ("CheckpointSHA256", FROM, TIME)}
    return bool(named["CheckpointSHA256"]) or bool(named[FROM] and not named[TIME])


def copy_to_correct(prediction: Any, volume: Any) -> Any:
    """A copy of a prediction, with its display, grid, transform and folder; its attributes name the prediction."""
    scene = prediction.GetScene()
    name = scene.GenerateUniqueName(f"{prediction.GetName()} corrected")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    modifying = node.StartModify()
    node.GetSegmentation().DeepCopy(prediction.GetSegmentation())
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().CopyContent(prediction.GetDisplayNode())
    node.SetAndObserveTransformNodeID(prediction.GetTransformNodeID())
    node.SetNodeReferenceID(ROLE, prediction.GetID())
    node.SetAttribute(ATTRIBUTE_PREFIX + FROM, prediction.GetName())
    for key, value in module_attributes(prediction).items():
        if key in KEPT:
            node.SetAttribute(ATTRIBUTE_PREFIX + KEPT[key], value)
    if volume is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.EndModify(modifying)
    place_beside(node, prediction)
    return node


def mark_corrected(node: Any, by: str) -> None:
    """Keep who corrected a copy and when (UTC)."""
    node.SetAttribute(ATTRIBUTE_PREFIX + BY, clean_text(by))
    node.SetAttribute(ATTRIBUTE_PREFIX + TIME, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def origin_of(node: Any, volume: Any) -> dict[str, str]:
    """Provenance of labels, for the data set that they are added to."""
    known = module_attributes(node)
    keys = {FROM: "prediction", BY: "corrected_by", TIME: "corrected_time"}
    keys |= {"CorrectedCheckpoint": "checkpoint", "CorrectedCheckpointSHA256": "checkpoint_sha256"}
    keys |= {"Checkpoint": "checkpoint", "CheckpointSHA256": "checkpoint_sha256"}
    origin = {"scan": volume.GetName(), "segmentation": node.GetName()}
    return origin | {name: known[key] for key, name in keys.items() if known.get(key)}
