"""Compare and check what is chosen, as far as that has not been done: what a report and a review of a test set need."""

from __future__ import annotations

from collections.abc import Generator

from ..sections.compare_section import CompareSection
from ..sections.plausibility_section import PlausibilitySection


def judge_steps(compare: CompareSection, plausibility: PlausibilitySection) -> Generator[None, None, None]:
    """Fill both sections, one request after the other; each says itself what went wrong. To be turned by a Sequence."""
    try:
        while compare.is_blocked:
            yield  # somebody's scan is being segmented
        if compare.comparison is None and not compare.is_busy and not compare.reason():
            compare.compare()
        while compare.is_busy:
            yield
        if plausibility.findings is None and not plausibility.is_busy and not plausibility.reason():
            plausibility.check()
        while plausibility.is_busy:
            yield
    except GeneratorExit:
        compare.stop()
        plausibility.stop()
        raise
