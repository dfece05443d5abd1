"""Patients of five ellipsoids in an elliptical body, their training statistics, and one who is not among the training cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.plausibility.finding import PASS, Finding
from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics

SHAPE = (40, 60, 70)
SPACING = (3.0, 2.0, 2.0)
ORGANS = tuple(
    known_structure(name, index, index)
    for index, name in enumerate(("liver", "spleen", "left kidney", "right kidney", "stomach"), start=1)
)
# (slice, row, column) centre and semi-axes in voxels, HU; columns run from the patient's right to the left
ELLIPSOIDS = {
    1: ((24, 28, 18), (9, 14, 12), 110),
    2: ((26, 38, 56), (6, 8, 7), 120),
    3: ((14, 42, 48), (7, 6, 6), 180),
    4: ((12, 42, 22), (7, 6, 6), 180),
    5: ((25, 22, 44), (7, 9, 10), 40),
}


def patient(seed: int | None = 0, spacing: tuple[float, float, float] = SPACING) -> tuple[Segmentation, Volume]:
    """Five ellipsoids in an elliptical body; seed None is the mean patient."""
    random = np.random.default_rng(seed)
    wobble = (lambda scale, n=3: np.zeros(n)) if seed is None else (lambda scale, n=3: random.normal(0, scale, n))
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1)
    hu = np.full(SHAPE, -1000.0)
    hu[((grid[..., 1] - 30) / 26) ** 2 + ((grid[..., 2] - 35) / 32) ** 2 < 1] = -60
    labels = np.zeros(SHAPE, np.uint8)
    whole = wobble(0.7)
    for index, (centre, semi, level) in ELLIPSOIDS.items():
        middle = np.array(centre) + whole + wobble(0.5)
        size = np.array(semi) * (1 + wobble(0.04))
        inside = (((grid - middle) / size) ** 2).sum(axis=-1) < 1
        inside &= labels == 0
        labels[inside] = index
        hu[inside] = level + wobble(8, 1)[0]
    hu += np.random.default_rng(seed or 0).normal(0, 8, SHAPE)
    geometry = Geometry(SHAPE, spacing)
    return Segmentation(labels, geometry, ORGANS, f"patient {seed}"), Volume(hu.astype(np.int16), geometry)


def alarms(found: list[Finding], check_name: str | None, structure: str | None = None) -> list[Finding]:
    return [
        f for f in found if check_name in (None, f.check) and f.severity != PASS and structure in (None, f.structure)
    ]


def with_labels(segmentation: Segmentation, change) -> Segmentation:
    labels = segmentation.labels.copy()
    change(labels)
    return replace(segmentation, labels=labels)


def label_at(segmentation: Segmentation, finding: Finding) -> int:
    """The label of the voxel that a finding leads to, in the upright grid of `patient`."""
    right, anterior, superior = finding.position_ras_mm
    voxel_index = np.rint(np.array((superior, -anterior, -right)) / SPACING).astype(int)
    return int(segmentation.labels[tuple(voxel_index)])


@pytest.fixture(scope="session")
def statistics() -> dict:
    return training_statistics(patient(seed) for seed in range(12))


@pytest.fixture
def unseen() -> tuple[Segmentation, Volume]:
    return patient(99)
