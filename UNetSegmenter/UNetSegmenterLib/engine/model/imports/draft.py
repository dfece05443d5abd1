"""The draft of a card for a model of other software: what its files tell, and what the user has to add."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPEN = "???"
"""What stands in card.yaml where the user has to write something."""
AS_IT_IS = "as it is"
"""What a user may write for the pixel size that leaves a scan's own; None in the card."""


@dataclass(frozen=True)
class Unknown:
    """An entry of the card that the model's files do not tell.

    Args:
        entry: its dotted name, such as "preprocessing.spacing_mm".
        explanation: what it means and where to find it, for the user.
        choices: the values that it can have, or examples of them; empty where any text or number will do.
    """

    entry: str
    explanation: str
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class ImportDraft:
    """What the files of a model tell.

    Args:
        source: the file or folder.
        kind: "nnU-Net" or "ONNX".
        card: plain JSON of the card, None where it is unknown.
        unknown: the entries that the user has to give; None elsewhere is a value.
        notes: sentences about what was found or assumed.
    """

    source: Path
    kind: str
    card: dict[str, Any]
    unknown: tuple[Unknown, ...] = ()
    notes: tuple[str, ...] = ()


def entry_of(plain: Any, name: str) -> Any:
    """The value of a dotted entry such as "network.classes"; None if there is none."""
    for part in name.split("."):
        plain = plain.get(part) if isinstance(plain, dict) else None
    return plain
