"""Models of other software: read a draft of their card, complete it, and write one file that opens like a checkpoint.

draft = read_model("fetal.onnx")             # no code of the model is run
card = completed_card(draft, filled_in)      # plain JSON, with the unknown entries given
write_model(draft, card, "fetal-model.onnx")
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...labels.structures import canonical_name, known_structure
from ...plain_data import did_you_mean
from ..card import Card, card_schema
from ..onnx_graph import is_onnx
from .draft import AS_IT_IS, OPEN, ImportDraft, Unknown, entry_of


def read_model(path: Path | str) -> ImportDraft:
    """Ask the files of a model what they tell: a trained model folder of nnU-Net, its zip, or an ONNX file.

    Raises:
        InputError: nothing of the kind, or a model that can't be used; the message says why.
        ModuleNotFoundError: onnx or onnxruntime is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} is not there; give a folder or zip of nnU-Net, or an ONNX file.")
    if path.is_file() and (is_onnx(path) or path.suffix.lower() == ".onnx"):
        from .onnx_file import read_draft

        return read_draft(path)
    _refuse_other_software(path)
    from .nnunet_folder import read_nnunet_draft

    return read_nnunet_draft(path)


def _refuse_other_software(path: Path) -> None:
    if path.suffix.lower() in (".h5", ".hdf5", ".keras", ".pb", ".tflite") or (path / "saved_model.pb").exists():
        raise InputError(
            f"{path} is of Keras or TensorFlow; convert it with tf2onnx (docs/import.md), and import the ONNX file."
        )
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            is_torch = any(name.endswith("/data.pkl") for name in archive.namelist())
        if is_torch:
            raise InputError(
                f"{path} is a file of PyTorch. If UNetSegmenter wrote it, it needs no import; if it holds weights of a network "
                "of your own, name its Python: unetseg import WEIGHTS --network MODULE:FUNCTION."
            )


def completed_card(draft: ImportDraft, plain: dict[str, Any]) -> Card:
    """The card of a draft whose unknown entries were filled in.

    Args:
        draft: what `read_model` returned.
        plain: JSON of the whole card.

    Raises:
        InputError: an entry is missing or wrong; the message names it.
    """
    _refuse_unknown_entries(plain)
    for unknown in draft.unknown:
        if _is_open(plain, unknown):
            raise InputError(f"The card lacks {unknown.entry}: {unknown.explanation}")
    plain = _with_known_structures(_with_own_pixels(plain))
    if draft.kind != "ONNX":
        return Card.from_plain(plain)
    from .onnx_file import fitted_to_channels, with_air_around

    card = Card.from_plain(fitted_to_channels(draft, plain))
    _refuse_equal_names(card)
    return card if entry_of(plain, "preprocessing.pad_value") is not None else with_air_around(card)


def write_model(draft: ImportDraft, card: Card, output: Path | str) -> None:
    """Write one file with the model and its card, which opens like a checkpoint.

    Raises:
        InputError: the card does not fit the model, or `output` is one of the model's own files or has the other ending.
    """
    output = Path(output)
    ending, other = (".onnx", ".pt") if draft.kind == "ONNX" else (".pt", ".onnx")
    if output.suffix.lower() == other:
        raise InputError(f"{output} would be no {other} file: what is written is a {ending} file; name it so.")
    if output.exists() and (
        os.path.samefile(output, draft.source) or draft.source.resolve() in output.resolve().parents
    ):
        raise InputError(f"{output} belongs to the model itself, which is left as it is; choose another output.")
    if draft.kind == "ONNX":
        from .onnx_file import write_with_card

        write_with_card(draft, card, output)
        return
    from .nnunet_folder import write_nnunet_model

    write_nnunet_model(draft, card, output)


def _refuse_unknown_entries(plain: dict[str, Any]) -> None:
    """Raise InputError for a misspelt entry, before the one that is meant is reported as missing."""
    schema = card_schema()["properties"]
    for where, values, known in (
        ("card", plain, schema),
        ("network", plain.get("network"), schema["network"]["properties"]),
        ("preprocessing", plain.get("preprocessing"), schema["preprocessing"]["properties"]),
    ):
        if not isinstance(values, dict):
            raise InputError(f"The card's {where} is {values!r}; entries with names and values are expected.")
        _refuse_others(where, values, known)
    structures = plain.get("structures")
    for number, structure in enumerate(structures if isinstance(structures, list) else (), start=1):
        if isinstance(structure, dict):
            _refuse_others(f"structure {number}", structure, schema["structures"]["items"]["properties"])


def _refuse_others(where: str, values: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in values:
        if name not in known:
            raise InputError(f'The {where} has an unknown entry "{name}"; {did_you_mean(str(name), known, cutoff=0.5)}')


def _refuse_equal_names(card: Card) -> None:
    """Raise InputError if two structures have one name: results and options could not tell them apart."""
    found: dict[str, str] = {}
    for structure in card.structures:
        name = canonical_name(structure.name)
        if name in found:
            raise InputError(
                f'The card names two structures "{found[name]}" and "{structure.name}"; give each output channel a name of '
                "its own."
            )
        found[name] = structure.name


def _with_own_pixels(plain: dict[str, Any]) -> dict[str, Any]:
    preprocessing = plain.get("preprocessing")
    if isinstance(preprocessing, dict) and preprocessing.get("spacing_mm") == AS_IT_IS:
        return plain | {"preprocessing": preprocessing | {"spacing_mm": None}}
    return plain


def _with_known_structures(plain: dict[str, Any]) -> dict[str, Any]:
    """Structures with the colours and terms of their names, and with their own where they have them."""
    structures = plain.get("structures")
    if not isinstance(structures, list):
        raise InputError("The card's structures are no list; one name per structure is expected.")
    completed = []
    for number, structure in enumerate(structures, start=1):
        if not isinstance(structure, dict) or not isinstance(structure.get("name"), str):
            raise InputError(f"The card's structure {number} has no name; a text is expected.")
        given = {name: value for name, value in structure.items() if value is not None}
        index = given.get("index", number)
        known = known_structure(given["name"], number, number).to_json()
        completed.append(known | {"index": index, "values": [index]} | given)
    return plain | {"structures": completed}


def _is_open(plain: dict[str, Any], unknown: Unknown) -> bool:
    """Whether an entry, or the name of one of the structures, was not given."""
    value = entry_of(plain, unknown.entry)
    if unknown.entry == "structures" and isinstance(value, list) and value:
        names = [one.get("name") if isinstance(one, dict) else one for one in value]
        return any(name in (None, "", OPEN) for name in names)
    if unknown.entry == "preprocessing.spacing_mm" and value is None:
        return False  # the panel's "as it is"
    if unknown.entry == "network.parameters.background" and not isinstance(value, bool):
        return entry_of(plain, "network.parameters.activation") not in ("logits", "softmax")  # which always have one
    return value in (None, "", OPEN)
