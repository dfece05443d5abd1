"""Small ONNX files of every kind, for tests: made operator by operator, so that each says what it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


def write_onnx_file(
    path: Path,
    classes: int = 3,
    channels: int = 1,
    layout: str = "NCHW",
    size: tuple[int, int] | None = None,
    batch: int | None = None,
    last: str | None = None,
    type_: str = "float32",
    opset: int = 17,
    weights: np.ndarray | None = None,
) -> Path:
    """A 1x1 convolution, and `last` ("Softmax", "Sigmoid") after it: class i is weights[i] . channels."""
    if weights is None:
        weights = (
            np.linspace(-2, 2, classes * channels).reshape(classes, channels)
            if classes * channels > 1
            else np.ones((1, 1))
        )
    kernel = np.asarray(weights, dtype=type_).reshape(classes, channels, 1, 1)
    axes: list[Any] = [batch or "batch", channels, *(size or ("rows", "columns"))]
    out: list[Any] = [axes[0], classes, *axes[2:]]
    nodes, entry, exit_ = [], "slices", "convolved"
    if layout == "NHWC":
        axes, out = [axes[0], axes[2], axes[3], axes[1]], [out[0], out[2], out[3], out[1]]
        nodes.append(helper.make_node("Transpose", ["slices"], ["turned"], perm=[0, 3, 1, 2]))
        entry = "turned"
    nodes.append(helper.make_node("Conv", [entry, "kernel"], [exit_]))
    if last:
        nodes.append(helper.make_node(last, [exit_], ["activated"], **({"axis": 1} if last == "Softmax" else {})))
        exit_ = "activated"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [exit_], ["back"], perm=[0, 2, 3, 1]))
        exit_ = "back"
    nodes.append(helper.make_node("Identity", [exit_], ["result"]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("slices", TYPES[type_], axes)],
        [helper.make_tensor_value_info("result", TYPES[type_], out)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    return save(path, graph, opset)


def save(
    path: Path, graph: Any, opset: int = 17, domains: tuple[str, ...] = (), functions: tuple[Any, ...] = ()
) -> Path:
    """Write a graph as it is, checked or not."""
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def graph_of(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: tuple[Any, ...] = ()) -> Any:
    """A graph of float32 tensors; inputs and outputs are (name, sizes)."""
    return helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in outputs],
        list(constants),
    )


def changed(path: Path, change: Any) -> Path:
    """The file after `change(model)`."""
    model = onnx.load_model_from_string(path.read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())
    return path
