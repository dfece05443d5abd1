"""What the module keeps in a node's attributes, which are saved with the scene: provenance, matches by hand, verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import slicer

from ...engine.errors import InputError
from ...engine.evaluation.verdict import Verdict

ATTRIBUTE_PREFIX = "UNetSegmenter."
_MATCHED_BY_HAND = ATTRIBUTE_PREFIX + "MatchedByHand"
_VERDICT_FIELDS = tuple(field.name for field in fields(Verdict))


def set_module_attributes(node: slicer.vtkMRMLNode, attributes: Mapping[str, str]) -> None:
    """Replace all attributes of a node that have the module's prefix by these."""
    for key in list(node.GetAttributeNames()):
        if key.startswith(ATTRIBUTE_PREFIX):
            node.RemoveAttribute(key)
    for key, value in attributes.items():
        node.SetAttribute(key if key.startswith(ATTRIBUTE_PREFIX) else ATTRIBUTE_PREFIX + key, str(value))


def module_attributes(node: slicer.vtkMRMLNode) -> dict[str, str]:
    """The node's `UNetSegmenter.` attributes without that prefix."""
    names = [key for key in node.GetAttributeNames() if key.startswith(ATTRIBUTE_PREFIX)]
    return {key.removeprefix(ATTRIBUTE_PREFIX): node.GetAttribute(key) for key in names}


def matched_by_hand(prediction_node: Any, reference_node: Any) -> dict[str, str | None]:
    """The user's matches for these two nodes: names in the prediction to names in the reference (None: no counterpart)."""
    return dict(_all_matched_by_hand(prediction_node).get(reference_node.GetID(), {}))


def set_matched_by_hand(prediction_node: Any, reference_node: Any, by_hand: Mapping[str, str | None]) -> None:
    """Keep the user's matches for these two nodes; an empty mapping removes them."""
    every = _all_matched_by_hand(prediction_node)
    every.pop(reference_node.GetID(), None)
    if by_hand:
        every[reference_node.GetID()] = dict(by_hand)
    if every:
        prediction_node.SetAttribute(_MATCHED_BY_HAND, json.dumps(every, ensure_ascii=False))
    else:
        prediction_node.RemoveAttribute(_MATCHED_BY_HAND)


def _all_matched_by_hand(prediction_node: Any) -> dict[str, dict[str, str | None]]:
    try:
        every = json.loads(prediction_node.GetAttribute(_MATCHED_BY_HAND) or "{}")
    except ValueError:  # edited from outside
        return {}
    return every if isinstance(every, dict) else {}


def verdict_of(node: Any) -> Verdict:
    """The verdict on a segmentation node; an empty one where none can be read."""
    try:
        return Verdict(**{name: node.GetAttribute(_verdict_attribute(name)) or "" for name in _VERDICT_FIELDS})
    except InputError:  # edited from outside
        return Verdict()


def set_verdict(node: Any, verdict: Verdict) -> None:
    """Keep a verdict with a segmentation node; an empty one removes the kept one."""
    modifying = node.StartModify()
    for name in _VERDICT_FIELDS:
        value = getattr(verdict, name) if verdict else ""
        if value:
            node.SetAttribute(_verdict_attribute(name), value)
        else:
            node.RemoveAttribute(_verdict_attribute(name))
    node.EndModify(modifying)


def made_with(node: Any) -> str:
    """The checkpoint that made a segmentation, as title and the start of its SHA-256; empty if none is known."""
    title, sha256 = (node.GetAttribute(ATTRIBUTE_PREFIX + key) or "" for key in ("Checkpoint", "CheckpointSHA256"))
    return f"{title} ({sha256[:12]})" if title and sha256 else title


def _verdict_attribute(name: str) -> str:
    return f"{ATTRIBUTE_PREFIX}Verdict{name.capitalize()}"
