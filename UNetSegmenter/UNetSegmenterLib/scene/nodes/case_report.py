"""What a report takes from the scene: images in the scan's coordinates, and how the prediction came about."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from ...engine.evaluation.comparison import Comparison
from ...engine.report.report_folder import CaseImages
from .node_reading import segmentation_from_node
from .plausibility_request import Place
from .segmentation_nodes import attributes, volume_from_node

_FACTS = {
    "Checkpoint": "checkpoint", "CheckpointSHA256": "checkpoint SHA-256", "Device": "device", "Slices": "slices",
    "Seconds": "seconds",
}  # fmt: skip


def image_steps(volume_node: Any, prediction_node: Any, reference_node: Any) -> Generator[None, None, CaseImages]:
    """Read the three, one a step, both segmentations on the scan's grid and from under their own transforms."""
    volume = volume_from_node(volume_node)
    yield
    prediction = segmentation_from_node(prediction_node, volume_node)
    yield
    return CaseImages(volume, prediction, segmentation_from_node(reference_node, volume_node))


def comparison_on_scan(comparison: Comparison, volume_node: Any) -> Comparison:
    """The comparison with its places, which are in world coordinates, in those of the scan."""
    rows = (replace(row, largest_error_ras=_from_world(volume_node, row.largest_error_ras)) for row in comparison.rows)
    return replace(comparison, rows=tuple(rows))


def _from_world(node: Any, place: Place | None) -> Place | None:
    if place is None:
        return None
    local = [0.0, 0.0, 0.0]
    node.TransformPointFromWorld(list(place), local)
    return local[0], local[1], local[2]


def facts_of(prediction_node: Any, reference_node: Any, volume_node: Any = None) -> dict[str, str]:
    """Names of the nodes and what the prediction's attributes tell of the network that made it."""
    known = attributes(prediction_node)
    named = {"prediction": prediction_node, "reference": reference_node, "scan": volume_node}
    facts = {role: node.GetName() for role, node in named.items() if node is not None}
    return facts | {title: known[key] for key, title in _FACTS.items() if known.get(key)}
