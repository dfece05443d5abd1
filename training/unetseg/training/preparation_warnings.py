"""Warnings of `prepare` on what the labels leave undecided."""

from __future__ import annotations

from collections.abc import Sequence

from ..data.dataset import first_few


def ignored_warning(ignoring: Sequence[str], trained: Sequence[str]) -> list[str]:
    """The warning on training cases with ignored voxels.

    Args:
        ignoring: names of all cases with ignored voxels.
        trained: names of the training cases.
    """
    names = [name for name in ignoring if name in trained]
    if not names:
        return []
    return [
        f"{len(names)} of {len(trained)} training cases have voxels that are ignored ({first_few(names)}); volumes and shapes of "
        "their structures are not known, so they are left out of the training statistics of the plausibility checks"
    ]
