"""`unetseg import --network`: a PyTorch network of one's own is traced; wrong weights, Python and arguments are named."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.prediction import Predictor

from ...engine.onnx_files import write_onnx_file
from ..card_answers import done, fill_in
from ..command import refused, tree, unetseg_here

PYTHON = """
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, channels=1, classes=3, depends_on_size=False, drops=False):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.down = nn.Conv2d(8, 8, 2, stride=2)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.last = nn.Conv2d(16, classes, 1)
        self.depends_on_size = depends_on_size

    def forward(self, slices):
        features = self.first(slices)
        logits = self.last(torch.cat([features, self.up(self.down(features))], 1))
        return logits + (int(logits.shape[2]) if self.depends_on_size else 0) * slices[:, :1]


def build(classes=3):
    return Small(classes=classes)


def pair():
    class Pair(Small):
        def forward(self, slices):
            return super().forward(slices), 1
    return Pair()


def broken():
    raise RuntimeError("no such weights")


ready = Small()
nothing = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder to work in, as a user would, with the Python of a network and its weights."""
    monkeypatch.chdir(tmp_path)
    Path("own_network.py").write_text(PYTHON, encoding="utf-8")
    torch.manual_seed(0)
    network = _network()
    torch.save(network.state_dict(), "weights.pth")
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    for name in ("own_network", "half", "needs"):
        sys.modules.pop(name, None)


def _network():
    namespace: dict = {"__name__": "own"}
    exec(PYTHON, namespace)
    network = namespace["Small"]()
    with torch.no_grad():
        for _ in range(5):
            network(torch.randn(4, 1, 16, 16))
        network.eval()
        network.last.weight.mul_(10)  # so that every class wins somewhere
        network.last.bias.sub_(network(torch.randn(4, 1, 16, 16)).mean(dim=(0, 2, 3)))
    return network


def import_own(*arguments, network="own_network:build", weights="weights.pth"):
    return unetseg_here("import", weights, "--network", network, *arguments)


def imported(**answers) -> Path:
    done(import_own())
    fill_in(**answers)
    text = done(import_own("--card", "card.yaml", "--output", "own.onnx"))
    assert "logits differ by at most" in text
    return Path("own.onnx")


def test_a_network_of_one_s_own_gives_the_same_logits(folder):
    result = import_own()
    assert "your own Python: it is imported and run now" in result.stderr
    network = load_checkpoint(imported_after_the_card()).network()
    own = _network()
    own.load_state_dict(torch.load("weights.pth", weights_only=True))
    for size in ((32, 48), (64, 20)):
        slices = torch.randn(3, 1, *size)
        with torch.inference_mode():
            torch.testing.assert_close(network(slices), own(slices), rtol=1e-4, atol=1e-4)


def imported_after_the_card() -> Path:
    fill_in()
    done(import_own("--card", "card.yaml", "--output", "own.onnx"))
    return Path("own.onnx")


def test_classes_and_arguments(folder):
    torch.save(_with_classes(5).state_dict(), "five.pth")
    result = import_own("--network-arguments", '{"classes": 5}', network="own_network:Small", weights="five.pth")
    assert "5 channels" in done(result)
    assert "--network-arguments '{\"classes\": 5}'" in result.stdout


def _with_classes(classes):
    namespace: dict = {"__name__": "own"}
    exec(PYTHON, namespace)
    return namespace["Small"](classes=classes)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.module."])
def test_weights_are_found_where_other_software_puts_them(folder, key, prefix):
    from unetseg.conversion.own_network import load_weights

    network = _network()
    state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
    torch.save({key: state, "epoch": 3, "loss": 0.1}, "checkpoint.pth")
    other = _with_classes(3)
    load_weights(other, Path("checkpoint.pth"))
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name])


def test_weights_that_do_not_fit_are_named(folder):
    refused(
        import_own("--network-arguments", '{"classes": 4}'),
        '"last.weight" is 3 x 16 x 1 x 1 and should be 4 x 16 x 1 x 1',
        "--network-arguments",
    )
    state = torch.load("weights.pth", weights_only=True)
    torch.save(
        {name: tensor for name, tensor in state.items() if name != "up.bias"} | {"extra": torch.zeros(1)}, "bad.pth"
    )
    refused(import_own(weights="bad.pth"), '"up.bias" is missing', '"extra" is of no use')
    state["up.bias"] = torch.full_like(state["up.bias"], float("nan"))
    torch.save(state, "nan.pth")
    refused(import_own(weights="nan.pth"), "not finite")


class Evil:
    def __reduce__(self):
        return (os.system, ("touch evil-ran",))


def test_code_in_a_weights_file_does_not_run(folder):
    torch.save({"state_dict": Evil()}, "evil.pth")
    refused(import_own(weights="evil.pth"), "evil.pth", "runs code", "state_dict()")
    Path("evil.pkl").write_bytes(pickle.dumps(Evil()))
    refused(import_own(weights="evil.pkl"), "evil.pkl")
    assert not Path("evil-ran").exists()


def test_a_whole_network_in_the_file_is_refused(folder):
    torch.save(torch.nn.Conv2d(1, 3, 1), "whole.pth")
    refused(import_own(weights="whole.pth"), "state_dict()")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty.pth"), (b"hello", "empty.pth"), (b"PK\x03\x04", "empty.pth")],
)
def test_files_that_hold_no_weights_are_refused(folder, content, words):
    Path("empty.pth").write_bytes(content)
    refused(import_own(weights="empty.pth"), words)


@pytest.mark.parametrize("kind", ["sparse", "meta", "complex"])
def test_weights_that_are_no_dense_real_numbers_are_refused(folder, kind):
    state = _network().state_dict()
    name, tensor = next(iter(state.items()))
    changed = {"sparse": tensor.to_sparse(), "meta": tensor.to("meta"), "complex": tensor.to(torch.complex64)}[kind]
    torch.save(state | {name: changed}, "odd.pth")
    refused(import_own(weights="odd.pth"), "odd.pth", name, "dense")


def test_other_contents_than_weights_are_refused(folder):
    torch.save([1, 2], "list.pth")
    refused(import_own(weights="list.pth"), "holds a list")
    torch.save({"epoch": 3, "optimizer": {"lr": 1}}, "other.pth")
    refused(import_own(weights="other.pth"), "epoch", "state_dict")
    refused(import_own(weights="absent.pth"), "absent.pth")


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("own_network", "module and a function"),
        ("absent_module:build", "no Python module absent_module"),
        ("own_network:biuld", "there is no biuld"),
        ("own_network:nothing", "is a int"),
        ("own_network:broken", "no such weights"),
        ("own_network:pair", "returns a tuple"),
        ("os:getcwd", "returned a str"),
    ],
)
def test_python_that_gives_no_network_is_named(folder, network, words):
    refused(import_own(network=network), words)
    assert tree(folder) - {"own_network.py", "weights.pth"} <= {"__pycache__", *_compiled(folder)}


def _compiled(folder):
    return {name for name in tree(folder) if name.startswith("__pycache__")}


def test_python_that_does_not_import_is_named(folder):
    Path("half.py").write_text("import torch\ndef build(:\n", encoding="utf-8")
    refused(import_own(network="half:build"), "half", "SyntaxError")
    Path("half.py").write_text("import sys\nsys.exit('usage: half.py SCAN')\n", encoding="utf-8")
    refused(import_own(network="half:build"), "half can't be imported", "SystemExit")
    Path("needs.py").write_text("import a_package_that_is_not_there\n", encoding="utf-8")
    refused(import_own(network="needs:build"), "a_package_that_is_not_there", "pip")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("[1]", "names and values"),
        ("{", "no JSON"),
        ("[" * 5000, "no JSON"),
        ('{"colour": 1}', "can't be called"),
        ('{"channels": "x"}', "failed"),
    ],
)
def test_wrong_arguments_are_named(folder, arguments, words):
    refused(import_own("--network-arguments", arguments, network="own_network:Small"), words)


def test_a_network_that_depends_on_the_size_is_refused_or_fixed(folder):
    arguments = ("--network-arguments", '{"depends_on_size": true}')
    refused(import_own(*arguments, network="own_network:Small"), "other logits", "patch_size")
    done(import_own())
    fill_in()
    card = Path("card.yaml")
    text = card.read_text(encoding="utf-8").replace("patch_size: null", "patch_size: [64, 96]")
    card.write_text(text.replace("size: null", "size: [64, 96]"), encoding="utf-8")
    done(import_own(*arguments, "--card", "card.yaml", "--output", "own.onnx", network="own_network:Small"))
    assert load_checkpoint("own.onnx").card.network.parameters["size"] == [64, 96]


def test_options_that_do_not_go_together(folder):
    write_onnx_file(Path("a.onnx"))
    refused(import_own(weights="a.onnx"), "leave --network out")
    refused(unetseg_here("import", "a.onnx", "--network-arguments", "{}"), "--network")
    refused(unetseg_here("import", "weights.pth", "--output", "a.pt"), "--network")
    refused(unetseg_here("import", "a.onnx", "--card", "card.yaml"), "--output")


def test_predictions_of_a_network_of_one_s_own(folder, scan):
    path = imported()
    labels = Predictor(load_checkpoint(path)).predict(read_volume(scan)).segmentation.labels
    assert len(np.unique(labels)) > 1
