"""The part of JSON Schema that the card's schema uses, so that Slicer needs no further package to check a card."""

from __future__ import annotations

import math
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def violation(value: Any, schema: dict[str, Any], place: str = "card") -> str | None:
    """First way in which `value` breaks `schema`, in words, or None.

    Known keywords: type, enum, required, properties, additionalProperties, items, min/maxItems, min/maxLength, minimum, maximum,
    exclusiveMinimum.
    """
    kinds = schema.get("type", list(_TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(value, bool) or not any(isinstance(value, _TYPES[kind]) for kind in kinds):
        return f"{place} is {_shown(value)}, expected {' or '.join(kinds)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{place} is {_shown(value)}, expected one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, dict):
        return _object_violation(value, schema, place)
    if isinstance(value, (list, str)):
        return _sized_violation(value, schema, place)
    return _number_violation(value, schema, place) if value is not None else None


def _object_violation(value: dict[str, Any], schema: dict[str, Any], place: str) -> str | None:
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            return f'{place} lacks "{name}"'
    if schema.get("additionalProperties") is False:
        for name in value:
            if name not in properties:
                return f'{place} has an unknown entry "{name}"'
    found = (violation(value[name], part, f"{place}.{name}") for name, part in properties.items() if name in value)
    return next((text for text in found if text), None)


def _sized_violation(value: list[Any] | str, schema: dict[str, Any], place: str) -> str | None:
    least = schema.get("minItems", schema.get("minLength", 0))
    most = schema.get("maxItems", schema.get("maxLength", math.inf))
    if not least <= len(value) <= most:
        expected = f"{least} or more" if most == math.inf else f"{least}" if least == most else f"{least} to {most}"
        return f"{place} has {len(value)} {'characters' if isinstance(value, str) else 'entries'}, expected {expected}"
    if isinstance(value, str):
        return None
    found = (violation(item, schema.get("items", {}), f"{place}[{i}]") for i, item in enumerate(value))
    return next((text for text in found if text), None)


def _number_violation(value: float, schema: dict[str, Any], place: str) -> str | None:
    if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return f"{place} is {value}, expected {schema.get('minimum', '')} to {schema.get('maximum', '')}"
    if "exclusiveMinimum" in schema and not value > schema["exclusiveMinimum"]:
        return f"{place} is {value}, expected more than {schema['exclusiveMinimum']}"
    return None


def _shown(value: Any) -> str:
    return type(value).__name__ if isinstance(value, (dict, list)) else repr(value)
