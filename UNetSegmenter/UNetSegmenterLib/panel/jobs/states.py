"""What the panel can be doing, and which step may follow which."""

from __future__ import annotations

import enum
from collections.abc import Callable


class State(enum.Enum):
    """The state of the one run that a panel can have."""

    IDLE = "idle"
    STARTING = "starting"  # the scan is handed over, the worker makes the network ready
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    CRASHED = "crashed"  # no result: the worker died, or refused what it was given

    @property
    def is_busy(self) -> bool:
        return self in (State.STARTING, State.RUNNING, State.CANCELLING)


FOLLOWS = {
    State.IDLE: {State.STARTING},
    State.STARTING: {State.RUNNING, State.CANCELLING, State.DONE, State.CRASHED, State.IDLE},
    State.RUNNING: {State.CANCELLING, State.DONE, State.CRASHED, State.IDLE},
    State.CANCELLING: {State.CANCELLED, State.DONE, State.CRASHED, State.IDLE},
    State.DONE: {State.STARTING, State.IDLE},
    State.CANCELLED: {State.STARTING, State.IDLE},
    State.CRASHED: {State.STARTING, State.IDLE},
}


class StateMachine:
    """Holds the state, refuses steps that make no sense, and tells of every step that is made."""

    def __init__(self, on_change: Callable[[State], None]) -> None:
        self.state = State.IDLE
        self._on_change = on_change

    def to(self, state: State) -> None:
        """Step to a state; staying is no step. Raises ValueError for a step that cannot follow."""
        if state is self.state:
            return
        if state not in FOLLOWS[self.state]:
            raise ValueError(f"{state.value} cannot follow {self.state.value}")
        self.state = state
        self._on_change(state)
