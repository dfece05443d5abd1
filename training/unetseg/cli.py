"""The command `unetseg`: finds the command's file, reads its options, and turns what goes wrong into one clear line."""

from __future__ import annotations

import difflib
import importlib
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.errors import InputError

from .commands import COMMANDS

DONE, OTHER, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 2 bad usage or bad input, 1 anything else.

    For 2 there is one line on stderr and no traceback. An unexpected error keeps its traceback, and Python exits with 1.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(arguments)
    except InputError as error:
        return _complain(str(error))
    except OSError as error:
        if error.strerror is None or isinstance(error, BrokenPipeError):
            raise
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror}; check the path, its rights and the free space.")
    except KeyboardInterrupt:
        sys.stderr.write("unetseg: stopped\n")
        return OTHER


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
    command = importlib.import_module(f"unetseg.commands.{name}")
    parser = _parser(name, command.__doc__ or COMMANDS[name])
    command.add_options(parser)
    logging.basicConfig(format="unetseg: warning: %(message)s", level=logging.WARNING)
    options = parser.parse_args([_spelling(argument, parser) for argument in rest])
    command.run(options)
    return DONE


def overview() -> str:
    """What `unetseg --help` says."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: unetseg COMMAND ...",
            "",
            "Train a 2D U-Net on CT, segment scans slice by slice and judge the result. Not a medical device.",
            "",
            *lines,
            "",
            "unetseg COMMAND --help explains a command; the usual order is prepare, train, evaluate, segment.",
            "",
        ]
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
            text = " ".join(message.split()).replace('Parser key "', 'option "').rstrip(".")
            _complain(f"{text}{_meant(text, self)} (unetseg {name} --help explains the options)", name)
            sys.exit(BAD_INPUT)

    return Parser(prog=f"unetseg {name}", description=description.strip(), formatter_class=Formatter)


def _meant(text: str, parser: Any) -> str:
    """The option or key of a configuration file that is spelt most like the one that is not known."""
    unknown = re.search(r"(?:Option '|accept option '|unrecognized arguments: --)([\w.-]+)", text)
    if unknown is None:
        return ""
    known = sorted({action.dest.rpartition(".")[2] for action in parser._actions})
    near = difflib.get_close_matches(unknown[1].rpartition(".")[2].replace("-", "_"), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _spelling(argument: str, parser: Any) -> str:
    """An option as it is registered, whether it was written --batch-size or --batch_size."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    for spelling in (name, name.replace("-", "_"), name.replace("_", "-")):
        if f"--{spelling}" in parser._option_string_actions:
            return f"--{spelling}{equals}{value}"
    return argument


def _complain(text: str, command: str = "") -> int:
    name = f"unetseg {command}".strip()
    sys.stderr.write(f"{name}: error: {' '.join(text.split())}\n")
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
