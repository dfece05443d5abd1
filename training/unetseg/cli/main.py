"""The command `unetseg`: finds the command's file, reads its options, and turns what goes wrong into one clear line."""

from __future__ import annotations

import difflib
import errno
import importlib
import logging
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, get_origin

from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.errors import InputError

from ..console import accept_any_console, silence, without_control_characters
from . import COMMANDS

DONE, FAILED, BAD_INPUT = 0, 1, 2
INTERRUPTED, PIPE_ENDED, TERMINATED = 130, 141, 143  # 128 + the signal's number, as a shell has it
NUMBERS = re.compile(r"-?[\d.]+(,-?[\d.]+)+")
EXTRA_OF = {  # the optional dependencies of pyproject.toml, by the name under which they are imported
    "monai": "training",
    "lightning_fabric": "training",
    "yaml": "training",
    "tensorboard": "training",
    "matplotlib": "training",
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
    reader of the output has ended. Whatever is not 0 has one clear line on stderr. Only an error that nobody foresaw keeps
    its traceback, and Python exits with 1.
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
    """The command's status; all that is foreseen to go wrong is one line on stderr."""
    try:
        return _run(arguments)
    except InputError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        extra = EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _complain(f'{error.name} is not installed; it comes with: pip install "unetsegmenter[{extra}]"')
    except OSError as error:
        if error.strerror is None:
            raise
        return _of_os_error(error)
    except _Terminated:
        return _complain("stopped by SIGTERM; no half-written file is left", status=TERMINATED)
    except KeyboardInterrupt:
        return _complain("stopped by Ctrl-C; no half-written file is left", status=INTERRUPTED)


def _of_os_error(error: OSError) -> int:
    if error.filename is None:
        silence(sys.stdout)  # else Python tries once more at its end
    if isinstance(error, BrokenPipeError):
        return _complain("stopped: whatever read the output has ended (a pipe into head, perhaps)", status=PIPE_ENDED)
    place = f"{error.filename}: " if error.filename else ""
    advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
    return _complain(f"{place}{error.strerror}{advice}.")


class _Terminated(BaseException):
    """SIGTERM came; raised where the work is, so that what is half done is taken back."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Take back what is half done on SIGTERM as on Ctrl-C."""

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
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}."
        return _complain(f'"{name}" is no command; {hint}')
    command = importlib.import_module(f"unetseg.cli.{name}")
    parser = parser_of(name, command)
    logging.basicConfig(format="unetseg: warning: %(message)s", level=logging.WARNING)
    arguments = as_registered(rest, parser)
    options = parser.parse_args(arguments)
    if hasattr(command, "defaults"):  # those that lie in a file which the options name; what is given wins over them
        parser.set_defaults(command.defaults(options))
        options = parser.parse_args(arguments)
    if (outputs := command.outputs(options) if hasattr(command, "outputs") else None) is None:
        return command.run(options) or DONE
    from ..output_folder import claimed

    with claimed(outputs, name, options.overwrite):
        return command.run(options) or DONE


def overview() -> str:
    """What `unetseg --help` says."""
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


def parser_of(name: str, command: Any) -> Any:
    """Parser of a command's options; all are spelt with hyphens but jsonargparse's own --print_config."""
    parser = _parser(name, command.__doc__ or COMMANDS[name])
    command.add_options(parser)
    if hasattr(command, "outputs"):
        add_overwrite(parser)
    for action in (action for action in parser._actions if action.dest != "print_config"):
        action.option_strings = [option.replace("_", "-") for option in action.option_strings]
    options = {option: action for action in parser._actions for option in action.option_strings}
    parser._option_string_actions.clear()  # in place: the parser's groups hold the very same object
    parser._option_string_actions.update(options)
    return parser


def add_overwrite(parser: Any) -> None:
    """The option --overwrite; a command gets it by itself where it has a function `outputs`."""
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="also replace files that this command did not write; never what it reads",
    )


def _parser(name: str, description: str) -> Any:
    import argparse

    from jsonargparse import ArgumentParser, DefaultHelpFormatter

    class Formatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
        """The description as it was written, and of each option its help and what it is if nothing is said."""

        def _get_help_string(self, action: argparse.Action) -> str:
            text = action.help or ""
            told = "default" in text or action.default in (None, False, "", argparse.SUPPRESS)
            return text if told else f"{text} (default: %(default)s)"

    class Parser(ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            text = _plain(" ".join(message.split()).rstrip("."))
            _complain(f"{text}{_meant(text, self)} (unetseg {name} --help explains the options)", name)
            sys.exit(BAD_INPUT)

    parser = Parser(prog=f"unetseg {name}", description=description.strip(), formatter_class=Formatter)
    parser.allow_abbrev = False  # a misspelt option shall be refused, not taken for another
    return parser


def _plain(text: str) -> str:
    """What the parser complains of, without its own words for it."""
    text = re.sub(r'Parser key "([^"]+)"', lambda found: f'option "{found[1].replace("_", "-")}"', text)
    text = re.sub(r"Not of type \w+: (\S+) does not conform to restriction v(>=?)", r"\1 is given, a number \2 ", text)
    text = re.sub(r"Expected an? <class '(\w+)'>\. Got value: (.*)", r"\2 is given, \1", text)
    return text + (" is expected" if " is given, " in text else "")


def _meant(text: str, parser: Any) -> str:
    """The option, or key of a configuration file, that is spelt most like the one that is not known."""
    unknown = re.search(r"(unrecognized arguments: --|Option '|accept option ')([\w.-]+)", text)
    if unknown is None:
        return ""
    known = {action.dest.rpartition(".")[2] for action in parser._actions}
    near = difflib.get_close_matches(unknown[2].rpartition(".")[2].replace("-", "_"), sorted(known), n=1)
    if not near:
        return ""
    return f"; did you mean {'--' + near[0].replace('_', '-') if unknown[1].endswith('--') else near[0]}?"


def as_registered(arguments: Sequence[str], parser: Any) -> list[str]:
    """Arguments as the parser reads them: --batch_size is --batch-size, and numbers with commas are one value.

    So --window -125,275 is no option called -1, and --patch 64,96 needs no brackets, which some shells take for their own.
    """
    written: list[str] = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        spellings = (option.replace("_", "-"), option.replace("-", "_").replace("_", "-", 2))
        known = next((spelling for spelling in spellings if spelling in parser._option_string_actions), None)
        if known and option.startswith("--"):
            written.append(known + equals + value)
        elif NUMBERS.fullmatch(argument) and written and written[-1] in parser._option_string_actions:
            written[-1] += f"={argument}"
        else:
            written.append(argument)
    return [_bracketed(argument, parser) for argument in written]


def _bracketed(argument: str, parser: Any) -> str:
    option, _, value = argument.partition("=")
    kind = getattr(parser._option_string_actions.get(option), "_typehint", None)
    return f"{option}=[{value}]" if get_origin(kind) is tuple and NUMBERS.fullmatch(value) else argument


def _complain(text: str, command: str = "", status: int = BAD_INPUT) -> int:
    name = f"unetseg {command}".strip()
    try:
        sys.stderr.write(f"{name}: error: {' '.join(without_control_characters(text).split())}\n")
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)
    return status
