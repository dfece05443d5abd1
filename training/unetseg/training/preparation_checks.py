"""Checks of a preprocessed data set that exists: whether it was made from these files, and with these choices."""

from __future__ import annotations

from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError

from ..data.dataset import Dataset
from ..data.preprocessed_dataset import PreprocessedDataset, sha256
from ..data.splits import Splits
from .planning import Plan


def check_sources(preprocessed: PreprocessedDataset, dataset: Dataset) -> None:
    """Check that a preprocessed data set was made from exactly the files of a data set, by name and by SHA-256.

    Raises:
        InputError: the cases, or the files of a case, differ.
    """
    before, now = ([one.name for one in owner.structures] for owner in (preprocessed, dataset))
    if before != now:
        raise InputError(
            f"The preprocessed data set has the structures {', '.join(before)}, not {', '.join(now)}: prepare the data "
            "set into another folder."
        )
    recorded = {case.name: case for case in preprocessed.cases}
    present = {case.name: case for case in dataset.cases}
    if recorded.keys() != present.keys():
        names = ", ".join(sorted(recorded.keys() ^ present.keys())[:5])
        raise InputError(
            f"The preprocessed data set holds {len(recorded)} cases and {dataset.name} {len(present)}; they differ in {names}: "
            "prepare the data set into another folder."
        )
    for name, case in present.items():
        hashes = ((case.image, recorded[name].image_sha256), (case.label, recorded[name].label_sha256))
        for path, recorded_sha256 in hashes:
            if sha256(path) != recorded_sha256:
                raise InputError(
                    f"The preprocessed data set was made from another {path.name} than {path} (its SHA-256 differs from "
                    "pack.json): prepare the data set into another folder."
                )


def check_choices(
    preprocessed: PreprocessedDataset,
    folder: Path,
    *,
    plan: Plan | None,
    spacing_mm: float | None,
    window_hu: tuple[float, float] | None,
    slice_size: tuple[int, int] | None,
    splits: Splits | None,
) -> None:
    """Check that the preprocessed data set in `folder` was made with these choices, named as those of `prepare`.

    Raises:
        InputError: a choice that is not None differs.
    """
    wanted = {"spacing_mm": spacing_mm, "window_hu": window_hu, "slice_size": slice_size}
    if plan:
        wanted = {name: getattr(plan, name) if value is None else value for name, value in wanted.items()}
    stored_plan = preprocessed.fingerprint.get("plan", {})
    found = {
        "spacing_mm": preprocessed.preprocessing.pixel_mm,
        "window_hu": preprocessed.preprocessing.window_hu,
        "slice_size": tuple(stored_plan.get("slice_size", (0, 0))),
    }
    if splits is not None:
        wanted["split"], found["split"] = splits, preprocessed.splits  # type: ignore[assignment]
    for name, value in wanted.items():
        if value is not None and value != found[name]:
            shown = f"another {name}" if name == "split" else f"{name} {found[name]}, not {value}"
            raise InputError(f"{folder} was prepared with {shown}; choose another folder, or leave the option out.")
