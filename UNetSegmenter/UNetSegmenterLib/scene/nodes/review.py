"""The nodes of one case of a test set: put into the scene, and taken out again with all that belongs to them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import slicer

from ...engine.io.volume import Volume
from ...engine.labels.segmentation import Segmentation
from .segmentation_nodes import remove_node, segmentation_to_node, volume_to_node

CaseNodes = tuple[Any, Any, Any]


def node_steps(
    scene: slicer.vtkMRMLScene,
    case: str,
    volume: Volume,
    reference: Segmentation | None,
    prediction: Segmentation | None,
    provenance: dict[str, str],
    ids: list[str],
) -> Generator[None, None, CaseNodes]:
    """Add the nodes of a case one a step: scan, reference and prediction, the last two None where there is none.

    The id of each goes into `ids` as soon as it is there, so that a run that ends early leaves nothing behind.
    """
    scan = volume_to_node(volume, scene, case)
    ids.append(scan.GetID())
    yield
    reference_node = prediction_node = None
    if reference is not None:
        reference_node = segmentation_to_node(reference, scene, scan, name=f"{case} reference", surfaces=False)
        ids.append(reference_node.GetID())
        yield
    if prediction is not None:
        named = f"{case} prediction"
        prediction_node = segmentation_to_node(
            prediction, scene, scan, name=named, provenance=provenance, surfaces=False
        )
        ids.append(prediction_node.GetID())
    return scan, reference_node, prediction_node


def remove_nodes(scene: slicer.vtkMRMLScene, ids: Iterable[str]) -> None:
    """Remove nodes, and the display and storage nodes that only they use."""
    for node_id in ids:
        node = scene.GetNodeByID(node_id)
        if node is not None:
            remove_node(node)
