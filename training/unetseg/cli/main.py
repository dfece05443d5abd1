"""The program `unetseg`: finds the command's file, parses its options, and turns errors into one clear line."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.errors import InputError, explain, os_error_text

from ..console import accept_any_console, one_line, silence, warn
from . import COMMANDS, RENAMED_COMMANDS

DONE, BAD_INPUT = 0, 2
INTERRUPTED, PIPE_ENDED, TERMINATED = 130, 141, 143  # 128 + the signal's number, as a shell has it
WARNING_FORMAT = "unetseg: warning: %(message)s"
OPTIONS = ("--help", "--version")
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 done; 2 bad usage or bad input; 1 done in part, or anything else; 130 and 143 stopped by Ctrl-C and SIGTERM; 141 the
    reader of the output has ended. With any other status than 0 there is one clear line on stderr. Only an unexpected error
    keeps its traceback, and Python exits with 1.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    accept_any_console()
    return guarded(lambda: _run(arguments))


def guarded(work: Callable[[], int], program: str = "unetseg") -> int:
    """Do the work of a program and return its exit status; every expected error becomes one line on stderr."""
    with _terminable():
        status = _status_of(work, program)
    try:
        sys.stdout.flush()
    except OSError as error:
        status = status or _of_os_error(error, program)
    return status


def _status_of(work: Callable[[], int], program: str) -> int:
    try:
        return work()
    except InputError as error:
        return _complain(str(error), getattr(error, "prog", program))
    except ModuleNotFoundError as error:
        extra = EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _complain(f'{error.name} is not installed; it comes with: pip install "unetsegmenter[{extra}]"', program)
    except OSError as error:
        if error.strerror is None:
            raise
        return _of_os_error(error, program)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        return _complain(explain(MemoryError(), "The command")[1], program, 1)
    except _Terminated:
        return _complain("stopped by SIGTERM; no half-written file is left", program, TERMINATED)
    except KeyboardInterrupt:
        return _complain("stopped by Ctrl-C; no half-written file is left", program, INTERRUPTED)


def _of_os_error(error: OSError, program: str) -> int:
    if error.filename is None:
        silence(sys.stdout)  # or Python tries again when it ends
    if isinstance(error, BrokenPipeError):
        return _complain("stopped: whatever read the output has ended (a pipe into head, perhaps)", program, PIPE_ENDED)
    return _complain(os_error_text(error), program)


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
        return _complain(_unknown(name))
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


def _unknown(name: str) -> str:
    """The sentence on a first argument that is neither a command nor an option of the program itself."""
    from UNetSegmenterLib.engine.plain_data import closest_name, did_you_mean

    if not name.startswith("-"):
        return f'"{name}" is no command; {did_you_mean(name, [*COMMANDS, *OPTIONS])}'
    if near := closest_name(name, OPTIONS):
        return f"unetseg has no option {name}; did you mean {near}?"
    return f"{name} stands before the command; write the command first, then its options: unetseg segment --help"


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


def _complain(text: str, program: str = "unetseg", status: int = BAD_INPUT) -> int:
    try:
        sys.stderr.write(f"{program}: error: {one_line(text)}\n")
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)
    return status
