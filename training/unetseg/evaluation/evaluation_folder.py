"""The folder of an evaluation: its manifest, and the tables and reports over all cases."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text
from UNetSegmenterLib.engine.report.page_elements import CaseMaterial
from UNetSegmenterLib.engine.report.paired_table import PairedComparison, PairedDifference
from UNetSegmenterLib.engine.report.report_folder import provenance, write_results

from ..data.seen_cases import SeenCase
from .case_evaluation import CASES, CaseResult, read_result
from .leakage import SeenInTraining, seen_in_training
from .paired_comparison import compare_dice

MANIFEST = "evaluation.json"
BASELINE_FOLDER = "against"  # below the folder of an evaluation: the evaluation of the baseline


@dataclass(frozen=True, kw_only=True)
class EvaluationManifest:
    """What is evaluated: a checkpoint on cases of a data set, all of them or the shard `shard` of `shards`.

    Attributes:
        cases: names of all cases, in the order of the tables.
        seen_cases: the cases of any data set that the checkpoint and its ancestors have seen; which of `cases` are among
            them is known once their images are read.
    """

    title: str
    checkpoint: str
    checkpoint_sha256: str
    data_set: str
    cases: tuple[str, ...]
    seen_cases: tuple[SeenCase, ...] = ()
    shard: int = 1
    shards: int = 1

    @property
    def own_cases(self) -> tuple[str, ...]:
        """The cases of this shard: every n-th, so that each shard has long and short scans."""
        return self.cases[self.shard - 1 :: self.shards]

    def seen(self, results: Iterable[CaseResult]) -> SeenInTraining:
        """Which of the evaluated cases the checkpoint or an ancestor has seen."""
        return seen_in_training(self.seen_cases, [one.identity for one in results])

    @property
    def whole(self) -> EvaluationManifest:
        """The same evaluation without shards."""
        return replace(self, shard=1, shards=1)


@dataclass(frozen=True)
class BaselineEvaluation:
    """The evaluation of another checkpoint on the same cases."""

    manifest: EvaluationManifest
    results: Mapping[str, CaseResult]


def write_manifest(manifest: EvaluationManifest, folder: Path) -> None:
    """Write evaluation.json."""
    text = json.dumps(asdict(manifest), indent=1)
    write_text(folder / MANIFEST, text)


def read_manifest(folder: Path) -> EvaluationManifest:
    """The manifest of an evaluation's folder; raises InputError if it is none."""
    path = folder / MANIFEST
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        seen = tuple(SeenCase(**one) for one in plain["seen_cases"])
        return EvaluationManifest(**plain | {"cases": tuple(plain["cases"]), "seen_cases": seen})
    except OSError as error:
        raise InputError(
            f"{path} can't be read ({error.strerror}); a folder that unetseg evaluate wrote is expected."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not what unetseg evaluate writes; evaluate again.") from error


def parse_shard(text: str) -> tuple[int, int]:
    """Number and count of "2/8"; raises InputError for anything else."""
    number, slash, count = text.partition("/")
    if not (slash and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise InputError(f'"{text}" is no shard; write the second of eight as 2/8.')
    return int(number), int(count)


def sum_up(
    folder: Path,
    manifest: EvaluationManifest,
    results: Mapping[str, CaseResult],
    failed: Mapping[str, str],
    baseline: BaselineEvaluation | None = None,
) -> dict[str, Any]:
    """Write metrics.csv, summary.json and report.html over the results, in the order of the cases.

    Args:
        folder: folder of the evaluation.
        manifest: what was evaluated.
        results: results by case.
        failed: reasons by case for the cases without a result; they are named wherever the numbers are.
        baseline: another checkpoint on the same cases, whose own files lie in the folder `against`; the summary's entry
            "against" holds the paired differences of Dice.

    Returns:
        The summary.
    """
    ordered = [results[name] for name in manifest.own_cases if name in results]
    part = "" if manifest.shards == 1 else f" (shard {manifest.shard} of {manifest.shards})"
    seen = manifest.seen(ordered)
    facts = _facts(manifest, ordered, seen)
    notes = seen.notes
    notes += [
        f"{name} could not be evaluated and is in none of the numbers: {reason}" for name, reason in failed.items()
    ]
    extra: dict[str, Any] = {"not_evaluated": dict(failed)} if failed else {}
    extra["images"] = {one.identity.name: asdict(one.identity) for one in ordered}
    paired = None
    if baseline is not None and ordered:
        rows, paired_notes = paired_rows(manifest, results, baseline)
        paired = PairedComparison(
            manifest.checkpoint, baseline.manifest.checkpoint, "Dice", rows, f"{BASELINE_FOLDER}/report.html"
        )
        extra["against"] = {
            "checkpoint": baseline.manifest.checkpoint,
            "checkpoint SHA-256": baseline.manifest.checkpoint_sha256,
            "dice": [_json_ready(row) for row in rows],
        }
        notes += paired_notes
    return write_results(
        folder,
        manifest.title + part,
        [one.comparison for one in ordered],
        facts,
        material={one.comparison.case: _with_warning(one, seen) for one in ordered},
        extra=extra,
        notes=notes,
        paired=paired,
        trained_on=seen.trained,
    )


def _facts(manifest: EvaluationManifest, results: Sequence[CaseResult], seen: SeenInTraining) -> dict[str, Any]:
    """What a reader needs to reproduce the evaluation."""
    facts = {"checkpoint": manifest.checkpoint, "checkpoint SHA-256": manifest.checkpoint_sha256}
    facts |= provenance(None, "; ".join(dict.fromkeys(one.device for one in results)), data_set=manifest.data_set)
    facts["cases seen in training"] = seen.text
    if any(_without_postprocessing(one) for one in results):
        facts["postprocessing"] = "left out (--no-postprocessing)"
    return facts


def paired_rows(
    manifest: EvaluationManifest, results: Mapping[str, CaseResult], baseline: BaselineEvaluation
) -> tuple[list[PairedDifference], list[str]]:
    """Paired differences over the cases that neither checkpoint was trained on, or over all where none is left; and notes."""
    seen = [manifest.seen(results.values()).trained, baseline.manifest.seen(baseline.results.values()).trained]
    left_out = {name for part in seen for name in part}
    sides = [
        [side[name].comparison for name in manifest.own_cases if name in side and name not in left_out]
        or [side[name].comparison for name in manifest.own_cases if name in side]
        for side in (baseline.results, results)
    ]
    notes = []
    if seen[1]:
        notes.append(f"{baseline.manifest.checkpoint}: {seen_note(seen[1], len(baseline.results))}")
    if left_out:
        kept = len(sides[1])
        notes.append(
            f"The two checkpoints are compared on the {counted(kept, 'case')} that neither was trained on."
            if left_out.isdisjoint(one.case for one in sides[1])
            else "The two checkpoints are compared on cases that one of them was trained on; there is no other."
        )
    measured = [{(row.case, row.structure) for one in side for row in one.rows if row.measures} for side in sides]
    if alone := len(measured[0] ^ measured[1]):
        notes.append(
            f"{alone} structures of a case were measured for one checkpoint only (the other rightly found nothing, or has no "
            "such structure) and are no pair."
        )
    return compare_dice(*sides), notes


def _with_warning(result: CaseResult, seen: SeenInTraining) -> CaseMaterial:
    if result.comparison.case not in seen.trained or seen.cases == 1:
        return result.material
    how = seen.trained[result.comparison.case]
    warning = f"This case was trained on ({how}), so its results say nothing about new patients."
    return replace(result.material, warnings=(warning,))


def _json_ready(row: PairedDifference) -> dict[str, Any]:
    plain = asdict(row) | {"ci95": list(row.ci95)}
    plain["ci95"] = None if math.isnan(row.ci95[0]) else plain["ci95"]
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in plain.items()}


def seen_note(seen: Collection[str], cases: int) -> str:
    """The note on results over cases of which some were trained on."""
    return f"{len(seen)} of {cases} cases were trained on, so their results say nothing about new patients."


def merge(folders: Sequence[Path]) -> tuple[EvaluationManifest, dict[str, CaseResult], dict[str, str]]:
    """Read the shards of one evaluation.

    Returns:
        The evaluation without shards, the results by case, and the reasons by case for cases that have none.

    Raises:
        InputError: the folders are not shards of one evaluation, or two of them hold the same case.
    """
    manifests = [read_manifest(folder) for folder in folders]
    first = manifests[0]
    folder_of: dict[str, Path] = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        _check_same_evaluation(folders[0], first, folder, manifest)
        for name in manifest.own_cases:
            if name in folder_of:
                raise InputError(f"{folder_of[name]} and {folder} both hold {name}; give each shard once.")
            folder_of[name] = folder
    results, missing = {}, {}
    for name in first.cases:
        if name not in folder_of:
            number = first.cases.index(name) % first.shards + 1
            missing[name] = f"shard {number} of {first.shards} is not among the folders"
        elif not (path := folder_of[name] / CASES / f"{name}.json").exists():
            missing[name] = f"{folder_of[name]} has no result of it; the same command as before continues there"
        else:
            results[name] = _result_of(path, first)
    if not results:
        raise InputError(f"None of {len(first.cases)} cases has a result yet; run the shards first.")
    if len({_without_postprocessing(one) for one in results.values()}) > 1:
        raise InputError(
            "Some of these shards were evaluated with --no-postprocessing and others without it; evaluate all in one way."
        )
    return first.whole, results, missing


def _without_postprocessing(result: CaseResult) -> bool:
    return result.inputs.get("postprocessing") == "no"


def _check_same_evaluation(one: Path, first: EvaluationManifest, other: Path, manifest: EvaluationManifest) -> None:
    differing = [
        what
        for what, mine, theirs in (
            ("checkpoint (SHA-256)", first.checkpoint_sha256, manifest.checkpoint_sha256),
            ("data set", first.data_set, manifest.data_set),
            ("number of shards", first.shards, manifest.shards),
            ("list of cases", first.cases, manifest.cases),
        )
        if mine != theirs
    ]
    if differing:
        raise InputError(
            f"{one} and {other} are not shards of one evaluation: they differ in {' and '.join(differing)}; give the "
            "folders of one array."
        )


def _result_of(path: Path, manifest: EvaluationManifest) -> CaseResult:
    result = read_result(path)
    found = result.inputs["checkpoint SHA-256"]
    if found != manifest.checkpoint_sha256:
        raise InputError(
            f"{path} is of another checkpoint (SHA-256 {found[:12]}) than {MANIFEST} says "
            f"({manifest.checkpoint_sha256[:12]}); run that shard again."
        )
    return result
