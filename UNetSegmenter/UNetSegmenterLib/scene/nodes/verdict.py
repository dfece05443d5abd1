"""The reviewer's verdict on a segmentation, kept in its node's attributes and so saved with the scene."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ...engine.errors import InputError
from ...engine.evaluation.verdict import Verdict
from .segmentation_nodes import ATTRIBUTE_PREFIX

_FIELDS = tuple(field.name for field in fields(Verdict))


def verdict_of(node: Any) -> Verdict:
    """What was said of a segmentation node; an empty verdict where nobody said anything that can be read."""
    try:
        return Verdict(**{name: node.GetAttribute(_attribute(name)) or "" for name in _FIELDS})
    except InputError:  # somebody edited the attribute
        return Verdict()


def set_verdict(node: Any, verdict: Verdict) -> None:
    """Keep a verdict with a segmentation node; an empty one is taken off it."""
    modifying = node.StartModify()
    for name in _FIELDS:
        value = getattr(verdict, name) if verdict else ""
        if value:
            node.SetAttribute(_attribute(name), value)
        else:
            node.RemoveAttribute(_attribute(name))
    node.EndModify(modifying)


def made_with(node: Any) -> str:
    """The checkpoint that made a segmentation, as title and the start of its SHA-256; empty if none is known."""
    title, sha256 = (node.GetAttribute(ATTRIBUTE_PREFIX + key) or "" for key in ("Checkpoint", "CheckpointSHA256"))
    return f"{title} ({sha256[:12]})" if title and sha256 else title


def _attribute(name: str) -> str:
    return f"{ATTRIBUTE_PREFIX}Verdict{name.capitalize()}"
