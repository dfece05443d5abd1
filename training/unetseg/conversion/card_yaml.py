"""card.yaml: the card of a model of other software as a text file, with what its files don't tell marked and explained."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.imports.draft import OPEN, ImportDraft, Unknown
from UNetSegmenterLib.engine.model.imports.importing import completed_card

from ..yaml_files import read_yaml

COMMENT_WIDTH = 110
LEFT_OUT = (
    *("network.architecture", "network.classes", "preprocessing.input_slices"),  # follow from others
    *("training", "validation", "statistics"),  # stay as they are
)
COMMENTS = {
    "title": "what users see in lists and on results",
    "description": "what a user should know before trusting it: on which scans it was trained, how good it is",
    "data_licence": "terms of the training data",
    "data_citation": "how to cite the training data",
    "network.input_slices": "neighbouring slices that the network reads, 1, 3 or 5",
    "network.parameters.input": "name of the input in the file",
    "network.parameters.output": "name of the output in the file",
    "network.parameters.layout": "NCHW or NHWC",
    "network.parameters.size": "rows and columns of the input, null for any",
    "network.parameters.activation": "what the output holds: logits, softmax, sigmoid or sigmoid-logits",
    "network.parameters.background": "whether the first output channel is the background",
    "network.parameters.channels": "neighbours, or repeated: one slice in each channel",
    "network.parameters.batch": "slices per run of the file, null for any number",
    "preprocessing.spacing_mm": "pixel size in mm, between rows and between columns",
    "preprocessing.intensities": "HU for CT, any for MR and others",
    "preprocessing.slice_distance_mm": "distance of neighbouring slices in mm, null for the next ones",
    "preprocessing.size_multiple": "slices are padded at their end to multiples of it",
    "preprocessing.axis": "axial, coronal, sagittal, or stored: slices as the file has them (see docs/import.md)",
    "preprocessing.orientation": "where rows and columns go to, of R L A P I S; PL: as a radiologist sees it, rows to the back, "
    "columns to the left",
    "preprocessing.patch_size": "rows and columns that the network reads at a time, null for a whole slice",
}
ORDER = "one per output channel, in their order."
COLORS = (
    "Known names get their colour and code by themselves. Others, or another label value in your data, are written as "
    "{name: fat, value: 7, color: [255, 220, 90]}."
)


def write_card_yaml(draft: ImportDraft, path: Path, subject: str, next_command: str) -> None:
    """Write the draft as a file to fill in; raises InputError if it can't be written.

    Args:
        draft: what `read_model` found.
        path: the file.
        subject: the model's name.
        next_command: what to type when it is filled in.
    """
    unknown = {one.entry: one for one in draft.unknown}
    what = f"Write your values in place of {OPEN}, look through the others" if unknown else "Change what you like"
    lines = [
        f"# The card of {subject}: what UNetSegmenter must know of it. {what}, and run:",
        f"#   {next_command}",
        *(line for note in draft.notes for line in _comment(note, "")),
        "",
    ]
    lines += _lines(draft.card, unknown, "", "")
    write_text(path, "\n".join(lines) + "\n")


def read_card_yaml(path: Path, draft: ImportDraft) -> Card:
    """The card of a filled-in file; entries that are left out keep what the model's files tell.

    Raises:
        InputError: the file can't be read, or an entry is missing or wrong; the message names it.
    """
    plain = read_yaml(path)
    if not isinstance(plain, dict):
        raise InputError(f"{path} holds no card; lines such as title: Fetal brain are expected.")
    given = dict(plain)
    if "structures" in given:
        given["structures"] = _structures(path, given["structures"])
    try:
        return completed_card(draft, _merged(draft.card, given))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


# --- writing -------------------------------------------------------------------------------------------------------------


def _lines(values: Mapping[str, Any], unknown: Mapping[str, Unknown], prefix: str, indent: str) -> Iterator[str]:
    for name, value in values.items():
        entry = f"{prefix}{name}"
        if entry in LEFT_OUT:
            continue
        if isinstance(value, dict) and entry not in unknown and entry != "preprocessing.normalisation":
            yield from ["", f"{indent}{name}:"] if not prefix else [f"{indent}{name}:"]
            yield from _lines(value, unknown, f"{entry}.", indent + "  ")
        elif entry == "structures":
            yield from _structure_lines(value, unknown.get(entry))
        elif entry in unknown:
            yield from _unknown_lines(name, unknown[entry], indent)
        else:
            comment = f"  # {COMMENTS[entry]}" if entry in COMMENTS else ""
            yield f"{indent}{name}: {_flow(value)}{comment}"


def _unknown_lines(name: str, unknown: Unknown, indent: str) -> Iterator[str]:
    yield from _comment(f"{unknown.entry.rpartition('.')[2]}: {unknown.explanation}", indent)
    for choice in unknown.choices:
        yield f"{indent}#   {_flow(choice)}"
    yield f"{indent}{name}: {OPEN}"


def _structure_lines(structures: list[Any], unknown: Unknown | None) -> Iterator[str]:
    yield ""
    yield from _comment(f"structures: {unknown.explanation if unknown else ORDER}", "")
    yield from _comment(COLORS, "")
    yield "structures:"
    for number, structure in enumerate(structures, start=1):
        yield f"  - {_structure_text(structure)}" + (
            "" if structure.get("name") else f"  # {number} of {len(structures)}"
        )


def _structure_text(structure: dict[str, Any]) -> str:
    """A structure's name alone, where all else follows from it."""
    name, index, values = structure.get("name"), structure["index"], structure.get("values") or [structure["index"]]
    if not name:
        return OPEN
    known = known_structure(name, index, values).to_json()
    other = {part: value for part, value in structure.items() if value is not None and value != known[part]}
    if values != [index]:
        other |= {"value": values[0]} if len(values) == 1 else {"values": values}
    return _flow({"name": name, **other}) if other else _flow(name)


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, COMMENT_WIDTH - len(indent), break_on_hyphens=False)]


def _flow(value: Any) -> str:
    """A value in one line of YAML; JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


# --- reading -------------------------------------------------------------------------------------------------------------


def _structures(path: Path, given: Any) -> list[dict[str, Any]]:
    """Structures as a card has them, of names or of mappings; "value" is short for a single one of "values"."""
    if not isinstance(given, list) or not given:
        raise InputError(f"{path}: structures is no list; one line such as - liver per structure is expected.")
    structures = []
    for number, one in enumerate(given, start=1):
        fields = dict(one) if isinstance(one, dict) else {"name": one}
        if not isinstance(fields.get("name"), str):
            raise InputError(f"{path}: structure {number} is {_flow(one)}; a name such as liver is expected.")
        if fields.get("index", number) != number:
            raise InputError(
                f"{path}: structure {number} has the index {fields['index']}, but the order is that of the output's channels; "
                "move it there, and leave the index out."
            )
        if "value" in fields:
            fields["values"] = [fields.pop("value")]
        structures.append(fields | {"index": number})
    return structures


def _merged(known: Any, given: Any) -> Any:
    """What is given, and what is known where nothing is."""
    if not isinstance(known, dict) or not isinstance(given, dict):
        return given
    return {**known, **{name: _merged(known.get(name), value) for name, value in given.items()}}
