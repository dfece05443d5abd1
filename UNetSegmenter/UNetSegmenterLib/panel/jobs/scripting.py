"""The work behind the module's scripting interface, which the panel is not needed for; everything here waits."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer

from ...engine.errors import InputError
from ...engine.evaluation.comparison import Comparison, compare, with_distinct_colors
from ...engine.io.volume import HU, Volume
from ...engine.labels.matching import remaining_matches
from ...engine.model.card import Card
from ...engine.plausibility.finding import Finding
from ...engine.report.report_folder import CaseReport, outputs_in, write_case_report
from ...engine.stepwise import run_to_end
from ...scene.nodes.case_nodes import provenance_facts, read_case_steps, read_pair_steps
from ...scene.nodes.node_attributes import matched_by_hand, verdict_of
from ...scene.nodes.segmentation_from_node import segmentation_from_node
from ...scene.nodes.volume_nodes import volume_from_node
from ...scene.nodes.world_positions import comparison_in_world, comparison_on_scan, findings_in_world
from .segmenter import JobCallbacks, SegmentationJob, SegmentationOptions, SegmentationResult
from .worker_process import WorkerProcess


def wait_until(is_over: Callable[[], Any]) -> None:
    """Let Slicer go on until `is_over()` holds."""
    while not is_over():
        slicer.app.processEvents()
        time.sleep(0.005)


def segment_and_wait(worker: WorkerProcess, volume_node: Any, options: SegmentationOptions) -> Any:
    """Segment a scan and return the segmentation node.

    Raises:
        InputError: for a checkpoint or a scan that cannot be used.
        RuntimeError: if the scene is closed meanwhile, or for anything else that goes wrong.
    """
    results: list[SegmentationResult] = []
    job = SegmentationJob(worker, volume_node, options, JobCallbacks(on_end=results.append))
    job.start()
    wait_until(lambda: results or job.is_abandoned)
    if not results:
        raise RuntimeError("The scene was closed before the segmentation was done.")
    failure = results[0].failure
    if failure is None:
        return results[0].node
    logging.error("UNetSegmenter: %s\n%s", failure.message, failure.details)
    raise InputError(failure.message) if failure.kind == "input" else RuntimeError(failure.message)


def compare_nodes(prediction: Any, reference: Any, volume: Any, by_hand: dict[str, str | None] | None) -> Comparison:
    """Compare a prediction with a reference; `by_hand` of None takes what was matched in the panel."""
    ours, theirs, notes = run_to_end(read_pair_steps(prediction, reference))
    if by_hand is None:
        by_hand = remaining_matches(matched_by_hand(prediction, reference), ours.structures, theirs.structures)
    comparison = compare(ours, theirs, case=volume.GetName() if volume else "", by_hand=by_hand)
    return replace(comparison_in_world(comparison, reference), notes=(*notes, *comparison.notes))


def check_nodes(worker: WorkerProcess, segmentation: Any, volume: Any, checkpoint: str | None) -> list[Finding]:
    """Plausibility findings of a segmentation, with the training statistics of a checkpoint if one is named."""
    from ...engine.plausibility.plausibility_checks import check

    card = _card_of(worker, checkpoint) if checkpoint else None
    labels = segmentation_from_node(segmentation, volume)
    scan = _scan_for(card, volume) if volume is not None else None
    findings = check(labels, scan, (card.statistics or None) if card else None)
    return findings_in_world(findings, volume or segmentation)


def _card_of(worker: WorkerProcess, checkpoint: str) -> Card:
    return Card.from_json(json.dumps(describe_checkpoint(worker, checkpoint)["card"]))


def _scan_for(card: Card | None, volume: Any) -> Volume:
    """The scan as the network of a card reads it."""
    return replace(volume_from_node(volume), intensities=card.preprocessing.intensities if card else HU)


def write_report(
    worker: WorkerProcess,
    nodes: tuple[Any, Any, Any],
    folder: Path | str,
    *,
    checkpoint: str | None,
    overwrite: bool,
    distinct_colors: bool = False,
) -> str:
    """Compare, check and write the report of a case.

    Args:
        worker: Reads the checkpoint.
        nodes: Prediction, reference and scan (or None).
        folder: Made if it isn't there.
        checkpoint: Path of the checkpoint whose training statistics the checks use, or None.
        overwrite: Replace a report that is there.
        distinct_colors: Show the structures in colours that one can tell apart.

    Returns:
        Path of report.html.

    Raises:
        InputError: for a folder that holds a report already, and for nodes that cannot be compared.
    """
    from ...engine.plausibility.training_statistics import limits_text

    if (there := outputs_in(folder)) and not overwrite:
        raise InputError(f"{folder} holds {', '.join(there)} already; choose another folder, or overwrite=True.")
    prediction, reference, volume = nodes
    comparison = compare_nodes(prediction, reference, volume, None)
    findings = check_nodes(worker, prediction, volume, checkpoint)
    card, images = _card_of(worker, checkpoint) if checkpoint else None, None
    if volume is not None:
        comparison = comparison_on_scan(comparison, volume)
        images = replace(run_to_end(read_case_steps(volume, prediction, reference)), volume=_scan_for(card, volume))
    facts = provenance_facts(prediction, reference, volume)
    limits = limits_text(card.statistics if card else None, model=card is not None)
    if distinct_colors:
        comparison = with_distinct_colors(comparison)
    report = CaseReport(comparison, findings, verdict_of(prediction), facts, images=images, limits=limits)
    return str(write_case_report(report, os.path.abspath(folder)))


def describe_checkpoint(worker: WorkerProcess, checkpoint: str) -> dict[str, Any]:
    """What the worker reads from a checkpoint. Raises InputError if it is refused."""
    answers: list[dict[str, Any]] = []
    failures: list[Any] = []
    worker.request("describe", answers.append, failures.append, checkpoint=os.path.abspath(checkpoint))
    wait_until(lambda: answers or failures)
    if failures:
        raise InputError(failures[0].message)
    return answers[0]
