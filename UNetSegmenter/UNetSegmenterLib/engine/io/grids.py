"""Two grids side by side: in what they differ, in words, and what is to be said where they are taken as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .volume import Geometry

NOTED_MM = 0.01
"""Rounding in a file's header moves voxels by less; a larger shift between grids that are taken as one is noted."""

_NEGLIGIBLE_MM = 1e-3  # parts of a difference below this are left out of its description


def grid_difference(one: Geometry, other: Geometry) -> str:
    """In what two grids differ, with as many digits as it takes to tell both sides apart; empty where nothing matters."""
    parts = []
    if one.shape != other.shape:
        parts.append(f"{_size(one)} against {_size(other)} voxels")
    reach = np.asarray(one.shape) * np.abs(np.subtract(one.spacing_mm, other.spacing_mm))
    if reach.max() > _NEGLIGIBLE_MM:
        mine, others = apart(one.spacing_mm[::-1], other.spacing_mm[::-1])
        parts.append(f"voxels of {mine} against {others} mm")
    away_mm = float(np.linalg.norm(np.subtract(one.origin_lps, other.origin_lps)))
    if away_mm > _NEGLIGIBLE_MM:
        parts.append(f"origins {away_mm:.3g} mm apart")
    turned = _turned_degrees(one, other)
    if np.radians(turned) * max(np.asarray(one.shape) * one.spacing_mm) > _NEGLIGIBLE_MM:
        parts.append(f"axes turned by {turned:.2g} degrees ({one.orientation()} against {other.orientation()})")
    return "; ".join(parts)


def same_grid_note(one: Geometry, other: Geometry, whose: str) -> str:
    """What is to be said of two grids that `Geometry.is_close` takes as one, empty where only rounding parts them.

    `whose` names the two, such as "prediction and reference".
    """
    shift_mm = one.shift_mm(other)
    if shift_mm <= NOTED_MM:
        return ""
    return (
        f"The grids of {whose} lie up to {shift_mm:.2g} mm apart ({grid_difference(one, other)}): they were taken as the "
        "same grid."
    )


def apart(one: Sequence[float], other: Sequence[float]) -> tuple[str, str]:
    """Both rows of numbers as text, with enough digits (four at least) that they don't look alike where they differ."""
    for digits in range(4, 18):
        mine, others = (" x ".join(f"{value:.{digits}g}" for value in row) for row in (one, other))
        if mine != others:
            break
    return mine, others


def _size(geometry: Geometry) -> str:
    return " x ".join(str(n) for n in geometry.shape[::-1])


def _turned_degrees(one: Geometry, other: Geometry) -> float:
    """Largest angle between the same axis of both grids; by the chord, which small angles leave exact."""
    chords = np.linalg.norm(np.subtract(one.direction, other.direction), axis=0)
    return float(np.degrees(2 * np.arcsin(np.clip(chords / 2, 0, 1)).max()))
