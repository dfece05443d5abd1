"""The card of a model that is imported, as a form: what is known can be changed, what is unknown is marked and explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

from ...engine.counting import counted
from ...engine.model.card_facts import network_text
from .card_draft import CardDraft, UnknownEntry
from .entry_fields import BACKGROUND as BACKGROUND_ENTRY
from .entry_fields import ChoiceField, Field, NormalisationField, PixelSizeField, StructuresField, TextField
from .orientation_field import SlicesField

MARK = "<span style='color:#d97706'>&#9679;</span>"
DONE = "<span style='color:#3a9c4e'>&#10003;</span>"
INTENSITIES = (("HU", "Hounsfield units (CT)"), ("any", "any, such as MR"))
ACTIVATIONS = (
    ("logits", "logits, one channel per class"),
    ("softmax", "probabilities that add up to 1 (softmax)"),
    ("sigmoid", "a probability per channel (sigmoid)"),
    ("sigmoid-logits", "logits of a sigmoid per channel"),
)
FIRST_CHANNEL = ((True, "background"), (False, "a structure, as every other channel"))
LAYOUTS = (("NCHW", "channels, rows, columns"), ("NHWC", "rows, columns, channels"))
CHANNELS = (("neighbours", "neighbouring slices"), ("repeated", "the same slice, repeated"))
ACTIVATION = "network.parameters.activation"
TITLES: dict[str, tuple[str, Sequence[tuple[Any, str]]]] = {
    ACTIVATION: ("Output holds", ACTIVATIONS),
    "network.parameters.layout": ("Axes", LAYOUTS),
    "network.parameters.channels": ("Input channels", CHANNELS),
    "network.parameters.output": ("Output", ()),
}
"""Unknown entries of ONNX files: what their fields are called, and their values in words."""
IN_ORDER = "The names of the structures, in the order of the output's channels."
EXPLANATION_PIXELS = 400


class CardForm:
    """`widget` shows a `CardDraft` and writes into it; `on_change` is called after every change.

    `problems` says in words what is missing or wrong, in the order of the form.
    """

    def __init__(self, draft: CardDraft, on_change: Callable[[], None]) -> None:
        """Make one field per entry of the card that can be changed."""
        self.draft, self._on_change = draft, on_change
        self.widget = qt.QWidget()
        self._form = qt.QFormLayout()
        self._form.setRowWrapPolicy(qt.QFormLayout.DontWrapRows)
        self._form.setFieldGrowthPolicy(qt.QFormLayout.AllNonFixedFieldsGrow)
        self.widget.setLayout(self._form)
        self._labels: list[tuple[Field, Any]] = []
        self.fields: dict[str, Field] = {}
        for field in self._wanted():
            self._add(field)
        self._show_marks()

    @property
    def problems(self) -> list[str]:
        """What is still to be given or set right, one text per field."""
        return [text for field, _ in self._labels if (text := field.problem or self._gap(field))]

    def _wanted(self) -> Sequence[Field]:
        draft = self.draft
        first_is_open = leave_out_background(draft)
        self.structures = StructuresField(draft, self._changed)
        fields: list[Field] = [
            TextField(draft, "title", "Title", self._changed, is_needed=True),
            self.structures,
            PixelSizeField(draft, self._changed),
            ChoiceField(draft, "preprocessing.intensities", "Values", INTENSITIES, self._changed),
            NormalisationField(draft, self._changed),
            SlicesField(draft, self._changed),
        ]
        if first_is_open:
            fields.insert(1, ChoiceField(draft, BACKGROUND_ENTRY, "First channel", FIRST_CHANNEL, self._on_background))
        known = {field.entry for field in fields} | {BACKGROUND_ENTRY}
        for one in draft.unknown:
            if any(one.entry == name or one.entry.startswith(name + ".") for name in known):
                continue
            field = _field_of(draft, one, self._on_output if one.entry == ACTIVATION else self._changed)
            fields.insert(len(fields) if one.entry.startswith("preprocessing") else 1, field)
        for entry, title in (
            ("description", "Description"),
            ("data_licence", "Licence"),
            ("data_citation", "Citation"),
        ):
            fields.append(TextField(draft, entry, title, self._changed))
        return fields

    def _add(self, field: Field) -> None:
        label = qt.QLabel()
        label.setTextFormat(qt.Qt.RichText)
        label.setBuddy(field.focus)
        self._form.addRow(label, field.widget)
        self._labels.append((field, label))
        self.fields[field.entry] = field
        if field.entry == "title":
            network = qt.QLabel(_network(self.draft.card.get("network") or {}))
            network.setWordWrap(True)
            self._form.addRow(qt.QLabel("Network:"), network)
        explanation = " ".join(dict.fromkeys(one.explanation for one in self.draft.of(field.entry) if one.explanation))
        if field is self.structures and BACKGROUND_ENTRY in self.fields:
            explanation = IN_ORDER  # without the background, which has a field of its own
        if explanation:
            self._form.addRow("", _explanation(explanation))

    def _gap(self, field: Field) -> str:
        missing = [one for one in self.draft.missing if one in self.draft.of(field.entry)]
        return f"give {field.title.lower()}" if missing else ""

    def _on_output(self) -> None:
        """Logits and a softmax always have a channel of the background."""
        field = self.fields.get(BACKGROUND_ENTRY)
        if isinstance(field, ChoiceField):
            always = self.draft.get(ACTIVATION) in ("logits", "softmax")
            if always:
                field.choose(True)
            field.widget.setEnabled(not always)
        self._changed()

    def _on_background(self) -> None:
        self.structures.follow_background()
        self._changed()

    def _changed(self) -> None:
        self._show_marks()
        self._on_change()

    def _show_marks(self) -> None:
        for field, label in self._labels:
            is_open = bool(field.problem or self._gap(field))
            mark = MARK if is_open else DONE if self.draft.of(field.entry) else ""
            label.setText(f"{field.title}: {mark}")
            label.setToolTip("The model's files do not tell; fill it in." if is_open else "")


def leave_out_background(draft: CardDraft) -> bool:
    """Whether it is open if an ONNX file's first channel is background; one that is named so is taken out of the structures.

    The draft of such a file lists every channel.
    """
    parameters, structures = draft.get("network.parameters") or {}, draft.get("structures") or []
    if parameters.get("background", True) is not None:
        return False
    if structures and str(structures[0].get("name") or "").strip().lower() == "background":
        draft.put(BACKGROUND_ENTRY, True)
        draft.card["structures"] = [
            {**one, "index": index, "values": [index]} for index, one in enumerate(structures[1:], start=1)
        ]
        draft.card["network"]["classes"] = len(structures)
    return True


def _field_of(draft: CardDraft, one: UnknownEntry, on_change: Callable[[], None]) -> Field:
    """A field for an entry that the form has none for by itself."""
    title, choices = TITLES.get(one.entry, (one.entry.rpartition(".")[2].replace("_", " ").capitalize(), ()))
    if one.choices:
        words = dict(choices)
        choices = tuple((choice, words.get(choice, str(choice))) for choice in one.choices)
    if choices:
        return ChoiceField(draft, one.entry, title, choices, on_change)
    return TextField(draft, one.entry, title, on_change, is_needed=True)


def _network(network: dict[str, Any]) -> str:
    slices = network.get("input_slices") or 1
    return f"{network_text(network)}, {counted(slices, 'input slice')}"


def _explanation(sentence: str) -> Any:
    """What an entry means, in small letters below its field."""
    label = qt.QLabel(sentence[:1].upper() + sentence[1:])
    label.setWordWrap(True)
    label.setTextFormat(qt.Qt.PlainText)
    font = label.font
    if font.pointSizeF() > 0:  # else its size is in pixels, as a style sheet may set it
        font.setPointSizeF(font.pointSizeF() * 0.9)
    font.setItalic(True)
    label.setFont(font)
    label.setMinimumWidth(EXPLANATION_PIXELS)
    return label
