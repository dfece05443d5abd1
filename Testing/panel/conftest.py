"""The real panel files on the stand-in for Slicer's Qt layer, over the real MRML scene."""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest
import UNetSegmenterLib

ROOT = Path(__file__).resolve().parents[2]

MODULE = Path(UNetSegmenterLib.__file__).parents[1] / "UNetSegmenter.py"
"""Beside the library: in the source tree, or in the installed one that PYTHONPATH names (make installed-test)."""

try:
    import slicer  # before Testing is on the path: slicer-core takes every folder named slicer there for a part of itself

    sys.path.insert(0, str(ROOT / "Testing"))
    import host
except ImportError as error:
    print(f"Testing/panel is left out: {error} (slicer-core, PySide6 and its system libraries are needed)")
    collect_ignore_glob = ["*test_*.py"]
else:
    host.start()
    from host.checkpoints import write_checkpoints
    from host.pressing import settle, turn
    from host.scripted import load_module


def pytest_collection_modifyitems(items):
    """An observer that is added twice or removed in vain is a line on Slicer's console; here it fails the test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error:(already has|does not have) observer"))


@pytest.fixture(scope="session")
def module():
    return load_module(MODULE)


@pytest.fixture(scope="session")
def checkpoints(module, tmp_path_factory):
    """Good and bad checkpoint files by name."""
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture
def no_traceback(monkeypatch):
    """An exception in a slot or an observer only reaches the console: here it fails the test."""
    escaped = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: escaped.append("".join(traceback.format_exception(*error))))
    yield
    assert not escaped, escaped[0]


@pytest.fixture
def counted_steps(monkeypatch):
    """How many small steps each task of a section took, without those that only waited."""
    from UNetSegmenterLib.panel.jobs.step_driver import StepDriver, Wait
    from UNetSegmenterLib.panel.sections import section

    counts = []

    def counted(steps):
        number = len(counts)
        counts.append(0)
        try:
            while True:
                yielded = next(steps)
                counts[number] += not isinstance(yielded, Wait)
                yield yielded
        except StopIteration as end:
            return end.value
        finally:
            steps.close()

    monkeypatch.setattr(
        section, "StepDriver", lambda steps, *listeners, **named: StepDriver(counted(steps), *listeners, **named)
    )
    return counts


@contextmanager
def worker_kept(module):
    """A closing scene ends the worker, which takes seconds to start again; between two tests it may live on."""
    worker = module.widgetRepresentation().self().logic.worker
    worker.close = lambda: None
    try:
        yield
    finally:
        del worker.close


@pytest.fixture(scope="session")
def worker_ended(module):
    yield
    module.widgetRepresentation().self().panel.close()


@pytest.fixture
def nothing_remembered(module, monkeypatch):
    """No choices of an earlier test, and no model that is chosen by itself."""
    import qt
    from UNetSegmenterLib.panel import panel

    qt.QSettings().clear()
    monkeypatch.setattr(panel, "model_at_hand", lambda: "")


@pytest.fixture
def widget(module, nothing_remembered, no_traceback, worker_ended):
    """The panel as a person finds it in an empty scene, before a model was ever chosen."""
    widget = module.enter()
    widget.panel.model.choose("")
    with worker_kept(module):
        slicer.mrmlScene.Clear(0)
    widget.panel.ask = lambda question: pytest.fail(f"no question was expected: {question}")
    widget.parent.resize(430, 900)
    yield widget
    with worker_kept(module):
        slicer.mrmlScene.Clear(0)
    module.exit()
    settle(0.02)


@pytest.fixture
def new_scene(module, widget):
    """Closes the scene, as a person does between two scans."""

    def close():
        with worker_kept(module):
            slicer.mrmlScene.Clear(0)
        settle()

    return close


@pytest.fixture
def panel(widget):
    return widget.panel


@pytest.fixture
def scan(widget):
    """A small CT-like scan, chosen in the panel."""
    from host.scans import add_scan

    node = add_scan()
    widget.initializeParameterNode()
    settle()
    return node


@pytest.fixture
def ready(panel, scan, checkpoints):
    """A panel on which Apply can be pressed."""
    panel.model.choose(str(checkpoints["good"]))
    turn(lambda: panel.model.card is not None)
    settle()
    return panel


@pytest.fixture
def compared(widget):
    """A scan, a prediction and a ground truth, chosen in the panel."""
    from host.scans import SHAPE, SPACING_MM, add, add_scan, body, choose, organs

    scan = add_scan("CT", body(*SHAPE), SPACING_MM, origin_lps=(-70.0, -60.0, 10.0))
    widget.initializeParameterNode()
    widget.ui.inputSelector.setCurrentNode(scan)
    choose(widget, add("Prediction", organs(2)), add("Ground truth", organs()))
    return widget.panel
