"""Predict every case of a data set and compare with its labels, in each scan's own grid.

  unetseg evaluate runs/first/checkpoint.pt Dataset001_Abdomen --split test --output evaluated
  unetseg evaluate heart.pt MMWHS --cases ct_train_1001,ct_train_1002 --output evaluated --predictions --pictures

DIR gets metrics.csv (a row a case and structure), summary.json and report.html with a page a case. Cases on which the
checkpoint was trained are named: figures over them say nothing about new patients.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.card import Card

    from ..datasets import Case, DataSet


def add_options(parser: Any) -> None:
    parser.add_argument("checkpoint", type=Path, help="trained checkpoint (.pt)")
    parser.add_argument("dataset", type=Path, help="folder of the data set, as for unetseg prepare")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--split", metavar="NAME", help="only train, validation or test, as the checkpoint's card has it"
    )
    parser.add_argument("--cases", metavar="A,B", help="only these cases")
    parser.add_argument("--pack", type=Path, help="take the split from this pack; its sources must be this data set")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--predictions", action="store_true", help="also write each prediction as .seg.nrrd")
    parser.add_argument("--pictures", action="store_true", help="also draw each case into its page (some seconds each)")


def run(options: Any) -> None:
    from UNetSegmenterLib.engine.memory import keep_freed_memory

    from ..console import say, warn
    from ..datasets import read_dataset
    from ..output import output_folder
    from ..predicting import open_predictor
    from ..results import print_results, provenance, write_results

    keep_freed_memory()
    predictor = open_predictor(options.checkpoint, options.device)
    card = predictor.checkpoint.card
    dataset = read_dataset(options.dataset)
    cases = chosen_cases(dataset, card, options.split, options.cases, options.pack)
    seen = [case.name for case in cases if case.name in card.training.get("cases", ())]
    if seen:
        warn(f"{len(seen)} of {len(cases)} cases were trained on, so their figures say nothing about new patients.")
    say(f"{card.title} on {predictor.device_name}: {len(cases)} cases of {dataset.name}")
    with output_folder(options.output) as folder:
        comparisons, material = _evaluate(predictor, dataset, cases, folder, options)
        facts = provenance(predictor.checkpoint, predictor.device_name, data_set=dataset.name)
        facts["cases seen in training"] = ", ".join(seen) or "none"
        summary = write_results(folder, f"{card.title} on {dataset.name}", comparisons, facts, material)
    print_results(comparisons, summary, f"{len(cases)} cases of {dataset.name}")
    say(f"{folder}: metrics.csv, summary.json, report.html" + (", predictions/" if options.predictions else ""))


def chosen_cases(
    dataset: DataSet, card: Card, split: str | None, names: str | None, pack_folder: Path | None
) -> tuple[Case, ...]:
    """The cases that were asked for; raises InputError if there is no such split or case."""
    from UNetSegmenterLib.engine.errors import InputError

    wanted = [name for name in names.split(",") if name] if names else None
    if split:
        splits = card.training.get("splits", {})
        if pack_folder is not None:
            from ..pack import read_pack
            from ..sources import check_sources

            pack = read_pack(pack_folder)
            check_sources(pack, dataset)
            splits = pack.splits
        if not splits.get(split):
            known = ", ".join(name for name, members in splits.items() if members) or "none"
            raise InputError(f'There is no split "{split}"; known are {known}: choose one, or name --cases.')
        wanted = [name for name in splits[split] if wanted is None or name in wanted]
    if wanted is None:
        return dataset.cases
    there = {case.name: case for case in dataset.cases}
    if missing := [name for name in wanted if name not in there]:
        raise InputError(
            f"{dataset.name} has no case {', '.join(missing[:5])}; it has {', '.join(list(there)[:8])} ..."
        )
    if not wanted:
        raise InputError("No case is left to evaluate; --split and --cases have none in common.")
    return tuple(there[name] for name in wanted)


def _evaluate(
    predictor: Any, dataset: DataSet, cases: tuple[Case, ...], folder: Path, options: Any
) -> tuple[list, dict]:
    """Comparisons and report material; predictions appear in the folder only when all are there."""
    import shutil
    import tempfile

    from UNetSegmenterLib.engine.comparison import compare
    from UNetSegmenterLib.engine.findings import check
    from UNetSegmenterLib.engine.report import CaseMaterial
    from UNetSegmenterLib.engine.segmentation import read_segmentation, write_seg_nrrd

    from ..predicting import predict, read_scan
    from ..scene_files import dice_captions, write_scene_files

    comparisons, material = [], {}
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder, ignore_cleanup_errors=True) as partial:
        for number, case in enumerate(cases, start=1):
            volume = read_scan(case.image)
            reference = read_segmentation(case.label, dataset.structures)
            prediction = predict(predictor, volume, f"{number} of {len(cases)}: segmenting").segmentation
            comparison = compare(prediction, reference, case.name)
            comparisons.append(comparison)
            if options.predictions:
                write_seg_nrrd(prediction, Path(partial) / f"{case.name}.seg.nrrd")
            pictures: tuple[tuple[str, bytes], ...] = ()
            if options.pictures:
                names = ("Prediction", "Reference")
                captions = dice_captions(comparison)
                pictures = write_scene_files(volume, prediction, reference, case.name, names, captions).pictures
            findings = check(prediction, volume, predictor.checkpoint.card.statistics or None)
            material[case.name] = CaseMaterial(pictures, findings)
        if options.predictions:
            target = folder / "predictions"
            target.mkdir(exist_ok=True)
            for file in sorted(Path(partial).iterdir()):
                shutil.move(file, target / file.name)
    return comparisons, material
