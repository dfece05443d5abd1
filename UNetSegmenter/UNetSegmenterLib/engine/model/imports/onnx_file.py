"""The draft of a card for an ONNX file: its axes are read, and what its output holds is found by running it on noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ..normalisation import Normalisation
from ..onnx_graph import OnnxGraph, read_onnx, write_onnx
from .draft import ImportDraft, Unknown
from .onnx_trial import OnnxFacts, find_out, noise, tried_size

if TYPE_CHECKING:
    from ..card import Card


NORMALISATIONS = (
    {"name": "window", "clip": [-160, 240], "range": [-1, 1]},
    {"name": "ct", "clip": [-160, 240], "mean": 80.0, "sd": 60.0},
    {"name": "z-score", "over": "slice"},
    {"name": "rescale", "range": [0, 1], "over": "slice"},
    {"name": "none"},
)
"""One example of each, with parameters to replace."""

OUTPUT = Unknown(
    "network.parameters.output",
    "the file has several outputs; name the one with the labels' logits or probabilities at full size "
    "(networks with deep supervision have smaller ones too).",
)
LAYOUT = Unknown(
    "network.parameters.layout",
    'the order of the axes: "NCHW" (batch, channels, rows, columns; PyTorch) or "NHWC" (batch, rows, columns, channels; Keras).',
    ("NCHW", "NHWC"),
)
CHANNELS = Unknown(
    "network.parameters.channels",
    'what the input channels are: "neighbours" (slices beside each other, the labelled one in the middle) or "repeated" (the '
    "same slice in each channel, as encoders trained on photographs have it).",
    ("neighbours", "repeated"),
)
ACTIVATION = Unknown(
    "network.parameters.activation",
    'what the output holds: "logits" (the class with the largest value wins: trained with cross-entropy or softmax) or '
    '"sigmoid-logits" (each channel was trained by itself, with a binary loss).',
    ("logits", "sigmoid-logits"),
)
BACKGROUND = Unknown(
    "network.parameters.background",
    "whether the first output channel is the background (true, as always with logits), or every channel is a structure (false).",
    (True, False),
)
STRUCTURES = Unknown(
    "structures",
    "the names of the structures, in the order of the output's channels.",
)
STRUCTURES_OR_BACKGROUND = Unknown(
    STRUCTURES.entry,
    STRUCTURES.explanation + ' Where the first channel is the background, call it "background".',
)
SPACING = Unknown(
    "preprocessing.spacing_mm",
    "pixel size in mm, between rows and between columns, that training slices were resampled to; "
    '"as it is" if they were not, whatever size they had.',
    ("as it is",),
)
NORMALISATION = Unknown(
    "preprocessing.normalisation",
    "how values became the numbers that the network was trained with; one of the examples, with your numbers.",
    NORMALISATIONS,
)
INTENSITIES = Unknown(
    "preprocessing.intensities",
    '"HU" for a network trained on CT, "any" for MR and whatever has no unit.',
    ("HU", "any"),
)


def read_draft(path: Path) -> ImportDraft:
    """Find out what an ONNX file tells of its card; a card of ours in it is taken as it is.

    Raises:
        InputError: the file can't be used; the message says why.
    """
    graph = read_onnx(path)
    if graph.card is not None:
        from ..card import Card

        card = Card.from_json(graph.card)
        return ImportDraft(path, "ONNX", _plain(card), (), ("The file has a card already; it is shown as it is.",))
    facts = find_out(graph)
    return ImportDraft(path, "ONNX", _draft_card(path, facts), tuple(_unknown(facts)), tuple(_notes(graph, facts)))


def fitted_to_channels(draft: ImportDraft, plain: dict[str, Any]) -> dict[str, Any]:
    """A card with the classes that follow from its structures, and without a structure that stands for the background.

    Where the user says that slices are repeated as channels, the card's network reads one slice.
    """
    network, structures = plain.get("network"), plain.get("structures")
    if not isinstance(network, dict) or not isinstance(structures, list):
        return plain
    parameters = dict(network.get("parameters") or {})
    drafted = draft.card["network"]["parameters"]
    if not isinstance(parameters.get("background"), bool) and parameters.get("activation") in ("logits", "softmax"):
        parameters["background"] = True
    is_for_background = (
        bool(structures) and str(structures[0].get("name") or "background").strip().lower() == "background"
    )
    if drafted["background"] is None and is_for_background and parameters.get("background") is not False:
        structures = [one | {"index": index, "values": [index]} for index, one in enumerate(structures[1:], start=1)]
        parameters["background"] = True
    changed = network | {"parameters": parameters, "classes": len(structures) + 1}
    if parameters.get("channels") == "repeated":
        changed["input_slices"] = 1
    preprocessing = plain.get("preprocessing")
    if isinstance(preprocessing, dict):
        preprocessing = preprocessing | {"input_slices": changed.get("input_slices")}
    return plain | {"structures": structures, "network": changed, "preprocessing": preprocessing}


def with_air_around(card: Card) -> Card:
    """A card by which the pixels around a slice that is too small have the value of air."""
    return replace(card, preprocessing=replace(card.preprocessing, pad_value=_air(card.preprocessing.normalisation)))


def _air(normalisation: Normalisation) -> float:
    """The normalised value of the lowest values of a scan, 0 where these are not known."""
    if normalisation.name == "ct" and normalisation.clip is not None:
        return (normalisation.clip[0] - normalisation.mean) / normalisation.sd
    return normalisation.range[0] if normalisation.name in ("window", "rescale") else 0.0


def write_with_card(draft: ImportDraft, card: Card, output: Path) -> None:
    """Write the ONNX file with its card, after the card was compared with the file on noise.

    Raises:
        InputError: the card doesn't fit the file.
    """
    from ..onnx_network import check_card

    graph = read_onnx(draft.source)
    check_card(graph, card)
    check_onnoise(graph, card)
    write_onnx(graph, card.to_json(), output)


def check_onnoise(graph: OnnxGraph, card: Card) -> None:
    """Run a file as its card says; raises InputError if it gives something else."""
    import torch

    from ..onnx_network import OnnxNetwork

    network = OnnxNetwork(graph, card.network)
    multiple = card.preprocessing.size_multiple
    rows, columns = card.network.parameters["size"] or tried_size(multiple)
    slices = noise((2, card.network.input_slices, rows, columns))
    values = network.values(slices)
    activation = card.network.parameters["activation"]
    if activation in ("softmax", "sigmoid") and not (values.min() > -0.01 and values.max() < 1.01):
        raise InputError(
            f'{graph.path}: the card says "{activation}", which gives probabilities of 0 to 1, but the output goes from '
            f'{values.min():.3g} to {values.max():.3g}; "{"logits" if activation == "softmax" else "sigmoid-logits"}" is meant.'
        )
    network(torch.from_numpy(slices))  # finite
    if not np.array_equal(values, network.values(slices), equal_nan=True):
        raise InputError(
            f"{graph.path} gives other values each time for the same slices; it was exported in training mode, with dropout. "
            "Call eval() on the network and export it again."
        )


def _draft_card(path: Path, facts: OnnxFacts) -> dict[str, Any]:
    count = facts.output_channels - (1 if facts.background else 0)
    structures: list[dict[str, Any]] = [
        {"name": None, "index": index, "values": [index]} for index in range(1, count + 1)
    ]
    if facts.activation is None:  # most often the classes of a cross-entropy
        structures[0]["name"] = "background"
    parameters = {
        "input": facts.input,
        "output": facts.candidates[0] if len(facts.candidates) == 1 else None,
        "layout": facts.layout,
        "size": list(facts.size) if facts.size else None,
        "activation": facts.activation,
        "background": facts.background,
        "channels": "neighbours" if facts.channels == 1 else None,
        "batch": facts.batch,
    }
    return {
        "title": path.stem[:300],
        "description": "",
        "data_licence": "",
        "data_citation": "",
        "network": {
            "architecture": "ONNX",
            "input_slices": facts.channels,
            "classes": count + 1,
            "parameters": parameters,
        },
        "structures": structures,
        "preprocessing": {
            "spacing_mm": None,
            "normalisation": None,
            "intensities": None,
            "input_slices": facts.channels,
            "slice_distance_mm": None,
            "size_multiple": facts.multiple,
            "axis": "axial",
            "orientation": "PL",
            "patch_size": list(facts.size) if facts.size else None,
        },
    }


def _unknown(facts: OnnxFacts) -> Iterator[Unknown]:
    if len(facts.candidates) > 1:
        yield Unknown(OUTPUT.entry, OUTPUT.explanation, facts.candidates)
    if facts.layout is None:
        yield LAYOUT
    if facts.channels > 1:
        yield CHANNELS
    if facts.activation is None:
        yield ACTIVATION
    if facts.background is None:
        yield BACKGROUND
    yield STRUCTURES_OR_BACKGROUND if facts.background is None else STRUCTURES
    yield from (SPACING, NORMALISATION, INTENSITIES)


def _notes(graph: OnnxGraph, facts: OnnxFacts) -> Iterator[str]:
    size = f"{facts.size[0]} x {facts.size[1]} pixels" if facts.size else f"any multiple of {facts.multiple} pixels"
    yield (
        f"Input {graph.input}, {facts.layout or 'NCHW or NHWC'}: {facts.channels} channel{'s' if facts.channels > 1 else ''}, "
        f"slices of {size}, {'batches of any size' if facts.batch is None else f'batches of {facts.batch}'}; opset {graph.opset}."
    )
    held = {
        "softmax": "probabilities that add up to 1 (softmax)",
        "sigmoid": "a probability per channel (sigmoid)",
        "sigmoid-logits": "logits of one structure",
        None: "values below 0 or above 1, so logits",
    }[facts.activation]
    yield f'Output "{facts.candidates[0]}": {facts.output_channels} channels that hold {held}, found by running it on noise.'
    yield "Assumed: axial slices as a radiologist sees them, front on top and the patient's right on the left."


def _plain(card: Card) -> dict[str, Any]:
    import json

    return json.loads(card.to_json())
