"""nnU-Net's `postprocessing.json`, which its cross-validation writes, as the postprocessing of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import InputError
from .model_files import ModelFiles

LARGEST = "remove_all_but_largest_component_from_segmentation"


def postprocessing_of(
    files: ModelFiles, folds: Sequence[str], given: Path | str | None, structures: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """The steps of a card's postprocessing, and notes on where they are from.

    Args:
        files: of the trained model.
        folds: those that are imported.
        given: a postprocessing.json; by default that of the cross-validation of `folds`, if there is one.
        structures: how many the network segments.

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
        steps = _steps(ModelFiles(path.parent).read_json(path.name), str(path), structures)
        return steps, [f"Postprocessing: {_words(steps)}, from {path}."]
    folders = [name for name in files.folders() if name.startswith("crossval_results_folds_")]
    own = f"crossval_results_folds_{'_'.join(folds)}"
    if own in folders and files.has(f"{own}/postprocessing.json"):
        steps = _steps(files.read_json(f"{own}/postprocessing.json"), f"{files}/{own}/postprocessing.json", structures)
        return steps, [f"Postprocessing: {_words(steps)}, from {own}/postprocessing.json."]
    other = [name for name in folders if files.has(f"{name}/postprocessing.json")]
    if other:
        return [], [
            f"No postprocessing: {other[0]}/postprocessing.json was found for other folds; give it as postprocessing to use it."
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


def _words(steps: Sequence[Mapping[str, Any]]) -> str:
    if not steps:
        return "none"
    return ", then ".join(
        f"the largest component of {', '.join(map(str, step['keep_largest_component_of']))} is kept" for step in steps
    )
