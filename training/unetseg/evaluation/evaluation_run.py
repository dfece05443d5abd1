"""Evaluate the cases that have no result yet, one after another or in several processes of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.prediction import Predictor

from ..console import ProgressCallback, print_line, progress, warn
from ..data.dataset import Case
from ..exit_status import DONE_IN_PART, DoneInPartError
from ..output_folder import OutputFolder
from ..process_pool import WorkerDied, run_in_processes
from .case_evaluation import CaseFailure, CaseResult, EvaluationSettings, evaluator, is_finished, read_result
from .evaluation_folder import MANIFEST, EvaluationManifest, write_manifest


def default_workers(device: torch.device) -> int:
    """Default number of processes: one on a GPU, on a CPU half the threads of torch."""
    return max(1, torch.get_num_threads() // 2) if device.type == "cpu" else 1


def evaluate_cases(
    settings: EvaluationSettings,
    manifest: EvaluationManifest,
    cases: Sequence[Case],
    predictor: Predictor,
    workers: int = 0,
    output: OutputFolder | None = None,
) -> tuple[dict[str, CaseResult], dict[str, CaseFailure]]:
    """Evaluate cases; what is finished in the folder is not done again.

    Args:
        settings: what is done with every case.
        manifest: what is evaluated; written to the folder.
        cases: the cases.
        predictor: the checkpoint's predictor.
        workers: processes; 0 for the default of the machine.
        output: folder of the command, if there is one. Predictions that will be written are claimed in it; those of
            finished cases stay, because a user may have corrected them.

    Returns:
        Results by case, and failures by case.

    Raises:
        InputError: no case can be evaluated; then nothing is left in the folder.
    """
    if workers < 0:
        raise InputError(f"{workers} workers are not possible; give 1 or more, or leave the number out.")
    waiting = [case for case in cases if not is_finished(case, settings)]
    if kept := len(cases) - len(waiting):
        print_line(f"{kept} of {len(cases)} cases were evaluated before and are kept")
    if settings.predictions and output is not None:
        output.claim(*(settings.prediction_path(case.name).relative_to(output.path).as_posix() for case in waiting))
    for case in waiting:
        settings.result_path(case.name).unlink(missing_ok=True)
    failed: dict[str, CaseFailure] = {}
    write_manifest(manifest, settings.folder)
    try:
        for case, failure in _each(settings, waiting, predictor, workers):
            if failure is not None:
                warn(f"{case.name} could not be evaluated: {failure.reason}")
                failed[case.name] = failure
    finally:
        if cases and not any(settings.result_path(case.name).exists() for case in cases):
            (settings.folder / MANIFEST).unlink(missing_ok=True)
    return {
        case.name: read_result(settings.result_path(case.name)) for case in cases if case.name not in failed
    }, failed


def _each(
    settings: EvaluationSettings, cases: Sequence[Case], predictor: Predictor, workers: int
) -> Iterator[tuple[Case, CaseFailure | None]]:
    """Yield each case as it ends, with the failure if there is one."""
    workers = min(workers or default_workers(predictor.device), len(cases))
    if not cases:
        return
    what = f"evaluating in {workers} processes" if workers > 1 else "evaluating"
    with progress(what, "cases") as show:
        if workers < 2:
            yield from _in_this_process(settings, cases, predictor, show)
            return
        threads = max(1, torch.get_num_threads() // workers)
        answers = run_in_processes(evaluator, settings, cases, workers=workers, threads=threads)
        for done, (index, failure) in enumerate(answers, start=1):
            show(done, len(cases), cases[index].name)
            yield cases[index], CaseFailure(str(failure), str(failure)) if isinstance(failure, WorkerDied) else failure


def _in_this_process(
    settings: EvaluationSettings, cases: Sequence[Case], predictor: Predictor, show: ProgressCallback
) -> Iterator[tuple[Case, CaseFailure | None]]:
    evaluate = evaluator(settings, predictor)
    for done, case in enumerate(cases):

        def slices(part: int, total: int, done: int = done, name: str = case.name) -> None:
            show(done, len(cases), f"{name}, slice {part} of {total}")

        failure = evaluate(case, slices)
        show(done + 1, len(cases), case.name)
        yield case, failure


def end_if_failed(failed: dict[str, CaseFailure], cases: int, kept_in: str) -> None:
    """End the command if cases failed: with one sentence if files are to blame, else with the first traceback.

    Args:
        failed: the cases that could not be evaluated.
        cases: how many there were.
        kept_in: the sentence on where the results of the others are; "" if there are none.
    """
    if not failed:
        return
    if traces := [failure.trace for failure in failed.values() if failure.trace]:
        sys.stderr.write(traces[0].rstrip() + "\n")
        raise SystemExit(DONE_IN_PART)
    first, failure = next(iter(failed.items()))
    more = f" (and {len(failed) - 1} more, named above)" if len(failed) > 1 else ""
    kind = DoneInPartError if kept_in else InputError
    raise kind(f"{len(failed)} of {cases} cases could not be evaluated: {first}{more}: {failure.reason} {kept_in}")
