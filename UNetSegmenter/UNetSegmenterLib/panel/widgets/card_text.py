"""The card of a checkpoint in words and colours, as the rich text of one label."""

from __future__ import annotations

import math
from dataclasses import asdict
from html import escape
from typing import Any

from ...engine.io.slicing import STORED
from ...engine.io.volume import HU
from ...engine.model.card import Card
from ...engine.model.preprocessing import Preprocessing
from .network_text import network_text

MOST_SWATCHES = 12  # of the folded card


def card_html(card: Card, sha256: str, size_bytes: int, folds: int = 1) -> str:
    """Title, what is segmented (swatch, name, validation Dice with n), what it was trained on, what it wants to be fed."""
    heading = f"<b>{escape(card.title)}</b>" + (f"<br>{escape(card.description)}" if card.description else "")
    facts = [*_training(card), *_input(card, folds), ("File", f"{size_bytes / 1e6:.1f} MB, SHA-256 {sha256[:12]}…")]
    rows = "".join(
        f'<tr><td style="padding-right:10px">{escape(name)}</td><td>{escape(text)}</td></tr>' for name, text in facts
    )
    table = f"<table cellspacing='0' cellpadding='1'>{rows}</table>"
    gap = "<div style='font-size:4pt'>&nbsp;</div>"
    return heading + gap + _structures(card) + gap + table


def structures_html(card: Card) -> str:
    """One line: the colours of the structures, how many they are and how well they did on validation."""
    ordered = sorted(card.structures, key=lambda structure: structure.index)
    swatches = "".join(_swatch(structure.color) for structure in ordered[:MOST_SWATCHES])
    count = f"{len(ordered)} structure{'s' * (len(ordered) != 1)}"
    dice = [entry["dice"]["mean"] for structure in ordered if (entry := _dice_entry(card, structure.name))]
    mean = f"validation Dice {sum(dice) / len(dice):.2f}, " if len(dice) == len(ordered) > 0 else ""
    return f"{swatches} {mean}{count}"


def reads_text(card: Card) -> str:
    """One line: what the network is fed with."""
    return f"Reads {dict(_input(card))['Reads']}"


def _structures(card: Card) -> str:
    rows = []
    for structure in sorted(card.structures, key=lambda structure: structure.index):
        swatch = _swatch(structure.color)
        dice = dice_text(card.validation.get(structure.name))
        rows.append(
            f'<tr><td>{swatch} {escape(structure.name)}</td><td style="padding-left:14px">{escape(dice)}</td></tr>'
        )
    heading = (
        "" if not card.validation else "<tr><td></td><td style='padding-left:14px'><i>validation Dice</i></td></tr>"
    )
    return f"<table cellspacing='0' cellpadding='1'>{heading}{''.join(rows)}</table>"


def _swatch(color: tuple[int, int, int]) -> str:
    red, green, blue = color
    return f'<span style="color:#{red:02x}{green:02x}{blue:02x}">&#9632;</span>'


def _dice_entry(card: Card, name: str) -> Any:
    """One structure's validation entry where it holds a mean Dice, else None."""
    entry = card.validation.get(name)
    return entry if dice_text(entry) else None


def dice_text(validation: Any) -> str:
    """ "0.91 ± 0.03 (n = 4)" of one structure's validation entry; empty where none was recorded."""
    dice = validation.get("dice") if isinstance(validation, dict) else None
    if not isinstance(dice, dict) or not _is_number(dice.get("mean")):
        return ""
    spread = f" ± {dice['sd']:.2f}" if _is_number(dice.get("sd")) else ""
    n = f" (n = {dice['n']})" if dice.get("n") is not None else ""
    return f"{dice['mean']:.2f}{spread}{n}"


def _training(card: Card) -> list[tuple[str, str]]:
    training = card.training
    facts = []
    cases = training.get("cases")
    count = len(cases) if isinstance(cases, list) else cases
    data = " ".join(filter(None, [str(training.get("data_set") or ""), f"({count} scans)" if count else ""]))
    if data:
        facts.append(("Trained on", data))
    parent = training.get("started_from")
    if isinstance(parent, dict) and parent.get("title"):
        facts.append(("Begun from", _parent(parent, training.get("seen_cases"))))
    overall = card.validation.get("all")
    if isinstance(overall, dict) and overall.get("cases"):
        tested = ", ".join(map(str, overall["cases"]))
        facts.append(("Measured on", f"{tested} with {overall.get('measured', 'this checkpoint')}"))
    if training.get("date"):
        facts.append(("Date", str(training["date"])))
    if card.data_licence:
        facts.append(("Data licence", card.data_licence))
    return facts


def _parent(parent: dict[str, Any], seen: Any) -> str:
    """The checkpoint whose weights training began with, and how many more scans its ancestors had been trained on."""
    more = [one for one in seen or () if one.get("generation", 0) > 0 and one.get("role") == "trained"]
    others = f", trained on {len(more)} other scan{'s' * (len(more) > 1)}" if more else ""
    return f"{parent['title']}{others}"


def _input(card: Card, folds: int = 1) -> list[tuple[str, str]]:
    preprocessing, network = card.preprocessing, card.network
    neighbours = "" if network.input_slices == 1 else f", {network.input_slices} neighbouring slices"
    axes = {"axial": "", STORED: ", slices as they are stored"}
    axis = axes.get(preprocessing.axis, f", {preprocessing.axis} slices")
    facts = [
        ("Reads", f"{preprocessing.pixels_text()}, {_values(preprocessing)}{neighbours}{axis}"),
        ("Network", network_text(asdict(network), folds)),
    ]
    if preprocessing.normalisation.name != "window":
        facts.append(("Normalised", preprocessing.normalisation.text()))
    if preprocessing.mirror_axes:
        facts.append(("Mirroring", f"possible, {2 ** len(preprocessing.mirror_axes)} times as slow (Advanced)"))
    if card.postprocessing:
        facts.append(("Afterwards", _postprocessing(card)))
    return facts


def _postprocessing(card: Card) -> str:
    """Of what the largest component alone is kept."""
    names = {structure.index: structure.name for structure in card.structures}
    kept = (
        " and ".join(names.get(index, str(index)) for index in step["keep_largest_component_of"])
        for step in card.postprocessing
    )
    return f"keeps the largest component of {'; of '.join(kept)}"


def _values(preprocessing: Preprocessing) -> str:
    if preprocessing.window_hu is None:
        return "HU" if preprocessing.intensities == HU else "any intensities"
    low, high = preprocessing.window_hu
    return f"{low:g} to {high:g} HU"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
