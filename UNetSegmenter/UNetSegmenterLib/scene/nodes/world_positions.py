"""Positions of comparisons and findings, between the coordinates of a node and those of the world (RAS, mm)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine.evaluation.comparison import Comparison, StructureComparison
from ...engine.io.geometry import Geometry

if TYPE_CHECKING:
    from ...engine.plausibility.finding import Finding

PositionRas = tuple[float, float, float]


def to_world(node: Any, position_ras_mm: PositionRas | None) -> PositionRas | None:
    """A position in a node's coordinates as the views have it: RAS in mm, parent transforms applied."""
    return _transformed(node.TransformPointToWorld, position_ras_mm)


def comparison_in_world(comparison: Comparison, reference_node: Any) -> Comparison:
    """The comparison with its positions in world coordinates."""
    rows = tuple(
        replace(row, largest_error_ras=to_world(reference_node, row.largest_error_ras)) for row in comparison.rows
    )
    return replace(comparison, rows=rows)


def slice_position_ras(geometry: Geometry, row: StructureComparison, position: int) -> PositionRas:
    """Position (RAS, mm) of one slice of a row's curve, in the coordinates of `geometry`.

    It is the position of the row's largest error, which is in the same coordinates, moved into slice number `position` of
    the curve.
    """
    assert row.curve is not None and row.largest_error_ras is not None
    right, anterior, superior = row.largest_error_ras
    to_lps = geometry.affine_lps()
    index = np.linalg.solve(to_lps, (-right, -anterior, superior, 1.0))
    index[2 - row.curve.axis] = row.curve.slices[position]
    x, y, z, _ = to_lps @ index
    return -float(x), -float(y), float(z)


def findings_in_world(findings: list[Finding], node: Any) -> list[Finding]:
    """The findings with their positions in world coordinates; `node` is the one on whose grid they were made."""
    return [replace(finding, position_ras_mm=to_world(node, finding.position_ras_mm)) for finding in findings]


def comparison_on_scan(comparison: Comparison, volume_node: Any) -> Comparison:
    """The comparison with its positions, which are in world coordinates, in those of the scan."""
    from_world = volume_node.TransformPointFromWorld
    rows = (replace(row, largest_error_ras=_transformed(from_world, row.largest_error_ras)) for row in comparison.rows)
    return replace(comparison, rows=tuple(rows))


def _transformed(
    transform: Callable[[list[float], list[float]], object], position_ras_mm: PositionRas | None
) -> PositionRas | None:
    if position_ras_mm is None:
        return None
    moved = [0.0, 0.0, 0.0]
    transform(list(position_ras_mm), moved)
    return moved[0], moved[1], moved[2]
