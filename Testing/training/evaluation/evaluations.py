"""Evaluations of a small checkpoint on a small data set, without the command, and what two of them must agree in."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.seen_cases import SeenCase
from unetseg.evaluation.case_evaluation import EvaluationSettings
from unetseg.evaluation.evaluation_folder import EvaluationManifest, sum_up
from unetseg.evaluation.evaluation_run import evaluate_cases
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.prediction import Predictor

from ..datasets import STRUCTURES

CASES = 5
CARD = {"structures": STRUCTURES, "training": {"cases": ["case0"]}}


def cpu_settings(checkpoint: Path, sha256: str, folder: Path, data) -> EvaluationSettings:
    """Settings in float32, so that no timed choice of the precision can make two runs differ."""
    return EvaluationSettings(
        checkpoints=(checkpoint,),
        checkpoint_sha256=sha256,
        folder=folder,
        structures=data.structures,
        device="cpu",
        dtype=torch.float32,
    )


def evaluate(checkpoint: Path, dataset: Path, folder: Path, shard=(1, 1), workers=1) -> dict:
    """An evaluation in this process, or in several."""
    predictor = Predictor(load_checkpoint(checkpoint), "cpu", dtype=torch.float32)
    data = read_dataset(dataset)
    names = tuple(case.name for case in data.cases)
    manifest = EvaluationManifest(
        title="Small on Blobs",
        checkpoint="small",
        checkpoint_sha256=predictor.checkpoint.sha256,
        data_set=data.name,
        cases=names,
        seen_cases=(SeenCase("case0", ""),),
        shard=shard[0],
        shards=shard[1],
    )
    cases = [case for case in data.cases if case.name in manifest.own_cases]
    settings = cpu_settings(checkpoint, manifest.checkpoint_sha256, folder, data)
    results, failed = evaluate_cases(settings, manifest, cases, predictor, workers)
    assert not failed
    return sum_up(folder, manifest, results, {})


def same_results(one: Path, other: Path) -> None:
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    first, second = (json.loads((folder / "summary.json").read_text()) for folder in (one, other))
    for summary in (first, second):
        assert summary.pop("provenance")["checkpoint SHA-256"]
    assert first == second
