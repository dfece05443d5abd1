"""Whether a pack was built from the files that lie in a data set, and in the way that is asked for."""

from __future__ import annotations

from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError

from ..training.planning import Plan
from .layouts import DataSet
from .preprocessed_dataset import Pack, sha256
from .splits import Splits


def check_sources(pack: Pack, dataset: DataSet) -> None:
    """Raise InputError unless the pack holds just the cases of the data set, and from the very same files.

    Names, then the SHA-256 of every image and label that pack.json recorded, are compared.
    """
    packed = {case.name: case for case in pack.cases}
    there = {case.name: case for case in dataset.cases}
    if packed.keys() != there.keys():
        names = ", ".join(sorted(packed.keys() ^ there.keys())[:5])
        raise InputError(
            f"The pack holds {len(packed)} cases and {dataset.name} {len(there)}; they differ in {names}: prepare the data "
            "set into another folder."
        )
    for name, case in there.items():
        for path, recorded in ((case.image, packed[name].image_sha256), (case.label, packed[name].label_sha256)):
            if sha256(path) != recorded:
                raise InputError(
                    f"The pack was built from another {path.name} than {path} (its SHA-256 differs from pack.json): "
                    "prepare the data set into another folder."
                )


def check_choices(
    pack: Pack,
    folder: Path,
    plan: Plan | None,
    spacing_mm: float | None,
    window_hu: tuple[float, float] | None,
    slice_size: tuple[int, int] | None,
    splits: Splits | None,
) -> None:
    """Raise InputError if the pack in `folder` was prepared otherwise than these choices say; None stands for no choice."""
    wanted = {"spacing_mm": spacing_mm, "window_hu": window_hu, "slice_size": slice_size}
    if plan:
        wanted = {name: getattr(plan, name) if value is None else value for name, value in wanted.items()}
    made = pack.fingerprint.get("plan", {})
    found = {
        "spacing_mm": pack.preprocessing.spacing_mm,
        "window_hu": pack.preprocessing.window_hu,
        "slice_size": tuple(made.get("slice_size", (0, 0))),
    }
    if splits is not None:
        wanted["split"], found["split"] = splits, pack.splits  # type: ignore[assignment]
    for name, value in wanted.items():
        if value is not None and value != found[name]:
            shown = f"another {name}" if name == "split" else f"{name} {found[name]}, not {value}"
            raise InputError(f"{folder} was prepared with {shown}; choose another folder, or leave the option out.")
