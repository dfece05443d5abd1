"""The nodes of one case (scan, prediction, reference): read to compare and report them, added to review them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import slicer

from ...engine.errors import InputError
from ...engine.io.volume import Volume
from ...engine.labels.segmentation import Segmentation
from ...engine.report.report_folder import CaseImages
from .node_attributes import module_attributes
from .segmentation_from_node import has_grid, segmentation_from_node
from .segmentation_to_node import segmentation_to_node
from .volume_nodes import volume_from_node, volume_to_node

SegmentationPair = tuple[Segmentation, Segmentation, tuple[str, ...]]
_FACTS = {
    "Checkpoint": "checkpoint", "CheckpointSHA256": "checkpoint SHA-256", "Device": "device", "Slices": "slices",
    "Seconds": "seconds", "Postprocessing": "postprocessing",
}  # fmt: skip
CaseNodes = tuple[Any, Any, Any]


def read_pair_steps(prediction_node: Any, reference_node: Any) -> Generator[None, None, SegmentationPair]:
    """Read prediction and reference, one per step.

    Both are in the coordinates of the reference node, each on its own grid where that is possible: the engine resamples
    the prediction to the reference's grid and reports it. Under different parent transforms it is resampled here. A side
    with empty segments and without a reference geometry is empty on the other side's grid.

    Returns:
        The prediction, the reference, and notes on what was done (the generator's return value).

    Raises:
        InputError: as `segmentation_from_node` does, and if nothing of the prediction lies on the reference's grid.
    """
    for node in (prediction_node, reference_node):
        refuse_empty(node)
    ours, theirs = (node.GetParentTransformNode() for node in (prediction_node, reference_node))
    elsewhere = None if has_grid(reference_node) else (segmentation_from_node(prediction_node).geometry, ours)
    reference = segmentation_from_node(reference_node, elsewhere)
    yield
    if not has_grid(prediction_node):
        return segmentation_from_node(prediction_node, (reference.geometry, theirs)), reference, ()
    if ours is theirs:
        return segmentation_from_node(prediction_node), reference, ()
    prediction = segmentation_from_node(prediction_node, (reference.geometry, theirs))
    own = segmentation_from_node(prediction_node)
    if own.labels.any() and not prediction.labels.any():
        raise InputError(
            f'Nothing of "{prediction_node.GetName()}" lies on the grid of "{reference_node.GetName()}"; their parent '
            f"transforms differ ({_transform_text(ours)} and {_transform_text(theirs)}): check that none is missing."
        )
    note = (
        f"The prediction is under {_transform_text(ours)}, the reference under {_transform_text(theirs)}: the "
        "prediction's labels were resampled onto the reference's grid with nearest neighbour."
    )
    return prediction, reference, (note,)


def refuse_empty(node: Any) -> None:
    """Raise InputError for a segmentation node without segments; segments without voxels are compared."""
    if node.IsA("vtkMRMLSegmentationNode") and not node.GetSegmentation().GetNumberOfSegments():
        raise InputError(f'"{node.GetName()}" holds no segment; choose another segmentation.')


def _transform_text(transform: Any) -> str:
    return f'the transform "{transform.GetName()}"' if transform is not None else "no transform"


def read_case_steps(volume_node: Any, prediction_node: Any, reference_node: Any) -> Generator[None, None, CaseImages]:
    """Read the three nodes, one per step; both segmentations are resampled to the scan's grid, transforms applied."""
    volume = volume_from_node(volume_node)
    yield
    prediction = segmentation_from_node(prediction_node, volume_node)
    yield
    return CaseImages(volume, prediction, segmentation_from_node(reference_node, volume_node))


def provenance_facts(prediction_node: Any, reference_node: Any, volume_node: Any = None) -> dict[str, str]:
    """Names of the nodes, and what the prediction's attributes say about the network that made it."""
    known = module_attributes(prediction_node)
    named = {"prediction": prediction_node, "reference": reference_node, "scan": volume_node}
    facts = {role: node.GetName() for role, node in named.items() if node is not None}
    return facts | {title: known[key] for key, title in _FACTS.items() if known.get(key)}


def add_case_steps(
    scene: slicer.vtkMRMLScene,
    case: str,
    volume: Volume,
    reference: Segmentation | None,
    prediction: Segmentation | None,
    *,
    provenance: dict[str, str],
    ids: list[str],
) -> Generator[None, None, CaseNodes]:
    """Add the nodes of a case, one per step.

    The id of each node is appended to `ids` as soon as the node is in the scene, so that the caller can remove them all
    when a run ends early.

    Returns:
        The nodes of scan, reference and prediction; the last two are None where the case has none.
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
