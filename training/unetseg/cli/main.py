"""The program `unetseg`: finds the command's file, parses its options, and turns errors into one clear line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.errors import InputError, explain, os_error_text

from ..console import accept_any_console, one_line, silence, warn
from ..exit_status import BAD_INPUT, DONE, INTERRUPTED, PIPE_ENDED, TERMINATED
from ..stop_signals import Terminated, speaks_for_all, stoppable, stopped_text
from . import COMMANDS, RENAMED_COMMANDS

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

    Those of unetseg/exit_status.py. With any other status than 0 there is one clear line on stderr. Only an unexpected error
    keeps its traceback, and Python exits with 1.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    accept_any_console()
    return guarded(lambda: _run(arguments))


def guarded(work: Callable[[], int], program: str = "unetseg") -> int:
    """Do the work of a program and return its exit status; every expected error becomes one line on stderr."""
    try:
        with stoppable() as request:
            try:
                status = work()
            except Exception as error:
                if request.received is not None:  # a library has made another error of it
                    raise request.received from None
                status = _of_error(error, program)
    except (KeyboardInterrupt, Terminated) as stop:
        status = TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
        return _complain(stopped_text(stop), program, status) if speaks_for_all() else status
    try:
        sys.stdout.flush()
    except OSError as error:
        status = status or _of_os_error(error, program)
    return status


def _of_error(error: Exception, program: str) -> int:
    """Print an expected error and return the status that belongs to it; raises the error itself where it is another one."""
    match error:
        case InputError():
            status = getattr(error, "exit_status", BAD_INPUT)
            return _complain(str(error), getattr(error, "prog", program), status)
        case ModuleNotFoundError() if extra := EXTRA_OF.get((error.name or "").partition(".")[0]):
            return _complain(
                f'{error.name} is not installed; it comes with: pip install "unetsegmenter[{extra}]"', program
            )
        case OSError() if error.strerror is not None:
            return _of_os_error(error, program)
        case MemoryError():
            return _complain(explain(error, "The command")[1], program, 1)
        case RuntimeError() if "allocate memory" in str(error):
            return _complain(explain(MemoryError(), "The command")[1], program, 1)
    raise error


def _of_os_error(error: OSError, program: str) -> int:
    if error.filename is None:
        silence(sys.stdout)  # or Python tries again when it ends
    if isinstance(error, BrokenPipeError):
        return _complain("stopped: whatever read the output has ended (a pipe into head, perhaps)", program, PIPE_ENDED)
    return _complain(os_error_text(error), program)


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
