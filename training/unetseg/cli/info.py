"""Describe a scan, a whole data set, or a model, before the one is used with the other.

A data set is a folder as `unetseg prepare` reads it: the output has one row per case, the ranges over the set, and a list of
the cases that differ from the others or that can't be used.

  unetseg info scan.nii.gz
  unetseg info scan.nii.gz --label scan_label.nii.gz --plot scan.png
  unetseg info dicom_folder
  unetseg info Dataset001_Abdomen --plot abdomen.png
  unetseg info abdomen.pt                               (what a checkpoint or an ONNX file with a card segments and reads)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, progress, quoted, table, warn
from ..output_folder import Outputs
from .argument_types import non_negative_integer
from .parser import CommandParser
from .shared_options import add_resample

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation

    from ..data.fingerprint import CaseFacts, UnusableCase

MODEL_ENDINGS = (".pt", ".onnx")
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
STRUCTURES_PER_TABLE = 8  # columns that a line has room for
FEW_CASES = 20  # read in one process: starting others takes longer


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "scan",
        type=Path,
        help="NIfTI, NRRD or MetaImage file, a folder with one DICOM series, a data set, or a checkpoint (.pt, .onnx)",
    )
    parser.add_argument("--label", type=Path, metavar="FILE", help="segmentation of the scan, for its structures")
    parser.add_argument(
        "--plot", type=Path, metavar="PNG", help="also draw it: histograms and slices; for a data set, distributions"
    )
    parser.add_argument(
        "--workers",
        type=non_negative_integer,
        default=0,
        help="processes that read a data set (default: one per core if it is large)",
    )
    add_resample(parser)


def outputs(options: Any) -> Outputs | None:
    """What this command writes and reads."""
    return Outputs(options.plot, inputs=(options.scan, options.label), endings=(".png",)) if options.plot else None


def run(options: Any) -> None:
    """Print the facts of a scan or a data set."""
    from ..data.dataset import resampled
    from ..data.layouts.detection import holds_images, read_dataset

    if options.scan.suffix.lower() in MODEL_ENDINGS:
        if options.label or options.plot:
            raise InputError(f"{options.scan} is a model; --label and --plot are for scans, leave them out.")
        _print_model(options.scan)
        return
    _refuse_own_folders(options.scan)
    if options.plot:
        from ..plots.plotting import check_plotting

        check_plotting()
    if not (options.scan.is_dir() and holds_images(options.scan)):
        _print_scan(options.scan, options.label, options.plot, options.resample)
        return
    if options.label:
        raise InputError(f"{options.scan} is a data set, which has labels of its own; leave --label out.")
    dataset = read_dataset(options.scan, collect_problems=True)
    _print_dataset(resampled(dataset) if options.resample else dataset, options.plot, options.workers)


def _refuse_own_folders(path: Path) -> None:
    """Raise InputError for a folder that another command wrote, with what is shown instead."""
    for model in (path / "checkpoint.pt", path / "fold0" / "checkpoint.pt"):
        if model.is_file():
            raise InputError(f"{path} is the folder of a training; its model is shown by: unetseg info {quoted(model)}")
    if (path / "pack.json").is_file():
        raise InputError(
            f"{path} is a preprocessed data set; name the data set that it was prepared from, or read {path / 'plan.yaml'}."
        )


def _print_model(path: Path) -> None:
    """What a model segments and reads, and how well it does, from its card."""
    from UNetSegmenterLib.engine.model.card_facts import dice_text, input_facts, training_facts
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
    from UNetSegmenterLib.engine.model.postprocessing_steps import step_texts
    from UNetSegmenterLib.engine.plausibility.training_statistics import limits_text

    checkpoint = load_checkpoint(path)
    card = checkpoint.card
    facts = [("Title", card.title), ("Description", card.description), *training_facts(card)]
    facts += [("Citation", card.data_citation), *input_facts(card, max(1, len(checkpoint.weights)))]
    facts += [("Plausibility", limits_text(card.statistics).removeprefix("limits: "))]
    facts += [("File", f"{path.stat().st_size / 1e6:.1f} MB, SHA-256 {checkpoint.sha256}")]
    _print_facts({name: text for name, text in facts if text})
    rows = [
        (str(one.index), one.name, "+".join(map(str, one.values)), dice_text(card.validation.get(one.name)))
        for one in card.structures
    ]
    table(("index", "structure", "label values", "validation Dice"), rows)
    for text in step_texts(card.postprocessing, {one.index: one.name for one in card.structures}):
        print_line(f"afterwards: {text}")


# --- one scan ------------------------------------------------------------------------------------------------------------


def _print_scan(scan: Path, label: Path | None, plot: Path | None, resample: bool) -> None:
    from UNetSegmenterLib.engine.io.image_reading import is_dicom, read_volume
    from UNetSegmenterLib.engine.io.volume import check_volume

    from ..data.fingerprint import slice_jump_text, slice_jumps
    from ..data.source_checks import clipped_ends, clipped_text

    volume = read_volume(scan, resample)
    segmentation = _segmentation(volume, label, resample) if label else None
    _print_facts(describe(volume, scan.is_dir() or is_dicom(scan)))
    for note in check_volume(volume):
        if note.severity == "info":
            print_line(f"{'note':<14}  {note.text}")
        else:
            warn(f"{volume.name}: {note.text}")
    for text in filter(None, (clipped_text(clipped_ends(volume)), _default_spacing(volume))):
        warn(f"{volume.name}: {text}")
    for after in slice_jumps(volume):
        warn(f"{volume.name}: {slice_jump_text(after)}")
    if segmentation is not None:
        table(("structure", "ml", "slices", "HU 5 %", "50 %", "95 %"), structure_rows(volume, segmentation))
    if plot:
        from ..plots.scan_plot import plot_scan

        plot_scan(volume, plot, segmentation)
        print_line(f"{'plot':<14}  {plot}")


def _print_facts(facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    for name, text in facts.items():
        print_line(f"{name:<{width}}  {text}")


def _default_spacing(volume: Volume) -> str:
    from ..data.source_checks import default_spacing_text

    return default_spacing_text(volume.geometry.axial_spacing_mm, volume.geometry.axial_shape)


def describe(volume: Volume, dicom: bool) -> dict[str, str]:
    """The facts of a scan, as name and text; uneven slices were refused already, or resampled."""
    import numpy as np
    from UNetSegmenterLib.engine.io.geometry import sizes_text

    geometry = volume.geometry
    slices, rows, columns = geometry.axial_shape
    between, row_mm, column_mm = geometry.axial_spacing_mm
    across = [n * mm for n, mm in zip((columns, rows, slices), (column_mm, row_mm, between), strict=True)]
    percentiles = np.percentile(volume.array, PERCENTILES)
    angle = geometry.obliqueness_degrees()
    resampled = any("resampled" in note.text for note in volume.notes)
    even = "--resample" if resampled else "positions of all slices" if dicom else "file, which holds one distance"
    stored = geometry.shape_text()
    return {
        "scan": volume.name,
        "size": f"{columns} x {rows} pixels, {counted(slices, 'axial slice')} (stored as {stored}, {volume.array.dtype})",
        "spacing": f"{column_mm:.4g} x {row_mm:.4g} mm in the slice",
        "slice distance": f"{between:.4g} mm, even by the {even}",
        "field of view": sizes_text(across, ".0f") + " mm (right-left, front-back, feet-head)",
        "orientation": geometry.orientation() + (f", oblique by {angle:.1f} degrees" if angle > 0.1 else ""),
        "origin": " ".join(f"{mm:.2f}" for mm in geometry.origin_lps) + " mm (LPS)",
        "HU": f"{volume.array.min():g} to {volume.array.max():g}, mean {volume.array.mean(dtype=float):.1f}",
        "HU percentiles": ", ".join(f"{p} %: {hu:.0f}" for p, hu in zip(PERCENTILES, percentiles, strict=True)),
    }


def _segmentation(volume: Volume, label: Path, resample: bool) -> Segmentation:
    from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation

    from ..data.fingerprint import check_same_grid
    from ..data.layouts.detection import declared_structures

    segmentation = read_segmentation(label, declared_structures(label), resample=resample, grid=volume.geometry)
    return check_same_grid(volume, segmentation, label)


def structure_rows(volume: Volume, segmentation: Segmentation) -> list[list[str]]:
    """Rows with name, volume in ml, number of axial slices and HU percentiles of each structure."""
    import numpy as np

    rows = []
    for structure in segmentation.structures:
        mask = segmentation.mask(structure.index)
        inside = volume.array[mask]
        if not inside.size:
            rows.append([structure.name, "absent", "", "", "", ""])
            continue
        slices = volume.geometry.to_axial(mask).any(axis=(1, 2)).sum()
        hu = [f"{value:.0f}" for value in np.percentile(inside, (5, 50, 95))]
        rows.append([structure.name, f"{inside.size * volume.geometry.voxel_ml:.1f}", str(slices), *hu])
    return rows


# --- a data set ----------------------------------------------------------------------------------------------------------


def _print_dataset(dataset: Any, plot: Path | None, workers: int) -> None:
    from ..data.dataset_summary import HEADERS, differences, row_of, summary
    from ..data.fingerprint import CaseFacts

    print_line(dataset.describe())
    found = _inspect(dataset, workers)
    known = [facts for facts in found if isinstance(facts, CaseFacts)]
    if known:
        table(HEADERS, map(row_of, known))
        _print_structures(known)
        _print_facts(summary(known))
    patients = {case.name: case.patient_or_name for case in dataset.cases}
    findings = [*dataset.problems, *differences(found, patients)]
    print_line()
    print_line("Look at:" if findings else "No case differs from the others.")
    for sentence in findings:
        print_line(f"  {sentence}")
    if plot and known:
        from ..plots.dataset_plot import plot_dataset

        plot_dataset(dataset.name, known, dataset.structures, plot)
        print_line(f"plot: {plot}")


def _inspect(dataset: Any, workers: int) -> list[CaseFacts | UnusableCase]:
    from ..data.fingerprint import inspect_cases

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = workers or (1 if len(dataset.cases) < FEW_CASES else min(cores, 8))
    found = []
    with progress("reading", "cases") as show:
        for facts in inspect_cases(dataset, workers):
            found.append(facts)
            show(len(found), len(dataset.cases))
    return found


def _print_structures(known: list[CaseFacts]) -> None:
    """Two tables, one row per case: the volume of each structure, and the median of its HU."""
    for heading, texts_of in (("volumes, ml", _volume_texts), ("median HU", _hu_texts)):
        _print_by_structure(heading, [(facts.name, texts_of(facts)) for facts in known])


def _print_by_structure(heading: str, texts: list[tuple[str, dict[str, str]]]) -> None:
    names = list(texts[0][1])
    for start in range(0, len(names), STRUCTURES_PER_TABLE):
        shown = names[start : start + STRUCTURES_PER_TABLE]
        table((heading, *shown), [[case, *(of_case[name] for name in shown)] for case, of_case in texts])


def _volume_texts(facts: CaseFacts) -> dict[str, str]:
    return {name: f"{ml:.1f}" if ml else "-" for name, ml in facts.structure_ml.items()}


def _hu_texts(facts: CaseFacts) -> dict[str, str]:
    from ..data.dataset_summary import structure_hu

    return {name: "-" if hu is None else f"{hu:.0f}" for name, hu in structure_hu(facts).items()}
