"""What the worker process does for Slicer: it runs the network, so that Slicer's own process never does.

Slicer writes one JSON object per line to the worker's stdin, and the worker answers with one JSON object per line on stdout.
Every request has an `id` and a `do`; every answer repeats the `id` and has a `type`:

    {"id": 1, "do": "hello"}                                       -> result: version, python, pid, torch (is it installed?)
    {"id": 2, "do": "describe", "checkpoint": path}                -> result: card, sha256, size_bytes, devices, folds, torch
    {"id": 3, "do": "warm_up", "checkpoint": path, "device": "auto"}  -> result: device, seconds
    {"id": 4, "do": "segment", "checkpoint": path, "device": "auto", "mirroring": false, "postprocessing":
     true, "name": "CT", "image": {"path", "dtype"}, "geometry": {...}, "labels": path}
        -> progress: done, total (once per batch) ... -> result: complete, slices_done, slices, seconds, device,
           warm, confidence (mean largest probability along the outline, by structure index), postprocessing (what it
           changed, by structure index), slicing_axis ("axial",
           "coronal", "sagittal"), scan (identity of the segmented scan, see image_serialization.scan_identity),
           labels_crc32 (of the labels file)
    {"id": 5, "do": "compare", "case": "CT", "prediction": {...}, "reference": {...}, "by_hand": {...}}
         (segmentations: see image_serialization.py; by_hand is optional, see engine/labels/matching.py)
        -> progress: done, total (once per structure) ... -> result: rows, notes, complete
    {"id": 6, "do": "check", "segmentations": [{...}], "image": {"path", "dtype"} or null,
     "intensities": "HU" or "any" (of the image), "statistics": path or null}
        -> progress: done, total (once per segmentation) ... -> result: findings (one list per segmentation), complete
    {"id": 7, "do": "report", "report": {...}, "folder": path}      (see result_serialization.py) -> result: path of the page
    {"id": 8, "do": "cases", "folder": path, "results": path or ""}   (a test set; see review_serialization.py)
        -> result: cases, structures, notes, checkpoint, sha256, reviews
    {"id": 9, "do": "load", "image": path, "reference": path or null, "prediction": path or null,
     "structures": [...] or null, "into": folder} -> result: scan, reference, prediction (raw files in that folder)
    {"id": 10, "do": "save_case", "folder": path, "name": "liver_01", "image": {"path", "dtype"}, "labels": {...},
     "origin": {...}, "replace": false}   (a training case; labels on the image's grid) -> result: image, labels, cases, notes
    {"id": 11, "do": "probability", "structure": 5, "percent": path, and "checkpoint", "device", "mirroring", "name", "image",
     "geometry" of segment} (of one structure, by its index in the card; `percent` is a file like `labels`, which gets 0 to 100)
        -> progress: done, total (once per batch) ... -> result: as of segment, with percent_crc32 for labels_crc32 and
           without confidence
    {"id": 12, "do": "describe_import", "path": path}   (an nnU-Net folder or zip, an ONNX file; see import_requests.py)
        -> result: kind, card (JSON, None where unknown), unknown (entry, explanation, choices), notes
    {"id": 13, "do": "preview_import", "path": path, "card": {...}, "image": {"path", "dtype"}, "geometry": {...},
     "slice": 40 or null, "into": folder} -> result: slice, slices, labels and input (PNG files in that folder), ...
    {"id": 14, "do": "import", "path": path, "card": {...}, "output": path} -> result: path
    {"id": 15, "do": "cancel", "request": 4}   the request ends within its batch or structure and answers with its result
    {"id": 16, "do": "quit"}

An answer of type "error" has `kind` ("input": unusable input, "missing": a package, "internal": anything else), `message`, one
sentence, and `details`, the traceback unless the input was at fault. Arrays travel as raw C-ordered files in a private folder:
`image` is only read; `labels` (uint8, slices x rows x columns), which Slicer creates full of zeros, is filled batch by batch, so
the finished slices remain even if the worker is killed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ..errors import InputError, explain
from ..io.volume import HU, Volume
from ..model.device import available_devices
from .image_serialization import (
    array_from_json,
    changes_to_json,
    checksum,
    geometry_from_json,
    reserve_disk_space,
    scan_identity,
    segmentation_from_json,
)
from .import_requests import ImportRequests
from .result_serialization import comparison_to_json

if TYPE_CHECKING:
    from ..model.checkpoint import Checkpoint
    from ..model.prediction import Prediction, Predictor

REQUEST_SUBJECTS = {
    "compare": "The comparison", "check": "The check", "report": "The report", "cases": "Reading the folder",
    "segment": "The segmentation", "load": "Reading the case", "save_case": "Saving the training case",
    "probability": "The probability", "describe_import": "Reading the model", "preview_import": "The preview",
    "import": "The import",
}  # fmt: skip
"""What error messages say has stopped, by the request's `do`."""


class CancelledError(Exception):
    """The request was cancelled before it began."""


class Service:
    """Answers requests, one at a time; keeps the last checkpoint and the last predictor loaded.

    Args:
        send: called with the id of the request, the type of the answer, and its fields as keyword arguments.
    """

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._cancelled: set[Any] = set()
        self._checkpoint: tuple[tuple[Any, ...], Checkpoint] | None = None
        self._predictor: tuple[tuple[Any, ...], Predictor] | None = None
        self._imports = ImportRequests()

    def cancel(self, request_id: Any) -> None:
        """Let a request end early, whether it is being answered or still to come; called from another thread."""
        self._cancelled.add(request_id)

    def answer(self, request: dict[str, Any]) -> None:
        """Do what a request asks for and send its result, or the error that prevented it."""
        request_id = request.get("id")
        handlers = {
            "hello": self.hello, "describe": self.describe, "warm_up": self.warm_up, "segment": self.segment,
            "compare": self.compare, "check": self.check, "report": self.report, "cases": self.cases, "load": self.load,
            "save_case": self.save_case, "probability": self.probability, "describe_import": self.describe_import,
            "preview_import": self.preview_import, "import": self.import_model,
        }  # fmt: skip
        try:
            if request["do"] not in handlers:
                raise InputError(f'"{request["do"]}" is no request; {", ".join(handlers)}, cancel and quit are known.')
            self._send(request_id, "result", **handlers[request["do"]](request))
        except CancelledError:
            self._send(request_id, "result", complete=False, slices_done=0)
        except Exception as error:
            kind, message = explain(error, REQUEST_SUBJECTS.get(request["do"], "The network"))
            details = "" if kind == "input" else traceback.format_exc()
            self._send(request_id, "error", kind=kind, message=message, details=details)
        finally:
            self._cancelled.discard(request_id)

    def hello(self, request: dict[str, Any]) -> dict[str, Any]:
        """Version and process of the worker; does not import torch."""
        return {
            "version": __version__,
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "torch": importlib.util.find_spec("torch") is not None,
        }

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """The card of a checkpoint that passed all checks, and the devices that it can run on."""
        checkpoint = self._load(request["checkpoint"])
        import torch

        return {
            "card": json.loads(checkpoint.card.to_json()),
            "sha256": checkpoint.sha256,
            "size_bytes": checkpoint.path.stat().st_size,
            "devices": available_devices(),
            "folds": max(1, len(checkpoint.weights)),
            "torch": torch.__version__,
        }

    def warm_up(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load a checkpoint onto a device, so that the run that follows starts at once."""
        started = time.perf_counter()
        predictor, _ = self._predictor_for(request)
        return {"device": predictor.device_name, "seconds": time.perf_counter() - started}

    def segment(self, request: dict[str, Any]) -> dict[str, Any]:
        """Segment a scan into the labels file; a cancel takes effect within one batch."""
        labels = _output_file(request, "labels")
        answer, prediction = self._predict(request, labels)
        confidence = {str(index): value for index, value in prediction.segmentation.confidence.items()}
        changes = changes_to_json(prediction.segmentation.postprocessing)
        return answer | {"confidence": confidence, "postprocessing": changes, "labels_crc32": checksum(labels)}

    def probability(self, request: dict[str, Any]) -> dict[str, Any]:
        """The probability of one structure in percent, into its file; a cancel takes effect within one batch."""
        structures = self._load(request["checkpoint"]).card.structures
        if request["structure"] not in {structure.index for structure in structures}:
            raise InputError(f"The model has no structure {request['structure']}; it has {len(structures)}.")
        percent = _output_file(request, "percent")
        answer, _ = self._predict(request, None, {request["structure"]: percent})
        return answer | {"percent_crc32": checksum(percent)}

    def _predict(
        self, request: dict[str, Any], labels: np.ndarray | None, percent: dict[int, np.ndarray] | None = None
    ) -> tuple[dict[str, Any], Prediction]:
        """Predict the scan of a request into mapped files; what every answer says of it, and the prediction."""
        request_id = request.get("id")
        if request_id in self._cancelled:
            raise CancelledError
        predictor, warm = self._predictor_for(request)
        predictor.postprocessing = labels is not None and bool(request.get("postprocessing", True))
        geometry = geometry_from_json(request["geometry"])
        image = array_from_json(request["image"], geometry.shape)
        prediction = predictor.predict(
            Volume(image, geometry, request.get("name", "")),
            progress=lambda done, total: self._send(request_id, "progress", done=done, total=total),
            cancelled=lambda: request_id in self._cancelled,
            labels=labels,
            percent=percent,
        )
        answer = {
            "complete": prediction.complete,
            "slices_done": prediction.slices_done,
            "slices": prediction.slices,
            "seconds": prediction.seconds,
            "device": prediction.device,
            "slicing_axis": prediction.segmentation.slicing_axis,
            "warm": warm,
            "scan": scan_identity(geometry, image.dtype, checksum(image)),
        }
        return answer, prediction

    def compare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Compare all structures of two segmentations; a cancel takes effect within one structure."""
        from ..evaluation.comparison import compare

        request_id = request.get("id")
        comparison = compare(
            segmentation_from_json(request["prediction"]),
            segmentation_from_json(request["reference"]),
            case=request.get("case", ""),
            progress=lambda done, total: self._send(request_id, "progress", done=done, total=total),
            cancelled=lambda: request_id in self._cancelled,
            by_hand=request.get("by_hand"),
        )
        return comparison_to_json(comparison)

    def check(self, request: dict[str, Any]) -> dict[str, Any]:
        """Plausibility findings of each segmentation; a cancel takes effect between two segmentations."""
        from ..plausibility.plausibility_checks import check

        request_id = request.get("id")
        segmentations = [segmentation_from_json(plain) for plain in request["segmentations"]]
        image, statistics = request.get("image"), request.get("statistics")
        training_statistics = json.loads(Path(statistics).read_text(encoding="utf-8")) if statistics else None
        findings = []
        for segmentation in segmentations:
            if request_id in self._cancelled:
                break
            volume = None
            if image is not None:
                array, intensities = array_from_json(image, segmentation.geometry.shape), request.get("intensities", HU)
                volume = Volume(array, segmentation.geometry, intensities=intensities)
            findings.append([finding.to_json() for finding in check(segmentation, volume, training_statistics)])
            self._send(request_id, "progress", done=len(findings), total=len(segmentations))
        return {"findings": findings, "complete": len(findings) == len(segmentations)}

    def report(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write the page and tables of one case into the folder that the user chose."""
        from ..report.report_folder import write_case_report
        from .result_serialization import report_from_json

        request_id = request.get("id")
        if request_id in self._cancelled:
            raise CancelledError
        report = report_from_json(request["report"])
        path = write_case_report(report, request["folder"], lambda: request_id in self._cancelled)
        if path is None:
            raise CancelledError
        return {"path": str(path)}

    def cases(self, request: dict[str, Any]) -> dict[str, Any]:
        """The cases of a test set and their reviews so far; no image is read."""
        from .review_serialization import cases_to_json

        return cases_to_json(request["folder"], request["results"])

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write scan, reference and prediction of one case as raw files."""
        from .review_serialization import case_to_files

        if request.get("id") in self._cancelled:
            raise CancelledError
        return case_to_files(request)

    def save_case(self, request: dict[str, Any]) -> dict[str, Any]:
        """Save a scan and its labels as files of a data set folder."""
        from ..labels.training_case import write_training_case

        if request.get("id") in self._cancelled:
            raise CancelledError
        segmentation = segmentation_from_json(request["labels"])
        array = array_from_json(request["image"], segmentation.geometry.shape)
        volume = Volume(array, segmentation.geometry, request["name"])
        origin, replace = request["origin"], request["replace"]
        saved = write_training_case(request["folder"], request["name"], volume, segmentation, origin, replace)
        paths = {"image": str(saved.image), "labels": str(saved.labels)}
        return {**paths, "cases": saved.cases, "notes": list(saved.notes), "complete": True}

    def describe_import(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the files of a model tell of its card."""
        return self._imports.describe(request)

    def preview_import(self, request: dict[str, Any]) -> dict[str, Any]:
        """One slice, segmented with a card that may still change."""
        if request.get("id") in self._cancelled:
            raise CancelledError
        return self._imports.preview(request)

    def import_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write a model with its confirmed card."""
        if request.get("id") in self._cancelled:
            raise CancelledError
        return self._imports.write(request)

    def _load(self, path: str) -> Checkpoint:
        from ..model.checkpoint import load_checkpoint

        key = file_key(path)
        if self._checkpoint is None or self._checkpoint[0] != key:
            self._predictor = None
            self._checkpoint = (key, load_checkpoint(path))
        return self._checkpoint[1]

    def _predictor_for(self, request: dict[str, Any]) -> tuple[Predictor, bool]:
        from ..model.prediction import Predictor

        checkpoint = self._load(request["checkpoint"])
        device, mirroring = request.get("device", "auto"), bool(request.get("mirroring", False))
        key = (*file_key(request["checkpoint"]), device, mirroring)
        warm = self._predictor is not None and self._predictor[0] == key
        if not warm:
            self._predictor = (key, Predictor(checkpoint, device=device, mirroring=mirroring))
        assert self._predictor is not None
        return self._predictor[1], warm


def _output_file(request: dict[str, Any], name: str) -> np.ndarray:
    """The file of a request that is filled, mapped as uint8 (slices, rows, columns); raises InputError if the disk is full."""
    reserve_disk_space(Path(request[name]))
    return np.memmap(request[name], dtype=np.uint8, mode="r+", shape=geometry_from_json(request["geometry"]).shape)


def file_key(path: str) -> tuple[Any, ...]:
    """Path, time and size of a checkpoint file: if one of them changes, the file must be loaded again."""
    try:
        status = Path(path).stat()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{path} cannot be read ({reason.lower()}); choose a checkpoint file that is there."
        ) from error
    return (path, status.st_mtime_ns, status.st_size)
