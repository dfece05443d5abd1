"""The card of a checkpoint: what it segments, the input it needs, what it was trained on, and its validation results."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..labels.structures import Structure
from ..plain_data import violation
from .preprocessing import Preprocessing


@dataclass(frozen=True)
class NetworkShape:
    """Parameters of `network.UNet`.

    Args:
        input_slices: neighbouring slices given as channels (1, 3 or 5).
        classes: structures and background.
        base_width: channels of the first level.
        depth: how often the image is halved.
    """

    input_slices: int
    classes: int
    base_width: int
    depth: int


@dataclass(frozen=True)
class Card:
    """What users and programs must know of a checkpoint; `docs/checkpoint.md` describes every entry.

    Args:
        title: name of the checkpoint, for the user.
        network: shape of the network.
        structures: what it segments; their indices are 1 to `network.classes` - 1.
        preprocessing: how a scan becomes the network's input.
        description: text for the user.
        data_licence: licence of the training data.
        data_citation: how to cite the training data.
        training: facts of the training run, as a JSON object.
        validation: results per structure, with the number of cases and the standard deviation.
        statistics: training statistics, which the plausibility checks compare with.
    """

    title: str
    network: NetworkShape
    structures: tuple[Structure, ...]
    preprocessing: Preprocessing
    description: str = ""
    data_licence: str = ""
    data_citation: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The card as JSON text that fits `card.schema.json`."""
        plain = asdict(self) | {"structures": [structure.to_json() for structure in self.structures]}
        return json.dumps(plain, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card from JSON text; raises InputError if it breaks the schema or contradicts itself."""
        try:
            plain = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(
                f"The card is not JSON text ({error}); choose a checkpoint that UNetSegmenter wrote."
            ) from error
        if problem := violation(plain, card_schema(), "card"):
            raise InputError(f"The card breaks its schema: {problem}")
        preprocessing = plain["preprocessing"] | {"window_hu": tuple(plain["preprocessing"]["window_hu"])}
        card = cls(
            **plain
            | {
                "network": NetworkShape(**plain["network"]),
                "structures": tuple(Structure.from_json(structure) for structure in plain["structures"]),
                "preprocessing": Preprocessing(**preprocessing),
            }
        )
        card.check()
        return card

    def check(self) -> None:
        """Raise InputError if entries of the card contradict each other."""
        indices = sorted(structure.index for structure in self.structures)
        if indices != list(range(1, self.network.classes)):
            raise InputError(
                f"The card names structures with indices {indices} but a network of {self.network.classes} classes; "
                f"1 to {self.network.classes - 1} are expected."
            )
        values = [value for structure in self.structures for value in structure.values]
        if len(set(values)) != len(values):
            raise InputError("The card gives one label value to two structures; each value must be used once.")
        if self.network.input_slices != self.preprocessing.input_slices:
            raise InputError(
                f"The card's network reads {self.network.input_slices} slices but its preprocessing gives "
                f"{self.preprocessing.input_slices}; they must be equal."
            )
        if self.preprocessing.size_multiple % 2**self.network.depth:
            raise InputError(
                f"The card's size multiple {self.preprocessing.size_multiple} is not a multiple of 2^{self.network.depth}, "
                "which the network's depth requires."
            )


@cache
def card_schema() -> dict[str, Any]:
    """The JSON schema that lies beside this file."""
    return json.loads(Path(__file__).with_name("card.schema.json").read_text(encoding="utf-8"))
