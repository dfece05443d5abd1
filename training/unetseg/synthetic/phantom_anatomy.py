"""The anatomy of a synthetic heart in a torso: implicit surfaces in millimetres, with labels and HU at any points.

Seven structures in their textbook arrangement (values as in MM-WHS), each heart with size, shape and contrast of its own,
between lungs, spine, ribs and upper abdomen. Directions are LPS: x to the patient's left, y to the back, z to the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MYOCARDIUM, LEFT_ATRIUM, LEFT_VENTRICLE, RIGHT_ATRIUM, RIGHT_VENTRICLE, AORTA, PULMONARY_ARTERY = (
    205,
    420,
    500,
    550,
    600,
    820,
    850,
)
LABEL_VALUES = (MYOCARDIUM, LEFT_ATRIUM, LEFT_VENTRICLE, RIGHT_ATRIUM, RIGHT_VENTRICLE, AORTA, PULMONARY_ARTERY)

_HEART_REACH_MM = np.array([100, 95, 125], np.float32)
_GAP_MM = 1.5


Vector = Sequence[float] | np.ndarray


def rotation(angles_rad: Vector) -> np.ndarray:
    """Rotation (3, 3) about x, then y, then z."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(angles_rad), np.sin(angles_rad)
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def _unit(vector: Vector) -> np.ndarray:
    array = np.asarray(vector, float)
    return array / np.linalg.norm(array)


def _ellipsoid(points: np.ndarray, centre: Vector, axes: np.ndarray, semi_mm: Vector) -> np.ndarray:
    """Distance to an ellipsoid whose axes are the rows of `axes`; (points) -> (points,)."""
    local = (points - np.asarray(centre, np.float32)) @ np.asarray(axes / np.reshape(semi_mm, (3, 1)), np.float32).T
    return (np.sqrt(np.einsum("ij,ij->i", local, local)) - 1) * np.float32(min(semi_mm))


def _tube(points: np.ndarray, path: Sequence[Vector], radii_mm: Sequence[float]) -> np.ndarray:
    """Distance to a round tube along a polyline whose radius runs from point to point."""
    best = np.full(len(points), np.inf, np.float32)
    stations = np.asarray(path, np.float32)
    for start, end, r0, r1 in zip(stations[:-1], stations[1:], radii_mm[:-1], radii_mm[1:], strict=True):
        axis = end - start
        offset = points - start
        along = np.clip(offset @ (axis / (axis @ axis)), 0, 1)
        offset -= along[:, None] * axis
        distance = np.sqrt(np.einsum("ij,ij->i", offset, offset)) - (r0 + along * (r1 - r0))
        np.minimum(best, distance, out=best)
    return best


def _beyond(points: np.ndarray, origin: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Signed distance from a plane, positive on the side the normal points to."""
    return (points - origin.astype(np.float32)) @ normal.astype(np.float32)


def _smooth_union(first: np.ndarray, second: np.ndarray, radius_mm: float) -> np.ndarray:
    """Union whose crease is rounded over `radius_mm` (polynomial smooth minimum)."""
    blend = np.clip(radius_mm - np.abs(first - second), 0, None) / radius_mm
    return np.minimum(first, second) - blend * blend * radius_mm / 4


# ---------------------------------------------------------------------------------------------- heart


@dataclass(frozen=True)
class _Heart:
    """Signed distances (mm, negative inside, approximate away from the surface) of one heart at n points."""

    labels: np.ndarray
    sac: np.ndarray
    wall: np.ndarray
    vessels: np.ndarray


class _Variation:
    """Sizes and positions that differ from heart to heart."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def size(self) -> float:
        return float(self._random.uniform(0.92, 1.08))

    def near(self, *position_mm: float) -> np.ndarray:
        return np.array(position_mm) + self._random.uniform(-2, 2, 3)


_LONG_AXIS = _unit((0.66, -0.58, -0.48))
_ACROSS = _unit(np.array((-0.5, -0.75, 0.25)) - _LONG_AXIS * (_LONG_AXIS @ (-0.5, -0.75, 0.25)))
_BASE = np.array([0.0, 14.0, 10.0])
_TRUNK = _unit((0.15, 0.62, 0.75))


def _heart(points: np.ndarray, random: np.random.Generator) -> _Heart:
    """The seven structures around the origin of their own frame; the long axis points left, forward and down."""
    vary = _Variation(random)
    depth = _beyond(points, _BASE, _LONG_AXIS)
    left_ventricle, muscle = _left_ventricle(points, vary)
    aorta = np.maximum(_aorta(points, vary), depth)
    valve = vary.near(12, -25, 36)
    pulmonary_artery = np.maximum(_pulmonary_artery(points, valve, vary), _GAP_MM - aorta)
    left_atrium, far_veins = _left_atrium(points, vary)
    left_atrium = np.max([left_atrium, depth, _GAP_MM - aorta, _GAP_MM - pulmonary_artery], axis=0)
    right_ventricle, right_atrium = _right_heart(points, valve, vary)
    right_ventricle = np.max([right_ventricle, _GAP_MM - aorta, -muscle], axis=0)
    right_atrium = np.max([right_atrium, *(_GAP_MM - other for other in (aorta, left_atrium, muscle))], axis=0)

    parts = {
        RIGHT_ATRIUM: right_atrium,
        RIGHT_VENTRICLE: right_ventricle,
        LEFT_ATRIUM: left_atrium,
        PULMONARY_ARTERY: pulmonary_artery,
        AORTA: aorta,
        MYOCARDIUM: np.maximum(muscle, -depth),
        LEFT_VENTRICLE: np.maximum(left_ventricle, -depth),
    }
    labels = np.zeros(len(points), np.int16)
    for value, distance in parts.items():
        labels[distance < 0] = value
    cavae = np.minimum(
        _tube(points, [vary.near(-40, 8, 18), vary.near(-36, 8, 60), vary.near(-34, 6, 110)], [10, 9, 9]),
        _tube(points, [vary.near(-42, 14, -24), vary.near(-40, 22, -60), vary.near(-36, 30, -110)], [12, 12, 12]),
    )
    chambers = np.minimum(np.minimum(right_ventricle, right_atrium), left_atrium)
    great_vessels = np.minimum(aorta, pulmonary_artery)
    sac = np.minimum(np.minimum(np.minimum(muscle, chambers) - 6, great_vessels - 4), cavae - 2)
    return _Heart(labels, sac, chambers - 2.5, np.minimum(cavae, far_veins))


def _left_ventricle(points: np.ndarray, vary: _Variation) -> tuple[np.ndarray, np.ndarray]:
    """Blood pool and muscle as whole ellipsoids; the plane of the valves cuts both."""
    frame = np.stack([_LONG_AXIS, _ACROSS, np.cross(_LONG_AXIS, _ACROSS)])
    width, length, wall_mm = 25 * vary.size(), 55 * vary.size(), 9.5 * vary.size()
    centre = _BASE + 20 * _LONG_AXIS
    cavity = _ellipsoid(points, centre, frame, (length, width, width))
    muscle = _ellipsoid(points, centre, frame, (length + 0.8 * wall_mm, width + wall_mm, width + wall_mm))
    return cavity, muscle


def _aorta(points: np.ndarray, vary: _Variation) -> np.ndarray:
    """Root with its bulge, then upward, a little to the right."""
    root, radius = _BASE + 11.5 * _ACROSS, 14 * vary.size()
    offsets = np.array([4 * _LONG_AXIS, (-4, -4, 14), (-8, -5, 34)])
    path = [*(root + offsets), vary.near(-12, -1, 64), vary.near(3, 10, 86)]
    return _tube(points, path, [radius - 2, radius + 1.5, radius, radius - 0.5, radius - 1])


def _pulmonary_artery(points: np.ndarray, valve: np.ndarray, vary: _Variation) -> np.ndarray:
    """Trunk from its valve upward, backward and to the left, and the beginnings of both branches."""
    fork, radius = vary.near(12, 20, 66), 12.5 * vary.size()
    trunk = _tube(points, [valve - 6 * _TRUNK, valve + 15 * _TRUNK, fork], [radius] * 3)
    right_branch = _tube(points, [fork, vary.near(-14, 27, 63), vary.near(-38, 30, 58)], [10, 8.5, 7])
    left_branch = _tube(points, [fork, vary.near(38, 36, 68)], [10, 8])
    whole = _smooth_union(trunk, np.minimum(right_branch, left_branch), 8)
    return np.maximum(whole, -_beyond(points, valve, _TRUNK))


def _left_atrium(points: np.ndarray, vary: _Variation) -> tuple[np.ndarray, np.ndarray]:
    """Body, funnel to the mitral valve and stubs of the four veins; and the veins further out, which bear no label."""
    centre = vary.near(-8, 36, 18)
    semi_mm = (30 * vary.size(), 20 * vary.size(), 25 * vary.size())
    body = _ellipsoid(points, centre, rotation((0.2, 0.1, 0.1)), semi_mm)
    mitral = _tube(points, [_BASE - 10 * _ACROSS + 6 * _LONG_AXIS, centre], [13, 15])
    veins = [
        ((25, 50, 24), (62, 66, 30)),
        ((22, 48, 6), (60, 70, -4)),
        ((-32, 44, 26), (-70, 54, 36)),
        ((-32, 46, 6), (-70, 62, -6)),
    ]
    runs = [[centre, vary.near(*start), vary.near(*end)] for start, end in veins]
    stubs = np.min([_tube(points, run[:2], [7, 6.5]) for run in runs], axis=0)
    far = np.min([_tube(points, run[1:], [6.5, 4]) for run in runs], axis=0)
    return _smooth_union(_smooth_union(body, mitral, 8), stubs, 6), far


def _right_heart(points: np.ndarray, valve: np.ndarray, vary: _Variation) -> tuple[np.ndarray, np.ndarray]:
    """Right ventricle with its outflow, and right atrium; the tricuspid plane parts them."""
    tricuspid, inflow = vary.near(-26, -14, -8), _unit((0.72, -0.6, -0.35))
    flow_axis = _unit((0.8, -0.3, -0.5))
    side = _unit(np.cross(flow_axis, (0, 0.3, 1)))
    frame = np.stack([flow_axis, side, np.cross(flow_axis, side)])
    body = _ellipsoid(points, vary.near(6, -33, -15), frame, (52 * vary.size(), 28, 32 * vary.size()))
    outflow = _tube(points, [vary.near(2, -36, -2), valve + 6 * _TRUNK], [21 * vary.size(), 13])
    plane = _beyond(points, tricuspid, inflow)
    ventricle = np.max([_smooth_union(body, outflow, 12), -plane, _beyond(points, valve, _TRUNK)], axis=0)

    semi_mm = (25 * vary.size(), 28 * vary.size(), 33 * vary.size())
    atrium = _ellipsoid(points, vary.near(-45, 3, -3), rotation((0, 0.1, 0.2)), semi_mm)
    funnel = _tube(points, [vary.near(-42, 0, -4), tricuspid + 6 * inflow], [18, 17])
    return ventricle, np.maximum(_smooth_union(atrium, funnel, 8), plane)


# ---------------------------------------------------------------------------------------------- torso


def _warp(points: np.ndarray, random: np.random.Generator, amplitude_mm: float) -> np.ndarray:
    """Points displaced by a few long waves, so that no two hearts share a shape."""
    moved = points.copy()
    for component in range(3):
        for _ in range(3):
            wave = random.normal(0, 2 * np.pi / 110, 3).astype(np.float32)
            moved[:, component] += np.float32(amplitude_mm) * np.sin(
                points @ wave + np.float32(random.uniform(0, 6.28))
            )
    return moved


def anatomy(points: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels (int16) and noiseless HU (float32) at the points."""
    hu = _torso(points, random)
    labels = np.zeros(len(points), np.int16)
    near = np.flatnonzero(((points / _HEART_REACH_MM) ** 2).sum(axis=1) < 1)
    turn = rotation(np.radians(random.normal(0, 5, 3)))
    scale = random.uniform(0.9, 1.08)
    local = _warp(points[near], random, 1.6) @ turn.astype(np.float32) / np.float32(scale)
    heart = _heart(local, random)
    labels[near] = heart.labels

    here = hu[near]
    left, right = random.uniform(300, 430), random.uniform(130, 360)
    venous = right * random.uniform(0.6, 1.1)
    here[heart.sac < 0] = random.uniform(-105, -80)
    here[heart.wall < 0] = random.uniform(70, 120)
    here[heart.vessels < 0] = venous
    blood = {
        MYOCARDIUM: random.uniform(85, 130),
        LEFT_VENTRICLE: left,
        LEFT_ATRIUM: left * random.uniform(0.95, 1.05),
        AORTA: left * random.uniform(0.95, 1.08),
        RIGHT_VENTRICLE: right,
        RIGHT_ATRIUM: right * random.uniform(0.8, 1.1),
        PULMONARY_ARTERY: right * random.uniform(0.95, 1.25),
    }
    for value, level in blood.items():
        here[heart.labels == value] = level
    swirl = 0.05 * right * np.sin(local @ random.normal(0, 0.12, 3).astype(np.float32))
    mixing = (heart.labels == RIGHT_ATRIUM) | (heart.labels == RIGHT_VENTRICLE)
    here[mixing] += swirl[mixing]
    hu[near] = here
    return labels, hu


def _torso(points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """HU of body wall, lungs, spine, ribs, sternum, airway, descending aorta and upper abdomen, without the heart."""
    x, y, z = points.T
    middle, depth = random.uniform(-20, -12), random.uniform(24, 32)
    wide, deep = random.uniform(165, 185), random.uniform(116, 126)

    def ellipse(shrink_mm: float) -> np.ndarray:
        return ((x - middle) / (wide - shrink_mm)) ** 2 + ((y - depth) / (deep - shrink_mm)) ** 2

    hu = np.full(len(points), -1000, np.float32)
    hu[ellipse(0) < 1] = -95
    hu[ellipse(14) < 1] = 50
    cage = ellipse(28)
    chest = cage < 1
    shell = (ellipse(19) < 1) & ~chest
    ribs = np.mod(z + 0.45 * y + random.uniform(0, 30), 30) < 11
    hu[shell & ribs] = 380

    back = ((x - middle - 8) / 36) ** 2 + ((y - depth - 48) / 46) ** 2 < 1
    front_fat = ((x - middle - 6) / 34) ** 2 + ((y - depth + 92) / 26) ** 2 < 1
    mediastinum = back | front_fat
    right_dome = -14 - 0.005 * ((x - middle + 70) ** 2 + (y - depth) ** 2)
    left_dome = -30 - 0.005 * ((x - middle - 70) ** 2 + (y - depth) ** 2)
    below = z < np.maximum(right_dome, left_dome)
    lungs = chest & ~mediastinum & ~below
    hu[chest & mediastinum] = -70
    hu[lungs] = random.uniform(-870, -810)
    inside = np.flatnonzero(lungs)
    hu[inside[_lung_vessels(points[inside], middle, random)]] = 60
    hu[chest & below] = np.where(x < middle + 45, random.uniform(90, 125), 20)[chest & below]
    hu[chest & below & (x > middle + 45) & (z < left_dome - 14)] = -90

    def disc(cx: float, cy: float, radius: float, flat: float = 1.0) -> np.ndarray:
        return ((x - cx) ** 2 + ((y - cy) / flat) ** 2) < radius**2

    spine = depth + 56
    disc_space = np.mod(z + random.uniform(0, 26), 26) < 5
    hu[disc(middle, spine, 20, 0.85)] = 330
    hu[disc(middle, spine, 17, 0.85)] = 170
    hu[disc(middle, spine, 20, 0.85) & disc_space] = 90
    hu[disc(middle, spine + 25, 12)] = 300
    hu[disc(middle, spine + 25, 8)] = 30
    front = depth - deep + 26
    hu[disc(middle, front, 17, 0.32)] = 260
    hu[disc(middle + 26, spine - 18, 12)] = random.uniform(300, 420)
    airway = (z > 58) & disc(middle, depth + 22, 9)
    hu[airway] = -990
    hu[disc(middle + 4, depth + 36, 6, 0.7)] = 35
    return hu


def _lung_vessels(points: np.ndarray, middle: float, random: np.random.Generator) -> np.ndarray:
    """Which points lie in one of the vessels that fan out from the two hila; (points, 3) -> bool (points,)."""
    found = np.zeros(len(points), bool)
    for side in (-1, 1):
        mine = np.flatnonzero((points[:, 0] - middle) * side > 0)
        local = points[mine]
        hilum = np.array([middle + side * 45, 32, 50])
        for _ in range(16):
            end = hilum + random.normal(0, 1, 3) * (45, 55, 50) + (side * 25, 0, -10)
            found[mine[_tube(local, [hilum, end], [4.5, 1.5]) < 0]] = True
    return found
