"""Benchmark of the plausibility checks: calibrated on some patients, tested on others.

    python -m benchmarks.plausibility_agreement DATASET  # nnU-Net v2 raw layout: labelsTr, imagesTr, dataset.json
    python -m benchmarks.plausibility_agreement --hearts 20  # synthetic hearts
    python -m benchmarks.plausibility_agreement DATASET --predictions DIR  # rank correlation of findings with Dice

Prints, as Markdown: false alarms on the reference labels of unseen patients, and the fraction of deliberate corruptions that
was detected, by kind, with the scan and from the labels alone. These are the tables of docs/plausibility.md.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.stats import spearmanr
from unetseg.synthetic.corruptions import CORRUPTIONS, WHOLE_STACK, CorruptedSegmentation, reverse_axis
from unetseg.synthetic.phantom_cases import make_phantom
from UNetSegmenterLib.engine.io.file_names import file_stem
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.volume import Volume, as_hu
from UNetSegmenterLib.engine.labels.dice import dice_coefficient
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import HEART, Structure, known_structure
from UNetSegmenterLib.engine.plausibility.anatomy import Anatomy
from UNetSegmenterLib.engine.plausibility.finding import FAIL, PASS, SEVERITIES, WARN, Finding, alarm_score
from UNetSegmenterLib.engine.plausibility.plausibility_checks import PlausibilityChecks
from UNetSegmenterLib.engine.plausibility.training_statistics import CaseQuantities, measure_case, statistics_from_cases

from .command_line import arguments_of, parser_of, require
from .command_line import run as run_command

SCAN_KEYS = {"in body", "edge", "drift"}


@dataclass(frozen=True)
class LabelledCase:
    """One patient: reference labels and scan."""

    name: str
    segmentation: Segmentation
    volume: Volume


@dataclass(frozen=True)
class CorruptionTrial:
    """One corruption of one patient: severity of the new alarms on its structures, with the scan and from labels alone."""

    kind: str
    case: str
    structures: tuple[str, ...]
    with_scan: str
    labels_alone: str
    checks: tuple[str, ...]
    dice: float  # of the corrupted structures, compared with the reference


# ------------------------------------------------------------------------------------------------- cases


def read_cases(folder: Path) -> list[LabelledCase]:
    """All labelled cases of an nnU-Net v2 raw data set, first channel only."""
    described = json.loads((folder / "dataset.json").read_text())
    values = sorted((int(value), name) for name, value in described["labels"].items() if name != "background")
    structures = [known_structure(name, index, value) for index, (value, name) in enumerate(values, start=1)]
    return [
        _read_case(path, folder / "imagesTr", structures) for path in sorted((folder / "labelsTr").glob("*.nii.gz"))
    ]


def _read_case(path: Path, images: Path, structures: Sequence[Structure]) -> LabelledCase:
    name = file_stem(path)
    return LabelledCase(name, read_segmentation(path, structures), read_volume(images / f"{name}_0000.nii.gz"))


def heart_cases(count: int) -> list[LabelledCase]:
    """Synthetic hearts with the structures of MM-WHS."""
    cases = []
    for seed in range(count):
        image, label = make_phantom(seed).to_sitk()
        geometry = Geometry.from_sitk(image)
        values = sitk.GetArrayFromImage(label)
        labels = np.zeros(values.shape, np.uint8)
        for structure in HEART:
            labels[np.isin(values, structure.values)] = structure.index
        name = f"heart {seed}"
        volume = Volume(as_hu(sitk.GetArrayFromImage(image)), geometry, name)
        cases.append(LabelledCase(name, Segmentation(labels, geometry, HEART, name), volume))
    return cases


def folds(count: int, parts: int) -> Iterator[tuple[list[int], list[int]]]:
    """(calibration, test) case numbers; every case is tested once."""
    parts = min(parts, count)
    for part in range(parts):
        test = list(range(part, count, parts))
        yield [i for i in range(count) if i not in test], test


# ------------------------------------------------------------------------------------------------- measuring


def without_scan(case: CaseQuantities) -> CaseQuantities:
    """The quantities that can be measured without the scan."""
    kept = [quantity for quantity in case.quantities if quantity.key not in SCAN_KEYS]
    return replace(case, quantities=kept, histograms={})


def new_alarms(findings: list[Finding], before: list[Finding], structures: Sequence[str]) -> list[Finding]:
    """Alarms on these structures (or the whole) that are more severe than those of the uncorrupted labels."""
    known = {(f.check, f.structure): SEVERITIES.index(f.severity) for f in before}
    return [
        f
        for f in findings
        if f.structure in ("", *structures) and SEVERITIES.index(f.severity) > known.get((f.check, f.structure), 0)
    ]


def _dice_left(reference: Segmentation, corrupted: CorruptedSegmentation) -> float:
    """Mean Dice of the corrupted structures: what a comparison with the reference would show."""
    indices = {s.name: s.index for s in reference.structures}
    found = []
    for name in corrupted.structures:
        truth, changed = reference.labels == indices[name], corrupted.segmentation.labels == indices[name]
        found.append(dice_coefficient(*(np.count_nonzero(mask) for mask in (truth & changed, truth, changed))))
    return float(np.mean(found))


def _severity(alarms: list[Finding]) -> str:
    return max((f.severity for f in alarms), key=SEVERITIES.index, default=PASS)


def corrupt(
    case: LabelledCase, before: list[Finding], statistics: dict, repeats: int, seed: int
) -> Iterator[CorruptionTrial]:
    """All corruptions of one case, each `repeats` times (those of the whole stack once)."""
    for number, (kind, corruption) in enumerate(CORRUPTIONS.items()):
        for repeat in range(1 if kind in WHOLE_STACK else repeats):
            corrupted = corruption(case.segmentation, np.random.default_rng([seed, number, repeat]))
            if corrupted is None:
                continue
            volume = case.volume
            if kind in WHOLE_STACK:
                volume = replace(volume, array=reverse_axis(volume.array, volume.geometry, WHOLE_STACK[kind]))
            anatomy = Anatomy(corrupted.segmentation, volume)
            measured = measure_case(anatomy)
            full = new_alarms(
                PlausibilityChecks(anatomy, measured, statistics).findings(), before, corrupted.structures
            )
            bare = PlausibilityChecks(anatomy, without_scan(measured), statistics).findings()
            bare = new_alarms(bare, before, corrupted.structures)
            checks = tuple(sorted({f.check for f in full}))
            dice = _dice_left(case.segmentation, corrupted)
            yield CorruptionTrial(kind, case.name, corrupted.structures, _severity(full), _severity(bare), checks, dice)


def run(
    cases: list[LabelledCase], parts: int, repeats: int, nominal: bool, workers: int = 1
) -> tuple[dict[str, list[Finding]], list[CorruptionTrial]]:
    """Cross-validate: findings on the uncorrupted labels of every unseen case, and all trials.

    Raises:
        AssertionError: a case that the limits were calibrated on fails.
    """
    measured = [measure_case(Anatomy(case.segmentation, case.volume)) for case in cases]
    findings, trials = {}, []
    with ProcessPoolExecutor(workers) as pool:
        jobs = []
        for calibration, test in folds(len(cases), parts):
            statistics = statistics_from_cases([measured[i] for i in calibration], nominal_spacing=nominal)
            for i in calibration:
                _assert_no_failure(cases[i], measured[i], statistics)
            jobs += [pool.submit(_test, cases[i], measured[i], statistics, repeats, i) for i in test]
        for job in as_completed(jobs):
            name, found, tried = job.result()
            findings[name] = found
            trials += tried
            print(f"tested {name} ({len(findings)} of {len(cases)})", file=sys.stderr, flush=True)
    return dict(sorted(findings.items())), sorted(trials, key=lambda trial: trial.case)


def _test(
    case: LabelledCase, measured: CaseQuantities, statistics: dict, repeats: int, seed: int
) -> tuple[str, list[Finding], list[CorruptionTrial]]:
    before = PlausibilityChecks(Anatomy(case.segmentation, case.volume), measured, statistics).findings()
    return case.name, before, list(corrupt(case, before, statistics, repeats, seed))


def _assert_no_failure(case: LabelledCase, measured: CaseQuantities, statistics: dict) -> None:
    found = PlausibilityChecks(Anatomy(case.segmentation, case.volume), measured, statistics).findings()
    failed = [finding.sentence for finding in found if finding.severity == FAIL]
    if failed:
        raise AssertionError(f"{case.name} was calibrated on and fails: {failed}")


# ------------------------------------------------------------------------------------------------- Spearman


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Rank correlation with mean ranks for ties; NaN where one of them is constant."""
    if min(len(set(first)), len(set(second))) < 2:
        return float("nan")
    return float(spearmanr(first, second).statistic)


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho between alarm score and true Dice, over structures and over cases, with the numbers behind it."""

    structures_rho: float
    structures_n: int
    cases_rho: float
    cases_n: int
    rows: tuple[tuple[str, str, int, float], ...]  # case, structure, alarm score, Dice
    per_case: tuple[tuple[str, int, float], ...]  # case, alarm score, mean Dice

    def structures_interval(self, draws: int = 2000) -> tuple[float, float]:
        """95 % bootstrap interval of `structures_rho`: whole patients are sampled, as their structures are not independent."""
        groups = [[row[2:] for row in self.rows if row[0] == case] for case, *_ in self.per_case]
        random = np.random.default_rng(0)
        drawn = (
            [pair for i in random.integers(0, len(groups), len(groups)) for pair in groups[i]] for _ in range(draws)
        )
        low, high = np.nanpercentile([spearman(*zip(*pairs, strict=True)) for pairs in drawn], (2.5, 97.5))
        return float(low), float(high)


def rank_correlation(predictions: Path, cases: list[LabelledCase], statistics: dict | None = None) -> RankCorrelation:
    """Rank correlation of findings with Dice: whether findings distinguish a bad prediction from a good one.

    Args:
        predictions: folder with one `<case>.seg.nrrd` per case; the Dice of a case is the mean over its reference structures.
        cases: the reference labels and scans.
        statistics: training statistics as a card has them; None checks each case with the statistics of all others.
    """
    measured = (
        {} if statistics else {case.name: measure_case(Anatomy(case.segmentation, case.volume)) for case in cases}
    )
    rows, per_case = [], []
    for case in cases:
        path = predictions / f"{case.name}.seg.nrrd"
        if not path.exists():
            continue
        prediction = read_segmentation(path)
        trained_statistics = statistics or statistics_from_cases(
            [known for name, known in measured.items() if name != case.name]
        )
        anatomy = Anatomy(prediction, case.volume)
        findings = PlausibilityChecks(anatomy, measure_case(anatomy), trained_statistics).findings()
        scored = list(_scores(case.segmentation, prediction, findings))
        rows += [(case.name, *row) for row in scored]
        per_case.append((case.name, alarm_score(findings), float(np.mean([dice for *_, dice in scored]))))
    by_structure = spearman([score for *_, score, _ in rows], [dice for *_, dice in rows])
    by_case = spearman([score for _, score, _ in per_case], [dice for *_, dice in per_case])
    return RankCorrelation(by_structure, len(rows), by_case, len(per_case), tuple(rows), tuple(per_case))


def _scores(
    reference: Segmentation, prediction: Segmentation, findings: list[Finding]
) -> Iterator[tuple[str, int, float]]:
    indices = {s.name: s.index for s in prediction.structures}
    for structure in reference.structures:
        truth = reference.labels == structure.index
        if not truth.any():
            continue
        found = prediction.labels == indices.get(structure.name, 255)
        dice = dice_coefficient(*(np.count_nonzero(mask) for mask in (truth & found, truth, found)))
        yield structure.name, alarm_score([f for f in findings if f.structure == structure.name]), float(dice)


# ------------------------------------------------------------------------------------------------- tables


def alarm_table(findings: dict[str, list[Finding]]) -> str:
    """False alarms on uncorrupted reference labels, by check."""
    lines = ["| Check | Findings | Warnings | Failures |", "|---|---:|---:|---:|"]
    everything = [f for found in findings.values() for f in found]
    for check in [*dict.fromkeys(f.check for f in everything), None]:
        counts = Counter(f.severity for f in everything if check in (None, f.check))
        percentage = f" ({100 * counts[WARN] / counts.total():.1f} %)" if check is None else ""
        title = check or f"**all, {len(findings)} patients**"
        lines.append(f"| {title} | {counts.total()} | {counts[WARN]}{percentage} | {counts[FAIL]} |")
    quiet = sum(all(f.severity == PASS for f in found) for found in findings.values())
    failing = sum(any(f.severity == FAIL for f in found) for found in findings.values())
    lines += ["", f"Patients without any alarm: {quiet} of {len(findings)}; with a failure: {failing}."]
    return "\n".join(lines)


def trial_table(trials: list[CorruptionTrial]) -> str:
    """Fraction of corruptions that was detected, by kind."""
    columns = (
        "Corruption",
        "Trials",
        "Dice left",
        "Caught",
        "by a failure",
        "Labels alone",
        "by a failure",
        "Caught by",
    )
    head = f"| {' | '.join(columns)} |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|---|"]
    for kind in [*CORRUPTIONS, None]:
        mine = [t for t in trials if kind in (None, t.kind)]
        if not mine:
            continue
        cells = []
        for severities in ([t.with_scan for t in mine], [t.labels_alone for t in mine]):
            caught, failed = sum(s != PASS for s in severities), sum(s == FAIL for s in severities)
            cells += [f"{100 * caught / len(mine):.0f} %", f"{100 * failed / len(mine):.0f} %"]
        dice = f"{np.median([t.dice for t in mine]):.2f}"
        often = Counter(check for t in mine for check in t.checks).most_common(3)
        most_frequent = ", ".join(f"{check} {100 * n / len(mine):.0f} %" for check, n in often) if kind else ""
        lines.append(f"| {kind or '**all**'} | {len(mine)} | {dice} | {' | '.join(cells)} | {most_frequent} |")
    return "\n".join(lines)


def correlation_table(found: RankCorrelation) -> str:
    """Spearman's rho, and the Dice of structures without, with some and with many alarms."""
    low, high = found.structures_interval()
    lines = [
        f"Spearman's rho of alarm score and Dice: {found.structures_rho:.2f} ({low:.2f} to {high:.2f}) over "
        f"{found.structures_n} structures, {found.cases_rho:.2f} over {found.cases_n} cases.\n",
        "| Alarm score | Structures | Median Dice | Lowest | Highest |",
        "|---|---:|---:|---:|---:|",
    ]
    for title, first, last in (("0", 0, 0), ("1 to 2", 1, 2), ("3 to 5", 3, 5), ("6 and more", 6, 10**6)):
        dice = [row[3] for row in found.rows if first <= row[2] <= last]
        if dice:
            lines.append(f"| {title} | {len(dice)} | {np.median(dice):.2f} | {min(dice):.2f} | {max(dice):.2f} |")
    lines += ["", "| LabelledCase | Alarm score | Mean Dice |", "|---|---:|---:|"]
    lines += [
        f"| {case} | {score} | {dice:.3f} |" for case, score, dice in sorted(found.per_case, key=lambda row: -row[2])
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = parser_of("plausibility_agreement", __doc__)
    parser.add_argument("data", nargs="?", type=Path, help="data set in the nnU-Net v2 raw layout")
    parser.add_argument("--hearts", type=int, default=0, help="number of synthetic hearts instead of a data set")
    parser.add_argument("--parts", type=int, default=7, help="parts of the cross-validation")
    parser.add_argument("--repeats", type=int, default=4, help="random draws of each corruption per patient")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--nominal-spacing", action="store_true", help="the data set's spacing is not the true one")
    parser.add_argument(
        "--predictions", type=Path, help="folder of <case>.seg.nrrd: rank correlation with Dice instead"
    )
    options = parser.parse(arguments_of(arguments))
    if (options.data is None) == (options.hearts == 0):
        parser.error("give either a data set or --hearts N")
    require(options.data, options.predictions)
    cases = heart_cases(options.hearts) if options.hearts else read_cases(options.data)
    if options.predictions:
        found = rank_correlation(options.predictions, cases)
        print(correlation_table(found))
        return 0
    findings, trials = run(cases, options.parts, options.repeats, options.nominal_spacing, options.workers)
    print("False alarms on reference labels of patients not used for calibration:\n")
    print(alarm_table(findings))
    for name, found in findings.items():
        for finding in found:
            if finding.severity != PASS:
                print(f"* {name}, {finding.severity}: {finding.sentence}")
    print("\nCorruptions caught:\n")
    print(trial_table(trials))
    print("\nMissed with the scan:\n")
    for trial in trials:
        if trial.with_scan == PASS:
            print(f"* {trial.case}: {trial.kind} ({', '.join(trial.structures)})")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, "plausibility_agreement"))
