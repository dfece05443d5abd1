"""Options of a run that depend on the model: mirroring and postprocessing can be switched where its card has them."""

from __future__ import annotations

from typing import Any

from ...engine.model.card import Card
from ...engine.model.postprocessing_steps import step_texts
from ..widgets.plain_tip import plain_tip


def mirror_axes(card: Card | None) -> tuple[int, ...]:
    """Along which axes a model may see mirrored slices; none without a model."""
    return card.preprocessing.mirror_axes if card is not None else ()


def show_run_options(ui: Any, card: Card | None) -> None:
    """Enable each switch where the card allows it, and say what it does or why it can't be pressed."""
    times, box = 2 ** len(mirror_axes(card)), ui.mirroringCheckBox
    box.setEnabled(times > 1)
    box.setText(f"Mirroring ({times} times as slow)" if times > 1 else "Mirroring")
    allowed = "Segments each slice mirrored too and averages: a little better, as the model was trained for it."
    box.setToolTip(allowed if times > 1 else "The card of this model allows no mirrored slices.")
    names = {one.index: one.name for one in card.structures} if card is not None else {}
    steps = step_texts(card.postprocessing, names) if card is not None else []
    ui.postprocessingCheckBox.setEnabled(bool(steps))
    lines = [f"{step[:1].upper()}{step[1:]}." for step in steps] or ["The card of this model has no postprocessing."]
    ui.postprocessingCheckBox.setToolTip(plain_tip("\n".join(lines)))
