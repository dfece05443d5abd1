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
from .architectures import UNET, NetworkDescription, check_unet_parameters
from .postprocessing_steps import check_step
from .preprocessing import Preprocessing


@dataclass(frozen=True)
class Card:
    """What users and programs must know of a checkpoint; `docs/checkpoint.md` describes every entry.

    Args:
        title: name of the checkpoint, for the user.
        network: its architecture.
        structures: what it segments; their indices are 1 to `network.classes` - 1.
        preprocessing: how a scan becomes the network's input.
        description: text for the user.
        data_licence: licence of the training data.
        data_citation: how to cite the training data.
        training: facts of the training run, as a JSON object.
        validation: results per structure, with the number of cases and the standard deviation.
        statistics: training statistics, which the plausibility checks compare with.
        postprocessing: what is done to the labels of a whole scan, in this order, as JSON objects.
    """

    title: str
    network: NetworkDescription
    structures: tuple[Structure, ...]
    preprocessing: Preprocessing
    description: str = ""
    data_licence: str = ""
    data_citation: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    postprocessing: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> str:
        """The card as JSON text that fits `card.schema.json`."""
        plain = asdict(self) | {
            "structures": [structure.to_json() for structure in self.structures],
            "preprocessing": self.preprocessing.to_json(),
        }
        return json.dumps(plain, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card from JSON text; raises InputError if it breaks the schema or contradicts itself."""
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"The card is not JSON text ({error}); choose a checkpoint that UNetSegmenter wrote."
            ) from error
        return cls.from_plain(plain)

    @classmethod
    def from_plain(cls, plain: Any) -> Card:
        """Read a card from a JSON object of format 1 or 2; raises InputError as `from_json` does."""
        plain = _in_format_2(plain)
        if problem := violation(plain, card_schema(), "card"):
            raise InputError(f"The card breaks its schema: {problem}")
        card = cls(
            **plain
            | {
                "network": NetworkDescription(**plain["network"]),
                "structures": tuple(Structure.from_json(structure) for structure in plain["structures"]),
                "preprocessing": Preprocessing.from_json(plain["preprocessing"]),
                "postprocessing": tuple(plain.get("postprocessing", ())),
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
        for step in self.postprocessing:
            check_step(step, self.network.classes - 1)
        if self.network.input_slices != self.preprocessing.input_slices:
            raise InputError(
                f"The card's network reads {self.network.input_slices} slices but its preprocessing gives "
                f"{self.preprocessing.input_slices}; they must be equal."
            )
        if self.network.architecture != UNET:
            return
        check_unet_parameters(self.network.parameters)
        depth = self.network.parameters["depth"]
        if self.preprocessing.size_multiple % 2**depth:
            raise InputError(
                f"The card's size multiple {self.preprocessing.size_multiple} is not a multiple of 2^{depth}, "
                "which the network's depth requires."
            )


def _in_format_2(plain: Any) -> Any:
    """A card of format 1 as one of format 2; anything else is left as it is, for the schema to check."""
    network = plain.get("network") if isinstance(plain, dict) else None
    if not isinstance(network, dict) or "architecture" in network:
        return plain
    parameters = {name: network[name] for name in ("base_width", "depth") if name in network}
    others = {name: value for name, value in network.items() if name not in parameters}
    changed = {"network": {"architecture": UNET, **others, "parameters": parameters}}
    preprocessing = plain.get("preprocessing")
    if isinstance(preprocessing, dict) and "window_hu" in preprocessing:
        kept = {name: value for name, value in preprocessing.items() if name != "window_hu"}
        kept["normalisation"] = {"name": "window", "clip": preprocessing["window_hu"]}
        changed["preprocessing"] = kept
    return plain | changed


@cache
def card_schema() -> dict[str, Any]:
    """The JSON schema that lies beside this file."""
    return json.loads(Path(__file__).with_name("card.schema.json").read_text(encoding="utf-8"))
