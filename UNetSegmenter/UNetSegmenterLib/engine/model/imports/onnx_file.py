"""The draft of a card for an ONNX file: its axes are read, and what its output holds is found by running it on noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ..normalisation import Normalisation
from ..onnx_graph import GraphValue, OnnxGraph, read_onnx, write_onnx
from .draft import ImportDraft, Unknown

if TYPE_CHECKING:
    from ..card import Card

MOST_CLASSES = 255  # labels are bytes
INPUT_SLICES = (1, 3, 5)
MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)  # of rows and columns; a U-Net halves a slice 3 to 7 times
SMALLEST_PIXELS = 33  # of a slice that is tried: large enough for a network of five levels
SEED = 0

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
    facts = _find_out(graph)
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
    """Write the ONNX file with its card, after both were held against each other on noise.

    Raises:
        InputError: the card doesn't fit the file.
    """
    from ..onnx_network import check_card

    graph = read_onnx(draft.source)
    check_card(graph, card)
    check_on_noise(graph, card)
    write_onnx(graph, card.to_json(), output)


def check_on_noise(graph: OnnxGraph, card: Card) -> None:
    """Run a file as its card says; raises InputError if it gives something else."""
    import torch

    from ..onnx_network import OnnxNetwork

    network = OnnxNetwork(graph, card.network)
    multiple = card.preprocessing.size_multiple
    rows, columns = card.network.parameters["size"] or _size(multiple)
    slices = _noise((2, card.network.input_slices, rows, columns))
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


# --- running a file on noise ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Facts:
    """What was found out; `candidates` are the outputs that can be meant, None is unknown."""

    candidates: tuple[str, ...]
    layout: str | None
    channels: int
    size: tuple[int, int] | None
    multiple: int
    batch: int | None
    activation: str | None
    output_channels: int
    input: str

    @property
    def background(self) -> bool | None:
        """Whether a channel is the background: not with one channel alone, and always with a softmax."""
        if self.output_channels == 1:
            return False
        return True if self.activation == "softmax" else None


class _Trial:
    """Runs a graph on noise in one layout, with this many input channels."""

    def __init__(self, graph: OnnxGraph, session: Any, layout: str, channels: int) -> None:
        self.graph, self.session, self.layout, self.channels = graph, session, layout, channels

    def run(self, batch: int, size: tuple[int, int], scale: float = 1.0) -> dict[str, np.ndarray]:
        """Every output, those with four axes as (batch, channels, rows, columns); onnxruntime's error if it fails."""
        return self.outputs(_noise((batch, self.channels, *size)) * scale)

    def outputs(self, slices: np.ndarray) -> dict[str, np.ndarray]:
        given = slices if self.layout == "NCHW" else slices.transpose(0, 2, 3, 1)
        values = np.ascontiguousarray(given, dtype=self.graph.input.type)
        results = self.session.run(None, {self.graph.input.name: values})
        named = zip((output.name for output in self.graph.outputs), results, strict=True)
        turn = self.layout == "NHWC"
        return {
            name: one.transpose(0, 3, 1, 2) if turn and np.ndim(one) == 4 else np.asarray(one) for name, one in named
        }

    def fitting(self, batch: int, size: tuple[int, int]) -> tuple[str, ...]:
        """Names of the outputs of the slices' size; none if the file fails on them."""
        try:
            found = self.run(batch, size)
        except (
            Exception
        ):  # onnxruntime's errors have no common base; whatever it is, the size is not one that the file takes
            return ()
        return tuple(
            name
            for name, one in found.items()
            if one.ndim == 4 and one.shape[0] == batch and one.shape[2:] == size and one.dtype.kind == "f"
        )


def _find_out(graph: OnnxGraph) -> _Facts:
    import torch

    from ..onnx_network import check_output_value, open_session

    _refuse_many_classes(graph)
    if len(graph.outputs) == 1:
        check_output_value(graph, graph.outputs[0])
    session = open_session(graph, torch.device("cpu"))
    batch = graph.input.sizes[0]
    tried = [_tried(graph, session, layout, batch or 1) for layout in _layouts(graph.input)]
    working = [one for one in tried if one is not None]
    if not working:
        raise InputError(_why_not(graph, session, batch or 1))
    trial, size, multiple, names = working[0]
    if batch is None and not trial.fitting(2, size or _size(multiple)):
        batch = 1
    values = [trial.run(batch or 1, size or _size(multiple), scale)[names[0]] for scale in (0.3, 1.0, 3.0)]
    layout = trial.layout if len(working) == 1 else None
    channels = values[0].shape[1]
    if channels > MOST_CLASSES:
        raise InputError(_too_many_classes(graph, channels))
    return _Facts(
        names, layout, trial.channels, size, multiple, batch, _activation(graph, values), channels, graph.input.name
    )


def _layouts(slices: GraphValue) -> tuple[str, ...]:
    """The layouts that an input's axes allow: the shorter axis of a known size is the channels."""
    first, last = slices.sizes[1], slices.sizes[3]
    if first is not None and (last is None or first < last):
        return ("NCHW",)
    if last is not None and (first is None or last < first):
        return ("NHWC",)
    return ("NCHW", "NHWC")


def _tried(
    graph: OnnxGraph, session: Any, layout: str, batch: int
) -> tuple[_Trial, tuple[int, int] | None, int, tuple[str, ...]] | None:
    """What works in a layout: how to call the file, its fixed size or the multiple of sizes, and the outputs; None if nothing."""
    sizes = graph.input.sizes
    channels, rows, columns = (sizes[1], *sizes[2:]) if layout == "NCHW" else (sizes[3], *sizes[1:3])
    if channels is not None and channels not in INPUT_SLICES:
        raise InputError(
            f"{graph.path} takes {channels} channels ({layout}); 1, 3 or 5 neighbouring slices, or one slice repeated, are "
            "given. Networks of several sequences or modalities can't be used."
        )
    for count in (channels,) if channels else INPUT_SLICES:
        trial = _Trial(graph, session, layout, count)
        if rows or columns:
            size = (rows or columns or 1, columns or rows or 1)
            if names := trial.fitting(batch, size):
                return trial, size, 1, names
            continue
        for multiple in MULTIPLES:
            if names := trial.fitting(batch, _size(multiple)):
                return trial, None, multiple, names
    return None


def _why_not(graph: OnnxGraph, session: Any, batch: int) -> str:
    """Why no size of slices gave an output of that size."""
    from ..onnx_graph import first_line

    layout = _layouts(graph.input)[0]
    axes = graph.input.sizes if layout == "NCHW" else tuple(graph.input.sizes[axis] for axis in (0, 3, 1, 2))
    size = (axes[2] or 256, axes[3] or 256)
    try:
        found = _Trial(graph, session, layout, axes[1] or 1).run(batch, size)
    except Exception as error:
        return f"{graph.path} fails on slices of {size[0]} x {size[1]} pixels ({first_line(error)}); export it again."
    shown = ", ".join(f'"{name}" {" x ".join(map(str, one.shape)) or "a number"}' for name, one in found.items())
    return (
        f"{graph.path} has no output of the slices' size: for {size[0]} x {size[1]} pixels it gives {shown}; a network that "
        "labels every pixel is expected (batch, classes, rows, columns), with padded convolutions."
    )


def _refuse_many_classes(graph: OnnxGraph) -> None:
    layouts = _layouts(graph.input)
    for output in graph.outputs:
        if len(output.sizes) == 4 and len(layouts) == 1:
            channels = output.sizes[1 if layouts == ("NCHW",) else 3]
            if channels is not None and channels > MOST_CLASSES and len(graph.outputs) == 1:
                raise InputError(_too_many_classes(graph, channels))


def _too_many_classes(graph: OnnxGraph, channels: int) -> str:
    return f"{graph.path} gives {channels:,} classes; at most {MOST_CLASSES} are possible, background among them."


def _activation(graph: OnnxGraph, values: list[np.ndarray]) -> str | None:
    """What the output holds, by its values on noise of three strengths; None if it may be one thing or another."""
    if not all(np.isfinite(one).all() for one in values):
        raise InputError(
            f"{graph.path} gives values that are not finite (NaN or infinite) on noise; its weights are damaged, or its training "
            "diverged. Check it where it was trained."
        )
    lowest, highest = min(one.min() for one in values), max(one.max() for one in values)
    single = values[0].shape[1] == 1
    if lowest < -1e-3 or highest > 1.001:
        return "sigmoid-logits" if single else None
    sums = np.concatenate([one.astype(np.float64).sum(axis=1).ravel() for one in values])
    return "softmax" if not single and np.abs(sums - 1).max() < 0.01 else "sigmoid"


def _size(multiple: int) -> tuple[int, int]:
    """Rows and columns that are an odd number of multiples, and not the same."""
    count = -(-SMALLEST_PIXELS // multiple) | 1
    return multiple * count, multiple * (count + 2)


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)


# --- the card ------------------------------------------------------------------------------------------------------------


def _draft_card(path: Path, facts: _Facts) -> dict[str, Any]:
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


def _unknown(facts: _Facts) -> Iterator[Unknown]:
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


def _notes(graph: OnnxGraph, facts: _Facts) -> Iterator[str]:
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
