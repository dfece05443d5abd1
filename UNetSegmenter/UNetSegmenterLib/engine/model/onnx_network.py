"""A network from an ONNX file: slices in, logits out, as `network.UNet`; onnxruntime runs it.

Whatever the file takes and gives (`parameters` of the card's network), `OnnxNetwork` is called the same way: it turns axes,
splits batches, and makes logits of probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..plain_data import violation
from .architectures import ONNX
from .device import choose_device
from .onnx_graph import OnnxGraph, check_version, first_line

if TYPE_CHECKING:
    from .card import Card, NetworkDescription

OLDEST_RUNTIME = (1, 19)  # the first that runs with numpy 2, which Slicer 5.8 and later have
ACTIVATIONS = ("logits", "softmax", "sigmoid", "sigmoid-logits")
LAYOUTS = ("NCHW", "NHWC")
CHANNELS = ("neighbours", "repeated")
SMALLEST_PROBABILITY = 1e-6  # where a probability of 0 or 1 becomes a logit: 13.8 away from the undecided
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

PARAMETERS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["input", "output", "layout", "size", "activation", "background"],
    "properties": {
        "input": {"type": "string", "minLength": 1},
        "output": {"type": "string", "minLength": 1},
        "layout": {"type": "string", "enum": list(LAYOUTS)},
        "size": {
            "type": ["array", "null"],
            "minItems": 2,
            "maxItems": 2,
            "items": {"type": "integer", "minimum": 1, "maximum": 8192},
        },
        "activation": {"type": "string", "enum": list(ACTIVATIONS)},
        "background": {"type": "boolean"},
        "channels": {"type": "string", "enum": list(CHANNELS)},
        "batch": {"type": ["integer", "null"], "minimum": 1, "maximum": 1024},
    },
    "additionalProperties": False,
}
"""Parameters of the architecture "ONNX"; `docs/checkpoint.md` describes them."""


def check_card(graph: OnnxGraph, card: Card) -> None:
    """Raise InputError if a card doesn't fit its file; nothing is run."""
    if card.network.architecture != ONNX:
        raise InputError(
            f'The card of {graph.path} has network.architecture "{card.network.architecture}"; "{ONNX}" is expected of an ONNX '
            "file."
        )
    parameters = card.network.parameters
    if problem := violation(parameters, PARAMETERS_SCHEMA, "network.parameters"):
        raise InputError(f"The card of {graph.path} breaks its schema: {problem}")
    if parameters["input"] != graph.input.name:
        raise InputError(
            f'{graph.path} has the input "{graph.input.name}", but its card names "{parameters["input"]}"; correct '
            "network.parameters.input."
        )
    _check_input(graph, card)
    _check_output(graph, card)


def _check_input(graph: OnnxGraph, card: Card) -> None:
    parameters = card.network.parameters
    sizes = graph.input.sizes
    channels, size = (sizes[1], sizes[2:]) if parameters["layout"] == "NCHW" else (sizes[3], sizes[1:3])
    wanted = card.network.input_slices
    if parameters.get("channels") == "repeated":
        if wanted != 1 or channels is None:
            raise InputError(
                f'{graph.path}: network.parameters.channels is "repeated", which goes with input_slices 1 and a file that '
                f"states its channels; the card has input_slices {wanted}, the file {channels or 'any number of'} channels."
            )
    elif channels not in (None, wanted):
        raise InputError(
            f"{graph.path} takes {channels} channels ({parameters['layout']}), but its card has input_slices {wanted}; "
            "correct network.input_slices or network.parameters.layout."
        )
    fixed = parameters["size"]
    if any(found is not None and (fixed is None or found != fixed[axis]) for axis, found in enumerate(size)):
        shown = " x ".join("any" if one is None else str(one) for one in size)
        raise InputError(
            f"{graph.path} takes slices of {shown} pixels ({parameters['layout']}), but its card says {_size_text(fixed)}; "
            "correct network.parameters.size or layout."
        )
    patch = card.preprocessing.patch_size
    if fixed is not None and (patch is None or tuple(patch) != tuple(fixed)):
        raise InputError(
            f"{graph.path} takes slices of {_size_text(fixed)}, but its card's preprocessing.patch_size is "
            f"{'absent' if patch is None else list(patch)}; set it to {list(fixed)}."
        )


def _size_text(size: Any) -> str:
    return "any size" if size is None else f"{size[0]} x {size[1]} pixels"


def _check_output(graph: OnnxGraph, card: Card) -> None:
    parameters = card.network.parameters
    output = graph.output(parameters["output"])
    if not parameters["background"] and parameters["activation"] not in ("sigmoid", "sigmoid-logits"):
        raise InputError(
            f'{graph.path}: network.parameters.background is false, which goes with "sigmoid" and "sigmoid-logits"; the card '
            f'has "{parameters["activation"]}", which needs a channel of the background.'
        )
    check_output_value(graph, output)
    found = output.sizes and output.sizes[1 if parameters["layout"] == "NCHW" else 3]
    expected = output_channels(card.network)
    if found and found != expected:
        structures = found - 1 if parameters["background"] else found
        raise InputError(
            f"{graph.path} gives {found} channels ({parameters['layout']}), which are {structures} structures"
            f"{' and the background' if parameters['background'] else ''} by network.parameters.background, but its card names "
            f"{len(card.structures)} structures."
        )


def check_output_value(graph: OnnxGraph, output: Any) -> None:
    """Raise InputError if an output can't be logits or probabilities (batch, classes, rows, columns)."""
    if not output.type.startswith("float"):
        raise InputError(
            f"{graph.path}: its output {output} holds no logits or probabilities; export it without the last step (argmax)."
        )
    if output.sizes and len(output.sizes) != 4:
        raise InputError(
            f"{graph.path}: its output {output} has {len(output.sizes)} axes; 4 are expected (batch, classes, rows, columns)."
        )


def output_channels(description: NetworkDescription) -> int:
    """Channels that the file gives: the classes, or the structures alone."""
    return description.classes if description.parameters["background"] else description.classes - 1


def onnx_device(name: str = "auto") -> torch.device:
    """The device for ONNX files: "auto" is cuda where torch and onnxruntime both can, else the CPU.

    Raises:
        InputError: onnxruntime does not run on that device.
        ModuleNotFoundError: onnxruntime is not installed.
    """
    runtime = _runtime()
    has_cuda = _CUDA in runtime.get_available_providers()
    if name == "auto":
        return torch.device("cuda" if has_cuda and torch.cuda.is_available() else "cpu")
    device = choose_device(name)
    if device.type == "cuda" and not has_cuda:
        raise InputError(
            f'The device "{name}" was requested, but onnxruntime {runtime.__version__} as it is installed runs ONNX files on the '
            "CPU alone; install onnxruntime-gpu in its place, or choose auto or cpu."
        )
    if device.type not in ("cpu", "cuda"):
        raise InputError(f'ONNX files run on cpu and cuda, not on "{name}"; choose auto or cpu.')
    return device


def _runtime() -> Any:
    import onnxruntime

    check_version("onnxruntime", onnxruntime.__version__, OLDEST_RUNTIME)
    onnxruntime.disable_telemetry_events()  # its builds for Windows tell Windows what they run unless that is switched off
    return onnxruntime


class OnnxNetwork(nn.Module):
    """The network of an ONNX file.

    Args:
        graph: the file.
        description: how to call it; must fit the file (`check_card`).
    """

    def __init__(self, graph: OnnxGraph, description: NetworkDescription) -> None:
        super().__init__()
        self.graph = graph
        self.description = description
        self._parameters_of_file = description.parameters
        self._session: Any = None
        self._device = torch.device("cpu")
        self.eval()

    def open_on(self, device: torch.device) -> OnnxNetwork:
        """Load the file into onnxruntime; raises InputError if it can't run it on that device."""
        self._device = device
        self._session = open_session(self.graph, device)
        return self

    def forward(self, slices: Tensor) -> Tensor:
        """Logits of every class: (B, input_slices, H, W) -> float32 (B, classes, H, W).

        Several threads may call it at the same time.

        Raises:
            InputError: the file fails on these slices, or gives what its card does not say.
        """
        values = torch.from_numpy(self.values(slices.float().cpu().numpy())).to(slices.device)
        if not torch.isfinite(values).all():
            raise InputError(
                f"{self.graph.path} gives values that are not finite (NaN or infinite) for these slices; check that the "
                "normalisation of its card is the one that it was trained with, and export it in float32."
            )
        return logits_of(values, self._parameters_of_file["activation"], self._parameters_of_file["background"])

    def values(self, slices: np.ndarray) -> np.ndarray:
        """What the file gives for slices (B, input_slices, H, W): float32 (B, channels of the output, H, W)."""
        if self._session is None:
            self.open_on(self._device)
        parameters = self._parameters_of_file
        size = tuple(slices.shape[2:])
        if parameters["size"] is not None and size != tuple(parameters["size"]):
            raise InputError(
                f"{self.graph.path} takes slices of {_size_text(parameters['size'])}, and got {_size_text(size)}."
            )
        if parameters.get("channels") == "repeated":
            channels = self.graph.input.sizes[1 if parameters["layout"] == "NCHW" else 3]
            slices = np.repeat(slices, channels or 1, axis=1)
        if parameters["layout"] == "NHWC":
            slices = slices.transpose(0, 2, 3, 1)
        given = self._run(np.ascontiguousarray(slices, dtype=self.graph.input.type))
        if parameters["layout"] == "NHWC" and given.ndim == 4:
            given = given.transpose(0, 3, 1, 2)
        expected = (slices.shape[0], output_channels(self.description), *size)
        if given.shape != expected:
            raise InputError(
                f"{self.graph.path} gives {_shape_text(given)} for slices of {_size_text(size)}; {_shape_text(expected)} is "
                "expected (slices, classes, rows, columns)."
            )
        return np.ascontiguousarray(given, dtype=np.float32)

    def _run(self, slices: np.ndarray) -> np.ndarray:
        """The output for slices in the file's own layout, in as many runs as its batch size needs."""
        batch = self._parameters_of_file.get("batch") or self.graph.input.sizes[0] or len(slices)
        parts = []
        for begin in range(0, len(slices), batch):
            part = slices[begin : begin + batch]
            missing = batch - len(part)
            filled = np.concatenate([part, np.zeros_like(part[:1]).repeat(missing, axis=0)]) if missing else part
            parts.append(self._run_once(filled)[: len(part)])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run_once(self, slices: np.ndarray) -> np.ndarray:
        parameters = self._parameters_of_file
        try:
            return self._session.run([parameters["output"]], {parameters["input"]: slices})[0]
        except Exception as error:  # onnxruntime has classes of its own, without a common base
            if "allocate" in str(error) or "out of memory" in str(error).lower():
                if self._device.type == "cuda":
                    raise torch.OutOfMemoryError(str(error)) from error  # the predictor halves the batch
                raise MemoryError from error
            raise InputError(
                f"{self.graph.path} fails on slices of {_shape_text(slices)} ({first_line(error)}); check size_multiple and "
                "size in its card, or export it again."
            ) from error


def _shape_text(of: Any) -> str:
    return " x ".join(map(str, getattr(of, "shape", of)))


def logits_of(values: Tensor, activation: str, background: bool) -> Tensor:
    """Logits (B, classes, H, W) whose largest one is the class, of what a file gives.

    Args:
        values: (B, channels, H, W).
        activation: one of `ACTIVATIONS`. The logarithm of a softmax, and the log-odds of a sigmoid, are logits.
        background: whether the first channel is the background. Without, a structure wins where its probability is above
            one half and the largest: the background's logit is 0.
    """
    if activation == "softmax":
        values = values.clamp(min=SMALLEST_PROBABILITY).log()
    elif activation == "sigmoid":
        values = values.logit(eps=SMALLEST_PROBABILITY)
    return values if background else torch.cat([torch.zeros_like(values[:, :1]), values], dim=1)


def open_session(graph: OnnxGraph, device: torch.device) -> Any:
    """A session of onnxruntime on a device.

    On a CPU each run has one thread, because the predictor runs as many batches at the same time as there are cores: the
    shipped network at 256 x 256 on two cores gave 20 slices/s so, and 10 with both cores on one batch.
    """
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised, with a message of one sentence
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never guessed from the bytes
    providers: list[Any] = [_CPU]
    if device.type == "cuda":
        providers.insert(0, (_CUDA, {"device_id": device.index or 0}))
    try:
        session = runtime.InferenceSession(graph.content, options, providers=providers)
    except Exception as error:
        raise InputError(
            f"{graph.path} can't be opened by onnxruntime {runtime.__version__} ({first_line(error)}); update onnxruntime, or "
            f"export the file with an older opset than {graph.opset}."
        ) from error
    if device.type == "cuda" and session.get_providers()[0] != _CUDA:
        raise InputError(
            f'The device "{device}" was requested, but onnxruntime could not load its part for CUDA; install what it needs '
            "(https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html), or choose cpu."
        )
    return session
