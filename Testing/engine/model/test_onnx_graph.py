"""ONNX files are read as data: what they take and give, and each kind that is refused before anything runs."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from UNetSegmenterLib.engine.errors import InputError, explain
from UNetSegmenterLib.engine.model import onnx_graph
from UNetSegmenterLib.engine.model.onnx_graph import is_onnx, read_onnx, write_onnx

from ..onnx_files import changed, graph_of, save, write_onnx_file

SLICES = ("slices", ["batch", 1, "rows", "columns"])
RESULT = ("result", ["batch", 2, "rows", "columns"])


def test_axes_type_and_opset_are_read(tmp_path):
    graph = read_onnx(
        write_onnx_file(tmp_path / "a.onnx", classes=4, channels=3, size=(64, 48), batch=1, type_="float16")
    )
    assert (graph.input.name, graph.input.type, graph.input.sizes) == ("slices", "float16", (1, 3, 64, 48))
    assert [output.sizes for output in graph.outputs] == [(1, 4, 64, 48)]
    assert (graph.opset, graph.card) == (17, None)


def test_dynamic_axes_have_no_size(tmp_path):
    assert read_onnx(write_onnx_file(tmp_path / "a.onnx")).input.sizes == (None, 1, None, None)


def test_a_file_is_known_by_its_content(tmp_path):
    path = write_onnx_file(tmp_path / "network.bin")
    assert is_onnx(path)
    (tmp_path / "weights.onnx").write_bytes(b"PK\x03\x04")
    assert not is_onnx(tmp_path / "weights.onnx")
    assert not is_onnx(tmp_path / "absent.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert not is_onnx(tmp_path / "empty.onnx")


def test_a_card_is_written_and_read_and_the_rest_stays(tmp_path):
    path = changed(
        write_onnx_file(tmp_path / "a.onnx"), lambda model: model.metadata_props.add(key="author", value="me")
    )
    graph = read_onnx(path)
    write_onnx(graph, '{"title": "Größe"}', tmp_path / "b.onnx")
    write_onnx(read_onnx(tmp_path / "b.onnx"), '{"title": "second"}', tmp_path / "c.onnx")
    assert read_onnx(tmp_path / "b.onnx").card == '{"title": "Größe"}'
    model = onnx.load(tmp_path / "c.onnx")
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "author": "me",
        "unetsegmenter_card": '{"title": "second"}',
    }
    assert model.graph == onnx.load(path).graph


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        read_onnx(path)
    for word in words:
        assert word in str(caught.value), (word, str(caught.value))


def conv(inputs=("slices", "kernel"), outputs=("result",), **more):
    return helper.make_node("Conv", list(inputs), list(outputs), **more)


def kernel():
    return numpy_helper.from_array(np.ones((2, 1, 1, 1), np.float32), "kernel")


def point_outside(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../weights.bin")


def test_external_data_are_refused(tmp_path):
    path = write_onnx_file(tmp_path / "a.onnx")
    refused(changed(path, lambda model: point_outside(model.graph.initializer[0])), "../weights.bin", "one file")


def test_external_data_beside_the_file_are_refused_too(tmp_path):
    write_onnx_file(tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    onnx.save(model, tmp_path / "b.onnx", save_as_external_data=True, size_threshold=0, location="b.data")
    assert (tmp_path / "b.data").exists()
    refused(tmp_path / "b.onnx", "b.data", "one file")


def in_a_branch(tensor, op="Constant", domain=""):
    """A graph whose If has a branch with this tensor as a constant."""
    branch = helper.make_graph(
        [helper.make_node(op, [], ["inside"], domain=domain, **({"value": tensor} if tensor is not None else {}))],
        "branch",
        [],
        [helper.make_tensor_value_info("inside", onnx.TensorProto.FLOAT, [2, 1, 1, 1])],
    )
    condition = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    choice = helper.make_node("If", ["yes"], ["kernel"], then_branch=branch, else_branch=branch)
    return graph_of([condition, choice, conv()], [SLICES], [RESULT])


def test_external_data_in_a_branch_are_refused(tmp_path):
    tensor = kernel()
    assert read_onnx(save(tmp_path / "a.onnx", in_a_branch(tensor))).opset == 17  # the same without is fine
    point_outside(tensor)
    refused(save(tmp_path / "b.onnx", in_a_branch(tensor)), "weights.bin")


def test_a_custom_operator_is_refused(tmp_path):
    graph = graph_of([helper.make_node("Magic", ["slices"], ["result"], domain="my.ops")], [SLICES], [RESULT])
    refused(save(tmp_path / "a.onnx", graph, domains=("my.ops",)), '"Magic"', '"my.ops"')


def test_an_operator_of_the_runtime_that_opens_files_is_refused(tmp_path):
    node = helper.make_node(
        "EPContext", ["slices"], ["result"], domain="com.microsoft", ep_cache_context="evil.bin", embed_mode=0
    )
    refused(save(tmp_path / "a.onnx", graph_of([node], [SLICES], [RESULT]), domains=("com.microsoft",)), '"EPContext"')


def test_a_custom_operator_in_a_branch_is_refused(tmp_path):
    refused(save(tmp_path / "a.onnx", in_a_branch(None, "Magic", "my.ops"), domains=("my.ops",)), '"Magic"')


def function(domain, node_domain=""):
    node = helper.make_node("Relu" if not node_domain else "Magic", ["x"], ["y"], domain=node_domain)
    imports = [helper.make_opsetid("", 17), *([helper.make_opsetid(node_domain, 1)] if node_domain else [])]
    return helper.make_function(domain, "Own", ["x"], ["y"], [node], imports)


def with_function(path, domain, node_domain=""):
    nodes = [helper.make_node("Own", ["slices"], ["positive"], domain=domain), conv(("positive", "kernel"))]
    graph = graph_of(nodes, [SLICES], [RESULT], (kernel(),))
    return save(path, graph, domains=(domain,), functions=(function(domain, node_domain),))


def test_functions_of_standard_operators_are_read(tmp_path):
    assert read_onnx(with_function(tmp_path / "a.onnx", "pkg.mine")).opset == 17


def test_a_custom_operator_in_a_function_is_refused(tmp_path):
    refused(with_function(tmp_path / "a.onnx", "pkg.mine", "my.ops"), '"Magic"', '"my.ops"')


def test_a_function_can_not_stand_for_an_operator_of_the_runtime(tmp_path):
    refused(with_function(tmp_path / "a.onnx", "com.microsoft"), '"Own"', "com.microsoft")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (["batch", "rows", "columns"], ("3 axes", "batch axis")),
        ([1, "rows", "columns"], ("3 axes", "batch axis")),
        (["batch", 1, "z", "y", "x"], ("5 axes", "3D")),
        (["batch", 10], ("2 axes", "images")),
        ([], ("0 axes",)),
    ],
)
def test_inputs_without_four_axes_are_refused(tmp_path, sizes, words):
    graph = graph_of([helper.make_node("Relu", ["slices"], ["result"])], [("slices", sizes)], [("result", sizes)])
    refused(save(tmp_path / "a.onnx", graph), '"slices"', *words)


def test_two_inputs_are_refused(tmp_path):
    graph = graph_of([helper.make_node("Add", ["slices", "more"], ["result"])], [SLICES, ("more", SLICES[1])], [RESULT])
    refused(save(tmp_path / "a.onnx", graph), "2 inputs", '"more"')


def test_weights_that_are_listed_as_inputs_do_not_count(tmp_path):
    graph = graph_of([conv()], [SLICES, ("kernel", [2, 1, 1, 1])], [RESULT], (kernel(),))
    assert read_onnx(save(tmp_path / "a.onnx", graph)).input.name == "slices"


def test_integer_inputs_are_refused(tmp_path):
    nodes = [helper.make_node("Cast", ["slices"], ["real"], to=1), conv(("real", "kernel"))]
    graph = graph_of(nodes, [SLICES], [RESULT], (kernel(),))
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    refused(save(tmp_path / "a.onnx", graph), "uint8", "float32")


def test_every_truncation_is_refused_or_read(tmp_path):
    whole = write_onnx_file(tmp_path / "a.onnx", size=(8, 8)).read_bytes()
    path = tmp_path / "cut.onnx"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_onnx(path)


def test_flipped_bytes_never_raise_anything_but_an_input_error(tmp_path):
    whole = write_onnx_file(tmp_path / "a.onnx", size=(8, 8)).read_bytes()
    path, random = tmp_path / "flipped.onnx", np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[random.integers(len(damaged))] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        with suppress(InputError):
            read_onnx(path)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x08", b"\x08\x08", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04" * 9, bytes(4096)]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    refused(tmp_path / "a.onnx", "a.onnx")


def test_missing_files_and_folders_are_refused(tmp_path):
    refused(tmp_path / "a.onnx", "no such file")
    refused(tmp_path, "cannot be read")


def test_a_file_over_two_gigabytes_is_refused_unread(tmp_path):
    path = write_onnx_file(tmp_path / "a.onnx")
    os.truncate(path, 2**31 + 5)  # sparse
    refused(path, "2.0 GB", "2 GB")


def test_a_graph_against_the_standard_is_refused(tmp_path):
    graph = graph_of([helper.make_node("Conv", ["slices"], ["result"])], [SLICES], [RESULT])
    refused(save(tmp_path / "a.onnx", graph), "ONNX standard")
    refused(save(tmp_path / "b.onnx", graph_of([], [SLICES], [SLICES])), "no operators")


def test_a_huge_card_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "MOST_CARD_CHARACTERS", 10)
    path = tmp_path / "b.onnx"
    write_onnx(read_onnx(write_onnx_file(tmp_path / "a.onnx")), "x" * 11, path)
    refused(path, "11 characters")


def test_an_old_onnx_is_named_with_what_is_needed(tmp_path, monkeypatch):
    path = write_onnx_file(tmp_path / "a.onnx")
    monkeypatch.setattr(onnx, "__version__", "1.9.0")
    refused(path, "onnx 1.9.0", "1.17", "pip install")


def test_a_missing_onnx_is_asked_for(tmp_path, monkeypatch):
    path = write_onnx_file(tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        read_onnx(path)
    kind, text = explain(caught.value)
    assert kind == "missing"
    assert "onnxruntime" in text
