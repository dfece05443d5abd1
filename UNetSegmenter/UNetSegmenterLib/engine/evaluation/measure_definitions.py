"""Title, unit, explanation and colour scale of each measure, for tables in panel and report."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .measures import Measures


@dataclass(frozen=True)
class MeasureDefinition:
    """How one measure is displayed.

    Attributes:
        key: Field of `Measures`.
        title: Heading of its column.
        unit: Unit, or range.
        text: Explanation.
        digits: Displayed decimals.
        worst: Value at the worst end of the colour scale, None for no colour.
        best: Value at the best end of the colour scale.
        logarithmic: Whether the colour scale is logarithmic, as suits distances.
    """

    key: str
    title: str
    unit: str
    text: str
    digits: int
    worst: float | None = None
    best: float | None = None
    logarithmic: bool = False

    def shown(self, value: float) -> str:
        """The value as tables display it: ∞ where one of the two is empty, a dash where nothing was measured."""
        if math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞"
        if self.key == "difference_ml":
            text = f"{value:+.{self.digits}f}"
            return text[1:] if not float(text) else text.replace("-", "−")
        return f"{value:.{self.digits}f}"


DEFINITIONS: tuple[MeasureDefinition, ...] = (
    MeasureDefinition(
        "dice", "Dice", "0 to 1",
        "Twice the common volume over the sum of both volumes. 1 is identity, 0 no common voxel. Large structures reach "
        "high values more easily than small or thin ones.", 3, 0.5, 1.0,
    ),
    MeasureDefinition(
        "iou", "IoU", "0 to 1",
        "Common volume over the volume of both together (Jaccard index); equals Dice / (2 − Dice).", 3, 1 / 3, 1.0,
    ),
    MeasureDefinition(
        "precision", "Precision", "0 to 1",
        "Fraction of the prediction that lies in the reference: low where too much was segmented.", 3, 0.5, 1.0,
    ),
    MeasureDefinition(
        "recall", "Recall", "0 to 1",
        "Fraction of the reference that the prediction contains: low where something was left out.", 3, 0.5, 1.0,
    ),
    MeasureDefinition(
        "nsd", "NSD", "0 to 1",
        "Normalised surface distance: fraction of both surfaces that lies within the tolerance of the other.", 3, 0.5, 1.0,
    ),
    MeasureDefinition(
        "hd95_mm", "HD95", "mm",
        "95 % of each surface lies closer to the other than this; the larger of the two directions. Robust against "
        "single isolated voxels.", 1, 20.0, 2.0, True,
    ),
    MeasureDefinition(
        "hd_mm", "HD", "mm",
        "Hausdorff distance: the largest distance of any point of one surface to the other. One isolated voxel determines it.",
        1, 40.0, 4.0, True,
    ),
    MeasureDefinition(
        "assd_mm", "ASSD", "mm",
        "Average symmetric surface distance: mean distance between the two surfaces, both directions, by area.",
        2, 5.0, 0.5, True,
    ),
    MeasureDefinition("prediction_ml", "Prediction", "ml", "Volume of the predicted structure.", 1),
    MeasureDefinition("reference_ml", "Reference", "ml", "Volume of the reference structure.", 1),
    MeasureDefinition(
        "difference_ml", "Difference", "ml",
        "Volume of the prediction minus that of the reference. Zero does not mean the same position.", 1, 0.5, 0.0,
    ),
    MeasureDefinition(
        "components", "Components", "",
        "Connected components of the prediction, and of the reference; voxels that touch at a corner are connected.", 0, 1.0, 0.0,
    ),
)  # fmt: skip

BY_KEY = {definition.key: definition for definition in DEFINITIONS}


def goodness(measures: Measures, key: str) -> float | None:
    """Position of a measure on its colour scale, 0 worst to 1 best; None where there is nothing to colour.

    The volume difference counts relative to the reference, the number of components by its difference from the reference's.
    """
    definition, value = BY_KEY[key], float(getattr(measures, key))
    if definition.worst is None or definition.best is None or math.isnan(value):
        return None
    if key == "difference_ml":
        value = abs(value) / measures.reference_ml if measures.reference_ml else math.inf
    elif key == "components":
        surplus = abs(measures.components - measures.reference_components)
        value = 0.0 if not surplus else min(1.0, 0.4 + 0.1 * surplus)
    if math.isinf(value):
        return 0.0
    if definition.logarithmic:
        position = math.log(max(value, 1e-6) / definition.worst) / math.log(definition.best / definition.worst)
    else:
        position = (value - definition.worst) / (definition.best - definition.worst)
    return min(1.0, max(0.0, position))
