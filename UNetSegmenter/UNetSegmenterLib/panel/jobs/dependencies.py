"""PyTorch and ONNX Runtime: are they there, and how they are installed if the user agrees.

Three ways, the first that exists is taken: Slicer's PyTorch extension (for PyTorch alone), `slicer.packaging` (Slicer 5.12 and
later), and `slicer.util.pip_install` (5.10). Nothing is ever installed without the user's consent, and no package's own set-up
code is run: pip takes wheels alone, each with the hash that the package index names for it.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import importlib.metadata
import importlib.util
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

WHEELS_ALONE = "--only-binary=:all:"
LAST_LINES = 60
_OFFLINE = re.compile(
    "newconnectionerror|establish a new connection|not resolve|failed to resolve|name resolution|getaddrinfo|unreachable"
    "|connection (refused|reset|aborted|broken|error)|timed out|connecttimeout|proxyerror|connect to proxy|sslerror"
    "|certificate.verify|connectionerror"
)
_NOT_ALLOWED = ("permission denied", "access is denied", "errno 13", "winerror 5]")
_NONE_FOR_IT = "no matching distribution"
RESOURCES = Path(__file__).resolve().parents[3] / "Resources"


@dataclass(frozen=True)
class Package:
    """What Slicer does not bring: `title` and `purpose` for the user, the modules to import, the file with the requirements."""

    title: str
    purpose: str
    modules: tuple[str, ...]
    requirements: Path
    download: str

    @property
    def missing(self) -> str:
        """What is said while it is not there, or too old."""
        old = self.too_old()
        if old:
            return f"{self.title}, {self.purpose}, is too old in this Slicer: {old}."
        return f"{self.title}, {self.purpose}, is not installed in this Slicer yet."

    def is_installed(self) -> bool:
        """Whether the worker will find it; looks without importing it."""
        importlib.invalidate_caches()
        try:
            found = all(importlib.util.find_spec(name) is not None for name in self.modules)
        except (ImportError, ValueError):
            return False
        return found and (self is PYTORCH or not self.too_old())

    def too_old(self) -> str:
        """Which module is too old, and what is needed; empty if none is, or if it is not known."""
        for line in requirements(self.requirements):
            name, _, least = line.partition(">=")
            try:
                found = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
            if least and name in self.modules and _numbers(found) < _numbers(least):
                return f"{name} {found} is installed, {least} or later is needed"
        return ""


PYTORCH = Package(
    "PyTorch",
    "which runs the network",
    ("torch",),
    RESOURCES / "requirements.txt",
    "about 200 MB, with GPU support up to 3 GB",
)
ONNX = Package(
    "ONNX Runtime",
    "which runs .onnx models",
    ("onnxruntime", "onnx"),
    RESOURCES / "requirements-onnx.txt",
    "about 40 MB",
)


def requirements(path: Path = PYTORCH.requirements) -> list[str]:
    """The lines of a requirements file, without comments."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


class Installer:
    """Installs a package if the user agrees; `on_line` gets what pip says, `on_end` an empty text or what went wrong."""

    def __init__(
        self, ask: Callable[[str], bool], on_line: Callable[[str], None], on_end: Callable[[str], None]
    ) -> None:
        self._ask, self._on_line, self._on_end = ask, on_line, on_end
        self.is_running = False
        self._package = PYTORCH
        self._lines: collections.deque[str] = collections.deque(maxlen=LAST_LINES)

    def install(self, package: Package = PYTORCH, before: Callable[[], None] = lambda: None) -> bool:
        """Ask, call `before`, then install; returns whether the user said yes. `on_end` is called when it has ended."""
        self._package = package
        name, route = self.route()
        if not self._ask(
            f"Install {package.title}, {package.purpose}, into this Slicer? It is downloaded {name} ({package.download})."
        ):
            return False
        self.is_running = True
        before()
        self._lines.clear()
        self._on_line(f"Installing {package.title}; this takes some minutes.")
        slicer.app.processEvents()
        try:
            route()
        except Exception as error:  # pip, the network, the disk: whatever it was, the user reads it
            logging.exception("%s could not be installed", package.title)
            self._end(self._error_text(error))
        return True

    def route(self) -> tuple[str, Callable[[], None]]:
        """The way that this Slicer offers, in words and as a function."""
        if self._package is PYTORCH:
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
        least = requirements()[0].removeprefix("torch")
        wish = {"torchVersionRequirement": least} if PYTORCH.too_old() else {}  # else what is there is left as it is
        with contextlib.redirect_stdout(_Heard(self._on_output)):
            torch = utils.PyTorchUtilsLogic().installTorch(askConfirmation=False, **wish)
        if torch is None:
            raise RuntimeError("the PyTorch extension gave up")
        self._end("")

    def _by_packaging(self, packaging: Any) -> None:
        packaging.pip_install(
            self._pip_arguments(),
            blocking=False,
            show_progress=False,
            requester="UNetSegmenter",
            logCallback=self._on_output,
            completedCallback=lambda code=0: self._end(
                "" if not code else self._error_text(RuntimeError(f"pip ended with code {code}"))
            ),
        )
        # started with --testing, Slicer waits for pip and makes no call
        if self.is_running and self._package.is_installed():
            self._end("")

    def _by_pip(self) -> None:
        with contextlib.redirect_stdout(_Heard(self._on_output)):
            slicer.util.pip_install(self._pip_arguments())
        self._end("")

    def _pip_arguments(self) -> list[str]:
        return [WHEELS_ALONE, *requirements(self._package.requirements)]

    def _on_output(self, line: str) -> None:
        self._lines.append(line)
        self._on_line(line)

    def _end(self, error: str) -> None:
        self.is_running = False
        if not error and not self._package.is_installed():
            error = f"The installation ended, but {self._package.title} is not there; restart Slicer and try again."
        self._on_end(error)

    def _error_text(self, error: Exception) -> str:
        """One sentence; the exception itself often says no more than that pip failed, pip's own lines say why."""
        said = [line[len("ERROR:") :].strip() for line in self._lines if line.startswith("ERROR:")]
        text = said[-1] if said else str(error).strip() or type(error).__name__
        if isinstance(error, subprocess.CalledProcessError) and not said:
            text = f"pip ended with code {error.returncode}"
        words = "\n".join([str(error), *self._lines]).lower()
        if isinstance(error, PermissionError) or any(word in words for word in _NOT_ALLOWED):
            why = "Slicer's folder may not be written to; start Slicer once as an administrator, then try again"
        elif _OFFLINE.search(words):
            why = "the download did not work; check the internet connection or proxy, then try again"
        elif _NONE_FOR_IT in words:
            why = f"there is none for this computer and this Slicer ({text})"
        else:
            where = "details are below" if self._lines else "Slicer's error log has the details"
            why = f"{text.splitlines()[0]}; {where}"
        return f"{self._package.title} could not be installed: {why}."


class _Heard:
    """Stands for `sys.stdout`: hands on what is printed, and calls a listener with each line of it.

    Slicer's blocking pip prints what pip says, and nothing else tells of it.
    """

    def __init__(self, listener: Callable[[str], None]) -> None:
        self._stream, self._listener, self._rest = sys.stdout, listener, ""

    def write(self, text: str) -> int:
        """Hand on a text."""
        if self._stream is not None:
            self._stream.write(text)
        if threading.current_thread() is threading.main_thread():  # what others print has no place in a widget
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._listener(line)
        return len(text)

    def flush(self) -> None:
        """Flush what stood there before."""
        if self._stream is not None:
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
