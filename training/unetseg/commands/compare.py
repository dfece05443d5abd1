"""Compare a segmentation with a reference: Dice, surface distances in mm, volumes, slice by slice.

Each of the two is a .seg.nrrd of Slicer, a label map, or a folder with one binary file a structure. Structures are paired
by terminology, then by name, then by label value; --pair does it by hand.

  unetseg compare results/case1.seg.nrrd labels/case1.nii.gz --labels results/case1.seg.nrrd --output compared
  unetseg compare a.seg.nrrd b.seg.nrrd --scan case1.nii.gz --output compared --pair "Segment_1=liver"

DIR gets metrics.csv, summary.json and report.html, in which the prediction's plausibility is judged too, as unetseg check
does. With --scan also pictures, a viewer in the report, and a Slicer scene.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.structures import Structure


def add_options(parser: Any) -> None:
    from . import RESAMPLE_HELP

    parser.add_argument("prediction", type=Path, help="segmentation to judge")
    parser.add_argument("reference", type=Path, help="segmentation to judge it by")
    parser.add_argument("--scan", type=Path, help="the CT, for pictures, the report's viewer and a Slicer scene")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="checkpoint or .seg.nrrd that says what label values mean",
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="checkpoint whose training labels are the yardstick of plausibility"
    )
    parser.add_argument(
        "--pair", nargs="+", default=[], metavar="A=B", help="structure A of the prediction is B of the reference"
    )
    parser.add_argument("--tolerance", type=float, default=2.0, metavar="MM", help="of the normalised surface distance")
    parser.add_argument("--resample", action="store_true", help=RESAMPLE_HELP)


def run(options: Any) -> None:
    from UNetSegmenterLib.engine.checkpoint import read_card
    from UNetSegmenterLib.engine.comparison import compare
    from UNetSegmenterLib.engine.findings import check
    from UNetSegmenterLib.engine.report import CaseMaterial, slice_pictures, viewer_data
    from UNetSegmenterLib.engine.segmentation import file_stem, read_segmentation

    from ..console import progress, say
    from ..output import output_folder
    from ..predicting import on_grid_of, read_scan
    from ..results import print_results, provenance, write_results
    from ..scene_files import SceneFiles, dice_captions, write_scene_files

    structures = _structures(options.labels)
    statistics = read_card(options.checkpoint).statistics or None if options.checkpoint else None
    prediction = read_segmentation(options.prediction, structures, resample=options.resample)
    reference = read_segmentation(options.reference, structures, resample=options.resample)
    volume = read_scan(options.scan, options.resample) if options.scan else None
    findings = check(on_grid_of(volume, prediction) if volume else prediction, volume, statistics)
    case = file_stem(options.reference)
    with output_folder(options.output) as folder:
        with progress("comparing", "structures") as show:
            comparison = compare(
                prediction, reference, case, show, tolerance_mm=options.tolerance, by_hand=_pairs(options.pair)
            )
        files, viewer = SceneFiles(), None
        pictures: tuple[tuple[str, bytes], ...] = ()
        if volume is not None:
            files = write_scene_files(
                volume,
                prediction,
                reference,
                case,
                ("Prediction", "Reference"),
                dice_captions(comparison),
                folder / "pictures",
                folder / "scene.mrb",
            )
            pictures = slice_pictures(volume, prediction, reference, comparison)
            viewer = viewer_data(comparison, volume, prediction, reference)
        facts = provenance(prediction=str(options.prediction), reference=str(options.reference))
        material = {case: CaseMaterial((*files.pictures, *pictures), findings, viewer=viewer)}
        summary = write_results(folder, f"Comparison: {case}", [comparison], facts, material)
    print_results([comparison], summary, case)
    say(f"{folder}: metrics.csv, summary.json, report.html" + (", pictures, scene.mrb" if files.pictures else ""))


def _structures(labels: Path | None) -> tuple[Structure, ...] | None:
    if labels is None:
        return None
    if labels.suffix == ".pt":
        from UNetSegmenterLib.engine.checkpoint import read_card

        return read_card(labels).structures
    from UNetSegmenterLib.engine.segmentation import read_segmentation

    return read_segmentation(labels).structures


def _pairs(texts: list[str]) -> dict[str, str | None]:
    from UNetSegmenterLib.engine.errors import InputError

    pairs: dict[str, str | None] = {}
    for text in texts:
        ours, equals, theirs = text.partition("=")
        if not equals:
            raise InputError(f'--pair "{text}" pairs nothing; write it as "NAME IN PREDICTION=NAME IN REFERENCE".')
        pairs[ours] = theirs or None
    return pairs
