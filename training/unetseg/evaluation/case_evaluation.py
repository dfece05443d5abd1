"""One case of an evaluation: predicted, measured and kept in a file of its own.

With these files an evaluation that was killed continues where it stopped, and shards add up to one evaluation. All results
are read back from them, so one process, several processes and shards give the same bytes.
"""

from __future__ import annotations

import base64
import json
import math
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.errors import InputError, os_error_text
from UNetSegmenterLib.engine.evaluation.comparison import Comparison, compare, with_distinct_colors
from UNetSegmenterLib.engine.io.atomic_files import write_text
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.dicom_references import check_same_patient_space
from UNetSegmenterLib.engine.labels.ignored import without_voxels
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import Structure
from UNetSegmenterLib.engine.model.prediction import Prediction, Predictor
from UNetSegmenterLib.engine.plausibility.finding import Finding
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check
from UNetSegmenterLib.engine.plausibility.training_statistics import limits_text
from UNetSegmenterLib.engine.report.niivue_viewer import ONE_OF_MANY_BYTES, ViewerData, viewer_data
from UNetSegmenterLib.engine.report.page_elements import CaseMaterial
from UNetSegmenterLib.engine.report.slice_pictures import slice_pictures
from UNetSegmenterLib.engine.worker.result_serialization import (
    comparison_from_json,
    comparison_to_json,
)

from ..data.dataset import Case
from ..data.preprocessed_dataset import sha256
from ..data.seen_cases import CaseIdentity, voxels_sha256
from ..data.structure_selection import read_labels
from .ensemble import load_checkpoints
from .scan_prediction import read_scan
from .scene_files import dice_captions, row_colors, write_scene_files

if TYPE_CHECKING:
    import torch

VIEWER_IMAGES = ("scan", "prediction", "reference")
CASES = "cases"  # below the folder of an evaluation


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What is done with every case; it is pickled for other processes.

    Attributes:
        checkpoints: file of the checkpoint, or those of an ensemble.
        checkpoint_sha256: its hash when the evaluation began.
        structures: meaning of the data set's label values.
        dtype: precision, chosen once for all processes.
        precision: what was asked for, "auto" or the name of a type.
        mirroring: whether predictions are averaged over mirrored slices.
        postprocessing: whether the card's postprocessing follows.
        predictions: whether predictions are written.
        pictures: whether pictures and a viewer are made.
        distinct_colors: whether pages and pictures show the structures in colours that one can tell apart.
        data_set: name of the data set.
    """

    checkpoints: tuple[Path, ...]
    checkpoint_sha256: str
    folder: Path
    structures: tuple[Structure, ...]
    device: str = "auto"
    dtype: torch.dtype | None = None
    precision: str = "auto"
    mirroring: bool = False
    postprocessing: bool = True
    predictions: bool = False
    pictures: bool = False
    distinct_colors: bool = False
    data_set: str = ""

    def result_path(self, case: str) -> Path:
        """File of the result of a case."""
        return self.folder / CASES / f"{case}.json"

    def prediction_path(self, case: str) -> Path:
        """File of the prediction of a case, if it was asked for."""
        return self.folder / "predictions" / f"{case}.seg.nrrd"


@dataclass(frozen=True)
class CaseResult:
    """The result of a case.

    Attributes:
        inputs: what it was made from, so that an outdated result is recognised.
        identity: by what the case is recognised in the training cases of a checkpoint.
    """

    comparison: Comparison
    material: CaseMaterial
    device: str
    inputs: dict[str, Any]
    identity: CaseIdentity


@dataclass(frozen=True)
class CaseFailure:
    """Why a case has no result; `trace` is the traceback, or empty if the files of the case are to blame."""

    reason: str
    trace: str = ""


def inputs_of(case: Case, evaluation: EvaluationSettings) -> dict[str, Any]:
    """Everything that the result of a case depends on, except the device; raises OSError if a file can't be read."""
    asked = {"precision": evaluation.precision} if evaluation.precision != "auto" else {}
    asked |= {"mirroring": "yes"} if evaluation.mirroring else {}
    asked |= {} if evaluation.postprocessing else {"postprocessing": "no"}
    asked |= {"colours": "distinct"} if evaluation.distinct_colors else {}
    return {
        "checkpoint SHA-256": evaluation.checkpoint_sha256,
        "image SHA-256": sha256(case.image),
        "label SHA-256": sha256(case.label),
        "structures": [[structure.name, list(structure.values)] for structure in evaluation.structures],
        "pictures": evaluation.pictures,
        "unetsegmenter": __version__,
        **({} if case.ignore_value is None else {"ignored value": case.ignore_value}),
        **asked,
    }


def is_finished(case: Case, evaluation: EvaluationSettings) -> bool:
    """Whether the folder holds a result of this case from the same checkpoint, image, label and version."""
    if evaluation.predictions and not evaluation.prediction_path(case.name).is_file():
        return False
    try:
        return read_result(evaluation.result_path(case.name)).inputs == inputs_of(case, evaluation)
    except (InputError, OSError):
        return False


def evaluator(evaluation: EvaluationSettings, predictor: Predictor | None = None) -> Callable[..., CaseFailure | None]:
    """Make the function `evaluate(case, progress)`, which evaluates one case and writes its file.

    The function returns a failure if the case can't be used. It raises InputError if nothing can be written: then the other
    cases would fail too. `progress(done, total)` counts slices.
    """
    if predictor is None:
        predictor = Predictor(
            load_checkpoints(evaluation.checkpoints),
            evaluation.device,
            dtype=evaluation.dtype,
            mirroring=evaluation.mirroring,
            postprocessing=evaluation.postprocessing,
        )
    if predictor.checkpoint.sha256 != evaluation.checkpoint_sha256:
        names = " or ".join(map(str, evaluation.checkpoints))
        raise InputError(f"{names} was changed during the evaluation; run the same command again.")

    def evaluate(case: Case, progress: Callable[[int, int], None] | None = None) -> CaseFailure | None:
        try:
            result, prediction = _evaluate(case, predictor, evaluation, progress)
        except InputError as error:
            return CaseFailure(" ".join(str(error).split()))
        except OSError as error:
            return CaseFailure(os_error_text(error))
        except Exception as error:
            return CaseFailure(f"{type(error).__name__}: {error}", traceback.format_exc())
        if evaluation.predictions:
            write_seg_nrrd(prediction, evaluation.prediction_path(case.name))
        write_result(result, evaluation.result_path(case.name))
        return None

    return evaluate


def _evaluate(
    case: Case, predictor: Predictor, evaluation: EvaluationSettings, progress: Callable[[int, int], None] | None
) -> tuple[CaseResult, Segmentation]:
    inputs = inputs_of(case, evaluation)
    volume = read_scan(case.image, case.resample, predictor.checkpoint.card)
    reference = read_labels(case, evaluation.structures, volume.geometry)
    check_same_patient_space(reference, volume)
    predicted: Prediction = predictor.predict(volume, progress)
    prediction = predicted.segmentation
    comparison = compare(prediction, reference, case.name)
    if evaluation.distinct_colors:
        comparison = with_distinct_colors(comparison)
    findings = check(prediction, volume, predictor.checkpoint.card.statistics or None)
    shown = prediction
    if reference.ignored is not None and reference.ignored.shape == prediction.labels.shape:
        shown = without_voxels(prediction, reference.ignored)  # or what nobody decided would look like the worst error
    pictures = _pictures(volume, shown, reference, comparison, evaluation)
    viewer = viewer_data(comparison, volume, shown, reference, ONE_OF_MANY_BYTES) if evaluation.pictures else None
    identity = CaseIdentity(case.name, evaluation.data_set, case.patient, voxels_sha256(volume))
    limits = limits_text(predictor.checkpoint.card.statistics)
    material = CaseMaterial(pictures, findings, viewer=viewer, limits=limits)
    return CaseResult(comparison, material, predicted.device, inputs, identity), prediction


def _pictures(
    volume: Volume,
    prediction: Segmentation,
    reference: Segmentation,
    comparison: Comparison,
    evaluation: EvaluationSettings,
) -> tuple[tuple[str, bytes], ...]:
    """The slice with the largest disagreement; more slices and Slicer's views if they are asked for."""
    pictures = slice_pictures(volume, prediction, reference, comparison, most=3 if evaluation.pictures else 1)
    if evaluation.pictures:
        pictures += write_scene_files(
            volume,
            prediction,
            reference,
            title=comparison.case,
            captions=dice_captions(comparison),
            colors=row_colors(comparison) if evaluation.distinct_colors else None,
        ).pictures
    return pictures


def write_result(result: CaseResult, path: Path) -> None:
    """Write a case's file atomically; numbers are read back to the last bit, infinity and NaN are written as text."""
    viewer = result.material.viewer
    plain: dict[str, Any] = {
        "inputs": result.inputs,
        "identity": asdict(result.identity),
        "device": result.device,
        "comparison": comparison_to_json(result.comparison),
        "findings": [finding.to_json() for finding in result.material.findings],
        "limits": result.material.limits,
        "pictures": [[caption, _text(png)] for caption, png in result.material.pictures],
        "viewer": viewer and asdict(viewer) | {name: _text(getattr(viewer, name)) for name in VIEWER_IMAGES},
    }
    for row in plain["comparison"]["rows"]:
        row["measures"] = row["measures"] and {name: _as_json(value) for name, value in row["measures"].items()}
    text = json.dumps(plain, allow_nan=False)
    write_text(path, text)


def read_result(path: Path) -> CaseResult:
    """Read what `write_result` wrote; raises InputError if there is no such file or it is something else."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        pictures = tuple((caption, base64.b64decode(text)) for caption, text in plain["pictures"])
        findings = tuple(Finding.from_json(one) for one in plain["findings"])
        for row in plain["comparison"]["rows"]:
            row["measures"] = row["measures"] and {name: _number(value) for name, value in row["measures"].items()}
        comparison = comparison_from_json(plain["comparison"])
        viewer = plain["viewer"] and _viewer(plain["viewer"])
        material = CaseMaterial(pictures, findings, viewer=viewer, limits=plain["limits"])
        return CaseResult(comparison, material, plain["device"], plain["inputs"], CaseIdentity(**plain["identity"]))
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no result of a case that this version wrote; remove it and evaluate again."
        ) from error


def _as_json(value: float) -> float | str:
    """The number, as text where JSON can't hold it."""
    return value if math.isfinite(value) else str(value)


def _number(value: float | str) -> float:
    return float(value) if isinstance(value, str) else value


def _viewer(plain: dict[str, Any]) -> ViewerData:
    images = {name: base64.b64decode(plain[name]) for name in VIEWER_IMAGES}
    structures = tuple(
        (name, tuple(color), None if position is None else tuple(position))
        for name, color, position in plain["structures"]
    )
    others = {name: plain[name] for name in ("words", "slicing_axis", "unit")}
    return ViewerData(**images, structures=structures, window_hu=tuple(plain["window_hu"]), **others)  # type: ignore[arg-type]


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
