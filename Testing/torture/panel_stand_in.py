"""The real panel files on the stand-in for Slicer's Qt layer, started once in a process, for subjects that press its buttons."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..engine.checkpoints import small_card, small_weights
from .harness import Tally

ROOT = Path(__file__).resolve().parents[2]
_modules: list[Any] = []  # one in a process, as in Slicer


class NoPanelError(RuntimeError):
    """The stand-in can't be started here; the message says what is missing."""


@contextmanager
def panel() -> Iterator[SimpleNamespace]:
    """`logic` of the module, `scene`, and the helpers `turn`, `settle`, `add_scan`, `body`; the panel is left at the end.

    Raises:
        NoPanelError: slicer-core, PySide6 or a library of theirs is missing.
    """
    try:
        import slicer  # before Testing is on the path: slicer-core takes every folder named slicer there for its own

        if str(ROOT / "Testing") not in sys.path:
            sys.path.insert(0, str(ROOT / "Testing"))
        import host

        host.start()
        from host.pressing import settle, turn
        from host.scans import add_scan, body
        from host.scripted import load_module
    except ImportError as error:
        raise NoPanelError(f"no panel here: {error}") from error
    if not _modules:
        _modules.append(load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py"))
    (module,) = _modules
    widget = module.enter()
    try:
        yield SimpleNamespace(
            logic=widget.logic, scene=slicer.mrmlScene, settle=settle, turn=turn, add_scan=add_scan, body=body,
            panel=widget.panel
        )  # fmt: skip
    finally:
        slicer.mrmlScene.Clear(0)
        module.exit()
        widget.panel.close()
        settle(0.05)


def on_panel(tally: Tally, count: int, press: Callable[[Tally, int, SimpleNamespace, Path], None]) -> None:
    """Call `press` with the started panel and a small checkpoint; where no panel can be started, a note says why."""
    from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint

    tally.most_seconds = 900
    path, card = tally.folder / "small.pt", small_card()
    save_checkpoint(path, card, small_weights(card))
    try:
        with panel() as started:
            press(tally, count, started, path)
    except NoPanelError as error:
        tally.notes.append(str(error))
