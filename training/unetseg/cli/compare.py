"""Compare a segmentation with a reference: Dice, surface distances in mm, volumes, slice by slice.

Each of the two is a .seg.nrrd of Slicer, a DICOM segmentation or structure set, a label map, or a folder with one binary file
per structure. Structures are matched by terminology, then by name, and by label value only where neither side has a name.
Structures that overlap but have no name that matches ("Segment_1", "label 1") are not compared; a warning proposes the option
--pair for them. A file with one value is the structure that it is named after (liver.nii.gz).

  unetseg compare results/case1.seg.nrrd case1_liver.seg.nrrd --scan case1.nii.gz --output compared
  unetseg compare results/case1.seg.nrrd drawn.seg.nrrd --output compared --pair "liver=Segment_1"
  unetseg compare results/case1.seg.nrrd labelsTr/case1.nii.gz --reference-labels abdomen8.pt --output compared

In the last one the values of labelsTr/case1.nii.gz mean what they meant in the data set that the checkpoint was trained on.

DIR gets metrics.csv, summary.json and report.html, in which the prediction's plausibility is checked too, as unetseg check
does. With --scan also pictures, a viewer in the report, and a Slicer scene.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, progress, warn
from ..output_folder import RESULTS, Outputs, output_folder
from .argument_types import number, positive_integer
from .parser import CommandParser
from .shared_options import add_distinct_colors, add_resample

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.evaluation.comparison import Comparison
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation
    from UNetSegmenterLib.engine.labels.structures import Structure


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument("prediction", type=Path, help="segmentation to compare")
    parser.add_argument("reference", type=Path, help="segmentation to compare it with")
    parser.add_argument("--scan", type=Path, help="the CT, for pictures, the report's viewer and a Slicer scene")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    for side in ("prediction", "reference"):
        parser.add_argument(
            f"--{side}-labels",
            type=Path,
            metavar="FILE",
            help=f"checkpoint, .seg.nrrd or nnU-Net's dataset.json that says what the {side}'s label values mean",
        )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="the same for the one of the two that is a label map; refused if both are",
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="checkpoint whose training labels the plausibility checks compare with"
    )
    parser.add_argument(
        "--pair",
        nargs="+",
        action="extend",
        default=[],
        metavar="A=B",
        help="structure A of the prediction is B of the reference; A= leaves A out",
    )
    parser.add_argument(
        "--ignore-value",
        type=positive_integer,
        metavar="VALUE",
        help="label value of the reference's voxels that are not decided (nnU-Net's ignore label): they count nowhere",
    )
    parser.add_argument(
        "--tolerance", type=number, default=2.0, metavar="MM", help="tolerance of the normalised surface distance (NSD)"
    )
    add_resample(parser)
    add_distinct_colors(parser)


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    writes = (*RESULTS, "pictures/*.png", "scene.mrb")
    meanings = (options.labels, options.prediction_labels, options.reference_labels)
    inputs = (options.prediction, options.reference, options.scan, *meanings, options.checkpoint)
    return Outputs(options.output, writes, inputs)


def run(options: Any) -> None:
    """Compare, print the table and write the report."""
    from UNetSegmenterLib.engine.evaluation.comparison import compare, with_distinct_colors
    from UNetSegmenterLib.engine.evaluation.measures import check_tolerance
    from UNetSegmenterLib.engine.io.file_names import file_stem, refuse_undecodable
    from UNetSegmenterLib.engine.model.checkpoint import read_card
    from UNetSegmenterLib.engine.plausibility.plausibility_checks import check
    from UNetSegmenterLib.engine.plausibility.training_statistics import limits_text
    from UNetSegmenterLib.engine.report.niivue_viewer import viewer_data
    from UNetSegmenterLib.engine.report.page_elements import CaseMaterial
    from UNetSegmenterLib.engine.report.report_folder import provenance, write_results
    from UNetSegmenterLib.engine.report.slice_pictures import slice_pictures

    from ..evaluation.result_table import print_results
    from ..evaluation.scan_prediction import along_axis_of, on_grid_of, read_scan
    from ..evaluation.scene_files import SceneFiles, dice_captions, row_colors, write_scene_files

    for path in filter(None, (options.prediction, options.reference, options.scan)):
        refuse_undecodable(path)
    if options.prediction.resolve() == options.reference.resolve():
        warn(f"prediction and reference are both {options.reference}, so they agree in every voxel")
    card = read_card(options.checkpoint) if options.checkpoint else None
    check_tolerance(options.tolerance)
    volume = read_scan(options.scan, options.resample, card) if options.scan else None
    prediction, reference = _segmentations(options, volume)
    prediction = along_axis_of(card, prediction, options.prediction)
    findings = check(
        on_grid_of(volume, prediction) if volume else prediction, volume, (card and card.statistics) or None
    )
    case = file_stem(options.reference)
    with output_folder(options.output) as folder:
        with progress("comparing", "structures") as show:
            comparison = compare(
                prediction, reference, case, progress=show, tolerance_mm=options.tolerance, by_hand=_pairs(options.pair)
            )
        if options.distinct_colors:
            comparison = with_distinct_colors(comparison)
        files, viewer = SceneFiles(), None
        pictures: tuple[tuple[str, bytes], ...] = ()
        if volume is not None:
            files = write_scene_files(
                volume,
                prediction,
                reference,
                title=case,
                captions=dice_captions(comparison),
                colors=row_colors(comparison) if options.distinct_colors else None,
                pictures_folder=folder / "pictures",
                scene_path=folder / "scene.mrb",
            )
            pictures = slice_pictures(volume, prediction, reference, comparison)
            viewer = viewer_data(comparison, volume, prediction, reference)
        facts = provenance(prediction=str(options.prediction), reference=str(options.reference))
        limits = limits_text(card.statistics if card else None, model=card is not None)
        material = {case: CaseMaterial((*files.pictures, *pictures), findings, viewer=viewer, limits=limits)}
        summary = write_results(folder, f"Comparison: {case}", [comparison], facts, material=material)
    print_results([comparison], summary, case)
    _propose(comparison)
    print_line(
        f"{folder}: metrics.csv, summary.json, report.html" + (", pictures, scene.mrb" if files.pictures else "")
    )


def _segmentations(options: Any, volume: Volume | None) -> tuple[Segmentation, Segmentation]:
    """Prediction and reference; one without a grid of its own gets that of the scan or of the other."""
    from UNetSegmenterLib.engine.labels.dicom_references import check_same_patient_space
    from UNetSegmenterLib.engine.labels.ignored import ignored_structure, with_value_ignored
    from UNetSegmenterLib.engine.labels.segmentation_files import need_of_grid, read_segmentation

    paths, declared = (options.prediction, options.reference), _declared(options)
    grid = None if volume is None else volume.geometry
    found: dict[int, Segmentation] = {}
    for side in sorted((0, 1), key=lambda side: need_of_grid(paths[side])):
        structures = _structures(declared[side])
        if side and structures and options.ignore_value is not None:
            structures = (*structures, ignored_structure(options.ignore_value))
        found[side] = read_segmentation(
            paths[side],
            structures,
            named_ones=True,
            resample=options.resample,
            grid=grid if need_of_grid(paths[side]) else None,
        )
        grid = grid or found[side].geometry
        if volume is not None:
            check_same_patient_space(found[side], volume)
    prediction, reference = found[0], found[1]
    if options.ignore_value is not None and reference.ignored is None:
        reference = with_value_ignored(reference, options.ignore_value)
    prediction = prediction.with_known_grid(reference.geometry)
    reference = reference.with_known_grid(prediction.geometry)
    return prediction, reference


def _declared(options: Any) -> tuple[Path | None, Path | None]:
    """The files that define the label values of prediction and reference."""
    from UNetSegmenterLib.engine.labels.segmentation_files import is_label_map

    own = [options.prediction_labels, options.reference_labels]
    if options.labels is None:
        return own[0], own[1]
    maps = [is_label_map(path) for path in (options.prediction, options.reference)]
    if sum(maps) != 1:
        found = (
            "both are label maps" if all(maps) else "none is a label map; segments and files have names of their own"
        )
        raise InputError(
            f"--labels {options.labels} says what the values of a label map mean, but of {options.prediction} and "
            f"{options.reference} {found}: use --prediction-labels or --reference-labels, or neither."
        )
    return (options.labels, own[1]) if maps[0] else (own[0], options.labels)


def _propose(comparison: Comparison) -> None:
    """Warn of structures that overlap but have no name that matches, with the option to add."""
    if comparison.proposals:
        pairs = " ".join(shlex.quote(f"{one.prediction}={one.reference}") for one in comparison.proposals)
        warn(
            f"{counted(len(comparison.proposals), 'pair')} of structures overlap without a name that matches; if they are the "
            f"same, compare again with --pair {pairs}"
        )


def _structures(labels: Path | None) -> tuple[Structure, ...] | None:
    if labels is None:
        return None
    if labels.suffix.lower() in (".pt", ".onnx"):
        from UNetSegmenterLib.engine.model.checkpoint import read_card

        return read_card(labels).structures
    if labels.suffix.lower() == ".json":
        from ..data.layouts.nnunet import read_nnunet_structures

        return read_nnunet_structures(labels)
    from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation

    return read_segmentation(labels).structures


def _pairs(texts: list[str]) -> dict[str, str | None]:
    pairs: dict[str, str | None] = {}
    for text in texts:
        prediction, equals, reference = text.partition("=")
        if not equals:
            raise InputError(f'--pair "{text}" is no pair; write it as "NAME IN PREDICTION=NAME IN REFERENCE".')
        pairs[prediction] = reference or None
    return pairs
