"""Which structures of two nodes a person matched by hand; kept with the prediction and saved with the scene."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .segmentation_nodes import ATTRIBUTE_PREFIX

ATTRIBUTE = ATTRIBUTE_PREFIX + "MatchedByHand"


def matched_by_hand(prediction_node: Any, reference_node: Any) -> dict[str, str | None]:
    """Names in the prediction to names in the reference (None: to nothing), as somebody matched these two nodes."""
    return dict(_all(prediction_node).get(reference_node.GetID(), {}))


def remember_by_hand(prediction_node: Any, reference_node: Any, by_hand: Mapping[str, str | None]) -> None:
    """Keep what was matched for these two nodes; nothing removes it."""
    every = _all(prediction_node)
    every.pop(reference_node.GetID(), None)
    if by_hand:
        every[reference_node.GetID()] = dict(by_hand)
    if every:
        prediction_node.SetAttribute(ATTRIBUTE, json.dumps(every, ensure_ascii=False))
    else:
        prediction_node.RemoveAttribute(ATTRIBUTE)


def _all(prediction_node: Any) -> dict[str, dict[str, str | None]]:
    try:
        every = json.loads(prediction_node.GetAttribute(ATTRIBUTE) or "{}")
    except ValueError:  # somebody edited it
        return {}
    return every if isinstance(every, dict) else {}
