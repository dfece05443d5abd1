"""PyTorch or ONNX Runtime is missing: the panel says so, asks, installs by the way this Slicer has, and goes on."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import types

import pytest
import slicer
from host.foreign_models import write_bright_onnx
from host.pressing import picture, press, settle, turn
from UNetSegmenterLib.panel.jobs import dependencies
from UNetSegmenterLib.panel.jobs.failure import JobFailure


@pytest.fixture
def without_torch(monkeypatch):
    """No torch can be found until `found` is emptied."""
    missing = {"torch"}
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in missing else find(name, *rest))
    return missing


def asked(panel, answer):
    questions = []

    def ask(question):
        questions.append(question)
        return answer

    panel.ask = ask
    return questions


def by_packaging(monkeypatch, install):
    module = types.ModuleType("slicer.packaging")
    module.pip_install = install
    monkeypatch.setitem(sys.modules, "slicer.packaging", module)


def test_the_panel_says_so_and_nothing_is_installed_without_a_yes(
    widget, panel, checkpoints, without_torch, monkeypatch
):
    by_packaging(monkeypatch, lambda *args, **options: pytest.fail("installed without a yes"))
    panel.worker.close()  # the one that other tests left
    panel.look_for_packages()
    panel.model.choose(str(checkpoints["good"]))
    settle(0.4)
    assert widget.ui.dependencyFrame.visible
    assert "not installed" in panel.dependency_notes[0].text
    assert "not installed" in widget.ui.applyButton.toolTip
    assert panel.model.card is None and not panel.worker.is_running
    picture(widget.parent, "torch-missing")
    questions = asked(panel, False)
    press(widget.ui.installButton)
    assert "PyTorch" in questions[0] and "200 MB" in questions[0]
    assert widget.ui.installButton.enabled


def test_after_installing_it_goes_on_where_the_person_was(widget, panel, checkpoints, without_torch, monkeypatch):
    ends = []

    def install(requirements, blocking, logCallback, completedCallback, **options):
        assert requirements == ["--only-binary=:all:", *dependencies.requirements()] and not blocking
        logCallback("Collecting torch")
        ends.append(completedCallback)

    by_packaging(monkeypatch, install)
    panel.look_for_packages()
    panel.model.choose(str(checkpoints["good"]))
    asked(panel, True)
    press(widget.ui.installButton)
    assert not widget.ui.installButton.enabled
    assert "Collecting torch" in widget.ui.installLog.plainText
    without_torch.clear()
    ends[0](0)
    assert not widget.ui.dependencyFrame.visible
    turn(lambda: panel.model.card is not None)


@pytest.mark.parametrize(
    "error, words",
    [
        (PermissionError("[Errno 13] Permission denied: '/opt/Slicer/lib'"), "may not be written to"),
        (RuntimeError("Could not resolve host: packages.example"), "check the internet connection"),
        (RuntimeError("No space left on device"), "No space left on device"),
    ],
)
def test_a_failure_is_one_sentence_and_can_be_tried_again(widget, panel, without_torch, monkeypatch, error, words):
    def install(*args, **options):
        raise error

    by_packaging(monkeypatch, install)
    panel.look_for_packages()
    asked(panel, True)
    press(widget.ui.installButton)
    assert words in panel.dependency_notes[0].text
    assert widget.ui.installButton.enabled and widget.ui.dependencyFrame.visible


PIP_SAYS = {
    "check the internet connection": "WARNING: Retrying after NewConnectionError('<urllib3>: [Errno 101] unreachable')",
    "may not be written to": "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/opt'",
    "none for this computer": "ERROR: No matching distribution found for torch>=2.10",
    "Hash mismatch; details are below": "ERROR: Hash mismatch",
    "pip ended with code 1; details are below": "Collecting networkx",
}


@pytest.mark.parametrize("words", PIP_SAYS)
@pytest.mark.parametrize("way", ["packaging", "pip"])
def test_pip_itself_says_why_it_failed(widget, panel, without_torch, monkeypatch, capsys, way, words):
    """The exception says no more than that it did; Slicer 5.10 prints the rest and hands it to nobody."""

    def fail_there(*args, completedCallback, logCallback, **options):
        logCallback(PIP_SAYS[words])
        completedCallback(1)

    def fail_here(requirements):
        print(PIP_SAYS[words])
        raise subprocess.CalledProcessError(1, ["PythonSlicer", "-m", "pip", "install", "torch"])

    by_packaging(monkeypatch, fail_there)
    if way == "pip":
        monkeypatch.setitem(sys.modules, "slicer.packaging", None)
        monkeypatch.setattr(slicer.util, "pip_install", fail_here)
    panel.look_for_packages()
    asked(panel, True)
    press(widget.ui.installButton)
    assert words in panel.dependency_notes[0].text
    assert PIP_SAYS[words] in widget.ui.installLog.plainText
    assert (PIP_SAYS[words] in capsys.readouterr().out) == (way == "pip"), "the console goes on to show it"
    assert not isinstance(sys.stdout, dependencies._Heard)


def test_an_idle_worker_ends_before_its_libraries_are_replaced(widget, ready, without_torch, monkeypatch):
    running = [ready.worker.is_running]

    def install(*args, completedCallback, **options):
        running.append(ready.worker.is_running)
        completedCallback(1)

    by_packaging(monkeypatch, install)
    ready.look_for_packages()
    asked(ready, True)
    press(widget.ui.installButton)
    assert running == [True, False]


def test_a_newer_pytorch_is_offered_where_an_old_one_fails(widget, panel, checkpoints, monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.2.1" if name == "torch" else version(name))
    panel.model.choose(str(checkpoints["good"]))
    turn(lambda: panel.model.card is not None)
    assert not widget.ui.dependencyFrame.visible, "an old one that works is left alone"
    panel.worker.request = lambda do, on_result, on_failure, *rest, **fields: on_failure(
        JobFailure("internal", "The network stopped with an error (RuntimeError: Numpy is not available).")
    )
    panel.model.read()
    turn(lambda: panel.model.refusal)
    del panel.worker.request
    assert widget.ui.dependencyFrame.visible
    assert "torch 2.2.1 is installed, 2.10 or later is needed" in panel.dependency_notes[0].text
    panel.model.read()
    turn(lambda: panel.model.card is not None)
    assert not widget.ui.dependencyFrame.visible


def test_an_installation_that_changes_nothing_is_noticed(widget, panel, without_torch, monkeypatch):
    by_packaging(monkeypatch, lambda *args, completedCallback, **options: completedCallback(0))
    panel.look_for_packages()
    asked(panel, True)
    press(widget.ui.installButton)
    assert "restart Slicer" in panel.dependency_notes[0].text


def test_an_installation_that_was_waited_for_is_over(widget, panel, without_torch, monkeypatch):
    by_packaging(monkeypatch, lambda *args, **options: without_torch.clear())  # as with --testing
    panel.look_for_packages()
    asked(panel, True)
    press(widget.ui.installButton)
    assert not widget.ui.dependencyFrame.visible and not panel.is_installing


def test_the_pytorch_extension_comes_first_and_old_slicers_have_pip(panel, monkeypatch):
    installer = dependencies.Installer(lambda question: True, lambda line: None, lambda message: None)
    used = []
    monkeypatch.setattr(slicer.util, "pip_install", lambda requirements: used.append(("pip", requirements)))
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    installer.install()
    by_packaging(monkeypatch, lambda requirements, **options: used.append(("packaging", requirements)))
    installer.install()
    utils = types.ModuleType("PyTorchUtils")
    utils.PyTorchUtilsLogic = lambda: types.SimpleNamespace(
        installTorch=lambda askConfirmation: used.append(("extension", askConfirmation)) or True
    )
    monkeypatch.setitem(sys.modules, "PyTorchUtils", utils)
    installer.install()
    needed = ["--only-binary=:all:", "torch>=2.10", "Jinja2>=3.1.6"]
    assert used == [("pip", needed), ("packaging", needed), ("extension", False)]


@pytest.fixture
def without_onnx(monkeypatch):
    """No onnxruntime can be found until `found` is emptied."""
    missing = {"onnxruntime"}
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in missing else find(name, *rest))
    return missing


def test_onnx_runtime_is_offered_when_an_onnx_file_is_chosen_and_no_longer_after_it(
    widget, panel, checkpoints, without_onnx, monkeypatch, tmp_path
):
    path = write_bright_onnx(tmp_path / "bright.onnx")
    by_packaging(monkeypatch, lambda *args, **options: pytest.fail("installed without a yes"))
    assert not widget.ui.dependencyFrame.visible, "nothing is said as long as nobody needs it"
    panel.model.choose(str(path))
    settle()
    assert widget.ui.dependencyFrame.visible and widget.ui.installButton.text == "Install ONNX Runtime..."
    assert "not installed" in panel.dependency_notes[0].text
    picture(widget.parent, "onnx-missing")
    questions = asked(panel, False)
    press(widget.ui.installButton)
    assert "ONNX Runtime" in questions[0] and "40 MB" in questions[0]
    panel.model.choose(str(checkpoints["good"]))
    turn(lambda: panel.model.card is not None)
    assert not widget.ui.dependencyFrame.visible


def test_an_import_without_onnx_runtime_says_so_and_works_after_installing(
    widget, panel, without_onnx, monkeypatch, tmp_path
):
    path = write_bright_onnx(tmp_path / "bright.onnx")
    ends = []

    def install(requirements, blocking, logCallback, completedCallback, **options):
        assert requirements[1:] == dependencies.requirements(dependencies.ONNX.requirements)
        ends.append(completedCallback)

    by_packaging(monkeypatch, install)
    panel.open(str(path))
    assert "ONNX Runtime" in panel.imports.notes[0].text and widget.ui.dependencyFrame.visible
    panel.model.read()
    assert widget.ui.dependencyFrame.visible, "the import still waits for it, whatever model is read meanwhile"
    asked(panel, True)
    press(widget.ui.installButton)
    ends[0](1)
    assert "ONNX Runtime could not be installed" in panel.dependency_notes[0].text and widget.ui.installButton.enabled
    press(widget.ui.installButton)
    without_onnx.clear()
    ends[1](0)
    assert not widget.ui.dependencyFrame.visible
    panel.open(str(path))
    turn(lambda: panel.imports.dialog is not None)
    panel.imports.close()


def test_an_old_onnx_runtime_is_named_with_what_is_needed(widget, panel, monkeypatch, tmp_path):
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.9.0" if name == "onnxruntime" else version(name))
    assert not dependencies.ONNX.is_installed()
    panel.open(str(write_bright_onnx(tmp_path / "bright.onnx")))
    assert "onnxruntime 1.9.0 is installed, 1.19 or later is needed" in panel.imports.notes[0].text


def test_the_panel_asks_for_the_versions_that_the_engine_needs():
    from UNetSegmenterLib.engine.model.onnx_graph import OLDEST_ONNX
    from UNetSegmenterLib.engine.model.onnx_network import OLDEST_RUNTIME

    wanted = {f"onnxruntime>={'.'.join(map(str, OLDEST_RUNTIME))}", f"onnx>={'.'.join(map(str, OLDEST_ONNX))}"}
    assert set(dependencies.requirements(dependencies.ONNX.requirements)) == wanted


def test_requirements_are_read_without_comments(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# why\ntorch>=2.10  # the network\n\n")
    assert dependencies.requirements(path) == ["torch>=2.10"]
