"""Training statistics, and a patient who is not among the training cases."""

from __future__ import annotations

import pytest
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics

from .ellipsoid_patients import patient


@pytest.fixture(scope="session")
def statistics() -> dict:
    return training_statistics(patient(seed) for seed in range(12))


@pytest.fixture
def unseen() -> tuple[Segmentation, Volume]:
    return patient(99)
