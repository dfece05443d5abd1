"""Hold our labels of an imported nnU-Net equal to those of nnU-Net's own predictor, and compare the time of both.

    python -m benchmarks.nnunet_equality MODEL_FOLDER scan.nii.gz other.nii.gz --nnunet-python NNUNET/bin/python

MODEL_FOLDER is a trained 2d model; the second Python has nnunetv2 (pip install nnunetv2, in an environment of its own). For
every scan, the first fold alone and all folds together, mirroring off and on: the share of voxels with equal labels, the mean
Dice between both, and seconds from the scan's file to the labels' file (the model being loaded). Each runs in a process of its
own, one after the other, on the same number of threads. Rows that are in the output already are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEAD = (
    "| Scan | Folds | Mirroring | Equal voxels | Mean Dice | Least Dice | nnU-Net, s (CPU) | Ours, s (CPU) | Ratio, s (CPU) |",
    "|---|---|---|---|---|---|---|---|---|",
)


def main() -> None:
    """Run what is not in the output yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--nnunet-python", help="an interpreter that has nnunetv2")
    parser.add_argument("--folds", nargs="+", default=["0", "1"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=Path, default=Path("nnunet_equality.json"), help="rows that are done, as JSON")
    parser.add_argument("--child", choices=("nnunet", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--labels", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--mirror", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _CHILDREN[options.child](options)
        return
    from benchmarks.command_line import require

    require(options.model, *options.scans)
    rows = json.loads(options.output.read_text()) if options.output.exists() else {}
    for mirror in (False, True):
        for folds in dict.fromkeys((tuple(options.folds[:1]), tuple(options.folds))):
            for scan in options.scans:
                key = f"{scan.name} | {', '.join(folds)} | {'on' if mirror else 'off'}"
                if key not in rows:
                    rows[key] = _row(options, scan, folds, mirror)
                    options.output.write_text(json.dumps(rows, indent=1) + "\n")
                    print(_line(key, rows[key]), flush=True)
    print("\n".join([*HEAD, *(_line(key, row) for key, row in rows.items())]))


def _row(options: argparse.Namespace, scan: Path, folds: tuple[str, ...], mirror: bool) -> dict[str, Any]:
    """Both predictions of one scan, and how far they agree."""
    with tempfile.TemporaryDirectory() as folder:
        row: dict[str, Any] = {}
        for child, python in (("nnunet", options.nnunet_python or sys.executable), ("ours", sys.executable)):
            command = [python, str(Path(__file__)), str(options.model), str(scan), "--folds", *folds, "--child", child]
            command += ["--threads", str(options.threads), "--labels", str(Path(folder, f"{child}.nii.gz"))]
            command += ["--mirror"] if mirror else []
            environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            row[child] = json.loads(done.stdout.splitlines()[-1])
        return row | _agreement(Path(folder, "nnunet.nii.gz"), Path(folder, "ours.nii.gz"))


def _agreement(theirs_file: Path, ours_file: Path) -> dict[str, Any]:
    import numpy as np
    import SimpleITK as sitk

    theirs, ours = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (theirs_file, ours_file))
    values = [value for value in np.union1d(theirs, ours) if value]
    dice = [
        2 * float(((ours == value) & (theirs == value)).sum()) / float((ours == value).sum() + (theirs == value).sum())
        for value in values
    ]
    return {"equal": float((theirs == ours).mean()), "dice": float(np.mean(dice)), "least_dice": min(dice)}


def _line(key: str, row: dict[str, Any]) -> str:
    theirs, ours = row["nnunet"], row["ours"]
    times = " | ".join(f"{one['seconds']:.1f} ({one['cpu_seconds']:.1f})" for one in (theirs, ours))
    ratio = f"{theirs['seconds'] / ours['seconds']:.1f} ({theirs['cpu_seconds'] / ours['cpu_seconds']:.1f})"
    agreement = f"{100 * row['equal']:.4f} % | {row['dice']:.5f} | {row['least_dice']:.5f}"
    return f"| {key} | {agreement} | {times} | {ratio} |"


def _timed(work: Callable[[], None]) -> None:
    """Print wall and CPU seconds of some work as JSON."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gb": after.ru_maxrss / 2**20}))


def _predict_with_nnunet(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            os.environ.setdefault(name, folder)
        import torch
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        torch.set_num_threads(options.threads)
        predictor = nnUNetPredictor(use_mirroring=options.mirror, device=torch.device("cpu"), allow_tqdm=False)
        folds = tuple(int(fold) if fold.isdecimal() else fold for fold in options.folds)
        predictor.initialize_from_trained_model_folder(str(options.model), folds)
        reader = SimpleITKIO()

        def work() -> None:
            image, properties = reader.read_images([str(options.scans[0])])
            labels = predictor.predict_single_npy_array(image, properties)
            reader.write_seg(labels, str(options.labels), properties)

        _timed(work)


def _predict_with_ours(options: argparse.Namespace) -> None:
    from dataclasses import replace

    import torch
    from UNetSegmenterLib.engine.io.image_reading import read_volume
    from UNetSegmenterLib.engine.labels.segmentation_files import write_labelmap
    from UNetSegmenterLib.engine.model.card import Card
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
    from UNetSegmenterLib.engine.model.device import keep_freed_memory
    from UNetSegmenterLib.engine.model.imports.nnunet_folder import read_nnunet_draft, write_nnunet_model
    from UNetSegmenterLib.engine.model.prediction import Predictor

    torch.set_num_threads(options.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        draft = read_nnunet_draft(options.model, options.folds)
        card = replace(Card.from_plain(draft.card), postprocessing=())  # nnU-Net's predictor does none either
        write_nnunet_model(draft, card, Path(folder, "model.pt"))
        predictor = Predictor(load_checkpoint(Path(folder, "model.pt")), "cpu", mirroring=options.mirror)
    _timed(lambda: write_labelmap(predictor.predict(read_volume(options.scans[0])).segmentation, options.labels))


_CHILDREN = {"nnunet": _predict_with_nnunet, "ours": _predict_with_ours}

if __name__ == "__main__":
    if "--child" in sys.argv:  # in an interpreter that has nnU-Net alone
        main()
    else:
        from benchmarks.command_line import run

        sys.exit(run(main, "nnunet_equality"))
