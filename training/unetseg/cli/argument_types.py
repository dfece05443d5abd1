"""What the text of an option is read as, with a sentence for text that does not fit."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_VARIABLE = re.compile(r"\$(\w+|\{\w+\})(?=[/\\]|$)")


def _number(kind: type, expected: str, fits: Callable[[Any], bool]) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"{text} is given, {expected} is expected")
        return value

    return number


integer = _number(int, "a whole number", lambda value: True)
non_negative_integer = _number(int, "a whole number of at least 0", lambda value: value >= 0)
positive_integer = _number(int, "a whole number of at least 1", lambda value: value >= 1)
number = _number(float, "a number", lambda value: True)
non_negative_number = _number(float, "a finite number of at least 0", lambda value: 0 <= value < math.inf)
positive_number = _number(float, "a finite number greater than 0", lambda value: 0 < value < math.inf)


def path(text: str) -> Path:
    """A path; an empty one, as an unset variable of a shell gives it, would be the current folder.

    "~" is the home folder also where no shell has replaced it, as in --output=~/results and in a file of options. A variable
    is replaced by nothing but a shell, or the result of a command would depend on where it is started.
    """
    if not text:
        raise argparse.ArgumentTypeError("nothing is given, the path of a file or folder is expected")
    if (variable := _VARIABLE.match(text)) and not os.path.lexists(variable[0]):
        raise argparse.ArgumentTypeError(
            f"{text} begins with a variable that no shell has replaced (single quotes keep it from that, and files have none); "
            "write the folder itself, or ~ for the home folder"
        )
    return home_expanded(text)


def home_expanded(text: str) -> Path:
    """The path with the home folder for a leading "~", or for "~name" where there is such a user."""
    path = Path(text)
    with suppress(RuntimeError):  # no such user: a name that begins with ~
        path = path.expanduser()
    # Out of a folder that is not there leads no system, but what is written there would make that folder.
    return path if ".." not in path.parts or path.parent.exists() else Path(os.path.normpath(path))


def yes_or_no(text: str) -> bool:
    """true or false, as YAML and Python write them."""
    value = {"true": True, "false": False}.get(text.lower())
    if value is None:
        raise argparse.ArgumentTypeError(f"{text} is given, true or false is expected")
    return value


def numbers_of(kinds: Sequence[type]) -> Callable[[str], tuple[Any, ...]]:
    """The type of several numbers with commas between, one for each of `kinds`."""

    def numbers(text: str) -> tuple[Any, ...]:
        parts = text.strip("[]() ").split(",")
        try:
            return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
        except ValueError as error:
            raise argparse.ArgumentTypeError(
                f"{text} is given, {len(kinds)} numbers such as 96,128 are expected"
            ) from error

    return numbers
