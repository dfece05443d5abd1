"""What each measure is called, its unit, what it means in a sentence, and where good ends: for tables in panel and report."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .measures import Measures


@dataclass(frozen=True)
class MeasureDefinition:
    """One measure as people meet it.

    `key` is the field of `Measures`; `digits` the decimals shown. `worst` and `best` are the ends of the colour scale
    (None: no colour); with `logarithmic` the scale runs in factors, as suits distances.
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
        """The value as a table shows it: ∞ where one of the two is empty, a dash where nothing was measured."""
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
        "Common volume over the volume that either claims (Jaccard index); equals Dice / (2 − Dice).", 3, 1 / 3, 1.0,
    ),
    MeasureDefinition(
        "precision", "Precision", "0 to 1",
        "Share of the prediction that lies in the reference: low where too much was segmented.", 3, 0.5, 1.0,
    ),
    MeasureDefinition(
        "recall", "Recall", "0 to 1",
        "Share of the reference that the prediction found: low where something was left out.", 3, 0.5, 1.0,
    ),
    MeasureDefinition(
        "nsd", "NSD", "0 to 1",
        "Normalised surface distance: share of both surfaces that lies within the tolerance of the other.", 3, 0.5, 1.0,
    ),
    MeasureDefinition(
        "hd95_mm", "HD95", "mm",
        "95 % of each surface lies closer to the other than this; the larger of the two directions. Robust against "
        "single stray voxels.", 1, 20.0, 2.0, True,
    ),
    MeasureDefinition(
        "hd_mm", "HD", "mm",
        "Hausdorff distance: the largest distance of any point of one surface to the other. One stray voxel decides it.",
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
        "Volume of the prediction minus that of the reference. Zero does not mean the same place.", 1, 0.5, 0.0,
    ),
    MeasureDefinition(
        "components", "Pieces", "",
        "Separate pieces of the prediction, and of the reference; voxels that touch at a corner belong together.", 0, 1.0, 0.0,
    ),
)  # fmt: skip

BY_KEY = {definition.key: definition for definition in DEFINITIONS}


def goodness(measures: Measures, key: str) -> float | None:
    """Place of a measure on its colour scale, 0 worst to 1 best; None where there is nothing to colour.

    The volume difference goes by its share of the reference, pieces by how many the reference doesn't have.
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
        place = math.log(max(value, 1e-6) / definition.worst) / math.log(definition.best / definition.worst)
    else:
        place = (value - definition.worst) / (definition.best - definition.worst)
    return min(1.0, max(0.0, place))
