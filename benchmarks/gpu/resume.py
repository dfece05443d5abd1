"""Proof: a run that is killed and stopped at random steps ends with the weights of one that was not, to the bit."""

from __future__ import annotations

import random
import signal

from unetseg.data.preprocessed_dataset import read_preprocessed_dataset

from .proof import Goal, Result, Setup
from .run_comparison import TrainingProcess, difference, short_config


def run(setup: Setup) -> Result:
    """SIGKILL in the first half, SIGTERM in the second, then to the end; the straight run goes on beside it."""
    steps, save_every = (40, 5) if setup.small else (600, 50)
    config = short_config(setup, read_preprocessed_dataset(setup.preprocessed), steps)
    options = {"device": setup.device, "save_every": save_every, "validate_every": steps, "each_step": True}
    seed = random.randrange(10**6)
    chosen = random.Random(seed)
    killed_at, stopped_at = chosen.randint(save_every + 1, steps // 2), chosen.randint(steps // 2 + 1, steps * 4 // 5)
    straight, broken = setup.work / "straight", setup.work / "broken"
    beside = TrainingProcess(setup.preprocessed, straight, config, options)
    statuses = [
        TrainingProcess(setup.preprocessed, broken, config, options).signal_after(step, number)
        for step, number in ((killed_at, signal.SIGKILL), (stopped_at, signal.SIGTERM))
    ]
    for process in (beside, TrainingProcess(setup.preprocessed, broken, config, options)):
        status, text = process.end()
        if status:
            raise RuntimeError(f"a run ended with status {status}: {text[-3000:]}")
    different = difference(straight, broken)
    figures = {"steps": steps, "killed_after_step": killed_at, "stopped_after_step": stopped_at, "seed": seed}
    figures |= {
        "status_after_sigkill": statuses[0],
        "status_after_sigterm": statuses[1],
        "difference": different or "none",
    }
    result = Result(figures)
    result.goals = [
        Goal("SIGKILL ends it at once, SIGTERM with status 143", f"{statuses}", statuses == [-signal.SIGKILL, 143]),
        Goal("network, average and optimiser are equal to the bit", different or "equal", not different),
    ]
    if different:
        again = setup.work / "again"
        TrainingProcess(setup.preprocessed, again, config, options).end()
        repeated = difference(straight, again)
        result.figures["difference_of_two_straight_runs"] = repeated or "none"
        result.notes.append(
            "two runs without a break differ too: kernels of this device do not repeat themselves"
            if repeated
            else "two runs without a break are equal, so what a state keeps is not enough"
        )
    return result
