"""Every kind of ONNX file gives the logits of the same network: layouts, sizes, batches, types, activations."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import helper
from UNetSegmenterLib.engine.errors import InputError, explain
from UNetSegmenterLib.engine.model.card import NetworkDescription
from UNetSegmenterLib.engine.model.onnx_graph import read_onnx
from UNetSegmenterLib.engine.model.onnx_network import OnnxNetwork, logits_of, onnx_device

from ..onnx_files import changed, graph_of, save, write_onnx_file

WEIGHTS = np.array([[1.0], [-2.0], [0.5]])


def network_of(path, classes=3, input_slices=1, **changes):
    parameters = {
        "input": "slices",
        "output": "result",
        "layout": "NCHW",
        "size": None,
        "activation": "logits",
        "background": True,
    }
    return OnnxNetwork(read_onnx(path), NetworkDescription("ONNX", input_slices, classes, parameters | changes))


def slices(count=5, channels=1, size=(6, 4)):
    return torch.randn((count, channels, *size), generator=torch.Generator().manual_seed(1))


def expected(values):
    return torch.cat([weight * values for weight in (1.0, -2.0, 0.5)], dim=1)


def write(path, **settings):
    return write_onnx_file(path, weights=WEIGHTS, **settings)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("size", [None, (6, 4)])
@pytest.mark.parametrize("batch", [None, 1, 2])
def test_layouts_sizes_and_batches_give_the_same_logits(tmp_path, layout, size, batch):
    path = write(tmp_path / "a.onnx", layout=layout, size=size, batch=batch)
    network = network_of(path, layout=layout, size=size and list(size))
    torch.testing.assert_close(network(slices()), expected(slices()))


def test_a_batch_of_the_card_splits_what_the_file_takes_in_one(tmp_path):
    network = network_of(write(tmp_path / "a.onnx"), batch=1)
    sizes = []
    original = network._run_once
    network._run_once = lambda part: sizes.append(len(part)) or original(part)
    torch.testing.assert_close(network(slices()), expected(slices()))
    assert sizes == [1] * 5


def test_float16_files_are_given_float16(tmp_path):
    found = network_of(write(tmp_path / "a.onnx", type_="float16"))(slices())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected(slices()), rtol=2e-3, atol=2e-3)


def test_bfloat16_slices_are_taken(tmp_path):
    found = network_of(write(tmp_path / "a.onnx"))(slices().bfloat16())
    torch.testing.assert_close(found, expected(slices().bfloat16().float()))


def test_neighbours_are_channels_in_their_order(tmp_path):
    path = write_onnx_file(
        tmp_path / "a.onnx", channels=3, classes=2, weights=np.array([[1.0, 10.0, 100.0], [0, 0, 1.0]])
    )
    three = slices(channels=3)
    found = network_of(path, 2, 3)(three)
    torch.testing.assert_close(found[:, 0], three[:, 0] + 10 * three[:, 1] + 100 * three[:, 2])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_one_slice_is_repeated_where_the_card_says_so(tmp_path, layout):
    path = write_onnx_file(
        tmp_path / "a.onnx", channels=3, classes=1, layout=layout, weights=np.array([[1.0, 10.0, 100.0]])
    )
    network = network_of(path, 2, 1, layout=layout, channels="repeated", activation="sigmoid-logits", background=False)
    torch.testing.assert_close(network(slices())[:, 1:], 111 * slices())


def test_softmax_gives_the_same_classes_and_probabilities(tmp_path):
    found = network_of(write(tmp_path / "a.onnx", last="Softmax"), activation="softmax")(slices())
    torch.testing.assert_close(found.softmax(1), expected(slices()).softmax(1))


def test_sigmoid_of_several_classes_without_background(tmp_path):
    path = write(tmp_path / "a.onnx", last="Sigmoid")
    found = network_of(path, 4, activation="sigmoid", background=False)(slices())
    torch.testing.assert_close(found[:, 1:], expected(slices()), rtol=1e-3, atol=1e-3)
    assert not found[:, 0].any()
    raw = expected(slices())
    wanted = torch.where(raw.amax(1) > 0, raw.argmax(1) + 1, 0)  # the likeliest of those above one half
    assert torch.equal(found.argmax(1), wanted)


def test_sigmoid_with_background(tmp_path):
    found = network_of(write(tmp_path / "a.onnx", last="Sigmoid"), activation="sigmoid")(slices())
    assert torch.equal(found.argmax(1), expected(slices()).argmax(1))


@pytest.mark.parametrize(("last", "activation"), [("Sigmoid", "sigmoid"), (None, "sigmoid-logits")])
def test_one_structure_is_where_its_probability_is_above_one_half(tmp_path, last, activation):
    path = write_onnx_file(tmp_path / "a.onnx", classes=1, weights=np.array([[1.0]]), last=last)
    found = network_of(path, 2, activation=activation, background=False)(slices())
    assert torch.equal(found.argmax(1), (slices()[:, 0] > 0).long())


def test_certain_probabilities_stay_finite():
    certain = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1)
    for activation in ("softmax", "sigmoid"):
        found = logits_of(certain, activation, True)
        assert torch.isfinite(found).all()
        assert found.argmax(1) == 1


def test_threads_may_call_it_at_the_same_time(tmp_path):
    network = network_of(write(tmp_path / "a.onnx")).open_on(torch.device("cpu"))
    many = [slices() + number for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(network, many))
    for one, given in zip(found, many, strict=True):
        torch.testing.assert_close(one, expected(given))


# --- what is refused -----------------------------------------------------------------------------------------------------


def fails(network, *words, of=None):
    with pytest.raises(InputError) as caught:
        network(slices() if of is None else of)
    for word in words:
        assert word in str(caught.value), (word, str(caught.value))


def test_values_that_are_not_finite_are_refused(tmp_path):
    axes = ["batch", 1, "rows", "columns"]
    graph = graph_of([helper.make_node("Log", ["slices"], ["result"])], [("slices", axes)], [("result", axes)])
    network = network_of(save(tmp_path / "a.onnx", graph), 2, activation="sigmoid-logits", background=False)
    fails(network, "NaN", "normalisation")


def test_other_channels_than_the_card_says_are_refused(tmp_path):
    fails(network_of(write(tmp_path / "a.onnx"), 5), "5 x 3 x 6 x 4", "5 x 5 x 6 x 4")


def test_an_output_of_another_size_is_refused(tmp_path):
    axes = ["batch", 1, "rows", "columns"]
    nodes = [helper.make_node("MaxPool", ["slices"], ["result"], kernel_shape=[2, 2], strides=[2, 2])]
    path = save(tmp_path / "a.onnx", graph_of(nodes, [("slices", axes)], [("result", ["batch", 1, "h", "w"])]))
    fails(network_of(path, 2, activation="sigmoid-logits", background=False), "5 x 1 x 3 x 2")


def test_a_wrong_size_is_refused(tmp_path):
    network = network_of(write(tmp_path / "a.onnx", size=(8, 8)), size=[8, 8])
    fails(network, "8 x 8 pixels", "6 x 4 pixels")


def test_slices_that_the_file_fails_on_are_named(tmp_path):
    axes = ["batch", 1, "rows", "columns"]
    nodes = [
        helper.make_node("MaxPool", ["slices"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["half", "", "twice"], ["back"]),
        helper.make_node("Add", ["slices", "back"], ["result"]),
    ]
    twice = helper.make_tensor("twice", 1, [4], [1.0, 1.0, 2.0, 2.0])
    path = save(tmp_path / "a.onnx", graph_of(nodes, [("slices", axes)], [("result", axes)], (twice,)))
    network = network_of(path, 2, activation="sigmoid-logits", background=False)
    assert network(slices()).shape == (5, 2, 6, 4)
    fails(network, "fails on slices of 5 x 1 x 7 x 5", "size_multiple", of=slices(size=(7, 5)))


def test_a_file_that_looks_like_the_runtime_s_own_format_is_read_as_onnx(tmp_path):
    """The runtime takes files with ORTM at their fifth byte for that format, of which nothing was checked."""
    path = changed(write(tmp_path / "a.onnx"), lambda model: setattr(model, "producer_name", "ORTM"))
    assert path.read_bytes()[4:8] == b"ORTM"
    torch.testing.assert_close(network_of(path)(slices()), expected(slices()))


def test_a_graph_that_the_runtime_refuses_is_named(tmp_path):
    axes = ["batch", 1, "rows", "columns"]
    nodes = [helper.make_node("Reshape", ["slices", "shape"], ["result"])]
    shape = helper.make_tensor("shape", 1, [1], [4.0])  # of float, which the standard's checker lets pass
    path = save(tmp_path / "a.onnx", graph_of(nodes, [("slices", axes)], [("result", axes)], (shape,)))
    fails(network_of(path, 2), "can't be opened by onnxruntime")


def test_a_device_that_the_runtime_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert onnx_device("auto").type == "cpu"  # this runtime has no CUDA
    with pytest.raises(InputError, match="CPU alone"):
        onnx_device("cuda")


def test_a_device_that_loads_no_part_of_the_runtime_is_refused(tmp_path):
    """The runtime falls back to the CPU in silence where CUDA's libraries are missing."""
    network = network_of(write(tmp_path / "a.onnx"))
    with pytest.raises(InputError, match="could not load its part for CUDA"):
        network.open_on(torch.device("cuda:0"))


def test_apple_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert onnx_device("auto").type == "cpu"
    with pytest.raises(InputError, match="cpu and cuda"):
        onnx_device("mps")


def test_the_runtime_is_told_to_tell_nobody(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(onnxruntime, "disable_telemetry_events", lambda: told.append("off"))
    onnx_device("cpu")
    assert told


def test_an_old_runtime_is_named_with_what_is_needed(monkeypatch):
    monkeypatch.setattr(onnxruntime, "__version__", "1.9.0")
    with pytest.raises(InputError, match=r"onnxruntime 1\.9\.0 .* 1\.19 or later"):
        onnx_device("auto")


def test_a_missing_runtime_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        onnx_device("auto")
    assert explain(caught.value)[0] == "missing"
