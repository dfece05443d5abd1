"""The card of a checkpoint: what it segments, what it wants to be fed, what it was trained on and how well it does."""

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
    """Parameters of `network.UNet`; `classes` counts the background."""

    input_slices: int
    classes: int
    base_width: int
    depth: int


@dataclass(frozen=True)
class Card:
    """What a person and a program must know of a checkpoint; `docs/checkpoint.md` describes every entry.

    training, validation and statistics are JSON objects: facts of the training run, results per structure with n and
    spread, and the reference statistics of the training labels that the plausibility checks compare with.
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
        """JSON text that follows `card.schema.json`."""
        plain = asdict(self) | {"structures": [structure.to_json() for structure in self.structures]}
        return json.dumps(plain, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Card of a JSON text; raises InputError if it breaks the schema or contradicts itself."""
        try:
            plain = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(
                f"The card is no JSON text ({error}); the file was not written by this software."
            ) from error
        if problem := violation(plain, card_schema(), "card"):
            raise InputError(f"The card breaks its schema: {problem}")
        preprocessing = plain["preprocessing"] | {"window_hu": tuple(plain["preprocessing"]["window_hu"])}
        card = cls(
            **plain
            | {
                "network": NetworkShape(**plain["network"]),
                "structures": tuple(Structure.from_json(part) for part in plain["structures"]),
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
                f"The card's size multiple {self.preprocessing.size_multiple} is no multiple of 2^{self.network.depth}, "
                "which the network's depth asks for."
            )


@cache
def card_schema() -> dict[str, Any]:
    """The JSON schema that lies beside this file."""
    return json.loads(Path(__file__).with_name("card.schema.json").read_text(encoding="utf-8"))
