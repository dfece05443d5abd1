"""Models of other software for tests of the import: an ONNX file whose labels are known, made operator by operator."""

from __future__ import annotations

import numpy as np


def write_bright_onnx(path, channels=3, last=None):
    """A network of a few numbers: background where the input is low, then brighter and brighter structures.

    Class i has the logit 4 i x - 2 i^2 of the input x, which is the largest where x is near i / 1: with x from -1 to 1 the
    background wins below 0.5; with values mapped to other ranges other structures do. `last` is an operator after it.
    """
    from onnx import TensorProto, helper, numpy_helper

    index = np.arange(channels, dtype=np.float32)
    weights = (4 * index).reshape(channels, 1, 1, 1)
    bias = -2 * index**2
    nodes = [helper.make_node("Conv", ["slices", "weights", "bias"], ["logits" if last else "labels"])]
    if last:
        nodes.append(helper.make_node(last, ["logits"], ["labels"], **({"axis": 1} if last == "Softmax" else {})))
    sizes = ["batch", 1, "rows", "columns"]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("slices", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("labels", TensorProto.FLOAT, [sizes[0], channels, *sizes[2:]])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path
