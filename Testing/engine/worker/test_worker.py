"""The worker as a process of its own: its protocol, its answers to a scan, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import TORCH_MISSING, explain
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.stepwise import run_to_end
from UNetSegmenterLib.engine.worker.image_serialization import (
    checksum,
    geometry_from_json,
    geometry_to_json,
    segmentation_from_json,
    segmentation_steps,
)

from ...listening import sockets
from .conversation import PACKAGE_ROOT, Conversation


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from UNetSegmenterLib.engine.labels.structures import known_structure
    from UNetSegmenterLib.engine.model.architectures import unet
    from UNetSegmenterLib.engine.model.card import Card
    from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint
    from UNetSegmenterLib.engine.model.normalisation import window
    from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

    from ..checkpoints import small_weights

    structures = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,)))
    path = tmp_path_factory.mktemp("checkpoint") / "größer als 1 mm.pt"
    card = Card("Tiny", unet(1, 3, 4, 2), structures, Preprocessing((1.5, 1.5), window(-200.0, 300.0), size_multiple=4))
    save_checkpoint(path, card, small_weights(card))
    return str(path)


def scan_files(folder, shape=(24, 64, 64)):
    array = np.random.default_rng(0).integers(-1000, 1000, shape).astype("<i2")
    (folder / "image.raw").write_bytes(array.tobytes())
    (folder / "labels.raw").write_bytes(bytes(array.size))
    geometry = Geometry(shape, (3.0, 1.5, 1.5))
    return (
        array,
        geometry,
        {
            "image": {"path": str(folder / "image.raw"), "dtype": "<i2"},
            "geometry": geometry_to_json(geometry),
            "labels": str(folder / "labels.raw"),
        },
    )


def test_a_conversation(checkpoint, tmp_path):
    """Hello without torch, the card, a run with progress, a second run that is warm, errors in one sentence, quit."""
    array, geometry, files = scan_files(tmp_path)
    with Conversation() as worker:
        hello = worker.ask(id=1, do="hello")
        assert hello["type"] == "result" and hello["pid"] == worker.process.pid and hello["torch"] is True
        answer = worker.ask(id=2, do="describe", checkpoint=checkpoint)
        assert answer["card"]["title"] == "Tiny" and len(answer["sha256"]) == 64
        assert answer["devices"][-1]["device"] == "cpu"

        worker.say(id=3, do="segment", checkpoint=checkpoint, device="cpu", name="CT", **files)
        answers = [worker.hear()]
        while answers[-1]["type"] == "progress":
            answers.append(worker.hear())
        *progress, result = answers
        assert [one["done"] for one in progress][-1] == result["slices_done"] == result["slices"] == 24
        assert all(one["total"] == 24 and one["id"] == 3 for one in progress) and len(progress) > 2
        assert result["complete"] and not result["warm"]
        labels = np.fromfile(files["labels"], np.uint8).reshape(geometry.shape)
        own = engine_segmentation(checkpoint, array, geometry)
        assert np.array_equal(labels, own.labels)
        assert len(np.unique(labels)) == 3, "a constant result would prove nothing"
        assert {int(index): value for index, value in result["confidence"].items()} == own.confidence

        worker.say(id=4, do="segment", checkpoint=checkpoint, device="cpu", **files)
        while (again := worker.hear())["type"] == "progress":
            pass
        assert again["complete"] and again["warm"]
        assert sockets(worker.process) == set(), "the network runs without the network"

        percent = tmp_path / "percent.raw"
        percent.write_bytes(bytes(array.size))
        request = {key: files[key] for key in ("image", "geometry")} | {"checkpoint": checkpoint, "device": "cpu"}
        worker.say(id=9, do="probability", structure=2, percent=str(percent), **request)
        while (shown := worker.hear())["type"] == "progress":
            pass
        assert shown["complete"] and shown["warm"] and shown["scan"] == again["scan"], shown
        values = np.fromfile(percent, np.uint8).reshape(geometry.shape)
        assert shown["percent_crc32"] == checksum(values)
        assert (labels[values > 50] == 2).all() and values[labels == 2].mean() > values[labels != 2].mean()
        error = worker.ask(id=10, do="probability", structure=9, percent=str(percent), **request)
        assert error["kind"] == "input" and "no structure 9" in error["message"]

        error = worker.ask(id=5, do="describe", checkpoint=str(tmp_path / "gone.pt"))
        assert (error["type"], error["kind"]) == ("error", "input") and "no such file" in error["message"]
        assert worker.ask(id=6, do="dance")["kind"] == "input"
        assert worker.ask(id=7, do="segment", checkpoint=checkpoint, device="tpu", **files)["kind"] == "input"
        worker.process.stdin.write(b"this is no request\n")
        assert worker.ask(id=8, do="hello")["type"] == "error"
        assert worker.hear()["id"] == 8
        worker.say(do="quit")
        assert worker.process.wait(5) == 0


@pytest.mark.parametrize(("axis", "slices"), [("coronal", 40), ("sagittal", 56)])
def test_a_network_that_is_not_axial_goes_along_its_axis_and_says_so(checkpoint, tmp_path, axis, slices):
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint

    axial = load_checkpoint(checkpoint)
    card = replace(axial.card, preprocessing=replace(axial.card.preprocessing, axis=axis))
    save_checkpoint(tmp_path / "turned.pt", card, axial.weights)
    array, geometry, files = scan_files(tmp_path, (24, 40, 56))
    with Conversation() as worker:
        worker.say(id=1, do="segment", checkpoint=str(tmp_path / "turned.pt"), device="cpu", **files)
        answer = worker.hear()
        while answer["type"] == "progress":
            assert answer["total"] == slices
            answer = worker.hear()
    assert answer["slicing_axis"] == axis and answer["slices_done"] == answer["slices"] == slices
    labels = np.fromfile(files["labels"], np.uint8).reshape(geometry.shape)
    made = engine_segmentation(str(tmp_path / "turned.pt"), array, geometry)
    assert made.slicing_axis == axis and np.array_equal(made.labels, labels) and labels.any()
    plain = run_to_end(segmentation_steps(made, tmp_path, "made"))
    assert segmentation_from_json(plain).slicing_axis == axis


def engine_segmentation(checkpoint, array, geometry):
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
    from UNetSegmenterLib.engine.model.prediction import Predictor

    return Predictor(load_checkpoint(checkpoint), "cpu").predict(Volume(array, geometry)).segmentation


def test_garbage_is_answered_and_does_no_harm():
    lines = (b"\xff\xfe{", b"[" * 100_000, b'"hello"', b"17", b'{"do": []}', b'{"do": "cancel", "request": [1]}',
             b'{"id": {"a": 1}, "do": "hello"}', b'{"id": 3, "do": "segment"}')  # fmt: skip
    with Conversation() as worker:
        for line in lines:
            worker.process.stdin.write(line + b"\n")
            worker.process.stdin.flush()
            assert worker.hear()["type"] == "error", line
        assert worker.ask(id=9, do="hello")["type"] == "result"


def can_mount():
    """Whether a process may have a small disk of its own, as root or where user namespaces are allowed."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/tmp"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not can_mount(), reason="no disk of its own can be mounted here")
def test_a_full_disk_is_one_sentence(checkpoint, tmp_path):
    """The labels file is sparse: on a disk that fills up, writing into its map ends a process by a signal."""
    _, _, files = scan_files(tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    files["labels"] = str(disk / "labels.raw")
    code = (
        "import os, subprocess\n"
        "from UNetSegmenterLib.engine.worker import __main__ as worker\n"
        f"disk = {str(disk)!r}\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', disk], check=True)\n"
        "with open(disk + '/labels.raw', 'wb') as file:\n"
        "    file.truncate(24 * 64 * 64)\n"
        "worker.main([])\n"
    )
    with Conversation(code=code, before=("unshare", "-rm")) as worker:
        answer = worker.ask(id=1, do="segment", checkpoint=checkpoint, device="cpu", **files)
        assert (answer["type"], answer["kind"]) == ("error", "input")
        assert "No space left on device" in answer["message"] and "free 0.1 MB" in answer["message"]
        assert worker.ask(id=2, do="hello")["type"] == "result"


def test_two_requests_at_once_are_answered_one_after_the_other(checkpoint, tmp_path):
    _, _, files = scan_files(tmp_path)
    with Conversation() as worker:
        for number in (1, 2):
            worker.say(id=number, do="segment", checkpoint=checkpoint, device="cpu", **files)
        answers = []
        while len([one for one in answers if one["type"] == "result"]) < 2:
            answers.append(worker.hear())
    assert [one["id"] for one in answers] == sorted(one["id"] for one in answers)
    assert all(one["complete"] for one in answers if one["type"] == "result")


def test_cancel_ends_within_a_batch_and_keeps_finished_slices(checkpoint, tmp_path):
    _, geometry, files = scan_files(tmp_path, (400, 128, 128))
    with Conversation() as worker:
        worker.say(id=1, do="segment", checkpoint=checkpoint, device="cpu", **files)
        first = worker.hear()
        assert first["type"] == "progress"
        worker.say(do="cancel", request=1)
        while (answer := worker.hear())["type"] == "progress":
            pass
        assert not answer["complete"] and first["done"] <= answer["slices_done"] < 400
        labels = np.fromfile(files["labels"], np.uint8).reshape(geometry.shape)
        assert not labels[answer["slices_done"] :].any()
        worker.say(do="cancel", request=2)  # comes before its request
        assert worker.ask(id=2, do="segment", checkpoint=checkpoint, device="cpu", **files)["slices_done"] == 0


def test_what_others_print_goes_to_stderr_and_never_into_the_answers():
    code = (
        "import os, sys\n"
        "from UNetSegmenterLib.engine.worker import __main__ as worker\n"
        "before = worker.Service.hello\n"
        "def hello(self, request):\n"
        "    print('a stray print'); os.write(1, b'from C too\\n')\n"
        "    return before(self, request)\n"
        "worker.Service.hello = hello\n"
        "worker.main([])\n"
    )
    with Conversation(code=code) as worker:
        assert worker.ask(id=1, do="hello")["type"] == "result"
        worker.say(do="quit")
        _, stderr = worker.process.communicate(timeout=10)
        assert b"from C too" in stderr


def test_it_ends_with_its_input_and_removes_its_folder(tmp_path):
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "image.raw").write_bytes(b"x")
    with Conversation("--folder", str(folder)) as worker:
        worker.ask(id=1, do="hello")
        worker.process.stdin.close()
        worker.process.stdin = None
        assert worker.process.wait(5) == 0
    assert not folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_it_ends_with_its_parent(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with Conversation("--parent", str(parent.pid)) as worker:
        worker.ask(id=1, do="hello")
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert worker.process.wait(10) == 0


def test_it_ends_when_it_is_idle():
    with Conversation("--idle-minutes", "0.01") as worker:
        worker.ask(id=1, do="hello")
        assert worker.process.wait(15) == 0


def test_geometry_survives_the_protocol():
    geometry = Geometry(
        (3, 4, 5), (1.25, 0.7, 0.1 + 0.2), (1e-3, -2.0, 3.3), ((0.0, 0.6, 0.8), (1.0, 0.0, 0.0), (0.0, 0.8, -0.6))
    )
    assert geometry_from_json(json.loads(json.dumps(geometry_to_json(geometry)))) == geometry


def test_errors_become_one_sentence():
    missing = ModuleNotFoundError("No module named 'torch'", name="torch")
    assert explain(missing) == ("missing", TORCH_MISSING)
    kind, message = explain(RuntimeError("CUDA error: misaligned address\nmore\nlines"))
    assert kind == "internal" and message.count("\n") == 0 and "misaligned" in message


def test_the_worker_imports_no_torch_before_it_is_asked():
    code = "import sys; import UNetSegmenterLib.engine.worker.service; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
