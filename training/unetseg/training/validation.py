"""Validation during training: Dice of whole volumes at the network's grid, through the code of prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.dice import dice_coefficient
from UNetSegmenterLib.engine.labels.ignored import IGNORED
from UNetSegmenterLib.engine.model.prediction import network_logits
from UNetSegmenterLib.engine.model.preprocessing import (
    Preprocessing,
    neighbour_offsets,
    neighbour_step,
    stack_slices,
)

from ..data.preprocessed_dataset import PreprocessedCase, PreprocessedDataset
from ..data.slice_reader import SliceReader
from .configuration import TrainingConfig
from .distributed import ProcessGroup


def validation_cases(dataset: PreprocessedDataset, config: TrainingConfig) -> tuple[PreprocessedCase, ...]:
    """The cases to validate on: none if the split is "", or if the data set has no patients in the split "validation".

    Raises:
        InputError: another split does not exist, or cases are trained on as well.
    """
    split = config.validation_split
    if not split or (split == "validation" and not dataset.splits.get(split)):
        return ()
    cases = dataset.of_split(split)
    trained = {case.name for case in dataset.of_split(config.train_split)}
    if both := [case.name for case in cases if case.name in trained]:
        raise InputError(
            f"{', '.join(both[:3])} would be trained on and validated, which says nothing about new patients; take another "
            'train_split, or validation_split "" for a run without validation.'
        )
    return cases


def read_region(case: PreprocessedCase, array: np.ndarray) -> np.ndarray:
    """A case's own pixels of one of the arrays (slices, rows, columns), read from the file and not through its mapping.

    Raises:
        InputError: the file was cut off meanwhile; its mapping would end the process with a signal.
    """
    slices = np.empty((case.stop - case.start, *array.shape[1:]), array.dtype)
    SliceReader(array).read(np.arange(case.start, case.stop), slices)
    return slices[:, case.top : case.top + case.rows, case.left : case.left + case.columns]


@torch.inference_mode()
def predict_case(
    network: nn.Module,
    dataset: PreprocessedDataset,
    case: PreprocessedCase,
    preprocessing: Preprocessing,
    *,
    device: torch.device,
    dtype: torch.dtype,
    batch_size: int,
) -> np.ndarray:
    """Labels uint8 (slices, rows, columns) of a preprocessed case at the network's grid."""
    hu = torch.from_numpy(np.ascontiguousarray(read_region(case, dataset.images))).to(device)
    offsets = neighbour_offsets(preprocessing.input_slices, neighbour_step(case.spacing_mm[0], preprocessing))
    affine = preprocessing.normalisation.affine()
    result = torch.empty(hu.shape, dtype=torch.uint8, device=device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        for start in range(0, len(hu), batch_size):
            centres = torch.arange(start, min(start + batch_size, len(hu)), device=device)
            stacked = stack_slices(hu, centres, offsets, affine)
            logits = network_logits(network, stacked, preprocessing.size_multiple, torch.float32)
            result[start : start + batch_size] = logits.argmax(dim=1).to(torch.uint8)
    return result.cpu().numpy()


def dice_of_volume(prediction: np.ndarray, reference: np.ndarray, classes: int) -> np.ndarray:
    """Dice (classes - 1,) of each structure of two volumes, where the reference is decided; NaN where neither has it."""
    if (ignored := reference == IGNORED).any():
        prediction, reference = prediction[~ignored], reference[~ignored]
    pairs = prediction.ravel().astype(np.int64) * classes + reference.ravel()
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    both, ours, theirs = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return dice_coefficient(both, ours, theirs, if_empty=np.nan)[1:]


def validate(
    network: nn.Module,
    dataset: PreprocessedDataset,
    config: TrainingConfig,
    preprocessing: Preprocessing,
    dtype: torch.dtype,
    process_group: ProcessGroup,
) -> np.ndarray | None:
    """Dice (cases, structures) of the validation split's whole volumes; None if the data set has no such split.

    Several processes share the cases, and all get the whole table.
    """
    cases = validation_cases(dataset, config)
    if not cases:
        return None
    network.eval()

    def dice(case: PreprocessedCase) -> np.ndarray:
        labels = predict_case(
            network,
            dataset,
            case,
            preprocessing,
            device=process_group.device,
            dtype=dtype,
            batch_size=config.batch_size,
        )
        return dice_of_volume(labels, read_region(case, dataset.labels), len(dataset.structures) + 1)

    return np.stack(process_group.map(dice, cases))


def mean_over_structures(dice: np.ndarray) -> float:
    """Mean over structures of each one's mean over cases; dice: (cases, structures), NaN where neither side has it."""
    return mean_of_known(mean_of_cases(dice))


def mean_of_known(values: Sequence[float] | np.ndarray) -> float:
    """Mean of the finite values; NaN if there is none."""
    known = np.asarray(values)[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def mean_of_cases(dice: np.ndarray) -> list[float]:
    """Each structure's mean over its cases; dice: (cases, structures), NaN where neither side has it."""
    return [mean_of_known(column) for column in dice.T]
