"""Losses by name; docs/losses.md has each one's formula, source and when it helps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.ignored import IGNORED
from UNetSegmenterLib.engine.plain_data import did_you_mean

Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(name: str, ignoring: bool = False) -> Loss:
    """Loss of logits (B, classes, H, W) float32 and targets (B, H, W) int64.

    The Dice losses are taken over the whole batch and, but for the generalised one, without the background: most slices
    lack most structures, and a Dice of each slice would be dominated by empty ones.

    Args:
        name: one of `LOSSES`.
        ignoring: targets may be `IGNORED`; such pixels count nowhere.

    Raises:
        InputError: the name is not known.
    """
    if name not in LOSSES:
        raise InputError(f'The loss "{name}" is not known; {did_you_mean(name, LOSSES)}')
    loss = LOSSES[name]()
    return _of_decided(loss) if ignoring else loss


def _of_decided(loss: Loss) -> Loss:
    """The loss of the pixels that are decided, which become one slice of one column; 0 if there are none.

    None of the losses asks where a pixel is, so leaving pixels out is all there is to it, whatever the loss sums or divides by.
    """

    def of_decided(logits: Tensor, targets: Tensor) -> Tensor:
        decided = targets != IGNORED
        if not decided.any():
            return logits.sum() * 0.0  # so that every process has gradients to exchange
        pixels = logits.movedim(1, -1)[decided]  # (pixels, classes)
        return loss(pixels.T[None, :, :, None], targets[decided][None, :, None])

    return of_decided


def over_levels(loss: Loss) -> Callable[[Sequence[Tensor], Tensor], Tensor]:
    """The loss over several resolutions; weights halve with each and sum up to 1, as nnU-Net's do (Isensee et al., 2021).

    The returned function takes logits (B, classes, H / 2**level, W / 2**level), finest first, and targets (B, H, W); the
    targets of a coarser level are every second pixel of the finer one's.
    """

    def weighted(levels: Sequence[Tensor], targets: Tensor) -> Tensor:
        total = loss(levels[0], targets)
        for level, logits in enumerate(levels[1:], start=1):
            targets = targets[:, : 2 * logits.shape[2] : 2, : 2 * logits.shape[3] : 2]
            total = total + loss(logits, targets) * 0.5**level
        return total / (2 - 0.5 ** (len(levels) - 1))

    return weighted


def _mean_squared_error() -> Loss:
    return lambda logits, targets: functional.mse_loss(logits.softmax(dim=1), _one_hot(logits, targets))


def _cross_entropy() -> Loss:
    return functional.cross_entropy


def _binary_cross_entropy() -> Loss:
    return lambda logits, targets: functional.binary_cross_entropy_with_logits(logits, _one_hot(logits, targets))


def _monai_losses() -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # of tqdm, in a notebook without widgets
        import monai.losses
    return monai.losses


def _dice() -> Loss:
    return _with_channel(_monai_losses().DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True))


def _dice_cross_entropy() -> Loss:
    return _with_channel(
        _monai_losses().DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    )


def _generalised_dice() -> Loss:
    return _with_channel(_monai_losses().GeneralizedDiceLoss(to_onehot_y=True, softmax=True, batch=True))


def _focal() -> Loss:
    return _with_channel(_monai_losses().FocalLoss(to_onehot_y=True, use_softmax=True, gamma=2.0))


def _with_channel(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """MONAI's losses take targets of (B, 1, H, W)."""
    return lambda logits, targets: loss(logits, targets[:, None])


def _one_hot(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.one_hot(targets, logits.shape[1]).movedim(-1, 1).to(logits.dtype)


LOSSES: dict[str, Callable[[], Loss]] = {
    "mse": _mean_squared_error,
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "dice": _dice,
    "dice_ce": _dice_cross_entropy,
    "generalised_dice": _generalised_dice,
    "focal": _focal,
}
