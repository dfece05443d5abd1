"""Checks of plain data from JSON, YAML or a command line, and the dataclasses that are made of them.

Cards of checkpoints, plans and training configurations are all checked here, by the part of JSON Schema (draft 2020-12) that
they use: what runs inside Slicer needs no further package for it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from .errors import InputError

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def closest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is spelt most like `name`, in either case; None if none reaches the similarity `cutoff`, 0 to 1."""
    by_lower_case = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), list(by_lower_case), n=1, cutoff=cutoff)
    return by_lower_case[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """End of a sentence about an unknown name: "did you mean steps?", or "known are ..." if no name is similar."""
    known = list(known)
    near = closest_name(name, known, cutoff)
    return f"did you mean {near}?" if near else f"known are {', '.join(known)}."


def from_mapping(cls: type, values: Any, where: str) -> Any:
    """Make a dataclass of plain values; entries that are left out keep their default.

    Args:
        cls: a dataclass whose fields are str, int, float, bool, tuples of one type, or such dataclasses.
        values: names and values, as read from JSON or YAML.
        where: what error messages call the values, such as "plan.yaml: plan".

    Raises:
        InputError: for an unknown, missing or unfit entry; the message names it, what was found and what is expected.
    """
    if problem := violation(values, dataclass_schema(cls), where):
        raise InputError(problem)
    return _made(cls, values)


def dataclass_schema(cls: Any) -> dict[str, Any]:
    """JSON schema of the mappings that `from_mapping` takes for a dataclass."""
    hints = get_type_hints(cls)
    required = [part.name for part in fields(cls) if part.default is MISSING and part.default_factory is MISSING]
    properties = {part.name: _schema_of(hints[part.name]) for part in fields(cls)}
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def _schema_of(hint: Any) -> dict[str, Any]:
    if is_dataclass(hint):
        return dataclass_schema(hint)
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    first, *others = get_args(hint)  # tuple[float, float] or tuple[str, ...]
    size = {} if others == [...] else {"minItems": 1 + len(others), "maxItems": 1 + len(others)}
    return {"type": "array", "items": _schema_of(first), **size}


def _made(hint: Any, value: Any) -> Any:
    """A checked value as the type hint has it: lists become tuples, mappings dataclasses, whole numbers floats."""
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{name: _made(hints[name], part) for name, part in value.items()})  # type: ignore[operator]
    if hint in _SIMPLE:
        return hint(value)
    return tuple(_made(get_args(hint)[0], part) for part in value)


def violation(value: Any, schema: Mapping[str, Any], where: str) -> str | None:
    """The first way in which `value` breaks `schema`, as a sentence about `where`, or None.

    Known keywords: type, enum, required, properties, additionalProperties, items, min/maxItems, min/maxLength, minimum,
    maximum, exclusiveMinimum.
    """
    kinds = schema.get("type", [kind for kind in _TYPES if kind != "boolean"])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(_is_of(value, kind) for kind in kinds):
        return f"{where} is {_shown(value)}, expected {' or '.join(kinds)}."
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} is {_shown(value)}, expected one of {', '.join(map(str, schema['enum']))}."
    if isinstance(value, dict):
        return _object_violation(value, schema, where)
    if isinstance(value, (list, tuple, str)):
        return _size_violation(value, schema, where)
    return _number_violation(value, schema, where) if value is not None else None


def _is_of(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and isinstance(value, bool) == (kind == "boolean")


def _object_violation(value: dict[str, Any], schema: Mapping[str, Any], where: str) -> str | None:
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is False:
        for name in value:
            if name not in properties:
                return f'{where} has an unknown entry "{str(name)[:60]}"; {did_you_mean(str(name), properties, cutoff=0.5)}'
    for name in schema.get("required", []):
        if name not in value:
            return f'{where} lacks "{name}".'
    found = (violation(value[name], part, f"{where}.{name}") for name, part in properties.items() if name in value)
    return next((text for text in found if text), None)


def _size_violation(value: Any, schema: Mapping[str, Any], where: str) -> str | None:
    least = schema.get("minItems", schema.get("minLength", 0))
    most = schema.get("maxItems", schema.get("maxLength", math.inf))
    if not least <= len(value) <= most:
        expected = f"{least} or more" if most == math.inf else f"{least}" if least == most else f"{least} to {most}"
        return f"{where} has {len(value)} {'characters' if isinstance(value, str) else 'entries'}, expected {expected}."
    if isinstance(value, str):
        return None
    found = (violation(item, schema.get("items", {}), f"{where}[{i}]") for i, item in enumerate(value))
    return next((text for text in found if text), None)


def _number_violation(value: float, schema: Mapping[str, Any], where: str) -> str | None:
    if isinstance(value, float) and math.isnan(value):  # a whole number may be too large for isnan
        return f"{where} is not a number, expected one."
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if not low <= value <= high:
        return f"{where} is {_shown(value)}, expected {low} to {high}."
    if "exclusiveMinimum" in schema and not value > schema["exclusiveMinimum"]:
        return f"{where} is {_shown(value)}, expected more than {schema['exclusiveMinimum']}."
    if not abs(value) <= sys.float_info.max:
        return f"{where} is {_shown(value)}, expected a finite number below {sys.float_info.max:.2g}."
    return None


def _shown(value: Any) -> str:
    """A value for a message: at most its first 60 characters."""
    if isinstance(value, (dict, list)):
        return type(value).__name__
    if isinstance(value, int) and abs(value) >= 10**60:  # Python writes no number of more than 4,300 digits
        return "a number of more than 60 digits"
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 63 else f"{text[:60]}..."
