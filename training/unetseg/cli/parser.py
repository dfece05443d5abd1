"""The options of a command: an argparse parser with the project's spellings, numbers, dataclasses and configuration files.

All options are spelt with hyphens; underscores work too. Values come, each later one winning over the earlier ones, from the
option's default, from a file that the command names itself (`defaults` in the command's file), from --config and from the
command line.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.plain_data import closest_name

from ..console import warn
from . import COMMAND_FILES, COMMANDS, OTHER_WORDS, RENAMED_OPTIONS
from .argument_types import path as path_type
from .path_kinds import refuse_name_of_file, refuse_other_kinds

_OPTION = re.compile(r"-(?!\.?\d)\S+")  # a number below 0, and text with a space, are values
_NUMBERS = re.compile(r"-?[\d.]+(,-?[\d.]+)+")
_MODEL_FILE = re.compile(r"[^-].*\.(pt|onnx)", re.IGNORECASE)


class UsageError(InputError):
    """Options that the command can't be run with; `prog` is the command's name."""

    def __init__(self, message: str, prog: str) -> None:
        super().__init__(f"{message} ({prog} --help explains the options)")
        self.prog = prog


class CommandParser(argparse.ArgumentParser):
    """The parser of one command.

    Attributes:
        options: every option by its spelling, such as "--batch-size".
        settings: every option and positional argument by the name of its value, such as "batch_size".
        model_files: options that take one model file or several, which end where a name ends otherwise.
    """

    def __init__(self, name: str, description: str, program: str = "unetseg ") -> None:
        self.command = name if program == "unetseg " else ""
        self.options: dict[str, argparse.Action] = {}
        self.settings: dict[str, argparse.Action] = {}
        self.model_files: set[str] = set()
        super().__init__(
            prog=f"{program}{name}",
            description=description.strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # a misspelt option is refused, not taken for another
        )

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add an option or a positional argument; the help of an option ends with its default."""
        default, text = settings.get("default"), settings.get("help") or ""
        if settings.get("type") is Path:
            settings["type"] = path_type
        if (
            text != argparse.SUPPRESS
            and default not in (None, False, "", [], argparse.SUPPRESS)
            and "default" not in text
        ):
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
            settings["help"] = f"{text} (default: {shown})".lstrip()
        action = super().add_argument(*names, **settings)
        self.options |= dict.fromkeys(action.option_strings, action)
        self.settings[action.dest] = action
        return action

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; arguments that are left over are named with those that the command takes."""
        text = " ".join(message.removeprefix("argument ").split()).rstrip(".")
        if text.startswith("unrecognized arguments: "):
            taken = ", ".join(action.dest.upper() for action in self.settings.values() if not action.option_strings)
            only = f"it takes {taken}" if taken else "it takes options only"
            text = f"{text.partition(': ')[2]} is more than {self.prog} takes; {only}"
        raise UsageError(text, self.prog)

    def _refuse_unknown_options(self, arguments: Sequence[str]) -> None:
        """Raise UsageError for an option that the command lacks, before argparse misses a required one in its place."""
        for argument in arguments:
            if argument == "--":
                return
            option = argument.partition("=")[0]
            if not _OPTION.fullmatch(option) or option in self.options:
                continue
            if os.path.lexists(argument):
                raise UsageError(f"{argument} is read as an option; write the path as ./{argument}", self.prog)
            raise UsageError(f"unknown option {option}{self._hint(option)}", self.prog)

    def _hint(self, unknown: str) -> str:
        """How a sentence on an unknown option ends: with the option that was probably meant, or the commands that have it."""
        initials = [one for one in self.options if one.startswith(f"-{unknown}")]
        if len(unknown) == 2 and initials:
            return f"; did you mean {' or '.join(initials)}?"
        plain = [name for name, action in self.settings.items() if not action.option_strings]
        if unknown[2:].replace("-", "_") in plain:
            return f"; the value stands without it: {self.prog} {' '.join(plain).upper()}"
        near = next((one for one in OTHER_WORDS.get(unknown, ()) if one in self.options), None)
        if near := near or _similar(unknown, self.options):
            return f"; did you mean {near}?"
        others = _commands_with(unknown)
        return f"; it is an option of unetseg {' and '.join(others)}" if others else ""

    def parse(
        self, arguments: Sequence[str], defaults: Callable[[argparse.Namespace], Mapping[str, Any]] | None = None
    ) -> argparse.Namespace:
        """Parse the arguments of a command.

        Args:
            arguments: what follows the command's name.
            defaults: gives the values of a file that the options name; --config and the command line win over them.
        """
        arguments = self.with_current_spellings(arguments)
        self._refuse_unknown_options(arguments)
        configured = self._configured(arguments)
        self.set_defaults(**configured)
        self._warn_of_repeated(arguments)
        options = self._parsed(arguments)
        self._check_paths(options)
        if defaults is not None:
            self.set_defaults(**{**defaults(options), **configured})
            options = self._parsed(arguments)
        return options

    def _warn_of_repeated(self, arguments: Sequence[str]) -> None:
        """Warn of an option that takes one value and got several: the last one counts, as in other programs."""
        before = arguments[: arguments.index("--")] if "--" in arguments else arguments
        given = Counter(one for text in before if (one := text.partition("=")[0]) in self.options)
        for option, count in given.items():
            if (
                count > 1
                and type(self.options[option]).__name__ == "_StoreAction"
                and self.options[option].nargs is None
            ):
                warn(f"{option} is given {count} times; only the last one counts")

    def _check_paths(self, options: argparse.Namespace) -> None:
        """Refuse what a path can't be: another kind of thing, or a folder to write that is called like a file."""
        names = {name: (action.option_strings or [name.upper()])[0] for name, action in self.settings.items()}
        if not self.command:
            return
        refuse_other_kinds(self.command, options, names)
        for name, action in self.settings.items():
            written = name in ("output", "preprocessed") and action.metavar in ("DIR", "RUN")
            if written and isinstance(path := getattr(options, name, None), Path):
                refuse_name_of_file(path, names[name])

    def _parsed(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The values; several of one positional argument may stand on both sides of an option."""
        several = any(action.nargs in ("*", "+") for action in self.settings.values() if not action.option_strings)
        return self.parse_intermixed_args(arguments) if several else self.parse_args(arguments)

    def with_current_spellings(self, arguments: Sequence[str]) -> list[str]:
        """Arguments as argparse reads them: hyphens, no former names, several numbers as one value, an option per model file.

        So --window -125,275 is no option called -1, and the scan in --checkpoint a.pt b.pt scan.nii.gz is no checkpoint.
        """
        written: list[str] = []
        for argument in arguments:
            option, equals, value = argument.partition("=")
            spelling = self._current(option.replace("_", "-"), self.options) if option.startswith("--") else ""
            if spelling in self.options:
                written.append(spelling + equals + value)
            elif _NUMBERS.fullmatch(argument) and written and written[-1] in self.options:
                written[-1] += f"={argument}"
            elif _MODEL_FILE.fullmatch(argument) and (option := self._model_option(written)):
                written.append(f"{option}={argument}")
            else:
                written.append(argument)
        return written

    def _model_option(self, written: Sequence[str]) -> str:
        """The option whose value, a model file, was the last argument; "" where there is none, or no value yet."""
        option = written[-1].partition("=")[0] if written else ""
        if option in self.model_files:
            return option if "=" in written[-1] else ""
        return written[-2] if len(written) > 1 and written[-2] in self.model_files else ""

    def _current(self, option: str, known: Iterable[str]) -> str:
        """The present spelling of an option; for the former one of a known option a hint is printed."""
        current = RENAMED_OPTIONS.get(option, option)
        if option in self.options or current not in known:
            return option
        if current != option:
            warn(f"{option} is now {current}; the former spelling works in this version only")
        return current

    # --- configuration files

    def _configured(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Values of the files that --config names; the command line need not repeat required ones."""
        if "--config" not in self.options:
            return {}
        finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        finder.add_argument("--config", type=path_type, action="append", default=[])
        try:
            paths = finder.parse_known_args(arguments)[0].config
        except argparse.ArgumentError:  # --config without a file, which the parser itself refuses
            return {}
        values: dict[str, Any] = {}
        for path in paths:
            for name, value in _flat(_options_of_file(path)).items():
                action = self._setting(name, path)
                action.required = False
                if not action.option_strings:
                    action.nargs = "?"
                if value is not None:
                    values[action.dest] = value if isinstance(value, bool) and action.nargs == 0 else _text(value)
        return values

    def _setting(self, name: str, path: Path) -> argparse.Action:
        known = {f"--{setting}".replace("_", "-") for setting in self.settings}  # positional arguments have entries too
        option = self._current("--" + name.replace("_", "-"), known)
        action = self.settings.get(name) or self.options.get(option) or self.settings.get(option[2:].replace("-", "_"))
        if action is None:
            near = _similar(name, self.settings)
            self.error(f'{path} has an unknown entry "{name}"' + (f"; did you mean {near}?" if near else ""))
        return action


def command_and_parser(name: str) -> tuple[Any, CommandParser]:
    """The file of a command, and the parser of its options."""
    file = COMMAND_FILES.get(name, name.replace("-", "_"))
    command = importlib.import_module(f"unetseg.cli.{file}")
    parser = CommandParser(name, command.__doc__ or COMMANDS[name])
    command.add_options(parser)
    if hasattr(command, "outputs"):
        add_overwrite(parser)
    return command, parser


def add_overwrite(parser: CommandParser) -> None:
    """Add the option --overwrite; a command that has a function `outputs` gets it by itself."""
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="also replace files that this command did not write; never what it reads",
    )


def _similar(name: str, known: Iterable[str]) -> str | None:
    """The known name spelt most like `name`, or beginning with it; only the part after the group counts (augmentation.noise)."""
    by_last_part = {one.lstrip("-").rpartition(".")[2]: one for one in known}
    last_part = name.lstrip("-").rpartition(".")[2].replace("_", "-")
    begun = [one for one in by_last_part if one.startswith(last_part)]
    near = begun[0] if len(begun) == 1 else closest_name(last_part, sorted(by_last_part))
    return None if near is None else by_last_part[near]


def _commands_with(option: str) -> list[str]:
    """The commands that have an option of this spelling."""
    return [name for name in COMMANDS if option in command_and_parser(name)[1].options]


def _options_of_file(path: Path) -> dict[str, Any]:
    from ..yaml_files import read_yaml

    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no options; lines such as steps: 4000 are expected.")
    return content


def _flat(values: Mapping[Any, Any], group: str = "") -> dict[str, Any]:
    """Nested mappings as one, with the group before the name: augmentation.noise."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{group}{name}.") if isinstance(value, dict) else {f"{group}{name}": value}
    return flat


def values_of_file(path: Path) -> dict[str, str]:
    """The values of a file of options by their names, as text that the parser's types read; those without a value left out."""
    return {name: _text(value) for name, value in _flat(_options_of_file(path)).items() if value is not None}


def _text(value: Any) -> str:
    """A value of a file as text, so that argparse checks it like one from the command line."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def configuration_text(options: argparse.Namespace) -> str:
    """All values as YAML that --config reads."""
    import yaml

    values: dict[str, Any] = {}
    for name, value in vars(options).items():
        if name in ("config", "print_config"):
            continue
        group, _, last = name.rpartition(".")
        plain = list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
        (values.setdefault(group, {}) if group else values)[last] = plain
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
