"""Losses by name; the formulas and their sources are in docs/losses.md."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from UNetSegmenterLib.engine.errors import InputError

Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(name: str) -> Loss:
    """Loss of logits (B, classes, H, W) float32 and targets (B, H, W) int64; raises InputError for an unknown name.

    "dice_ce" is cross entropy plus Dice over the whole batch without the background: most slices lack most structures,
    and a Dice of each slice would be dominated by empty ones.
    """
    from monai.losses import DiceCELoss

    if name != "dice_ce":
        raise InputError(f'The loss "{name}" is not known; dice_ce is.')
    loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    return lambda logits, targets: loss(logits, targets[:, None])
