"""nnU-Net's `postprocessing.json`, which its cross-validation writes, as the postprocessing of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..postprocessing_steps import postprocessing_text
from .model_files import ModelFiles

LARGEST = "remove_all_but_largest_component_from_segmentation"


def postprocessing_of(
    files: ModelFiles, folds: Sequence[str], given: Path | str | None, structures: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The steps of a card's postprocessing, and notes on where they are from.

    Args:
        files: of the trained model.
        folds: those that are imported.
        given: a postprocessing.json; by default that of the cross-validation of `folds`, if there is one.
        structures: names of those that the network segments, label 1 first.

    Raises:
        InputError: the file asks for what is not known here.
    """
    if given is not None:
        path = Path(given)
        if path.suffix == ".pkl":
            raise InputError(
                f"{path} could run code on opening; give the postprocessing.json that nnU-Net wrote beside it."
            )
        if not path.is_file():
            raise InputError(f"{path} is no file; give a postprocessing.json of nnU-Net, or leave it out.")
        steps = _steps(ModelFiles(path.parent).read_json(path.name), str(path), len(structures))
        return steps, [_sentence(steps, structures, str(path))]
    folders = [name for name in files.folders() if name.startswith("crossval_results_folds_")]
    own = f"crossval_results_folds_{'_'.join(folds)}"
    if own in folders and files.has(f"{own}/postprocessing.json"):
        name = f"{own}/postprocessing.json"
        steps = _steps(files.read_json(name), f"{files}/{name}", len(structures))
        return steps, [_sentence(steps, structures, name)]
    other = [name for name in folders if files.has(f"{name}/postprocessing.json")]
    if other:
        return [], [
            f"No postprocessing: {other[0]}/postprocessing.json belongs to other folds; --postprocessing FILE uses it."
        ]
    if any(files.has(f"{name}/postprocessing.pkl") for name in folders):
        return [], [
            "No postprocessing: postprocessing.pkl could run code on opening, and there is no postprocessing.json."
        ]
    return [], []


def _steps(content: Any, shown: str, structures: int) -> list[dict[str, Any]]:
    functions = content.get("postprocessing_fns") if isinstance(content, Mapping) else None
    arguments = content.get("postprocessing_kwargs") if isinstance(content, Mapping) else None
    if not isinstance(functions, list) or not isinstance(arguments, list) or len(functions) != len(arguments):
        raise InputError(
            f"{shown} is no postprocessing.json of nnU-Net (postprocessing_fns and postprocessing_kwargs are expected)."
        )
    steps = []
    for function, values in zip(functions, arguments, strict=True):
        if function != LARGEST or not isinstance(values, Mapping) or values.get("background_label", 0) != 0:
            raise InputError(f'{shown} asks for "{function}" with {values}, which is not known here; {LARGEST} is.')
        labels = values.get("labels_or_regions")
        indices = labels if isinstance(labels, list) else [labels]
        if not indices or not all(type(index) is int and 0 < index <= structures for index in indices):
            raise InputError(f"{shown} asks for the component of {labels}; labels from 1 to {structures} are expected.")
        steps.append({"keep_largest_component_of": sorted(set(indices))})
    return steps


def _sentence(steps: Sequence[Mapping[str, Any]], structures: Sequence[str], source: str) -> str:
    what = postprocessing_text(steps, dict(enumerate(structures, 1))) if steps else "none"
    return f"Postprocessing: {what} ({source})."
