"""Warnings of `prepare` on what the labels leave undecided and on scans whose numbers are not those of a scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.dataset import Case, first_few
from ..data.fingerprint import CaseFacts
from ..data.source_checks import beyond_clipped, nominal_spacing_text


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


def source_warnings(facts: Mapping[Case, CaseFacts], window_hu: tuple[float, float]) -> list[str]:
    """Warnings on HU that were cut off within the window, and on a spacing that nobody measured."""
    found = []
    names = beyond_clipped({case.name: one.clipped_hu for case, one in facts.items()}, window_hu)
    low, high = window_hu
    if names:
        whom = "all cases" if len(names) == len(facts) else first_few(names)
        found.append(
            f"HU of {whom} were clipped within the window of {low:g} to {high:g} HU: a scan that was not clipped looks different "
            "to the network there; choose a narrower --window"
        )
    scans = [(case.patient_or_name, one.spacing_mm, one.size) for case, one in facts.items()]
    if text := nominal_spacing_text(scans):
        found.append(text.rstrip("."))
    return found
