"""The Dice coefficient, from counts of voxels (Dice, Ecology 26, 1945)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def dice_coefficient(common: ArrayLike, one: ArrayLike, other: ArrayLike, if_empty: float = 0.0) -> np.ndarray:
    """2 * common / (one + other), for single counts or whole arrays of them; `if_empty` where both sides hold nothing.

    Args:
        common: voxels that both sides hold.
        one: voxels of one side.
        other: voxels of the other side.
        if_empty: what two empty sides get.

    Returns:
        float64 of the shape that the three counts have together.
    """
    total = np.add(one, other)
    return np.divide(np.multiply(common, 2.0), total, out=np.full(np.shape(total), if_empty), where=total > 0)
