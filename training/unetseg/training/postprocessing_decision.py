"""The postprocessing that a cross-validation decides: per structure, what raises the mean Dice of patients no fold had seen.

First the removal of small components, structure by structure: how large a component may be and still go, found among
fractions of the smallest true one in the references, or all but the largest. Then, on what is left, the filling of cavities.
nnU-Net decides about the largest component in the same place; what is a small component is decided by size here, as two
components are no error in an aorta that the scan shows above and below its arch.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.labels.bounding_boxes import joint_box, label_boxes
from UNetSegmenterLib.engine.labels.dice import dice_coefficient
from UNetSegmenterLib.engine.labels.structures import Structure
from UNetSegmenterLib.engine.model.postprocessing import connected_components, fill_cavities, postprocess
from UNetSegmenterLib.engine.model.postprocessing_steps import CAVITIES, EVIDENCE, LARGEST, SMALL, SMALL_OF

from .postprocessing_evidence import FEWEST_CASES, LEAST_RISE, Evidence, evidence

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Sizes that are tried, as fractions of the smallest true component."""

TRUE_FRACTION = 0.05
"""A component of a reference below this fraction of its structure is a slip of the pen and not a true one."""

METHOD = (
    "Dice at the network's grid. Of several sizes the smallest is taken whose mean is within one standard error of the best. "
    "dice_with gives each patient the step that the other patients choose (leave-one-out), so no "
    f"patient is measured with a choice that it took part in. A step is kept if at least {FEWEST_CASES} patients have the "
    f"structure, the mean rises by {LEAST_RISE} or more, and no more patients are worse than better."
)


@dataclass(frozen=True)
class UnseenCase:
    """A patient as a network predicted it that never saw it; labels are kept compressed.

    Attributes:
        name: of the case.
        reference: uint8 (slices, rows, columns) of structure indices.
        voxel_ml: volume of a voxel.
        packed: the predicted labels of the same shape.
    """

    name: str
    reference: np.ndarray
    voxel_ml: float
    packed: bytes

    @classmethod
    def of(cls, name: str, prediction: np.ndarray, reference: np.ndarray, voxel_ml: float) -> UnseenCase:
        """A case with its predicted labels uint8 (slices, rows, columns)."""
        return cls(name, reference, voxel_ml, zlib.compress(np.ascontiguousarray(prediction).data, 1))

    def prediction(self) -> np.ndarray:
        """The predicted labels, uint8 (slices, rows, columns), in an array of their own."""
        return np.frombuffer(bytearray(zlib.decompress(self.packed)), np.uint8).reshape(self.reference.shape)


@dataclass(frozen=True)
class Decision:
    """What was decided for one structure about one kind of step.

    Attributes:
        structure: its name.
        kind: "components" or "cavities".
        evidence: what the choice is worth.
        options: steps that were tried, and the mean Dice of all patients with each.
        step: the step as a card has it, None if none is kept.
    """

    structure: str
    kind: str
    evidence: Evidence
    options: tuple[tuple[dict[str, Any], float], ...]
    step: dict[str, Any] | None

    @property
    def reason(self) -> str:
        """Why no step is kept; empty if one is."""
        found = self.evidence
        if self.step is not None:
            return ""
        if found.cases < FEWEST_CASES:
            return f"{found.cases} patients have it, at least {FEWEST_CASES} are needed to decide"
        if not any(dice != found.dice_without for _, dice in self.options):
            return f"no prediction has {'a small component' if self.kind == 'components' else 'a cavity'}"
        if not found.option:
            return f"nothing that was tried raises the mean Dice of {found.dice_without:.4f}"
        return (
            f"for patients who did not choose it the mean Dice goes from {found.dice_without:.4f} to {found.dice_with:.4f}, "
            f"better in {found.better} and worse in {found.worse}: not enough"
        )

    def to_json(self) -> dict[str, Any]:
        """The decision as postprocessing.json has it."""
        tried = [{"step": step, "mean_dice": dice} for step, dice in self.options]
        return {**asdict(self.evidence), "kept": self.step is not None, "reason": self.reason, "tried": tried}


def decide(cases: Sequence[UnseenCase], structures: Sequence[Structure]) -> list[Decision]:
    """Decide on components, then on cavities, structure by structure."""
    options = removal_options(cases, structures)
    tables = [removal_dice(case, options) for case in cases]
    decisions = [
        _decision(one, "components", options[one.index], np.stack([table[one.index] for table in tables]))
        for one in structures
        if cases
    ]
    steps = steps_of(decisions)
    filled = [filling_dice(case, steps, structures) for case in cases]
    return decisions + [
        _decision(one, "cavities", [{CAVITIES: [one.index]}], np.stack([table[one.index] for table in filled]))
        for one in structures
        if cases
    ]


def steps_of(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """The steps that are kept, in the order in which they are carried out."""
    return [decision.step for decision in decisions if decision.step is not None]


def removal_options(cases: Sequence[UnseenCase], structures: Sequence[Structure]) -> dict[int, list[dict[str, Any]]]:
    """Steps to try for each structure by index, the most careful first."""
    smallest: dict[int, float] = {}
    for case in cases:
        for index, box in label_boxes(case.reference, [one.index for one in structures]).items():
            mask = case.reference[box] == index
            sizes = np.bincount(connected_components(mask)[mask])
            true = sizes[sizes >= TRUE_FRACTION * sizes.sum()].min() * case.voxel_ml
            smallest[index] = min(true, smallest.get(index, true))
    options: dict[int, list[dict[str, Any]]] = {}
    for one in structures:
        sizes_ml = sorted({float(f"{fraction * smallest.get(one.index, 0.0):.2g}") for fraction in FRACTIONS} - {0.0})
        options[one.index] = [{SMALL: ml, SMALL_OF: [one.index]} for ml in sizes_ml] + [{LARGEST: [one.index]}]
    return options


def removal_dice(case: UnseenCase, options: dict[int, list[dict[str, Any]]]) -> dict[int, np.ndarray]:
    """Dice of each structure by index, without a step and with each of its options."""
    prediction = case.prediction()
    ours, theirs = (label_boxes(labels, list(options)) for labels in (prediction, case.reference))
    tables = {}
    for index, steps in options.items():
        if (box := joint_box(ours.get(index), theirs.get(index))) is None:
            tables[index] = np.full(len(steps) + 1, np.nan)
            continue
        mask, reference = prediction[box] == index, case.reference[box] == index
        number = connected_components(mask)[mask]
        sizes, hits = np.bincount(number, minlength=2), np.bincount(number[reference[mask]], minlength=2)
        hits = np.pad(hits, (0, len(sizes) - len(hits)))
        limits = [0.0, *(step.get(SMALL, np.inf) / case.voxel_ml for step in steps)]
        kept = [sizes >= min(limit, sizes.max()) for limit in limits]
        tables[index] = np.array(
            [dice_coefficient(hits[one].sum(), sizes[one].sum(), reference.sum(), if_empty=np.nan) for one in kept]
        )
    return tables


def filling_dice(
    case: UnseenCase, steps: Sequence[dict[str, Any]], structures: Sequence[Structure]
) -> dict[int, np.ndarray]:
    """Dice of each structure by index after `steps`, without and with its cavities filled."""
    prediction = case.prediction()
    postprocess(prediction, steps, case.voxel_ml)
    indices = [one.index for one in structures]
    ours, theirs = (label_boxes(labels, indices) for labels in (prediction, case.reference))
    tables = {}
    for index in indices:
        if (box := joint_box(ours.get(index), theirs.get(index))) is None:
            tables[index] = np.full(2, np.nan)
            continue
        inside, reference = prediction[box].copy(), case.reference[box] == index
        before = inside == index
        fill_cavities(inside, index, case.voxel_ml)
        tables[index] = np.array([_dice(mask, reference) for mask in (before, inside == index)])
    return tables


def _dice(mask: np.ndarray, reference: np.ndarray) -> float:
    return float(dice_coefficient((mask & reference).sum(), mask.sum(), reference.sum(), if_empty=np.nan))


def _decision(structure: Structure, kind: str, options: Sequence[dict[str, Any]], dice: np.ndarray) -> Decision:
    found = evidence(dice)
    known = dice[~np.isnan(dice[:, 0])]
    means = known.mean(axis=0)[1:] if len(known) else np.zeros(0)
    tried = tuple((step, float(mean)) for step, mean in zip(options, means, strict=False))
    step = None
    if found.is_enough:
        worth = {
            "dice_without": round(found.dice_without, 5),
            "dice_with": round(found.dice_with, 5),
            "cases": found.cases,
            "better": found.better,
            "worse": found.worse,
        }
        step = {**options[found.option - 1], EVIDENCE: worth}
    return Decision(structure.name, kind, found, tried, step)


def names_of_kept(decision: Decision) -> str:
    """What the step of a decision does, in a few words."""
    step = decision.step or {}
    if CAVITIES in step:
        return "fill cavities"
    return f"remove components below {step[SMALL]:.3g} ml" if SMALL in step else "keep the largest component"
