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
        edges = np.concatenate([snapped, np.roll(snapped, -1, axis=0)], axis=1)
        level = edges[:, 1] == edges[:, 3]
        _add_level_edges(edges[level], on_contour)
        _add_edges(edges[~level], toggles, on_contour)
    return (np.cumsum(toggles[:, :-1], axis=1) % 2 == 1) | on_contour


def _add_level_edges(edges: np.ndarray, on_contour: np.ndarray) -> None:
    """Mark the pixel centres on edges (n, 4: column, row, column, row) along a row."""
    rows = on_contour.shape[0]
    for x0, y, x1, _ in edges[(edges[:, 1] % 1 == 0) & (edges[:, 1] >= 0) & (edges[:, 1] < rows)]:
        first, last = int(np.ceil(min(x0, x1))), int(np.floor(max(x0, x1)))
        on_contour[int(y), max(0, first) : max(0, last + 1)] = True


def _add_edges(edges: np.ndarray, toggles: np.ndarray, on_contour: np.ndarray) -> None:
    """Toggle each row from where an edge crosses it, and mark the pixel centres that it runs through.

    Args:
        edges: (n, 4): column, row, column, row of both ends, which lie in different rows.
        toggles: (rows, columns + 1) bool.
        on_contour: (rows, columns) bool.
    """
    rows, columns = on_contour.shape
    x0, y0, x1, y1 = np.where((edges[:, 1] > edges[:, 3])[:, None], edges[:, [2, 3, 0, 1]], edges).T
    first = np.maximum(0, np.ceil(y0)).astype(int)
    count = np.maximum(0, np.minimum(rows - 1, np.floor(y1)).astype(int) - first + 1)
    edge = np.repeat(np.arange(len(edges)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    at = x0[edge] + (row - y0[edge]) * ((x1 - x0) / (y1 - y0))[edge]
    crossed = row < y1[edge]  # an edge owns its lower end alone, so that a corner counts once
    np.logical_xor.at(toggles, (row[crossed], np.clip(np.ceil(at[crossed]), 0, columns).astype(int)), True)
    nearest = np.rint(at).astype(int)
    through = (np.abs(at - nearest) <= SNAP) & (nearest >= 0) & (nearest < columns)
    on_contour[row[through], nearest[through]] = True


def without_repeats(contours: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The contours, each once: a copy on itself would be a hole."""
    seen: dict[bytes, np.ndarray] = {}
    for points in contours:
        seen.setdefault(np.round(points / SNAP).astype(np.int64).tobytes(), points)
    return list(seen.values())
