"""A card that is still being filled in: plain JSON, and which of its entries the user has yet to give."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class UnknownEntry:
    """An entry that the model's files do not tell: its dotted name, what it means, and the values that it may have."""

    entry: str
    explanation: str
    choices: tuple[Any, ...] = ()


class CardDraft:
    """Reads and writes entries by dotted names ("preprocessing.spacing_mm"); `missing` lists the unknown ones without answer.

    An answer may be None ("as it is"), so an entry counts as given once it was written, not once it has a value.
    """

    def __init__(self, card: dict[str, Any], unknown: Sequence[UnknownEntry] = ()) -> None:
        """Start with what is known."""
        self.card = copy.deepcopy(card)
        self.unknown = tuple(unknown)
        self._given: set[str] = set()

    @property
    def missing(self) -> tuple[UnknownEntry, ...]:
        """Unknown entries that have no answer yet."""
        return tuple(one for one in self.unknown if not any(_covers(name, one.entry) for name in self._given))

    def of(self, name: str) -> tuple[UnknownEntry, ...]:
        """The unknown entries at or below a name, or above it, given or not."""
        return tuple(one for one in self.unknown if _covers(name, one.entry) or _covers(one.entry, name))

    def get(self, name: str, default: Any = None) -> Any:
        """The value of an entry, `default` if there is none."""
        value: Any = self.card
        for part in name.split("."):
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                return default
        return default if value is None else value

    def put(self, name: str, value: Any, is_given: bool = True) -> None:
        """Write an entry; one that `is_given` is not missing any more."""
        *parents, last = name.split(".")
        target = self.card
        for part in parents:
            if not isinstance(target.get(part), dict):
                target[part] = {}
            target = target[part]
        target[last] = value
        above = {one.entry for one in self.unknown if _covers(one.entry, name)}
        if is_given:
            self._given |= {name, *above}
        else:
            self._given -= {name, *above}


def _covers(name: str, entry: str) -> bool:
    return entry == name or entry.startswith(name + ".")
