"""The fields of a dataclass, such as the training configuration, as options of a command."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from . import RENAMED_OPTIONS
from .argument_types import integer, number, numbers_of, yes_or_no
from .parser import CommandParser


def _type_of(hint: Any) -> Callable[[str], Any]:
    if get_origin(hint) is tuple:
        return numbers_of(get_args(hint))
    return {int: integer, float: number, bool: yes_or_no}.get(hint, hint)


def add_dataclass_options(parser: CommandParser, cls: Any, without: Sequence[str] = (), group: str = "") -> None:
    """Add one option for each field of a dataclass, with the field's type and default and the help of its docstring.

    Args:
        parser: gets the options.
        cls: a dataclass; fields that are dataclasses give options such as --augmentation.noise.
        without: fields that get no option.
        group: what stands before the names, such as "augmentation.".
    """
    hints, helps = get_type_hints(cls), _field_texts(cls)
    for field in fields(cls):
        if field.name in without:
            continue
        if is_dataclass(hints[field.name]):
            add_dataclass_options(parser, hints[field.name], group=f"{group}{field.name}.")
            continue
        option = f"--{group}{field.name}".replace("_", "-")
        parser.add_argument(
            RENAMED_OPTIONS.get(option, option),
            dest=f"{group}{field.name}",
            type=_type_of(hints[field.name]),
            default=field.default,
            metavar=field.name.upper(),
            help=helps.get(field.name, "").replace("%", "%%"),
        )


def dataclass_values(cls: Any, options: argparse.Namespace, group: str = "") -> dict[str, Any]:
    """The values that the options hold for a dataclass, by field; fields without an option are left out."""
    hints, values = get_type_hints(cls), {}
    for field in fields(cls):
        name = f"{group}{field.name}"
        if is_dataclass(hints[field.name]):
            values[field.name] = hints[field.name](**dataclass_values(hints[field.name], options, f"{name}."))
        elif hasattr(options, name):
            values[field.name] = getattr(options, name)
    return values


def _field_texts(cls: type) -> dict[str, str]:
    """The texts of the docstring's "Args:", by field."""
    _, _, block = (cls.__doc__ or "").partition("Args:\n")
    texts: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        start = re.match(r"\s+(\w+): (.*)", line)
        name = start[1] if start else name
        if name and line.strip():
            texts[name] = start[2] if start else f"{texts[name]} {line.strip()}"
    return {name: text.rstrip(".") for name, text in texts.items()}
