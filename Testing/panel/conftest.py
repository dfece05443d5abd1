"""The real panel files on the stand-in for Slicer's Qt layer, over the real MRML scene."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the workers: tests share the machine

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or its system libraries are not installed")

import host

slicer = host.start()

from host.checkpoints import write_checkpoints
from host.pressing import settle, turn
from host.scripted import load_module


@pytest.fixture(scope="session")
def module():
    return load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py")


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
def widget(module, no_traceback):
    """The panel as a person finds it in an empty scene; nothing of it is left afterwards."""
    slicer.mrmlScene.Clear(0)
    widget = module.enter()
    slicer.mrmlScene.Clear(0)
    widget.panel.ask = lambda question: pytest.fail(f"nobody expected to be asked: {question}")
    widget.parent.resize(430, 900)
    yield widget
    slicer.mrmlScene.Clear(0)
    widget.panel.close()
    module.exit()
    settle(0.02)


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
