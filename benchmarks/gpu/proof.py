"""What a proof is: a function that measures something on a device, with the time it needs and the goals it holds."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """Where and how a proof runs.

    Attributes:
        device: cuda, or cpu for a rehearsal.
        small: sizes of a rehearsal, seconds instead of minutes.
        preprocessed: folder of the preprocessed data set.
        output: folder of the results.
        work: folder for what is not brought home.
        deadline: `time.monotonic()` at which the proof should have ended.
    """

    device: str
    small: bool
    preprocessed: Path
    output: Path
    work: Path
    deadline: float

    def seconds_left(self) -> float:
        """Time until the deadline."""
        return self.deadline - time.monotonic()


@dataclass(frozen=True)
class Goal:
    """One claim and whether it held; a claim that is `required` and did not makes the whole run fail."""

    text: str
    found: str
    reached: bool
    required: bool = True


@dataclass
class Result:
    """What a proof found; `figures` are numbers and texts by name, or tables: lists of such."""

    figures: Figures = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failure: str = ""

    @property
    def ok(self) -> bool:
        """Whether the proof ran to its end and every required goal was reached."""
        return not self.failure and all(goal.reached for goal in self.goals if goal.required)

    def write(self, path: Path) -> None:
        """Write it as JSON; numbers that are not finite become null."""
        path.write_text(json.dumps(_finite(asdict(self)), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Result:
        """What `write` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**values | {"goals": [Goal(**goal) for goal in values["goals"]]})


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Proof:
    """A proof and its part of the time.

    Attributes:
        name: name of its JSON file.
        title: what it proves.
        run: measures, and returns what it found.
        at_least_s: below this it is skipped.
        at_most_s: more is never given to it.
    """

    name: str
    title: str
    run: Callable[[Setup], Result]
    at_least_s: float
    at_most_s: float = math.inf


def share_of_time(following: Sequence[Proof], seconds: float) -> tuple[float, list[Proof]]:
    """Seconds for the first of the proofs that are left, and those that have to be skipped.

    Each proof that follows keeps its least; where that is not enough for all, the last ones, which are the least important, are
    skipped.
    """
    kept, skipped = list(following), []
    while kept and sum(proof.at_least_s for proof in kept) > seconds:
        skipped.insert(0, kept.pop())
    if not kept:
        return 0.0, skipped
    return min(kept[0].at_most_s, seconds - sum(proof.at_least_s for proof in kept[1:])), skipped
