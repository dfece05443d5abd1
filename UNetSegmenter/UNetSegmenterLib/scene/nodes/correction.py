"""Corrected segmentations: copies that keep the link to the prediction they come from.

The prediction stays as the network made it, so that it can still be compared and judged. The copy has no
`CheckpointSHA256`: it is work of a person, and no run may replace it without a question.
"""

from __future__ import annotations

import time
from typing import Any

from ...engine.evaluation.verdict import clean_text
from .segmentation_nodes import ATTRIBUTE_PREFIX, attributes, place_beside

ROLE = ATTRIBUTE_PREFIX + "CorrectedFrom"  # node reference: survives a scene file, whatever id the node gets
FROM, BY, TIME = "CorrectedFrom", "CorrectedBy", "CorrectedTime"
KEPT = {"Checkpoint": "CorrectedCheckpoint", "CheckpointSHA256": "CorrectedCheckpointSHA256"}


def correction_of(prediction: Any) -> Any:
    """The corrected copy of a prediction, None if there is none in the scene."""
    scene = prediction.GetScene()
    nodes = scene.GetNodesByClass("vtkMRMLSegmentationNode")
    nodes.UnRegister(None)
    copies = (nodes.GetItemAsObject(number) for number in range(nodes.GetNumberOfItems()))
    return next((node for node in copies if prediction_of(node) is prediction), None)


def prediction_of(node: Any) -> Any:
    """The prediction that a segmentation was corrected from, None if it is none or the prediction is gone."""
    return node.GetNodeReference(ROLE)


def is_correction(node: Any) -> bool:
    """Whether a segmentation was copied from a prediction to be corrected."""
    return bool(node.GetAttribute(ATTRIBUTE_PREFIX + FROM))


def is_uncorrected_prediction(node: Any) -> bool:
    """Whether a segmentation is a network's, with no correction of a person's in it."""
    named = {name: node.GetAttribute(ATTRIBUTE_PREFIX + name) for name in ("CheckpointSHA256", FROM, TIME)}
    return bool(named["CheckpointSHA256"]) or bool(named[FROM] and not named[TIME])


def copy_to_correct(prediction: Any, volume: Any) -> Any:
    """A copy of a prediction, with its display, grid, transform and folder, and the names of what it comes from."""
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
    for key, value in attributes(prediction).items():
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
    """Where labels come from, for the data set that they go into."""
    known = attributes(node)
    keys = {FROM: "prediction", BY: "corrected_by", TIME: "corrected_time"}
    keys |= {"CorrectedCheckpoint": "checkpoint", "CorrectedCheckpointSHA256": "checkpoint_sha256"}
    keys |= {"Checkpoint": "checkpoint", "CheckpointSHA256": "checkpoint_sha256"}
    origin = {"scan": volume.GetName(), "segmentation": node.GetName()}
    return origin | {name: known[key] for key, name in keys.items() if known.get(key)}
