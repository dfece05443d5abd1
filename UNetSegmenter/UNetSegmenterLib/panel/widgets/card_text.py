"""The card of a checkpoint in words and colours, as the rich text of one label."""

from __future__ import annotations

from html import escape
from typing import Any

from ...engine.counting import counted
from ...engine.model.card import Card
from ...engine.model.card_facts import dice_text, input_facts, training_facts

MOST_SWATCHES = 12  # of the folded card


def card_html(card: Card, sha256: str, size_bytes: int, folds: int = 1) -> str:
    """Title, what is segmented (swatch, name, validation Dice with n), what it was trained on, what it wants to be fed."""
    heading = f"<b>{escape(card.title)}</b>" + (f"<br>{escape(card.description)}" if card.description else "")
    facts = [
        *training_facts(card),
        *input_facts(card, folds),
        ("File", f"{size_bytes / 1e6:.1f} MB, SHA-256 {sha256[:12]}…"),
    ]
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
    count = counted(len(ordered), "structure")
    dice = [entry["dice"]["mean"] for structure in ordered if (entry := _dice_entry(card, structure.name))]
    mean = f"validation Dice {sum(dice) / len(dice):.2f}, " if len(dice) == len(ordered) > 0 else ""
    return f"{swatches} {mean}{count}"


def reads_text(card: Card) -> str:
    """One line: what the network is fed with."""
    return f"Reads {dict(input_facts(card))['Reads']}"


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
