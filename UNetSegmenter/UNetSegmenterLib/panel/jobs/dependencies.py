"""PyTorch: is it there, and how it is installed if the user agrees.

Three ways, the first that exists is taken: Slicer's PyTorch extension, `slicer.packaging` (Slicer 5.12 and later), and
`slicer.util.pip_install` (5.10). Nothing is ever installed without the user's consent.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

REQUIREMENTS = Path(__file__).resolve().parents[3] / "Resources" / "requirements.txt"
DOWNLOAD = "about 200 MB, with GPU support up to 3 GB"


def torch_is_installed() -> bool:
    """Whether the worker will find PyTorch; looks without importing it."""
    importlib.invalidate_caches()
    try:
        return importlib.util.find_spec("torch") is not None
    except (ImportError, ValueError):
        return False


def requirements(path: Path = REQUIREMENTS) -> list[str]:
    """The lines of a requirements file, without comments."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


class Installer:
    """Installs PyTorch if the user agrees; `on_line` gets what pip says, `on_end` an empty text or what went wrong."""

    def __init__(
        self, ask: Callable[[str], bool], on_line: Callable[[str], None], on_end: Callable[[str], None]
    ) -> None:
        self._ask, self._on_line, self._on_end = ask, on_line, on_end
        self.is_running = False

    def install(self) -> bool:
        """Ask, then install; returns whether the user said yes. `on_end` is called when it has ended."""
        name, route = self.route()
        if not self._ask(
            f"Install PyTorch, which runs the network, into this Slicer? It is downloaded {name} ({DOWNLOAD})."
        ):
            return False
        self.is_running = True
        self._on_line("Installing PyTorch; this takes some minutes.")
        slicer.app.processEvents()
        try:
            route()
        except Exception as error:  # pip, the network, the disk: whatever it was, the user reads it
            logging.exception("PyTorch could not be installed")
            self._end(_error_text(error))
        return True

    def route(self) -> tuple[str, Callable[[], None]]:
        """The way that this Slicer offers, in words and as a function."""
        try:
            import PyTorchUtils

            return "by Slicer's PyTorch extension", lambda: self._by_extension(PyTorchUtils)
        except ImportError:
            pass
        try:
            packaging = importlib.import_module("slicer.packaging")
            return "from the Python package index", lambda: self._by_packaging(packaging)
        except ImportError:
            return "from the Python package index", self._by_pip

    def _by_extension(self, utils: Any) -> None:
        if utils.PyTorchUtilsLogic().installTorch(askConfirmation=False) is None:
            raise RuntimeError("the PyTorch extension gave up")
        self._end("")

    def _by_packaging(self, packaging: Any) -> None:
        packaging.pip_install(
            requirements(),
            blocking=False,
            show_progress=False,
            requester="UNetSegmenter",
            logCallback=self._on_line,
            completedCallback=lambda code=0: self._end(
                "" if not code else _error_text(RuntimeError(f"pip ended with code {code}"))
            ),
        )
        if self.is_running and torch_is_installed():  # started with --testing, Slicer waits for pip and makes no call
            self._end("")

    def _by_pip(self) -> None:
        slicer.util.pip_install(requirements())
        self._end("")

    def _end(self, error: str) -> None:
        self.is_running = False
        if not error and not torch_is_installed():
            error = "The installation ended, but PyTorch is not there; restart Slicer and try again."
        self._on_end(error)


def _error_text(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    words = text.lower()
    if isinstance(error, PermissionError) or "permission" in words or "access is denied" in words:
        why = "Slicer's folder may not be written to; start Slicer once as an administrator, then try again"
    elif any(word in words for word in ("connection", "resolve", "network", "timed out", "ssl", "proxy")):
        why = "the download did not work; check the internet connection or proxy, then try again"
    else:
        why = f"{text.splitlines()[0]}; details are below"
    return f"PyTorch could not be installed: {why}."
