"""The real panel files on the stand-in for Slicer's Qt layer, over the real MRML scene."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or its system libraries are not installed")

import host

slicer = host.start()

from host.scripted import load_module

SCREENSHOTS = Path(os.environ.get("UNETSEGMENTER_SCREENSHOTS", ROOT / ".cache" / "screenshots"))


def turn(until=lambda: False, seconds=20.0):
    """Turn the event loop until something holds; fails after a while."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:.0f} s in vain")
        slicer.app.processEvents()
        time.sleep(0.002)


def settle(seconds=0.15):
    """Let short timers run out."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.002)


@pytest.fixture(scope="session")
def module():
    return load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py")


@pytest.fixture
def widget(module):
    """The panel as a person finds it in an empty scene; nothing of it is left afterwards."""
    slicer.mrmlScene.Clear(0)
    widget = module.enter()
    widget.panel.ask = lambda question: pytest.fail(f"nobody expected to be asked: {question}")
    widget.parent.resize(430, 900)
    yield widget
    slicer.mrmlScene.Clear(0)
    widget.panel.close()
    module.exit()


@pytest.fixture
def panel(widget):
    return widget.panel
