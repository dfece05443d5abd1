"""Evaluate the cases that have no result yet, one after another or over several processes of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.prediction import Predictor

from ..console import ProgressCallback, print_line, progress, warn
from ..data.dataset import Case
from ..output_folder import OutputFolder
from .case_evaluation import CaseFailure, CaseResult, EvaluationSettings, evaluator, is_finished, read_result
from .evaluation_folder import MANIFEST, EvaluationManifest, write_manifest
from .process_pool import WorkerDied, run_in_processes


def default_workers(device: torch.device) -> int:
    """Processes if none are asked for: one on a GPU, on a CPU one for two threads that torch may use."""
    return max(1, torch.get_num_threads() // 2) if device.type == "cpu" else 1


def evaluate_cases(
    work: EvaluationSettings,
    manifest: EvaluationManifest,
    cases: Sequence[Case],
    predictor: Predictor,
    workers: int = 0,
    output: OutputFolder | None = None,
) -> tuple[dict[str, CaseResult], dict[str, CaseFailure]]:
    """All results by case, and why the other cases have none; what is finished in the folder is not done again.

    workers: processes, 0 for as many as suit the machine. output: the folder of the command, if there is one: predictions
    that will be written are claimed in it; those of finished cases may have been corrected by hand since, and stay. Raises
    InputError if no case can be evaluated, and then leaves nothing in the folder.
    """
    if workers < 0:
        raise InputError(f"{workers} workers can't be; give 1 or more, or leave the number out.")
    waiting = [case for case in cases if not is_finished(case, work)]
    if kept := len(cases) - len(waiting):
        print_line(f"{kept} of {len(cases)} cases were evaluated before and are kept")
    if work.predictions and output is not None:
        output.claim(*(work.prediction_path(case.name).relative_to(output.path).as_posix() for case in waiting))
    for case in waiting:
        work.result_path(case.name).unlink(missing_ok=True)
    failed: dict[str, CaseFailure] = {}
    write_manifest(manifest, work.folder)
    try:
        for case, failure in _each(work, waiting, predictor, workers):
            if failure is not None:
                warn(f"{case.name} could not be evaluated: {failure.reason}")
                failed[case.name] = failure
    finally:
        if cases and not any(work.result_path(case.name).exists() for case in cases):
            (work.folder / MANIFEST).unlink(missing_ok=True)
    return {case.name: read_result(work.result_path(case.name)) for case in cases if case.name not in failed}, failed


def _each(
    work: EvaluationSettings, cases: Sequence[Case], predictor: Predictor, workers: int
) -> Iterator[tuple[Case, CaseFailure | None]]:
    """Each case as it ends, with the reason if it failed."""
    workers = min(workers or default_workers(predictor.device), len(cases))
    if not cases:
        return
    what = f"evaluating in {workers} processes" if workers > 1 else "evaluating"
    with progress(what, "cases") as show:
        if workers < 2:
            yield from _in_this_process(work, cases, predictor, show)
            return
        threads = max(1, torch.get_num_threads() // workers)
        for done, (place, failure) in enumerate(run_in_processes(evaluator, work, cases, workers, threads), start=1):
            show(done, len(cases), cases[place].name)
            yield cases[place], CaseFailure(str(failure), str(failure)) if isinstance(failure, WorkerDied) else failure


def _in_this_process(
    work: EvaluationSettings, cases: Sequence[Case], predictor: Predictor, show: ProgressCallback
) -> Iterator[tuple[Case, CaseFailure | None]]:
    evaluate = evaluator(work, predictor)
    for done, case in enumerate(cases):

        def slices(part: int, total: int, done: int = done, name: str = case.name) -> None:
            show(done, len(cases), f"{name}, slice {part} of {total}")

        failure = evaluate(case, slices)
        show(done + 1, len(cases), case.name)
        yield case, failure


def end_if_failed(failed: dict[str, CaseFailure], cases: int, kept_in: str) -> None:
    """End the command if cases failed: InputError if files are to blame, status 1 with the traceback for the rest."""
    if not failed:
        return
    if traces := [failure.trace for failure in failed.values() if failure.trace]:
        sys.stderr.write(traces[0].rstrip() + "\n")
        raise SystemExit(1)
    first, failure = next(iter(failed.items()))
    more = f" (and {len(failed) - 1} more, named above)" if len(failed) > 1 else ""
    raise InputError(
        f"{len(failed)} of {cases} cases could not be evaluated: {first}{more}: {failure.reason} {kept_in}"
    )
