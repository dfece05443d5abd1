"""What has to be known of a checkpoint before a run begins with its weights: whom it has seen, and what it was fed."""

from __future__ import annotations

from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

from ..data.preprocessed_dataset import Pack
from ..data.seen_cases import lacks_hashes, overlap, overlap_text, packed, seen_cases
from .configuration import Recipe
from .validation import validation_cases


def warnings_of_parent(parent: Checkpoint, pack: Pack, recipe: Recipe) -> list[str]:
    """Cases of the pack's other splits that the parent was trained on, and how its input differed from the pack's."""
    seen = seen_cases(parent.card)
    name = parent.path.name
    trained = {case.name for case in pack.of_split(recipe.train_split)}
    warnings = []
    for split, members in held_out(pack, recipe).items():
        cases = [packed(case, pack.name) for case in pack.cases if case.name in members and case.name not in trained]
        if found := overlap(seen, cases):
            warnings.append(
                f"{len(found)} of {len(cases)} {split} cases were trained on by {name} or its ancestors, so they are no unseen "
                f"patients: {overlap_text(found)}; figures over them are counted apart"
            )
    if not seen:
        warnings.append(
            f"the card of {name} names no training cases, so whether held-out cases are among them is not known"
        )
    if lacks_hashes(seen):
        warnings.append(
            f"the card of {name} has cases without hashes of their images; these are compared by name, and if {name} was "
            "itself begun with another checkpoint than its card says, that one's cases are not known"
        )
    if not all(case.voxels_sha256 for case in pack.cases):
        warnings.append(
            "the pack was prepared before images were hashed, so cases are compared by name alone; prepare it again"
        )
    return warnings + input_differences(parent, pack)


def held_out(pack: Pack, recipe: Recipe) -> dict[str, list[str]]:
    """The splits whose cases a run must not have seen, by name: those for testing, and those that are validated."""
    validated = [case.name for case in validation_cases(pack, recipe)]
    splits = {"test": pack.splits.get("test", []), recipe.validation_split: validated}
    return {split: members for split, members in splits.items() if members}


def input_differences(parent: Checkpoint, pack: Pack) -> list[str]:
    """What the parent's network was fed otherwise than this pack's will be, a sentence each."""
    before, now = parent.card.preprocessing, pack.preprocessing
    shown = {
        "pixels": [f"{part.spacing_mm:g} mm" for part in (before, now)],
        "a HU window": ["{:g} to {:g}".format(*part.window_hu) for part in (before, now)],
        "a slice distance": [f"{part.slice_distance_mm:g} mm" for part in (before, now)],
    }
    return [
        f"{parent.path.name} was trained with {what} of {old}, this pack has {new}: its weights know other images"
        for what, (old, new) in shown.items()
        if old != new
    ]


def tested_but_trained_on(pack: Pack, recipe: Recipe) -> list[str]:
    """Cases that the pack set apart for testing and this run trains on, as a release does that needs no test any more."""
    trained = {case.name for case in pack.of_split(recipe.train_split)}
    return [name for name in pack.splits.get("test", ()) if name in trained]
