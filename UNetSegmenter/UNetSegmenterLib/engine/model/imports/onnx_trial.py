"""What an ONNX file does, found out by running it on noise: sizes and batches that it takes, and what its output holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import InputError
from ..onnx_graph import GraphValue, OnnxGraph

MOST_CLASSES = 255  # labels are bytes
MOST_INPUT_VALUES = 2**26  # 64 slices of 1024 x 1024, or one of 8192 x 8192
INPUT_SLICES = (1, 3, 5)
MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)  # of rows and columns; a U-Net halves a slice 3 to 7 times
SMALLEST_PIXELS = 33  # of a slice that is tried: large enough for a network of five levels
SEED = 0


@dataclass(frozen=True)
class OnnxFacts:
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
        return self.outputs(noise((batch, self.channels, *size)) * scale)

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
        except Exception:  # onnxruntime's errors have no common base; whatever it is, the file does not take the size
            return ()
        return tuple(
            name
            for name, one in found.items()
            if one.ndim == 4 and one.shape[0] == batch and one.shape[2:] == size and one.dtype.kind == "f"
        )


def find_out(graph: OnnxGraph) -> OnnxFacts:
    """Run a file on noise of several sizes; raises InputError if it is no network that labels every pixel."""
    import torch

    from ..onnx_network import check_output_value, open_session

    _refuse_large_inputs(graph)
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
    if batch is None and not trial.fitting(2, size or tried_size(multiple)):
        batch = 1
    values = [trial.run(batch or 1, size or tried_size(multiple), scale)[names[0]] for scale in (0.3, 1.0, 3.0)]
    layout = trial.layout if len(working) == 1 else None
    channels = values[0].shape[1]
    if channels > MOST_CLASSES:
        raise InputError(_too_many_classes(graph, channels))
    return OnnxFacts(
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
            if names := trial.fitting(batch, tried_size(multiple)):
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


def _refuse_large_inputs(graph: OnnxGraph) -> None:
    """Raise InputError for an input that would fill the memory before anything is known of the file."""
    values = math.prod(size or 1 for size in graph.input.sizes)
    if values > MOST_INPUT_VALUES:
        raise InputError(
            f"{graph.path}: its input {graph.input} has {values:,} values; at most {MOST_INPUT_VALUES:,} are possible, so export "
            "it for one slice at a time or for smaller ones."
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


def tried_size(multiple: int) -> tuple[int, int]:
    """Rows and columns that are an odd number of multiples, and not the same."""
    count = -(-SMALLEST_PIXELS // multiple) | 1
    return multiple * count, multiple * (count + 2)


def noise(shape: tuple[int, ...]) -> np.ndarray:
    """Slices of normal noise of this shape, float32, the same each time."""
    return np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
