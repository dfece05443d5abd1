"""The steps of a card's postprocessing: their entries, what they must hold, and what they do in words; no voxels here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError

LARGEST, SMALL, SMALL_OF, CAVITIES = (
    "keep_largest_component_of",
    "remove_components_smaller_than_ml",
    "of",
    "fill_cavities_of",
)
"""The entries of a step; each step has one kind of them."""

EVIDENCE = "evidence"
_KINDS = ({LARGEST}, {SMALL, SMALL_OF}, {CAVITIES})


def check_step(step: Mapping[str, Any], structures: int) -> None:
    """Raise InputError if a step that fits the schema has two kinds of entries, or names a structure that isn't there.

    Args:
        step: one of the card's `postprocessing`.
        structures: how many the card has.
    """
    if set(step) - {EVIDENCE} not in _KINDS:
        raise InputError(
            f"The card's postprocessing has a step of {', '.join(sorted(step)) or 'nothing'}; {LARGEST}, or {CAVITIES}, or "
            f"{SMALL} with {SMALL_OF} is expected."
        )
    if wrong := [index for index in structures_of(step) if not 0 < index <= structures]:
        raise InputError(
            f"The card's postprocessing has a step for structure {wrong[0]}; indices of structures, 1 to {structures}, are "
            "expected."
        )


def structures_of(step: Mapping[str, Any]) -> Sequence[int]:
    """Indices of the structures that a step is for."""
    return step.get(LARGEST) or step.get(CAVITIES) or step[SMALL_OF]


def postprocessing_text(steps: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> str:
    """What the steps do, with the structures' names.

    Args:
        steps: the card's `postprocessing`.
        names: the structures' names, by index.
    """
    largest = [[names.get(index, str(index)) for index in step[LARGEST]] for step in steps if LARGEST in step]
    alone = [group[0] for group in largest if len(group) == 1]
    kept = [f"of each of {', '.join(alone)}"] if len(alone) > 1 else [f"of {name}" for name in alone]
    kept += [f"of {', '.join(group)} taken together" for group in largest if len(group) > 1]
    parts = [f"only the largest component {' and '.join(kept)} is kept"] if kept else []
    small = [f"{_named(step, names)} (below {step[SMALL]:.3g} ml)" for step in steps if SMALL in step]
    if small:
        parts.append(f"small components are removed from {', '.join(small)}")
    filled = [_named(step, names) for step in steps if CAVITIES in step]
    if filled:
        parts.append(f"cavities are filled in {', '.join(filled)}")
    return "; ".join(parts)


def step_texts(steps: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> list[str]:
    """What the steps do, each with its evidence; those without any are taken together."""
    plain = [step for step in steps if EVIDENCE not in step]
    return ([postprocessing_text(plain, names)] if plain else []) + [
        step_text(step, names) for step in steps if EVIDENCE in step
    ]


def step_text(step: Mapping[str, Any], names: Mapping[int, str]) -> str:
    """What one step does and what it was found to be worth: the mean Dice without and with it."""
    found = step.get(EVIDENCE)
    text = postprocessing_text([step], names)
    if not found:
        return text
    changed = f", better in {found['better']}, worse in {found['worse']}" if {"better", "worse"} <= set(found) else ""
    return f"{text}: mean Dice {found['dice_without']:.4f} -> {found['dice_with']:.4f}, {found['cases']} cases{changed}"


def _named(step: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return " and ".join(names.get(index, str(index)) for index in structures_of(step))
