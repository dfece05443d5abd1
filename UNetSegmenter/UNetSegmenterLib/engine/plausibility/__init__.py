"""Is it anatomy? Plausibility of a segmentation without ground truth: a list of findings, each with a place to look at.

No check needs a network; how sure one was comes with the segmentation that it made. With
the statistics of training labels (`reference_statistics`, stored in a checkpoint's card) each
quantity is held against what the labels show; without them the checks that need none still run, by rules of thumb.
"""

from __future__ import annotations

from typing import Any

from ..io.volume import Volume
from ..labels.segmentation import Segmentation
from .anatomy import Anatomy
from .finding import FAIL, PASS, SEVERITIES, WARN, Finding, alarm_score, worst
from .plausibility_checks import Judge
from .rules import CHECKS
from .training_statistics import facts, reference_statistics


def check(
    segmentation: Segmentation,
    volume: Volume | None = None,
    statistics: dict[str, Any] | None = None,
) -> list[Finding]:
    """Findings of all checks, "pass" included: one a check and structure at most, however much is wrong.

    `volume` is the scan on the segmentation's grid (HU checks need it), `statistics` what `reference_statistics` returned.
    Raises InputError where the grids differ.
    """
    anatomy = Anatomy(segmentation, volume)
    return Judge(anatomy, facts(anatomy), statistics).findings()


__all__ = [
    "CHECKS",
    "FAIL",
    "PASS",
    "SEVERITIES",
    "WARN",
    "Finding",
    "alarm_score",
    "check",
    "reference_statistics",
    "worst",
]
