"""All main steps on a sample scan: fetch it, segment it, compare, and leave pictures, a report and a Slicer scene.

The sample is a CT from the source distribution of the Python package totalsegmentator, which pip fetches once (38 MB), after a
question or with --fetch, and which is kept for the next time. Its reference was made by TotalSegmentator, not by an expert;
this is noted beside every number.

  unetseg demo
  unetseg demo --scan mine.nii.gz --reference mine.seg.nrrd --output mine
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import asked, print_line, progress, table
from ..output_folder import RESULTS, Outputs, output_folder
from .parser import CommandParser
from .shared_options import add_device, add_distinct_colors, add_no_postprocessing

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation
    from UNetSegmenterLib.engine.model.prediction import Predictor


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--output", type=Path, default=Path("demo-output"), metavar="DIR", help="folder for the results"
    )
    parser.add_argument("--scan", type=Path, help="a scan of your own instead of the sample")
    parser.add_argument("--reference", type=Path, help="segmentation of your own scan to compare with")
    parser.add_argument("--checkpoint", type=Path, help="trained checkpoint (default: the one that is shipped)")
    add_device(parser)
    add_no_postprocessing(parser)
    add_distinct_colors(parser)
    parser.add_argument("--fetch", action="store_true", help="fetch the sample without a question if it is not there")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where the sample is kept (default: the user's cache)"
    )


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    writes = (*RESULTS, "pictures/*.png", "*.seg.nrrd", "*.mrb")
    return Outputs(options.output, writes, (options.scan, options.reference, options.checkpoint))


def run(options: Any) -> None:
    """Segment, compare and write the results."""
    from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
    from UNetSegmenterLib.engine.model.device import keep_freed_memory

    from ..evaluation.scan_prediction import open_predictor, predict

    keep_freed_memory()
    predictor = open_predictor(options.checkpoint, options.device, postprocessing=not options.no_postprocessing)
    volume, reference, note = _material(options, predictor)
    card = predictor.checkpoint.card
    print_line(f"{volume.name} with {card.title} on {predictor.device_name}")
    with output_folder(options.output) as folder:
        prediction = predict(predictor, volume)
        rate = prediction.slices / prediction.seconds
        print_line(f"{counted(prediction.slices, 'slice')} in {prediction.seconds:.1f} s, {rate:.1f} slices/s")
        if changed := prediction.segmentation.changes_text():
            print_line(changed)
        write_seg_nrrd(prediction.segmentation, folder / f"{volume.name}.seg.nrrd")
        left = [f"{volume.name}.seg.nrrd"]
        if reference is None:
            left += _show(folder, volume, prediction.segmentation, predictor, distinct=options.distinct_colors)
        else:
            sides = (prediction.segmentation, reference)
            left += _compare(folder, volume, sides, note, predictor, distinct=options.distinct_colors)
    print_line(f"written to {folder}/: {', '.join(left)}")


def _material(options: Any, predictor: Predictor) -> tuple[Volume, Segmentation | None, str]:
    """Scan, reference and who made the reference."""
    from UNetSegmenterLib.engine.labels.segmentation_files import need_of_grid, read_segmentation

    from ..data.sample_download import REFERENCE_DESCRIPTION, read_sample
    from ..evaluation.scan_prediction import read_scan

    if options.scan is None:
        if options.reference is not None:
            raise InputError("--reference goes with --scan; the sample scan brings its own reference.")
        sample = read_sample(options.cache, None if options.fetch else _may_fetch)
        return sample.volume, sample.reference, REFERENCE_DESCRIPTION
    volume, reference = read_scan(options.scan, card=predictor.checkpoint.card), None
    if options.reference is not None:
        labelled = predictor.checkpoint.card.structures
        grid = volume.geometry if need_of_grid(options.reference) else None
        reference = read_segmentation(options.reference, labelled, named_ones=True, grid=grid)
    return volume, reference, f"reference {options.reference.name}" if options.reference else ""


def _may_fetch() -> bool:
    """Whether the user agrees to a download; where nobody can be asked, the option has to say so."""
    return asked("The sample scan is not here yet. Fetch 38 MB by pip, once, with a pinned SHA-256? [y/N] ")


def _compare(
    folder: Path,
    volume: Volume,
    sides: tuple[Segmentation, Segmentation],
    note: str,
    predictor: Predictor,
    *,
    distinct: bool,
) -> list[str]:
    from UNetSegmenterLib.engine.evaluation.comparison import compare, with_distinct_colors
    from UNetSegmenterLib.engine.plausibility.plausibility_checks import check
    from UNetSegmenterLib.engine.plausibility.training_statistics import limits_text
    from UNetSegmenterLib.engine.report.niivue_viewer import viewer_data
    from UNetSegmenterLib.engine.report.page_elements import CaseMaterial
    from UNetSegmenterLib.engine.report.report_folder import provenance, write_results
    from UNetSegmenterLib.engine.report.slice_pictures import slice_pictures

    from ..evaluation.result_table import print_results
    from ..evaluation.scene_files import dice_captions, row_colors, write_scene_files

    card, (prediction, reference) = predictor.checkpoint.card, sides
    with progress("comparing", "structures") as show:
        comparison = compare(prediction, reference, volume.name, progress=show)
    if distinct:
        comparison = with_distinct_colors(comparison)
    facts = provenance(predictor.checkpoint, predictor.device_name, scan=volume.name, reference=note)
    files = write_scene_files(
        volume,
        prediction,
        reference,
        title=f"{volume.name}: {card.title} against {note}",
        names=("Prediction", note[:1].upper() + note[1:]),
        captions=dice_captions(comparison),
        colors=row_colors(comparison) if distinct else None,
        pictures_folder=folder / "pictures",
        scene_path=folder / f"{volume.name}.mrb",
        provenance=facts,
    )
    findings = check(prediction, volume, card.statistics or None)
    pictures = (*files.pictures, *slice_pictures(volume, prediction, reference, comparison))
    viewer = viewer_data(comparison, volume, prediction, reference)
    material = {volume.name: CaseMaterial(pictures, findings, viewer=viewer, limits=limits_text(card.statistics))}
    summary = write_results(
        folder, f"{volume.name}: {card.title}", [comparison], facts, material=material, reference_note=note
    )
    print_results([comparison], summary, volume.name, note)
    return ["report.html", "summary.json", "metrics.csv", *_names(files, folder)]


def _show(folder: Path, volume: Volume, prediction: Segmentation, predictor: Predictor, *, distinct: bool) -> list[str]:
    """Without a reference: pictures, scene and the volume of each structure."""
    import json

    import numpy as np
    from UNetSegmenterLib.engine.io.atomic_files import write_text
    from UNetSegmenterLib.engine.labels.distinct_colors import distinct_colors
    from UNetSegmenterLib.engine.report.report_folder import provenance

    from ..evaluation.scene_files import write_scene_files

    names = [structure.name for structure in prediction.structures]
    facts = provenance(predictor.checkpoint, predictor.device_name, scan=volume.name)
    files = write_scene_files(
        volume,
        prediction,
        None,
        title=volume.name,
        names=("Prediction", ""),
        colors=dict(zip(names, distinct_colors(names), strict=True)) if distinct else None,
        pictures_folder=folder / "pictures",
        scene_path=folder / f"{volume.name}.mrb",
        provenance=facts,
    )
    voxels = np.bincount(prediction.labels.ravel(), minlength=256)
    volumes_ml = {part.name: float(voxels[part.index] * prediction.geometry.voxel_ml) for part in prediction.structures}
    table(("structure", "ml"), [(name, f"{ml:.0f}") for name, ml in volumes_ml.items()], volume.name)
    text = json.dumps({"cases": 1, "volumes_ml": volumes_ml, "provenance": facts}, indent=2) + "\n"
    write_text(folder / "summary.json", text)
    return ["summary.json", *_names(files, folder)]


def _names(files: Any, folder: Path) -> list[str]:
    scene = [files.scene_path.name] if files.scene_path else []
    return [*scene, *(str(path.relative_to(folder)) for path in files.picture_paths)]
