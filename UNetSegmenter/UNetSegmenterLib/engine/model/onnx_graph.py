"""ONNX files read as data: what a file takes and gives, and what is refused before anything of it runs.

The `onnx` package parses the file (Protocol Buffers, https://onnx.ai/onnx/repo-docs/IR.html); no operator is executed here,
and no other file is opened. Only operators of the standard's own domains are let in: what else onnxruntime knows can load
libraries or further files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError

CARD_KEY = "unetsegmenter_card"
LARGEST_BYTES = 2**31 - 1  # of a message of Protocol Buffers
MOST_CARD_CHARACTERS = 16_000_000
OLDEST_ONNX = (1, 17)  # the first that runs with every numpy of Slicer 5.8 and later
OPERATOR_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_RUNTIME_DOMAINS = (
    "ai.onnx",
    "com.microsoft",
    "com.ms",
    "org.pytorch",
)  # functions of the file can't be named like those
_INPUT_TYPES = ("float32", "float16")
_FIRST_BYTE, _NEWEST_IR = 0x08, 0x40  # field 1 of ModelProto, a varint: the version of the format, 14 in 2026


@dataclass(frozen=True)
class GraphValue:
    """An input or output of a graph.

    Args:
        name: its name.
        type: of its elements, as numpy names it.
        sizes: of each axis, None where any size is taken.
    """

    name: str
    type: str
    sizes: tuple[int | None, ...]

    def __str__(self) -> str:
        return f'"{self.name}" ({", ".join("?" if size is None else str(size) for size in self.sizes)}) of {self.type}'


@dataclass(frozen=True)
class OnnxGraph:
    """A checked ONNX file.

    Args:
        path: the file.
        content: its bytes.
        input: its only input, with four axes.
        outputs: everything it gives.
        opset: version of the standard's operators.
        card: JSON text of our card in its metadata, None without one.
    """

    path: Path
    content: bytes = field(repr=False)
    input: GraphValue
    outputs: tuple[GraphValue, ...]
    opset: int
    card: str | None = field(repr=False)

    def output(self, name: str) -> GraphValue:
        """The output of that name; raises InputError if there is none."""
        for output in self.outputs:
            if output.name == name:
                return output
        names = ", ".join(f'"{output.name}"' for output in self.outputs)
        raise InputError(f'{self.path} has no output "{name}", which its card names; it has {names}.')


def is_onnx(path: Path | str) -> bool:
    """Whether a file begins like an ONNX file; one that is only named so, and holds something else, does not count."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(2)
    except OSError:
        return False
    return len(head) == 2 and head[0] == _FIRST_BYTE and 0 < head[1] < _NEWEST_IR


def read_onnx(path: Path | str) -> OnnxGraph:
    """Read and check an ONNX file without running it.

    Raises:
        InputError: the file is missing, damaged or too large, refers to other files, has operators that are not the
            standard's, or takes anything but slices (batch, channels, rows, columns) or (batch, rows, columns, channels).
        ModuleNotFoundError: the package onnx is not installed.
    """
    path = Path(path)
    content = _content(path)
    model = _parsed(path, content)
    _refuse_external_data(path, model)
    _refuse_custom_operators(path, model)
    _check(path, model)
    values = {value.name for value in model.graph.initializer}
    inputs = [_value(path, value) for value in model.graph.input if value.name not in values]
    outputs = tuple(_value(path, value) for value in model.graph.output)
    standard = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return OnnxGraph(path, content, _slices_input(path, inputs), outputs, max(standard, default=0), _card(path, model))


def write_onnx(graph: OnnxGraph, card: str, path: Path | str) -> None:
    """Write a file with `card`, JSON text, in its metadata; the graph stays as it is."""
    import onnx

    from ..io.atomic_files import write_bytes

    model = onnx.load_model_from_string(graph.content)
    kept = [entry for entry in model.metadata_props if entry.key != CARD_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=CARD_KEY, value=card)
    write_bytes(path, model.SerializeToString())


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise InputError(
                f"{path} has {size / 2**30:.1f} GB; an ONNX file holds at most 2 GB, and a 2D U-Net needs far less. "
                "Choose the file of a 2D network."
            )
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InputError(f"{path} cannot be read ({reason}); choose an ONNX file that is there.") from error


def _parsed(path: Path, content: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    check_version("onnx", onnx.__version__, OLDEST_ONNX)
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise InputError(
            f"{path} is no ONNX file, or a damaged one (its bytes can't be parsed); export or copy it again."
        ) from error
    if not model.graph.node:
        raise InputError(f"{path} holds no network: its graph has no operators; export it again.")
    return model


def check_version(package: str, found: str, oldest: tuple[int, int]) -> None:
    """Raise InputError if a package is older than `oldest`."""
    numbers = tuple(int(part) if part.isdigit() else 0 for part in found.split(".")[:2])
    if numbers < oldest:
        needed = ".".join(map(str, oldest))
        raise InputError(
            f"{package} {found} is installed, and ONNX files need {needed} or later; update it with: "
            f'pip install "{package}>={needed}"'
        )


def _messages(message: Any) -> Iterator[Any]:
    """A message and all that it holds: nodes of subgraphs and functions too, at any depth."""
    from google.protobuf.message import Message

    waiting = [message]
    while waiting:
        message = waiting.pop()
        yield message
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                waiting.extend([value] if isinstance(value, Message) else value)


def _refuse_external_data(path: Path, model: Any) -> None:
    import onnx

    for message in _messages(model):
        if isinstance(message, onnx.TensorProto) and (
            message.external_data or message.data_location == onnx.TensorProto.EXTERNAL
        ):
            where = next((entry.value for entry in message.external_data if entry.key == "location"), "another file")
            raise InputError(
                f'{path} keeps its weights outside of it ("{message.name}" in {where}), and only the chosen file is read; '
                f"write one file: onnx.save(onnx.load({path.name!r}), 'whole.onnx')."
            )


def _refuse_custom_operators(path: Path, model: Any) -> None:
    import onnx

    own = {(function.domain, function.name) for function in model.functions}
    for domain, name in sorted(own):
        if domain == "" or domain.startswith(_RUNTIME_DOMAINS):
            raise InputError(
                f'{path} defines an operator "{name}" of the domain "{domain}", which is not its own to define; export it again.'
            )
    for message in _messages(model):
        if not isinstance(message, onnx.NodeProto):
            continue
        if message.domain not in OPERATOR_DOMAINS and (message.domain, message.op_type) not in own:
            raise InputError(
                f'{path} needs the custom operator "{message.op_type}" of the domain "{message.domain}", and only those of '
                "the ONNX standard are run; export it without custom operators, and without optimisation for a runtime."
            )


def _check(path: Path, model: Any) -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} is not valid by the ONNX standard ({first_line(error)}); export it again.") from error


def _value(path: Path, value: Any) -> GraphValue:
    import onnx

    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise InputError(f'{path}: "{value.name}" is a {str(kind).removesuffix("_type")}; a tensor is expected.')
    tensor = value.type.tensor_type
    sizes = tuple(
        axis.dim_value if axis.WhichOneof("value") == "dim_value" and axis.dim_value > 0 else None
        for axis in tensor.shape.dim
    )
    try:
        type_ = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except (KeyError, TypeError, ValueError):
        type_ = "an unknown type"
    return GraphValue(value.name, type_, sizes)


def _slices_input(path: Path, inputs: list[GraphValue]) -> GraphValue:
    if len(inputs) != 1:
        names = ", ".join(map(str, inputs)) or "none"
        raise InputError(f"{path} has {len(inputs)} inputs ({names}); one is expected: the slices.")
    slices = inputs[0]
    if len(slices.sizes) != 4:
        advice = {
            2: "it is no network for images",
            3: "export it with a batch axis",
            5: "it is a 3D network, and 2D ones are opened",
        }.get(len(slices.sizes), "export it for 2D slices")
        raise InputError(
            f"{path}: its input {slices} has {len(slices.sizes)} axes; 4 are expected (batch, channels, rows, columns): {advice}."
        )
    if slices.type not in _INPUT_TYPES:
        raise InputError(
            f"{path}: its input {slices} is not of {' or '.join(_INPUT_TYPES)}; export it for one of these."
        )
    return slices


def _card(path: Path, model: Any) -> str | None:
    card = next((entry.value for entry in model.metadata_props if entry.key == CARD_KEY), None)
    if card is not None and len(card) > MOST_CARD_CHARACTERS:
        raise InputError(f"{path} has a card of {len(card):,} characters; at most {MOST_CARD_CHARACTERS:,} are read.")
    return card


def first_line(error: Exception) -> str:
    """The first line of an error of onnx or onnxruntime, without its full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".")[:300] if lines else type(error).__name__
