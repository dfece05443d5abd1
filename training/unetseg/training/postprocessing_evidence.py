"""Whether an option of postprocessing raises the Dice of patients, judged so that it can't profit from the choice itself.

Each patient's figure is that of the option which the other patients choose (nested leave-one-out), so a step is kept only if
what helped the others helped that patient too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEWEST_CASES = 4
"""Patients with a structure below which nothing is decided for it."""

LEAST_RISE = 0.0005
"""A rise of the mean Dice below this is rounding: figures are read to the third decimal."""


@dataclass(frozen=True)
class Evidence:
    """What an option is worth to patients who had no part in its choice.

    Attributes:
        option: the option that all patients together choose, 0 for none.
        cases: patients with a Dice, in the reference or the prediction.
        dice_without: their mean Dice without postprocessing.
        dice_with: their mean Dice where each is given the option that the others choose.
        better: patients whose Dice this raises.
        worse: patients whose Dice this lowers.
    """

    option: int
    cases: int
    dice_without: float
    dice_with: float
    better: int
    worse: int

    @property
    def is_enough(self) -> bool:
        """Whether the option is kept: enough patients, a rise of the mean, and no more of them worse than better."""
        rises = self.dice_with - self.dice_without >= LEAST_RISE and self.better >= self.worse
        return bool(self.option) and self.cases >= FEWEST_CASES and rises


def evidence(dice: np.ndarray) -> Evidence:
    """Choose among options, and measure the choice on patients who had no part in it.

    Args:
        dice: (patients, options) of one structure, the most careful option first after option 0, which changes nothing;
            NaN in all options of a patient where neither reference nor prediction has the structure.
    """
    known = dice[~np.isnan(dice[:, 0])]
    if not len(known):
        return Evidence(0, 0, 0.0, 0.0, 0, 0)
    nested = np.array([known[i, best_option(np.delete(known, i, axis=0))] for i in range(len(known))])
    rise = nested - known[:, 0]
    without = float(known[:, 0].mean())
    counts = int((rise > 0).sum()), int((rise < 0).sum())
    return Evidence(best_option(known), len(known), without, float(nested.mean()), *counts)


def best_option(dice: np.ndarray) -> int:
    """The option to take: the most careful one that can't be told from the best (the rule of one standard error).

    The best has the highest mean of those that raise it and leave no more patients worse than better. A more careful one is
    as good if its mean is lower by no more than the standard error of the patients' differences, so that one patient alone
    makes no option bolder (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3).

    Args:
        dice: (patients, options), the most careful option first after option 0, which changes nothing.

    Returns:
        Its number; 0 if no option raises the mean.
    """
    if len(dice) < 2:
        return 0
    rise = dice - dice[:, :1]
    allowed = ((rise > 0).sum(axis=0) >= (rise < 0).sum(axis=0)) & (rise.mean(axis=0) > 0)
    if not allowed.any():
        return 0
    best = int(np.where(allowed, rise.mean(axis=0), -np.inf).argmax())
    behind = dice[:, [best]] - dice
    close = behind.mean(axis=0) <= behind.std(axis=0, ddof=1) / np.sqrt(len(dice))
    return int((allowed & close).argmax())
