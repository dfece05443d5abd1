"""Segment scans slice by slice with a checkpoint.

  unetseg segment scan.nii.gz --output results
  unetseg segment a.nii.gz b.nrrd dicom_folder --checkpoint heart.pt --output results --nifti

NAME.seg.nrrd opens in 3D Slicer as a segmentation with names, colours and terminology, in the scan's own grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def add_options(parser: Any) -> None:
    from . import RESAMPLE_HELP

    parser.add_argument("scans", nargs="+", type=Path, help="image files, or folders with one DICOM series each")
    parser.add_argument("--checkpoint", type=Path, help="trained checkpoint (default: the one that is shipped)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--nifti", action="store_true", help="also NAME.nii.gz with the label values of the data set")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--resample", action="store_true", help=RESAMPLE_HELP)


def run(options: Any) -> None:
    from UNetSegmenterLib.engine.memory import keep_freed_memory
    from UNetSegmenterLib.engine.segmentation import write_labelmap, write_seg_nrrd

    from ..console import say
    from ..output import output_folder
    from ..predicting import open_predictor, predict, read_scan, volume_name

    keep_freed_memory()
    names = [volume_name(scan) for scan in options.scans]
    _check_names(names)
    predictor = open_predictor(options.checkpoint, options.device)
    say(f"{predictor.checkpoint.card.title} on {predictor.device_name}")
    with output_folder(options.output) as folder:
        for scan, name in zip(options.scans, names, strict=True):
            prediction = predict(predictor, read_scan(scan, options.resample))
            write_seg_nrrd(prediction.segmentation, folder / f"{name}.seg.nrrd")
            written = f"{folder / name}.seg.nrrd"
            if options.nifti:
                write_labelmap(prediction.segmentation, folder / f"{name}.nii.gz")
                written += f" and {name}.nii.gz"
            rate = prediction.slices / prediction.seconds
            say(f"{written}: {prediction.slices} slices in {prediction.seconds:.1f} s, {rate:.1f} slices/s")


def _check_names(names: list[str]) -> None:
    from UNetSegmenterLib.engine.errors import InputError

    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f'{names.count(name)} scans are called "{name}", so one result would overwrite the other; '
                "rename them or use one --output each."
            )
