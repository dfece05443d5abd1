"""Plain data is checked against a dataclass: what is unknown, missing or of another kind is named."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.plain_data import closest_name, did_you_mean, from_mapping, violation


@dataclass(frozen=True)
class Noise:
    level: float = 0.1


@dataclass(frozen=True)
class Options:
    steps: int
    rate: float = 0.5
    size: tuple[int, int] = (2, 3)
    names: tuple[str, ...] = ()
    is_fast: bool = False
    noise: Noise = field(default_factory=Noise)


def test_lists_become_tuples_and_mappings_dataclasses():
    plain = {"steps": 3, "rate": 1, "size": [4, 5], "names": ["a", "b", "c"], "is_fast": True, "noise": {"level": 2}}
    made = from_mapping(Options, plain, "file: options")
    assert made == Options(3, 1.0, (4, 5), ("a", "b", "c"), True, Noise(2.0))
    assert type(made.rate) is type(made.noise.level) is float
    assert from_mapping(Options, {"steps": 1}, "options") == Options(1)


@pytest.mark.parametrize(
    ("plain", "named"),
    [
        ({"steps": 1, "stepps": 2}, ("options", '"stepps"', "did you mean steps?")),
        ({"steps": 1, "colour": 2}, ('"colour"', "known are steps, rate")),
        ({}, ("options", '"steps"')),
        ({"steps": True}, ("options.steps", "True", "integer")),
        ({"steps": 1.0}, ("options.steps", "1.0", "integer")),
        ({"steps": 1, "rate": "fast"}, ("options.rate", "'fast'", "number")),
        ({"steps": 1, "rate": float("nan")}, ("options.rate", "number")),
        ({"steps": 1, "rate": float("inf")}, ("options.rate", "finite")),
        ({"steps": 1, "rate": 10**400}, ("options.rate", "finite")),
        ({"steps": 1, "size": [1, 2, 3]}, ("options.size", "3 entries", "2")),
        ({"steps": 1, "names": ["a", 7]}, ("options.names[1]", "7", "string")),
        ({"steps": 1, "noise": {"levl": 1}}, ("options.noise", "did you mean level?")),
        ({"steps": 1, "noise": None}, ("options.noise", "None", "object")),
        ([], ("options", "list", "object")),
    ],
)
def test_what_does_not_fit_is_named(plain, named):
    with pytest.raises(InputError) as caught:
        from_mapping(Options, plain, "file: options")
    assert all(word in str(caught.value) for word in ("file: ", *named))


def test_similar_names():
    assert closest_name("learning_rte", ["steps", "learning_rate"]) == "learning_rate"
    assert closest_name("learning_rte", ["steps", "learning_rate"], cutoff=0.99) is None
    assert did_you_mean("stepps", ("steps", "rate")) == "did you mean steps?"
    assert did_you_mean("colour", ("steps", "rate")) == "known are steps, rate."


@pytest.mark.parametrize("value", ["x" * 20_000, 10**400, -(10**5000), 10**61, 1e300], ids=range(5))
def test_a_message_does_not_repeat_endless_values(value):
    for schema in ({"type": "object"}, {"type": "boolean"}, {"enum": [1]}, {"type": "number", "maximum": 1}):
        assert len(violation(value, schema, "card.entry") or "") < 200
    assert len(violation({"x" * 20_000: 1}, {"type": "object", "additionalProperties": False}, "card")) < 200
