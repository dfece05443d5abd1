"""What the path of an argument leads to, and one sentence where that is another thing than the command expects there.

Only what can be told from a name or from the names in a folder: whether a file is what its name says, its reader finds out.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.file_names import IMAGE_ENDINGS

from ..console import quoted

MODEL, STATE, YAML, IMAGE = "a model", "the state of a training", "a YAML file", "an image"
RUN, FOLDS, PREPROCESSED = "the folder of a training", "the folder of a cross-validation", "a preprocessed data set"
EVALUATION, IMAGES, NNUNET = "the folder of an evaluation", "a folder of images", "a model of nnU-Net"

_ENDINGS = {".pt": MODEL, ".onnx": MODEL, ".yaml": YAML, ".yml": YAML} | dict.fromkeys(IMAGE_ENDINGS, IMAGE)
_RESULT_ENDINGS = (*_ENDINGS, ".json", ".csv", ".html", ".png", ".mrb")
_MARKS = (
    ("plans.json", NNUNET),
    ("pack.json", PREPROCESSED),
    ("evaluation.json", EVALUATION),
    ("run.yaml", RUN),
    ("state.pt", RUN),
    ("fold0/checkpoint.pt", FOLDS),
)


@dataclass(frozen=True)
class _Expected:
    """What an argument expects: in words, and the kinds that may be it. What is of no kind is left to its reader."""

    text: str
    kinds: tuple[str, ...]


_CHECKPOINT = _Expected("a checkpoint (.pt, .onnx)", (MODEL,))
_SCAN = _Expected("a scan", (IMAGE, IMAGES))
_SEGMENTATION = _Expected("a segmentation", (IMAGE, IMAGES))
_DATA_SET = _Expected("a data set (docs/datasets.md)", (IMAGES,))
_PREPROCESSED = _Expected("a preprocessed data set", (PREPROCESSED,))
_PLAN = _Expected("a YAML file", (YAML,))
_RUN = _Expected("the folder of a training", (RUN,))
_EVALUATION = _Expected("the folder of an evaluation", (EVALUATION,))
_MEANING = _Expected("a checkpoint, .seg.nrrd or dataset.json", (MODEL, IMAGE))

_BY_ARGUMENT = {
    "checkpoint": _CHECKPOINT,
    "baseline": _CHECKPOINT,
    "start_from": _CHECKPOINT,
    "evaluated_checkpoint": _CHECKPOINT,
    "scan": _SCAN,
    "scans": _SCAN,
    "prediction": _SEGMENTATION,
    "reference": _SEGMENTATION,
    "segmentation": _SEGMENTATION,
    "label": _SEGMENTATION,
    "labels": _MEANING,
    "prediction_labels": _MEANING,
    "reference_labels": _MEANING,
    "dataset": _DATA_SET,
    "preprocessed": _PREPROCESSED,
    "plan": _PLAN,
    "config": _PLAN,
    "resume": _RUN,
    "first": _EVALUATION,
    "second": _EVALUATION,
    "merge": _EVALUATION,
}
_OTHERS = {("info", "scan"), ("prepare", "preprocessed")}
"""Arguments of these names that take any kind, or are written."""


def refuse_other_kinds(command: str, options: Namespace, names: Mapping[str, str]) -> None:
    """Raise InputError where an argument of `command` is recognised as another thing than what it expects.

    Args:
        command: name of the command.
        options: its values.
        names: how the user calls an argument, by the name of its value.
    """
    wrong = [
        (names[argument], expected, path, kind)
        for argument, expected, path in _given(command, options)
        if (kind := kind_of(path)) and kind not in expected.kinds
    ]
    if not wrong:
        return
    name, expected, path, kind = wrong[0]
    for other_name, other, other_path, other_kind in wrong[1:]:
        if kind in other.kinds and other_kind in expected.kinds:
            raise InputError(
                f"{name} is {path}, {kind}, and {other_name} is {other_path}, {other_kind}: the two are swapped; exchange them."
            )
    raise InputError(f"{path} is {kind}, where {expected.text} is expected ({name}){_instead(path, kind, expected)}.")


def refuse_name_of_file(path: Path, name: str) -> None:
    """Raise InputError if a folder that is to be made has the name of a file, such as results.nii.gz."""
    ending = next((one for one in sorted(_RESULT_ENDINGS, key=len)[::-1] if path.name.lower().endswith(one)), "")
    if ending and not path.exists():
        without = path.with_name(path.name[: -len(ending)] or "results")
        raise InputError(
            f"{path} is called like a file, where a folder is expected ({name}); call it {without}, for example."
        )


def kind_of(path: Path) -> str:
    """What a path leads to; "" if that is not there or can't be told."""
    if not path.is_dir():
        ending = next((one for one in _ENDINGS if path.name.lower().endswith(one)), "")
        is_state = path.name in ("state.pt", "state.previous.pt")
        return (STATE if is_state else _ENDINGS.get(ending, "")) if path.is_file() else ""
    try:
        names = [entry.name.lower() for entry in path.iterdir()]
    except OSError:
        return ""
    is_model = "plans.json" in names  # which has a dataset.json as well
    if not is_model and any(name.endswith(IMAGE_ENDINGS) or name == "dataset.json" for name in names):
        return IMAGES
    return next((kind for mark, kind in _MARKS if (path / mark).is_file()), "")


def _given(command: str, options: Namespace) -> Iterator[tuple[str, _Expected, Path]]:
    """Every path that an argument of a known kind has."""
    values: dict[str, Any] = dict(vars(options))
    if command == "evaluate" and len(values["checkpoint"]) > 1:  # as `evaluate.run` divides them
        *values["checkpoint"], values["dataset"] = values["checkpoint"]
    for argument, value in values.items():
        expected = None if (command, argument) in _OTHERS else _BY_ARGUMENT.get(argument)
        for path in value if isinstance(value, list) else [value]:
            if expected and isinstance(path, Path):
                yield argument, expected, path


def _instead(path: Path, kind: str, expected: _Expected) -> str:
    """How the sentence ends: with the path that was probably meant, if there is one."""
    beside = {
        (RUN, _CHECKPOINT): path / "checkpoint.pt",
        (STATE, _CHECKPOINT): path.with_name("checkpoint.pt"),
        (FOLDS, _CHECKPOINT): path / "fold0" / "checkpoint.pt",
        (RUN, _MEANING): path / "checkpoint.pt",
        (PREPROCESSED, _PLAN): path / "plan.yaml",
        (FOLDS, _RUN): path / "fold0",
    }.get((kind, expected))
    if expected is _RUN and kind in (MODEL, STATE) and kind_of(path.parent) == RUN:
        beside = path.parent
    if beside is not None and beside.exists():
        return f"; perhaps {beside} is meant"
    return {
        (IMAGES, _PREPROCESSED): f"; make one with: unetseg prepare {quoted(path)} PREPROCESSED",
        (PREPROCESSED, _DATA_SET): "; name the one that it was prepared from",
        (NNUNET, _CHECKPOINT): f"; make one with: unetseg import {quoted(path)} --output FILE.pt",
    }.get((kind, expected), "")
