"""Dice of whole volumes while training goes on, at the network's grid and through prediction's own code."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.prediction import network_logits
from UNetSegmenterLib.engine.model.preprocessing import (
    Preprocessing,
    neighbour_offsets,
    neighbour_step,
    stack_slices,
)

from ..data.preprocessed_dataset import Pack, PackedCase
from .configuration import Recipe
from .distributed import Team


def validation_cases(pack: Pack, recipe: Recipe) -> tuple[PackedCase, ...]:
    """Cases whose Dice is followed: none if the split is "", or where the pack set no patients aside for "validation".

    Raises InputError for a split that there is not, and for cases that are trained on as well.
    """
    split = recipe.validation_split
    if not split or (split == "validation" and not pack.splits.get(split)):
        return ()
    cases = pack.of_split(split)
    trained = {case.name for case in pack.of_split(recipe.train_split)}
    if both := [case.name for case in cases if case.name in trained]:
        raise InputError(
            f"{', '.join(both[:3])} would be trained on and validated, which tells nothing of new patients; take another "
            'train_split, or validation_split "" for a run without validation.'
        )
    return cases


@torch.inference_mode()
def predict_case(
    network: nn.Module,
    pack: Pack,
    case: PackedCase,
    preprocessing: Preprocessing,
    device: torch.device,
    dtype: torch.dtype,
    batch_size: int,
) -> np.ndarray:
    """Labels uint8 (slices, rows, columns) of a packed case at the network's grid."""
    hu = torch.from_numpy(np.ascontiguousarray(case.region(pack.images))).to(device)
    offsets = neighbour_offsets(preprocessing.input_slices, neighbour_step(case.spacing_mm[0], preprocessing))
    result = torch.empty(hu.shape, dtype=torch.uint8, device=device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        for start in range(0, len(hu), batch_size):
            centres = torch.arange(start, min(start + batch_size, len(hu)), device=device)
            stacked = stack_slices(hu, centres, offsets, preprocessing.window_hu)
            logits = network_logits(network, stacked, preprocessing.size_multiple, torch.float32)
            result[start : start + batch_size] = logits.argmax(dim=1).to(torch.uint8)
    return result.cpu().numpy()


def dice_of_volume(prediction: np.ndarray, reference: np.ndarray, classes: int) -> np.ndarray:
    """Dice of each structure 1..classes-1; NaN where neither volume has it."""
    pairs = np.bincount(
        prediction.ravel().astype(np.int64) * classes + reference.ravel(), minlength=classes**2
    ).reshape(classes, classes)
    both = np.diag(pairs)[1:]
    sizes = pairs.sum(axis=0)[1:] + pairs.sum(axis=1)[1:]
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), np.nan)


def validate(
    network: nn.Module,
    pack: Pack,
    recipe: Recipe,
    preprocessing: Preprocessing,
    device: torch.device,
    dtype: torch.dtype,
    team: Team | None = None,
) -> np.ndarray | None:
    """Dice (cases, structures) of the validation split's whole volumes; None if the pack has no such split.

    Several processes share the cases and all get the whole table.
    """
    cases = validation_cases(pack, recipe)
    if not cases:
        return None
    network.eval()

    def dice(case: PackedCase) -> np.ndarray:
        labels = predict_case(network, pack, case, preprocessing, device, dtype, recipe.batch_size)
        return dice_of_volume(labels, case.region(pack.labels), len(pack.structures) + 1)

    return np.stack((team or Team(device)).map(dice, cases))
