"""Closed contours in a plane as the pixels inside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

SNAP = 0.01
"""Points this close to the centre of a pixel (in pixels) lie on it: files round them."""


def rasterised(contours: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies inside the contours, by the even-odd rule, or on one of them; bool of `shape`.

    So a contour inside another is a hole, one inside the hole belongs again, and an outline that runs from pixel centre to pixel
    centre contains the pixels that it runs through.

    Args:
        contours: points (n, 2) of each, column and row, where whole numbers are the centres of pixels; the last point is joined
            to the first.
        shape: rows and columns.
    """
    toggles = np.zeros((shape[0], shape[1] + 1), bool)
    on_contour = np.zeros(shape, bool)
    for points in contours:
        snapped = np.where(np.abs(points - np.rint(points)) <= SNAP, np.rint(points), points)
        for (x0, y0), (x1, y1) in zip(snapped, np.roll(snapped, -1, axis=0), strict=True):
            _add_edge((x0, y0, x1, y1), toggles, on_contour)
    return (np.cumsum(toggles[:, :-1], axis=1) % 2 == 1) | on_contour


def _add_edge(edge: tuple[float, float, float, float], toggles: np.ndarray, on_contour: np.ndarray) -> None:
    """Toggle each row from where the edge crosses it, and mark the pixel centres that it runs through."""
    x0, y0, x1, y1 = edge
    rows, columns = on_contour.shape
    if y0 == y1:
        if y0.is_integer() and 0 <= y0 < rows:
            first, last = int(np.ceil(min(x0, x1))), int(np.floor(max(x0, x1)))
            on_contour[int(y0), max(0, first) : max(0, last + 1)] = True
        return
    if y0 > y1:
        x0, y0, x1, y1 = x1, y1, x0, y0
    touched = np.arange(max(0, int(np.ceil(y0))), min(rows - 1, int(np.floor(y1))) + 1)
    if not touched.size:
        return
    at = x0 + (touched - y0) * ((x1 - x0) / (y1 - y0))
    crossed = touched < y1  # an edge owns its lower end alone, so that a corner counts once
    np.logical_xor.at(toggles, (touched[crossed], np.clip(np.ceil(at[crossed]), 0, columns).astype(int)), True)
    nearest = np.rint(at).astype(int)
    through = (np.abs(at - nearest) <= SNAP) & (nearest >= 0) & (nearest < columns)
    on_contour[touched[through], nearest[through]] = True


def without_repeats(contours: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The contours, each once: a copy on itself would be a hole."""
    seen: dict[bytes, np.ndarray] = {}
    for points in contours:
        seen.setdefault(np.round(points / SNAP).astype(np.int64).tobytes(), points)
    return list(seen.values())
