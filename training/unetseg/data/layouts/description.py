"""The JSON file that describes a data set, read with a clear error message for each mistake in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError, os_error_text
from UNetSegmenterLib.engine.labels.ignored import IGNORE
from UNetSegmenterLib.engine.labels.structures import (
    Structure,
    canonical_name,
    known_structure,
    two_spellings,
)
from UNetSegmenterLib.engine.plain_data import closest_name, did_you_mean

MOST_STRUCTURES = 254  # labels are bytes, and the background is a class of the network too


def read_description(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        InputError: the file can't be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_object(path))
    except InputError:
        raise
    except OSError as error:
        raise InputError(os_error_text(error)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} can't be read as JSON ({error}); correct it there.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; a JSON object with names and values is expected.")
    return content


def _object(path: Path) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """A hook that refuses two entries of one name, of which JSON would silently keep the last."""

    def made(entries: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in entries]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f'{path} has two entries "{twice}" in one object; remove one or rename it.')
        return dict(entries)

    return made


def entry(content: dict[str, Any], key: str, path: Path, kind: type, what: str) -> Any:
    """The entry `key` of a description.

    Args:
        content: the description.
        key: name of the entry.
        path: file of the description, for messages.
        kind: type that the entry must have.
        what: what is expected, for messages.

    Raises:
        InputError: the entry is missing or of another type.
    """
    if key not in content:
        near = closest_name(key, content)
        hint = f'; "{near}" stands there: correct it to "{key}"' if near else f"; add {what}"
        raise InputError(f'{path} has no "{key}"{hint}.')
    if not isinstance(content[key], kind):
        raise InputError(f'{path} has "{key}": {json.dumps(content[key])[:60]}; {what} is expected there.')
    return content[key]


def text_entry(content: dict[str, Any], keys: Iterable[str], path: Path, default: str = "") -> str:
    """The first of some entries that is there, else `default`; raises InputError if it is no text."""
    key = next((key for key in keys if content.get(key) is not None), None)
    return default if key is None else entry(content, key, path, str, "text")


def single_channel(content: dict[str, Any], keys: Iterable[str], path: Path) -> str:
    """The name of the one channel of a description, "CT" if it names none.

    Raises:
        InputError: there are several, none, or something else.
    """
    key = next((key for key in keys if content.get(key) is not None), None)
    if key is None:
        return "CT"
    channels = entry(content, key, path, dict, 'an object such as {"0": "CT"}')
    if len(channels) != 1:
        found = f" ({', '.join(list(map(str, channels.values()))[:3])})" if channels else ""
        raise InputError(f"{path} names {len(channels)} {key.replace('_names', 's')}{found}; one, CT, is read.")
    return str(*channels.values())


def refuse_unknown(content: dict[str, Any], known: Iterable[str], path: Path) -> None:
    """Raise InputError for an unknown key, which is usually a misspelt one."""
    known = list(known)
    for key in content:
        if key not in known:
            raise InputError(f'{path} has an unknown entry "{key}"; {did_you_mean(key, known)}')


def values_by_name(labels: dict[str, Any], path: Path, by_value: bool) -> tuple[dict[str, Any], list[str]]:
    """Label values by structure name without the background, and notes on spellings that differ from the layout's.

    Args:
        labels: "labels" of dataset.json; the reverse direction and numbers as text ("1") are read too.
        path: file of the description, for messages.
        by_value: whether the layout has names by value (Decathlon, nnU-Net v1) instead of values by name (nnU-Net v2).

    Raises:
        InputError: a label has neither form, or the background a value other than 0.
    """
    notes = []
    numbers = all(_is_number(key) for key in labels) and not any(_is_number(value) for value in labels.values())
    if numbers != by_value:
        ways = ('"value": "name"', '"name": value')
        notes.append(
            f"labels of {path.name} are written {ways[not numbers]} instead of {ways[not by_value]}; they were read so"
        )
    found: dict[str, Any] = {}
    text = False
    for key, given in labels.items():
        name, value = (given, key) if numbers else (key, given)
        if not isinstance(name, str) or _is_number(name):
            raise InputError(
                f'{path} has labels that are not "value": "name" ({key[:60]}: {json.dumps(given)[:60]}); correct them.'
            )
        if _is_number(value):
            text |= isinstance(value, str) and not numbers
            value = int(value)
        if name != IGNORE and name.strip().lower() == IGNORE:
            notes.append(f'the label "{name}" of {path.name} was read as "{IGNORE}"')
            name = IGNORE
        if value == 0 and name != IGNORE:
            continue
        if name.strip().lower() == "background":
            raise InputError(
                f'{path} gives "{name}" the value {json.dumps(value)[:60]}, but background is 0; call what has that value by its '
                "name, or leave it out."
            )
        if name in found:
            raise InputError(
                f'{path} gives two values the name "{name}"; give its voxels one value, or rename one of them.'
            )
        found[name] = value
    if text:
        notes.append(f'values of labels in {path.name} are text ("1" instead of 1); they were read as numbers')
    return found, notes


def _is_number(value: Any) -> bool:
    return (isinstance(value, str) and value.strip().isdecimal() and len(value) < 20) or (
        isinstance(value, int) and not isinstance(value, bool)
    )


def without_ignore(values_of: dict[str, Any], path: Path) -> tuple[dict[str, Any], int | None, list[str]]:
    """Label values without nnU-Net's label "ignore", the value of that, and a note on it.

    Args:
        values_of: name to value.
        path: file of the description, for messages.

    Raises:
        InputError: it is not one value above all others, as nnU-Net wants it.
    """
    if IGNORE not in values_of:
        return values_of, None, []
    others = {name: value for name, value in values_of.items() if name != IGNORE}
    value = values_of[IGNORE]
    used = [one for given in others.values() for one in (given if isinstance(given, list) else [given])]
    highest = max((one for one in used if isinstance(one, int)), default=0)
    if not isinstance(value, int) or isinstance(value, bool) or not highest < value <= 65535:
        raise InputError(
            f'{path} gives "{IGNORE}" the value {json.dumps(value)[:60]}; one number above all structures is expected, such as '
            f"{highest + 1}, as nnU-Net has it."
        )
    return others, value, [f"voxels of value {value} are ignored: they count neither in training nor in any measure"]


def make_structures(values_of: dict[str, Any], path: Path) -> tuple[Structure, ...]:
    """Structures in the order of their first value.

    Args:
        values_of: name to one whole number from 1 to 65535 or a list of them.
        path: file of the description, for messages.

    Raises:
        InputError: a value is anything else, or a value or structure occurs twice.
    """
    owner: dict[int, str] = {}
    cleaned: dict[str, tuple[int, ...]] = {}
    for name, given in values_of.items():
        values = given if isinstance(given, list) else [given]
        if not values or not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise InputError(f'{path} gives "{name}" the value {json.dumps(given)[:60]}; whole numbers are expected.')
        for value in values:
            if not 1 <= value <= 65535:
                raise InputError(f'{path} gives "{name}" the value {value}; 1 to 65535 is expected (0 is background).')
            if value in owner:
                raise InputError(
                    f'{path} gives the value {value} to both "{owner[value]}" and "{name}"; a voxel has one structure, so '
                    "give each value to one of them."
                )
            owner[value] = name
        cleaned[name] = tuple(values)
    if twice := two_spellings(cleaned):
        raise InputError(
            f'{path} has "{twice[0]}" and "{twice[1]}", which is one structure ({canonical_name(twice[0])}) under two names: '
            "give its voxels one name and one value, or rename one of them."
        )
    if len(cleaned) > MOST_STRUCTURES:
        raise InputError(
            f"{path} names {len(cleaned)} structures; a network has at most {MOST_STRUCTURES}, as labels are bytes: merge or "
            "remove some of them in the label files."
        )
    if not cleaned:
        raise InputError(f"{path} names no structure besides the background; add at least one.")
    order = sorted(cleaned, key=lambda name: cleaned[name][0])
    return tuple(known_structure(name, index, cleaned[name]) for index, name in enumerate(order, start=1))
