"""A scan of 1,500 slices, as one file and as a DICOM series: read, segmented, checked and written like any other."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.image_writing import write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.prediction import Predictor
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check

from ..engine.checkpoints import small_card, small_weights
from ..engine.dicom_files import write_slices
from .harness import Bug, Tally

NAME = "1,500 slices"
TRIED = "a scan of 1,500 slices: read from a file and a series, segmented, written, read, compared, checked; part of it alone"
FULL, SHORT = 256, 16
"""Rows and columns of a slice."""
SLICES = 1500


def run(tally: Tally, count: int) -> None:
    """One scan; `count` is the size of its slices."""
    tally.most_seconds = 3600
    hu = np.random.default_rng(tally.seed).normal(0, 60, (SLICES, count, count)).astype(np.int16)
    hu[:, count // 4 : count // 2, count // 4 : -count // 4] += 200
    volume = Volume(hu, Geometry(hu.shape, (1.0, 2.0, 2.0)), "long")
    tally.try_one(lambda: file_is_read(tally.folder / "long.nii.gz", volume), "as NIfTI")
    tally.try_one(lambda: series_is_read(tally.folder / "series", hu[:, :16, :16]), "as a DICOM series")
    tally.try_one(lambda: segmented(tally.folder, volume), "segmented, written, read, compared, checked")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    tally.notes.append(
        f"{SLICES} slices of {count} x {count}, {hu.nbytes / 1e6:,.0f} MB of voxels; peak memory {peak:.1f} GB"
    )


def file_is_read(path: Path, volume: Volume) -> None:
    """Write the scan and read it."""
    write_volume(volume, path)
    if not np.array_equal(read_volume(path).array, volume.array):
        raise Bug("other voxels than were written")


def series_is_read(folder: Path, hu: np.ndarray) -> None:
    """1,500 files of one slice each."""
    hu = hu.clip(-1000, 3000)
    write_slices(folder, hu, [(0.0, 0.0, float(number)) for number in range(len(hu))])
    found = read_volume(folder)
    if not np.array_equal(found.array, hu) or found.geometry.spacing_mm[0] != 1:
        raise Bug("other voxels than the files have")


def segmented(folder: Path, volume: Volume) -> None:
    """Predict, and compare with the prediction of 60 slices alone, whose middle sees the same neighbours."""
    card = small_card()
    save_checkpoint(folder / "small.pt", card, small_weights(card))
    predictor = Predictor(load_checkpoint(folder / "small.pt"), "cpu")
    whole = predictor.predict(volume).segmentation
    begin, end, rim = 1400, 1460, 5
    part = Volume(
        volume.array[begin:end], Geometry((end - begin, *volume.array.shape[1:]), volume.geometry.spacing_mm), "part"
    )
    alone = predictor.predict(part).segmentation.labels
    if not np.array_equal(whole.labels[begin + rim : end - rim], alone[rim:-rim]) or not whole.labels.any():
        raise Bug("the labels of a part differ from those of the whole scan")
    write_seg_nrrd(whole, folder / "long.seg.nrrd")
    again = read_segmentation(folder / "long.seg.nrrd", whole.structures)
    if not np.array_equal(again.labels, whole.labels):
        raise Bug("other labels than were written")
    for row in compare(whole, again).rows:
        if row.measures is not None and row.measures.dice not in (None, 1.0) and not np.isnan(row.measures.dice):
            raise Bug(f"a Dice of {row.measures.dice} with itself")
    if volume.array.shape[1] <= 64:
        check(whole, volume)
