"""Findings as a page: grouped by structure, the most severe first, small components in one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.plausibility.finding import Finding
from UNetSegmenterLib.engine.plausibility.findings_page import WHOLE, findings_page
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check


def found(structure, ml=100.0, severity="pass"):
    return Finding("presence", structure, severity, ml, "present", None, f"{structure.title()}: found.", "ml")


def finding(structure, severity, check="tissue", value=1.0, unit="HU"):
    title = structure[:1].upper() + structure[1:] if structure else "Head to feet"
    return Finding(check, structure, severity, value, "", None, f"{title}: says {check}.", unit)


def test_the_most_severe_structure_stands_first():
    page = findings_page(
        [
            found("liver"), found("spleen"), found("aorta"), found("stomach"),
            finding("liver", "warn"), finding("liver", "warn", "extent"),
            finding("spleen", "warn"), finding("spleen", "fail", "extent"),
            finding("aorta", "pass"), finding("", "warn", "order"),
        ]
    )  # fmt: skip
    assert [group.structure for group in page.groups] == ["spleen", "liver", ""]
    assert [one.severity for one in page.groups[0].findings] == ["fail", "warn"]
    assert page.groups[0].counts == "1 not plausible, 1 worth a look"
    assert page.groups[2].title == WHOLE
    assert (page.plausible, page.structures) == (2, 4) and page.headline == "2 of 4 structures look plausible."
    assert page.groups[0].text(page.groups[0].findings[0]) == "Says extent."
    assert len(page.passed) == 5


@pytest.mark.parametrize(
    ("value", "unit", "body_ml", "is_small"),
    [
        (0.9, "ml", 1000.0, True),
        (1.1, "ml", 1000.0, False),  # more than 1 ml
        (0.9, "ml", 100.0, False),  # more than 0.5 %
        (0.4, "%", 100.0, True),
        (0.4, "%", 1000.0, False),  # 4 ml
        (0.6, "%", 100.0, False),
        (2.0, "", 1000.0, False),  # two large components
    ],
)
def test_what_is_small_is_so_in_ml_and_in_per_cent(value, unit, body_ml, is_small):
    page = findings_page([found("liver", body_ml), finding("liver", "warn", "components", value, unit)])
    assert bool(page.small) == is_small and bool(page.groups) != is_small
    assert page.plausible == int(is_small)
    assert ("liver" in page.small_sentence) == is_small


def test_a_failure_is_never_small():
    page = findings_page([found("liver"), finding("liver", "fail", "components", 0.1, "%")])
    assert page.groups and not page.small


def test_small_components_of_all_structures_are_one_sentence():
    few = [finding(name, "warn", "components", 0.3, "ml") for name in ("liver", "spleen")]
    page = findings_page([found("liver", 1500.0), found("spleen", 200.0), *few])
    assert page.plausible == 2 and not page.groups and len(page.small) == 2
    assert "liver (0.3 ml), spleen (0.3 ml)" in page.small_sentence


def test_a_structure_outside_the_field_of_view_is_not_counted_and_a_missing_one_is():
    page = findings_page([found("liver"), found("aorta", 0.0), found("spleen", 0.0, "fail")])
    assert (page.plausible, page.structures) == (1, 2)
    assert [group.structure for group in page.groups] == ["spleen"]


def test_the_checks_of_a_real_segmentation_sort_themselves():
    """An ellipsoid of 520 ml and a component of 0.5 ml far from it: nothing that a reader would mention."""
    labels = np.zeros((60, 100, 100), np.uint8)
    grid = np.ogrid[tuple(slice(0, size) for size in labels.shape)]
    labels[sum(((at - 30) / r) ** 2 for at, r in zip(grid, (20, 25, 25), strict=True)) < 1] = 1
    labels[50:53, 80:84, 80:84] = 1
    geometry = Geometry(labels.shape, (2.5, 2.0, 2.0))
    page = findings_page(check(Segmentation(labels, geometry, (known_structure("liver", 1, (1,)),))))
    assert [one.structure for one in page.small] == ["liver"] and 0.3 < page.small[0].value < 0.7
    assert page.small[0].position_ras_mm is not None
