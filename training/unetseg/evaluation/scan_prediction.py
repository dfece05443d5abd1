"""What several commands have in common: opening a checkpoint, reading a scan, predicting with progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.file_names import file_stem
from UNetSegmenterLib.engine.io.geometry import same_grid_note
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.slicing_axis import slicing_axis
from UNetSegmenterLib.engine.io.volume import Volume, check_volume
from UNetSegmenterLib.engine.labels.coverage import fraction_outside, labelled_ml, percent_text
from UNetSegmenterLib.engine.labels.dicom_references import check_same_patient_space
from UNetSegmenterLib.engine.labels.segmentation import Segmentation, resample_segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import is_label_map
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint, shipped_checkpoints
from UNetSegmenterLib.engine.model.prediction import Prediction, Predictor

from ..console import progress, warn
from .ensemble import load_checkpoints

DEFAULT_CHECKPOINT = "abdomen8.pt"


def checkpoint_path(checkpoint: Path | None) -> Path:
    """The checkpoint that was given, by default the one that is shipped; raises InputError if there is none."""
    if checkpoint is not None:
        return checkpoint
    shipped = {path.name: path for path in shipped_checkpoints()}
    if DEFAULT_CHECKPOINT not in shipped:
        raise InputError(f"{DEFAULT_CHECKPOINT} does not ship with this copy; give a checkpoint with --checkpoint.")
    return shipped[DEFAULT_CHECKPOINT]


def open_checkpoint(checkpoints: Path | Sequence[Path] | None) -> Checkpoint:
    """One checkpoint, several as an ensemble, or the one that is shipped; raises InputError as `load_checkpoints` does."""
    if isinstance(checkpoints, Path):
        return load_checkpoints([checkpoints])
    return load_checkpoints(checkpoints or [checkpoint_path(None)])


def open_predictor(
    checkpoints: Path | Sequence[Path] | None,
    device: str,
    mirroring: bool = False,
    precision: str = "auto",
    postprocessing: bool = True,
) -> Predictor:
    """The predictor of a checkpoint, by default of the one that is shipped.

    Args:
        checkpoints: the file, or those of an ensemble.
        device: see `Predictor`.
        mirroring: average over mirrored slices too.
        precision: "auto", or the name of a type of torch such as "bfloat16".
        postprocessing: whether the card's postprocessing follows.

    Raises:
        InputError: there is no checkpoint, several are no ensemble, or the card allows no mirroring.
    """
    dtype = None if precision == "auto" else getattr(torch, precision)
    return Predictor(
        open_checkpoint(checkpoints), device, dtype=dtype, mirroring=mirroring, postprocessing=postprocessing
    )


def networks_text(predictor: Predictor) -> str:
    """How many networks predict, for the user; empty for one."""
    count = len(predictor.networks)
    return f", an ensemble of {count} networks" if count > 1 else ""


def read_scan(path: Path, resample: bool = False, card: Card | None = None) -> Volume:
    """Read a scan and print the warnings of its checks, which are those of a CT unless the card of a model says otherwise."""
    volume, slicing = read_volume(path, resample), None
    if card is not None:
        volume = replace(volume, intensities=card.preprocessing.intensities)
        slicing = card.preprocessing.slicing(volume.geometry)
    for note in check_volume(volume, slicing):
        if note.severity != "info":
            warn(f"{volume.name}: {note.text}")
    return volume


def on_grid_of(volume: Volume, segmentation: Segmentation) -> Segmentation:
    """Resample the segmentation to the scan's grid; raises InputError where all of it lies outside or in other positions."""
    check_same_patient_space(segmentation, volume)
    segmentation = segmentation.with_known_grid(volume.geometry)
    if segmentation.geometry.is_close(volume.geometry):
        if note := same_grid_note(segmentation.geometry, volume.geometry, f"{segmentation.name} and its scan"):
            warn(note)
        return segmentation
    outside = fraction_outside(segmentation, volume.geometry)
    if outside == 1:
        raise InputError(
            f"{segmentation.name} and the scan {volume.name} lie apart: no labelled voxel is inside the scan; choose the "
            "scan that was segmented."
        )
    warn(f"{segmentation.name} has another grid than the scan and was resampled to it (nearest neighbour).")
    if outside:
        warn(
            f"{percent_text(outside)} of {segmentation.name} ({labelled_ml(segmentation) * outside:.1f} ml) lie outside the scan "
            f"{volume.name} and are left out; if it is not the scan that was segmented, choose that one."
        )
    return resample_segmentation(segmentation, volume.geometry)


def along_axis_of(card: Card | None, segmentation: Segmentation, path: Path) -> Segmentation:
    """The segmentation with the slicing axis of the network that it is checked for, where its file can't hold one itself."""
    if card is None or not (path.is_dir() or is_label_map(path)):
        return segmentation
    return replace(segmentation, slicing_axis=card.preprocessing.slicing(segmentation.geometry).axis)


def volume_name(path: Path) -> str:
    """What results of this scan are called: the file's name without its ending, or the folder's."""
    return path.resolve().name if path.is_dir() else file_stem(path)


def predict(
    predictor: Predictor, volume: Volume, what: str = "segmenting", percent: Mapping[int, np.ndarray] | None = None
) -> Prediction:
    """Predict with progress on the console; `percent` as in `Predictor.predict`."""
    axis = slicing_axis(predictor.preprocessing.slicing(volume.geometry).axis)
    with progress(f"{what} {volume.name}", axis.in_words("slices")) as show:
        return predictor.predict(volume, show, percent=percent)
