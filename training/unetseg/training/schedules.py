"""How the learning rate runs over a training: linear warm-up, then down by one of these curves."""

from __future__ import annotations

import math
from collections.abc import Callable
from difflib import get_close_matches

from UNetSegmenterLib.engine.errors import InputError

from .configuration import Recipe

# Factor of the learning rate after a share (0 to 1) of the steps that follow the warm-up.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),  # Loshchilov and Hutter, SGDR, ICLR 2017
    "polynomial": lambda share: (1 - share) ** 0.9,  # nnU-Net's; Isensee et al., Nature Methods 2021
    "constant": lambda share: 1.0,
}


def schedule(step: int, recipe: Recipe) -> float:
    """Factor of the learning rate at a step; raises InputError if the recipe's schedule is not known."""
    if recipe.schedule not in SCHEDULES:
        near = get_close_matches(recipe.schedule, SCHEDULES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(SCHEDULES)}."
        raise InputError(f'There is no schedule "{recipe.schedule}"; {hint}')
    warmup = max(1, round(recipe.warmup_share * recipe.steps))
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES[recipe.schedule]((step - warmup) / max(1, recipe.steps - warmup))
