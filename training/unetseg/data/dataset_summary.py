"""The summary of a data set that `unetseg info` prints: rows, ranges, and which cases differ from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import sizes_text

from .dataset import first_few
from .fingerprint import CaseFacts, UnusableCase, check_spacings
from .source_checks import nominal_spacing_text

UNUSUAL_RATIO = 2.0  # a spacing this many times the median, or the median this many times it, is worth a look
CASES_NAMED = 8


def fields_of_view_mm(facts: CaseFacts) -> tuple[float, float, float]:
    """Extent of a scan in mm: right to left, front to back, feet to head."""
    depth, rows, columns = (n * mm for n, mm in zip(facts.size, facts.spacing_mm, strict=True))
    return columns, rows, depth


HEADERS = ("case", "size", "pixel, mm", "distance, mm", "field of view, mm", "stored", "HU", "structures")


def row_of(facts: CaseFacts) -> list[str]:
    """A case's row under `HEADERS`."""
    slices, rows, columns = facts.size
    between, row_mm, column_mm = facts.spacing_mm
    present = sum(ml > 0 for ml in facts.structure_ml.values())
    oblique = f" {facts.oblique_degrees:.0f}°" if facts.oblique_degrees >= 1 else ""
    return [
        facts.name,
        f"{columns} x {rows} x {slices}",
        f"{column_mm:.3g}" if abs(row_mm - column_mm) < 5e-3 * row_mm else f"{column_mm:.3g} x {row_mm:.3g}",
        f"{between:.3g}",
        sizes_text(fields_of_view_mm(facts), ".0f"),
        facts.orientation + oblique,
        f"{facts.range_hu[0]:g} to {facts.range_hu[1]:g}",
        f"{present} of {len(facts.structure_ml)}",
    ]


def summary(known: Sequence[CaseFacts]) -> dict[str, str]:
    """Ranges, medians and standard deviations over the cases, as name and text."""
    sizes = np.array([facts.size for facts in known])
    spacings = np.array([facts.spacing_mm for facts in known])
    fields = np.array([fields_of_view_mm(facts) for facts in known])
    across = _range(fields[:, 0])
    samples = np.concatenate([facts.hu_sample for facts in known])
    lines = {
        "slices": f"{_range(sizes[:, 0])}, {sizes[:, 0].sum()} in all",
        "pixels": f"{_range(sizes[:, 2])} across, {_range(sizes[:, 1])} down",
        "pixel size": f"{_range(spacings[:, 1:].ravel())} mm",
        "slice distance": f"{_range(spacings[:, 0])} mm; one per scan, as its file says",
        "field of view": f"{across} mm right-left, {_range(fields[:, 1])} front-back, {_range(fields[:, 2])} feet-head",
        "stored": ", ".join(f"{name} ({n})" for name, n in Counter(facts.orientation for facts in known).most_common()),
    }
    if samples.size:
        low, middle, high = np.percentile(samples, [0.5, 50, 99.5])
        lines["HU in structures"] = f"{low:.0f} (0.5 %), {middle:.0f} (50 %), {high:.0f} (99.5 %)"
    for name in known[0].structure_ml:
        lines[name] = _structure_text(known, name)
    return lines


def structure_hu(facts: CaseFacts) -> dict[str, float | None]:
    """Median HU of each structure of a case, of the voxels that the fingerprint kept; None where it kept none."""
    values = {}
    for index, name in enumerate(facts.structure_ml, start=1):
        inside = facts.hu_sample[facts.index_sample == index]
        values[name] = float(np.median(inside)) if inside.size else None
    return values


def _structure_text(known: Sequence[CaseFacts], name: str) -> str:
    """Volumes and median HU of one structure over the cases, with their standard deviations (SD)."""
    ml = np.array([facts.structure_ml[name] for facts in known])
    found = ml[ml > 0]
    if not found.size:
        return "in no case"
    hu = np.array([value for value in (structure_hu(facts)[name] for facts in known) if value is not None])
    parts = [f"{_range(found)} ml"]
    if found.size > 1:
        parts.append(f"SD {100 * found.std(ddof=1) / found.mean():.0f} %")
    if hu.size:
        parts.append(f"HU {_range(hu)}")
    if hu.size > 1:  # in HU: their zero is water, so a percentage of them says nothing
        parts.append(f"SD {hu.std(ddof=1):.0f} HU")
    return f"{', '.join(parts)}, in {found.size} of {ml.size} cases"


def _range(values: np.ndarray) -> str:
    low, high, median = (f"{number:.4g}" for number in (values.min(), values.max(), np.median(values)))
    return low if low == high else f"{low} to {high} (median {median})"


def differences(found: Sequence[CaseFacts | UnusableCase], patients: Mapping[str, str] | None = None) -> Iterator[str]:
    """Messages on cases that differ from the others or can't be used, the most severe first.

    Args:
        found: facts of all cases.
        patients: whose scan a case is, where it is known.
    """
    patients = patients or {}
    known = [facts for facts in found if isinstance(facts, CaseFacts)]
    yield from (f"{facts.name} can't be used: {facts.reason}" for facts in found if isinstance(facts, UnusableCase))
    if not known:
        return
    yield from _tenfold(known)
    for axis, what in ((1, "pixels"), (0, "slice distances")):
        median = float(np.median([facts.spacing_mm[axis] for facts in known]))
        unusual = {facts.name: facts.spacing_mm[axis] for facts in known if _unusual(facts.spacing_mm[axis], median)}
        if unusual:
            listed = first_few((f"{name} {mm:.3g} mm" for name, mm in unusual.items()), CASES_NAMED)
            yield f"{what} far from the median of {median:.3g} mm: {listed}."
    if empty := [facts.name for facts in known if not any(facts.structure_ml.values())]:
        yield f"no voxel is labelled: {first_few(empty, CASES_NAMED)}."
    yield from _absent(known)
    by_pixels: dict[str, list[str]] = {}
    for facts in known:
        by_pixels.setdefault(facts.voxels_sha256, []).append(facts.name)
    for names in by_pixels.values():
        if len(names) > 1:
            yield f"the very same voxels under several names: {', '.join(names)}."
    by_warning: dict[str, list[str]] = {}
    for facts in known:
        for text in facts.warnings:
            by_warning.setdefault(text, []).append(facts.name)
    yield from (f"{first_few(names, CASES_NAMED)}: {text}" for text, names in by_warning.items())
    if text := nominal_spacing_text((patients.get(one.name, one.name), one.spacing_mm, one.size) for one in known):
        yield text
    yield from _stored_otherwise(known)


def _tenfold(known: Sequence[CaseFacts]) -> list[str]:
    try:
        return [f"{text}." for text in check_spacings({facts.name: facts.spacing_mm for facts in known})]
    except InputError as error:
        return [str(error)]


def _unusual(value: float, median: float) -> bool:
    return max(value / median, median / value) >= UNUSUAL_RATIO


def _absent(known: Sequence[CaseFacts]) -> Iterator[str]:
    labelled = [facts for facts in known if any(facts.structure_ml.values())]
    for name in known[0].structure_ml:
        without = [facts.name for facts in labelled if not facts.structure_ml[name]]
        if len(without) == len(labelled):
            yield f"{name} is in no case: it can't be learned."
        elif without:
            yield f"{name} is absent in {len(without)} of {len(labelled)} cases: {first_few(without, CASES_NAMED)}."


def _stored_otherwise(known: Sequence[CaseFacts]) -> Iterator[str]:
    usual, _ = Counter(facts.orientation for facts in known).most_common(1)[0]
    others = [f"{facts.name} {facts.orientation}" for facts in known if facts.orientation != usual]
    if others:
        yield f"stored otherwise than most ({usual}), and read in axial order all the same: {first_few(others, CASES_NAMED)}."
