"""Trained models of nnU-Net v2: a 2d configuration's folder, or the zip that nnU-Net exports, becomes a checkpoint.

    draft = read_nnunet_draft("nnUNet_results/Dataset008_Abdomen", folds=("0", "1"))
    write_nnunet_model(draft, Card.from_plain(draft.card), "abdomen.pt")

Neither nnunetv2 nor any code in the folder is needed or run. What of nnU-Net can't be carried over is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ..architectures import NetworkDescription
from ..checkpoint import save_checkpoint
from .draft import ImportDraft
from .model_files import ModelFiles, model_files
from .nnunet_plans import (
    check_channels,
    configuration_of,
    network_parameters,
    preprocessing_of,
    structures_of,
)
from .nnunet_postprocessing import postprocessing_of
from .nnunet_weights import TrainedFold, fitted_weights, parameters_of_trainer, read_fold

if TYPE_CHECKING:
    from ..card import Card

CHECKPOINT = "checkpoint_final"


@dataclass(frozen=True)
class NnunetDraft(ImportDraft):
    """The draft of a trained model folder.

    Args:
        files: the folder's.
        folds: those that are taken, such as ("0", "1"); several are an ensemble.
        checkpoint: name of the file in each fold's folder, without its ending.
    """

    files: ModelFiles = field(default_factory=lambda: ModelFiles(Path()))
    folds: tuple[str, ...] = ()
    checkpoint: str = CHECKPOINT

    def checkpoint_name(self, fold: str) -> str:
        """Where the checkpoint of a fold is below the folder."""
        return f"fold_{fold}/{self.checkpoint}.pth"


def read_nnunet_draft(
    path: Path | str,
    folds: Sequence[str] = (),
    checkpoint: str = CHECKPOINT,
    postprocessing: Path | str | None = None,
    orientation: str | None = None,
) -> NnunetDraft:
    """Read what a trained model of nnU-Net tells; the card is complete, and nothing is unknown.

    Args:
        path: the trained model's folder (with plans.json), the data set's folder above it, or a zip of either.
        folds: those to take; by default all that are there.
        checkpoint: name of the file in each fold's folder.
        postprocessing: a postprocessing.json of nnU-Net; by default the one of the cross-validation of these folds.
        orientation: of the training scans, such as "LPS"; then slices are cut anatomically, however a scan is stored.

    Raises:
        InputError: it is no such model, or can't be carried over; the message says what and why.
    """
    path, checkpoint = Path(path), checkpoint.removesuffix(".pth")
    if not path.exists():
        raise InputError(f"{path} is not there; choose a trained model's folder or its exported zip.")
    files, notes = _trained_model(model_files(path))
    draft = NnunetDraft(path, "nnU-Net", {}, (), (), files, _chosen_folds(files, folds, checkpoint), checkpoint)
    plans, dataset = files.read_json("plans.json"), files.read_json("dataset.json")
    fold = _read(draft, draft.folds[0])
    configuration = configuration_of(plans, fold.configuration)
    check_channels(dataset)
    structures = structures_of(dataset)
    architecture, parameters = network_parameters(configuration, fold.configuration)
    parameters = parameters_of_trainer(fold, parameters)
    network = NetworkDescription(architecture, 1, len(structures) + 1, parameters)
    fitted_weights(fold, network, f"{files}/{draft.checkpoint_name(draft.folds[0])}")
    preprocessing = preprocessing_of(plans, configuration, orientation) | {"mirror_axes": list(fold.mirror_axes)}
    steps, notes_on_steps = postprocessing_of(
        files, draft.folds, postprocessing, [str(structure["name"]) for structure in structures]
    )
    name = re.sub(r"^Dataset\d+_", "", str(plans.get("dataset_name") or files.name))
    card = {
        "title": f"{name} (nnU-Net 2d)"[:300],
        "description": _description(fold, architecture, draft),
        "data_licence": _text(dataset, "licence", "license"),
        "data_citation": _text(dataset, "reference", "citation"),
        "network": {
            "architecture": architecture,
            "input_slices": 1,
            "classes": network.classes,
            "parameters": parameters,
        },
        "structures": structures,
        "preprocessing": preprocessing,
        "postprocessing": steps,
        "training": _training(plans, dataset, fold, draft),
    }
    notes = [*notes, *notes_on_steps, *_slicing_note(preprocessing, orientation)]
    return replace(draft, card=card, notes=tuple(notes))


def write_nnunet_model(draft: ImportDraft, card: Card, output: Path | str) -> None:
    """Write the checkpoint: the weights of all folds in full precision, and the card.

    Raises:
        InputError: the weights of a fold are not those of the card's network.
    """
    if not isinstance(draft, NnunetDraft):
        raise InputError(f"{draft.source} was not read as a model of nnU-Net; read it again.")
    weights = []
    for fold in draft.folds:
        shown = f"{draft.files}/{draft.checkpoint_name(fold)}"
        weights.append(fitted_weights(_read(draft, fold), card.network, shown))
    save_checkpoint(output, card, weights, half=False)


def _read(draft: NnunetDraft, fold: str) -> TrainedFold:
    name = draft.checkpoint_name(fold)
    with draft.files.as_file(name) as path:
        return read_fold(path, f"{draft.files}/{name}")


def _trained_model(files: ModelFiles) -> tuple[ModelFiles, list[str]]:
    """The folder with plans.json of a 2d configuration, here or below, and a note if it was looked for."""
    if files.has("plans.json"):
        return files, []
    found = [files.below(name) for name in files.folders()]
    found += [inner.below(name) for inner in found for name in inner.folders()]
    models = [one for one in found if one.has("plans.json") and any(name.startswith("fold_") for name in one.folders())]
    flat = [one for one in models if one.name.endswith("__2d") or _is_2d(one)]
    if len(flat) == 1:
        others = f", the only 2d model of {len(models)}" if len(models) > 1 else ""
        return flat[0], [f"{flat[0].name} was taken from {files}{others}."]
    if flat:
        raise InputError(
            f"{files} holds several trained 2d models ({', '.join(str(one) for one in flat[:6])}); choose one of these folders."
        )
    if models:
        raise InputError(
            f"{files} holds no 2d model, only {', '.join(one.name for one in models[:6])}; UNetSegmenter segments slice by "
            "slice, so only 2d configurations can be imported."
        )
    if any(one.has("plans.pkl") for one in (files, *found)):
        raise InputError(
            f"{files} is a model of nnU-Net v1 (plans.pkl), which can't be read; train it again with nnU-Net v2."
        )
    raise InputError(
        f"{files} has no plans.json; choose the trained model's folder, such as nnUNetTrainer__nnUNetPlans__2d, or its zip."
    )


def _is_2d(files: ModelFiles) -> bool:
    """Whether the configuration that the folder is named for is 2d; the checkpoint says it for good."""
    try:
        configuration_of(files.read_json("plans.json"), files.name.rpartition("__")[2])
    except InputError:
        return False
    return True


def _chosen_folds(files: ModelFiles, wanted: Sequence[str], checkpoint: str) -> tuple[str, ...]:
    """The folds that are wanted, or all that are there; raises InputError where there are none or one is missing."""
    if not re.fullmatch(r"[\w.-]+", checkpoint):
        raise InputError(
            f'The checkpoint "{checkpoint}" is no file name; checkpoint_final or checkpoint_best is expected.'
        )
    there = [name.removeprefix("fold_") for name in files.folders() if re.fullmatch(r"fold_(\d+|all)", name)]
    finished = [fold for fold in there if files.has(f"fold_{fold}/{checkpoint}.pth")]
    numbered = sorted((fold for fold in finished if fold != "all"), key=int)
    chosen = tuple(dict.fromkeys(map(str, wanted))) or tuple(numbered or finished)
    for fold in chosen:
        if fold not in finished:
            others = f"; it has {', '.join(finished)}" if finished else ""
            raise InputError(f"{files} has no fold_{fold}/{checkpoint}.pth{others}.")
    if not chosen:
        best = [fold for fold in there if files.has(f"fold_{fold}/checkpoint_best.pth")]
        hint = f"; fold {best[0]} has a checkpoint_best.pth of a training that has not ended" if best else ""
        raise InputError(f"{files} has no fold with a {checkpoint}.pth, so there are no weights to import{hint}.")
    return chosen


def _description(fold: TrainedFold, architecture: str, draft: NnunetDraft) -> str:
    folds = f"fold {draft.folds[0]}" if len(draft.folds) == 1 else f"folds {', '.join(draft.folds)} averaged"
    epochs = f", {fold.epochs} epochs" if fold.epochs else ""
    return (
        f"Imported from nnU-Net v2: {architecture}, configuration {fold.configuration}, trainer {fold.trainer}, {folds}{epochs} "
        f"({draft.checkpoint})."
    )


def _training(plans: dict[str, Any], dataset: dict[str, Any], fold: TrainedFold, draft: NnunetDraft) -> dict[str, Any]:
    """Facts of the training, as far as the files tell them."""
    cases = dataset.get("numTraining")
    facts = {
        "software": "nnU-Net v2",
        "data_set": str(plans.get("dataset_name", "")),
        "cases_in_data_set": cases if type(cases) is int else None,
        "plans": str(plans.get("plans_name", "")),
        "configuration": fold.configuration,
        "trainer": fold.trainer,
        "folds": list(draft.folds),
        "epochs": fold.epochs,
        "nnunet_checkpoint": draft.checkpoint,
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _text(dataset: dict[str, Any], *names: str) -> str:
    return next((str(dataset[name])[:10_000] for name in names if dataset.get(name)), "")


def _slicing_note(preprocessing: dict[str, Any], orientation: str | None) -> list[str]:
    if preprocessing["axis"] != "stored":
        return []
    return [
        "Slices are cut as each scan's file stores them, as nnU-Net does: scans must be stored like the training scans, unless "
        "their orientation (--orientation LPS, for example) or an axis (in the panel) is given."
    ]
