"""Segment scans slice by slice with a checkpoint.

  unetseg segment scan.nii.gz --output results
  unetseg segment a.nii.gz b.nrrd dicom_folder --checkpoint heart.pt --output results --nifti
  unetseg segment scan.nii.gz --checkpoint fold0.pt fold1.pt fold2.pt --output results     (an ensemble: logits averaged)
  unetseg segment Dataset001_Abdomen/imagesTs --output results --skip-existing
  unetseg segment scans.txt --output results                                (a list with one path per line)
  unetseg segment dicom_folder --output results --dicom-seg                 (a DICOM segmentation for the archive)
  unetseg segment scan.nii.gz --output results --split --structures "liver,left kidney"

NAME.seg.nrrd opens in 3D Slicer as a segmentation with names, colours and terminology, in the scan's own grid. NAME is the
scan's file name; without the channel (_0000) for images of nnU-Net, and with the folders for scans with the same file name.
On request also NAME.nii.gz (--nifti), NAME.dcm (--dicom-seg; docs/dicom.md), NAME_structures/liver.nii.gz (--split) and
NAME_liver_probability.nii.gz (--probability liver).
If a scan can't be segmented, the others still are: it is named at the end, and the exit status is 1 (2 if none can).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError, os_error_text

from ..console import print_errors, print_line, warn
from ..exit_status import BAD_INPUT, DONE, DONE_IN_PART
from ..output_folder import (
    OutputFolder,
    Outputs,
    claimed,
    made_with,
    other_source,
    refuse_output_in_input,
)
from ..stop_signals import goes_on_with
from .parser import CommandParser, add_overwrite
from .segment_results import STRUCTURES, ResultFiles, add_result_options
from .shared_options import (
    add_checkpoints,
    add_device,
    add_mirror,
    add_no_postprocessing,
    add_precision,
    add_resample,
)

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.model.prediction import Predictor

    from .scan_paths import NamedScan


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "scans",
        nargs="+",
        type=Path,
        help="image files, folders with one DICOM series each, folders of either, or lists (.txt) with one path per line",
    )
    add_checkpoints(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    add_result_options(parser)
    add_device(parser)
    add_mirror(parser)
    add_no_postprocessing(parser)
    add_precision(parser)
    parser.add_argument("--skip-existing", action="store_true", help="leave out scans that have results already")
    add_resample(parser)
    add_overwrite(parser)


def run(options: Any) -> int:
    """Segment all scans and return the exit status."""
    from UNetSegmenterLib.engine.model.device import keep_freed_memory

    from ..evaluation.scan_prediction import networks_text, open_predictor
    from .scan_paths import find_scans

    keep_freed_memory()
    refuse_output_in_input(options.output, [folder for folder in options.scans if _keeps_apart(folder, options.output)])
    scans = find_scans(options.scans)
    results = ResultFiles.of(options)
    settings = _settings(options)
    replaced = {scan for scan in scans if _is_of_another(scan, results, options)}
    done = {scan for scan in scans if options.skip_existing and _has_results(scan, results, options, settings)}
    todo = [scan for scan in scans if scan in replaced or scan not in done]
    if kept := len(scans) - len(todo):
        print_line(f"{kept} of {len(scans)} scans have results in {options.output} and are left out")
    writes = tuple(name for scan in todo for name in results.names(scan))
    inputs = (*(scan.path for scan in scans), *(options.checkpoint or ()))
    if not todo:
        return 0
    with claimed(Outputs(options.output, writes, inputs), "segment", options.overwrite, alone=False) as output:
        predictor = open_predictor(
            options.checkpoint, options.device, options.mirror, options.precision, not options.no_postprocessing
        )
        print_line(f"{predictor.checkpoint.card.title} on {predictor.device_name}{networks_text(predictor)}")
        if len(scans) == 1:
            _segment_one(todo[0], predictor, output, results, options, settings)
            return 0
        with goes_on_with("finished scans are kept, and the same command with --skip-existing segments the others"):
            return _segment_all(todo, predictor, output, results, options, settings)


def _keeps_apart(folder: Path, output: Path) -> bool:
    """Whether nothing may be written into a folder of scans: a data set whole, and of any other the folder itself.

    What lies in a folder below is known as a result the next time.
    """
    from .scan_paths import is_data_set

    return is_data_set(folder) or folder.resolve() == output.resolve()


def _segment_one(scan: NamedScan, *work: Any) -> None:
    """Segment the only scan; raises InputError, with the line of the list that named it, if it can't be."""
    try:
        _segment(scan, *work)
    except InputError as error:
        if not scan.listed_in or type(error) is not InputError:
            raise
        raise InputError(_named(scan, str(error))) from error


def _segment_all(
    scans: Sequence[NamedScan],
    predictor: Predictor,
    output: OutputFolder,
    results: ResultFiles,
    options: Any,
    settings: dict[str, str],
) -> int:
    """Segment what can be segmented, name the rest with the reasons, and return the exit status."""
    import traceback

    from UNetSegmenterLib.engine.io.atomic_files import WriteError

    failed: dict[Path, str] = {}
    for scan in scans:
        try:
            _segment(scan, predictor, output, results, options, settings)
        except WriteError:  # the others would fail as well
            raise
        except InputError as error:
            failed[scan.path] = _named(scan, str(error))
        except OSError as error:
            failed[scan.path] = _named(scan, os_error_text(error))
        except Exception as error:
            traceback.print_exc()
            failed[scan.path] = _named(scan, f"{type(error).__name__}: {error}")
        if scan.path in failed:
            warn(f"not segmented: {failed[scan.path]}")
    if failed:
        print_errors(f"{len(failed)} of {len(scans)} scans could not be segmented:", failed.values())
    if len(failed) == len(scans):
        return BAD_INPUT
    return DONE_IN_PART if failed else DONE


def _named(scan: NamedScan, reason: str) -> str:
    """Why a scan was not segmented, with its path and the line of the list that named it."""
    named = reason if str(scan.path) in reason else f"{scan.path}: {reason}"
    return f"{scan.listed_in}: {named}" if scan.listed_in else named


def _segment(
    scan: NamedScan,
    predictor: Predictor,
    output: OutputFolder,
    results: ResultFiles,
    options: Any,
    settings: dict[str, str],
) -> None:
    """Segment one scan and write its results, unless another run does so now or has just done it."""
    from UNetSegmenterLib.engine.io.atomic_files import locked
    from UNetSegmenterLib.engine.io.file_names import refuse_undecodable
    from UNetSegmenterLib.engine.io.slicing_axis import slicing_axis

    from ..evaluation.scan_prediction import predict, read_scan

    refuse_undecodable(scan.path)
    with locked(output.path / f".{scan.name.replace('/', '_')}.lock", wait_seconds=0):
        if (
            options.skip_existing
            and _has_results(scan, results, options, settings)
            and not _is_of_another(scan, results, options)
        ):
            return
        results.check_scan(scan.path)
        volume = read_scan(scan.path, options.resample, predictor.checkpoint.card)
        percent = results.percent(volume)
        prediction = predict(predictor, volume, percent=percent)
        results.write(prediction.segmentation, percent, predictor.checkpoint, scan, output.path)
        names = results.names(scan)
        output.record(names, scan.path, settings)
    rate = prediction.slices / prediction.seconds
    count = slicing_axis(prediction.segmentation.slicing_axis).in_words(counted(prediction.slices, "slice"))
    whole = [name for name in names if not name.startswith(f"{scan.name}{STRUCTURES}/")]
    written = ", ".join([str(output.path / whole[0]), *whole[1:], *results.summary(scan)])
    print_line(f"{written}: {count} in {prediction.seconds:.1f} s, {rate:.1f} slices/s")
    if changed := prediction.segmentation.changes_text():
        print_line(changed)


def _settings(options: Any) -> dict[str, str]:
    """What decides the labels of a scan: the networks by the hashes of their files, and options that are not the default."""
    from ..data.preprocessed_dataset import sha256
    from ..evaluation.scan_prediction import checkpoint_path

    files = [path for path in options.checkpoint or [checkpoint_path(None)] if path.is_file()]
    chosen = {
        "mirroring": "yes" if options.mirror else "",
        "postprocessing": "no" if options.no_postprocessing else "",
        "precision": options.precision if options.precision != "auto" else "",
    }
    networks = {"networks": " ".join(sorted(sha256(path) for path in files))}
    return networks | {name: value for name, value in chosen.items() if value}


def _has_results(scan: NamedScan, results: ResultFiles, options: Any, settings: dict[str, str]) -> bool:
    """Whether all results of a scan are there, made by the networks and with the options of now."""
    paths = [options.output / name for name in results.names(scan)]
    return all(path.exists() and made_with(path, options.output) in (None, settings) for path in paths)


def _is_of_another(scan: NamedScan, results: ResultFiles, options: Any) -> bool:
    """Whether the results are those of another scan with that name; raises InputError if so, without --overwrite."""
    for name in results.names(scan):
        result = options.output / name
        if (other := other_source(result, scan.path, options.output)) is None:
            continue
        if not options.overwrite:
            raise InputError(
                f"{result} is the result of another scan, {other}, and not of {scan.path}; choose another --output, or "
                "replace it with --overwrite."
            )
        return True
    return False
