"""The program `unetseg`: finds the command's file, parses its options, and turns errors into one clear line."""

from __future__ import annotations

import errno
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.errors import InputError, explain

from ..console import accept_any_console, silence, warn, without_control_characters
from . import COMMANDS, RENAMED_COMMANDS

DONE, BAD_INPUT = 0, 2
INTERRUPTED, PIPE_ENDED, TERMINATED = 130, 141, 143  # 128 + the signal's number, as a shell has it
WARNING_FORMAT = "unetseg: warning: %(message)s"
EXTRA_OF = {  # the optional dependencies of pyproject.toml, by the name under which they are imported
    "monai": "training",
    "lightning_fabric": "training",
    "scipy": "training",
    "tensorboard": "training",
    "matplotlib": "training",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "slicer": "scene",
    "vtk": "scene",
}
ADVICE = {
    errno.ENOENT: "check the path",
    errno.EACCES: "check its rights",
    errno.EPERM: "check its rights",
    errno.ENOSPC: "free some space",
    errno.EMFILE: "allow more open files (ulimit -n)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 done; 2 bad usage or bad input; 1 done in part, or anything else; 130 and 143 stopped by Ctrl-C and SIGTERM; 141 the
    reader of the output has ended. With any other status than 0 there is one clear line on stderr. Only an unexpected error
    keeps its traceback, and Python exits with 1.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    accept_any_console()
    with _terminable():
        status = _guarded(arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        status = status or _of_os_error(error)
    return status


def _guarded(arguments: list[str]) -> int:
    """Run the command and return its status; every expected error becomes one line on stderr."""
    try:
        return _run(arguments)
    except InputError as error:
        return _complain(str(error), getattr(error, "prog", "unetseg"))
    except ModuleNotFoundError as error:
        extra = EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _complain(f'{error.name} is not installed; it comes with: pip install "unetsegmenter[{extra}]"')
    except OSError as error:
        if error.strerror is None:
            raise
        return _of_os_error(error)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        return _complain(explain(MemoryError(), "The command")[1], status=1)
    except _Terminated:
        return _complain("stopped by SIGTERM; no half-written file is left", status=TERMINATED)
    except KeyboardInterrupt:
        return _complain("stopped by Ctrl-C; no half-written file is left", status=INTERRUPTED)


def _of_os_error(error: OSError) -> int:
    if error.filename is None:
        silence(sys.stdout)  # or Python tries again when it ends
    if isinstance(error, BrokenPipeError):
        return _complain("stopped: whatever read the output has ended (a pipe into head, perhaps)", status=PIPE_ENDED)
    file = f"{error.filename}: " if error.filename else ""
    advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
    return _complain(f"{file}{error.strerror}{advice}.")


class _Terminated(BaseException):
    """SIGTERM came; raised where the work is, so that unfinished files are removed."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Remove unfinished files on SIGTERM as on Ctrl-C."""

    def stop(number: int, _: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(overview())
        return DONE if arguments else BAD_INPUT
    name, *rest = arguments
    if name == "--version":
        sys.stdout.write(f"unetseg {__version__}\n")
        return DONE
    if name in RENAMED_COMMANDS:
        warn(f"{name} is now {RENAMED_COMMANDS[name]}; the former spelling works in this version only")
        name = RENAMED_COMMANDS[name]
    if name not in COMMANDS:
        from UNetSegmenterLib.engine.plain_data import did_you_mean

        return _complain(f'"{name}" is no command; {did_you_mean(name, COMMANDS)}')
    from .parser import command_and_parser, configuration_text

    command, parser = command_and_parser(name)
    logging.basicConfig(format=WARNING_FORMAT, level=logging.WARNING)
    for handler in logging.getLogger().handlers:  # a library that asks for more of its own logger is not heard
        handler.setLevel(logging.WARNING)
    options = parser.parse(rest, getattr(command, "defaults", None))
    if getattr(options, "print_config", False):
        sys.stdout.write(configuration_text(options))
        return DONE
    if (outputs := command.outputs(options) if hasattr(command, "outputs") else None) is None:
        return command.run(options) or DONE
    from ..output_folder import claimed

    with claimed(outputs, name, options.overwrite):
        return command.run(options) or DONE


def overview() -> str:
    """The text of `unetseg --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: unetseg COMMAND ...",
            "",
            "Train a 2D U-Net on CT, segment scans slice by slice and check the result. Not a medical device.",
            "",
            *lines,
            "",
            "unetseg COMMAND --help explains a command; the usual order is prepare, train, evaluate, segment.",
            "",
        ]
    )


def _complain(text: str, prog: str = "unetseg", status: int = BAD_INPUT) -> int:
    try:
        sys.stderr.write(f"{prog}: error: {' '.join(without_control_characters(text).split())}\n")
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)
    return status
