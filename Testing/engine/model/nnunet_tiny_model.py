"""Train a tiny nnU-Net 2d with the real nnunetv2 and predict with it, for tests that hold UNetSegmenter equal to it.

Run by an interpreter that has nnunetv2 (`pip install nnunetv2` in an environment of its own):

    python nnunet_tiny_model.py RAW OUTPUT

RAW is a data set in nnU-Net's raw layout (DatasetNNN_Name). OUTPUT gets `model/` (plans.json, dataset.json, fold_0, fold_1,
crossval_results_folds_0_1), and labels of every scan in imagesTs: `NAME.nii.gz`, `NAME_mirrored.nii.gz` (both folds, before
postprocessing) and `NAME_postprocessed.nii.gz`.
"""

import json
import os
import shutil
import sys
from pathlib import Path

RAW, OUTPUT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
WORK = OUTPUT / "work"
NUMBER = int(RAW.name[len("Dataset") :].partition("_")[0])
os.environ |= {
    "nnUNet_raw": str(RAW.parent),
    "nnUNet_preprocessed": str(WORK / "preprocessed"),
    "nnUNet_results": str(WORK / "results"),
    "nnUNet_n_proc_DA": "1",
    "nnUNet_def_n_proc": "1",
    "nnUNet_compile": "f",
}
FEATURES, PATCH, BATCH, EPOCHS, ITERATIONS = [4, 8, 8], [32, 24], 12, 16, 50


def plan_and_preprocess() -> dict:
    """nnU-Net's own plan, made tiny."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess

    extract_fingerprints([NUMBER], num_processes=1)
    plan_experiments([NUMBER])
    os.environ |= {"nnUNet_n_proc_DA": "0"}  # augment in this process; planning can't have 0
    prepared = WORK / "preprocessed" / RAW.name
    plans = json.loads((prepared / "nnUNetPlans.json").read_text())
    configuration = plans["configurations"]["2d"]
    network = configuration["architecture"]["arch_kwargs"]
    stages = len(FEATURES)
    for name, value in network.items():
        if isinstance(value, list):
            network[name] = value[: stages - 1] if name.endswith("decoder") else value[:stages]
    network |= {"features_per_stage": FEATURES, "n_stages": stages}
    configuration |= {"patch_size": PATCH, "batch_size": BATCH}
    plans["configurations"] = {"2d": configuration}
    (prepared / "nnUNetPlans.json").write_text(json.dumps(plans))
    preprocess([NUMBER], configurations=("2d",), num_processes=(1,))
    cases = sorted(path.name.removesuffix(".nii.gz") for path in (RAW / "labelsTr").glob("*.nii.gz"))
    splits = [{"train": cases[fold::2], "val": cases[1 - fold :: 2]} for fold in (0, 1)]
    (prepared / "splits_final.json").write_text(json.dumps(splits))
    return plans


def train(plans: dict) -> Path:
    """Both folds; the trained model's folder."""
    import torch
    from nnunetv2.evaluation.find_best_configuration import find_best_configuration
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    dataset = json.loads((RAW / "dataset.json").read_text())
    for fold in (0, 1):
        torch.manual_seed(fold)
        trainer = nnUNetTrainer(plans | {"continue_training": False}, "2d", fold, dataset, device=torch.device("cpu"))
        trainer.num_epochs, trainer.num_iterations_per_epoch = EPOCHS, ITERATIONS
        trainer.num_val_iterations_per_epoch, trainer.oversample_foreground_percent = 1, 0.66
        trainer.run_training()
        trainer.perform_actual_validation()
        folder = Path(trainer.output_folder_base)
    model = ({"plans": "nnUNetPlans", "configuration": "2d", "trainer": "nnUNetTrainer"},)
    find_best_configuration(NUMBER, model, num_processes=1, folds=(0, 1))
    return folder


def publish(folder: Path) -> None:
    """The files that nnU-Net exports, as OUTPUT/model."""
    kept = ("plans.json", "dataset.json", "fold_*/checkpoint_final.pth", "crossval_results_folds_0_1/postprocessing.*")
    for pattern in kept:
        for path in folder.glob(pattern):
            target = OUTPUT / "model" / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def predict() -> None:
    """Labels of the scans in imagesTs, by nnU-Net's predictor and its postprocessing."""
    import torch
    from batchgenerators.utilities.file_and_folder_operations import load_pickle
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.postprocessing.remove_connected_components import apply_postprocessing

    reader = SimpleITKIO()
    functions, arguments = load_pickle(str(OUTPUT / "model/crossval_results_folds_0_1/postprocessing.pkl"))
    for scan in sorted((RAW / "imagesTs").glob("*_0000.nii.gz")):
        name = scan.name.removesuffix("_0000.nii.gz")
        image, properties = reader.read_images([str(scan)])
        for ending, mirroring in (("", False), ("_mirrored", True)):
            predictor = nnUNetPredictor(use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False)
            predictor.initialize_from_trained_model_folder(str(OUTPUT / "model"), (0, 1))
            labels = predictor.predict_single_npy_array(image, dict(properties))
            reader.write_seg(labels, str(OUTPUT / f"{name}{ending}.nii.gz"), properties)
            if not mirroring:
                processed = apply_postprocessing(labels, functions, arguments)
                reader.write_seg(processed, str(OUTPUT / f"{name}_postprocessed.nii.gz"), properties)


if __name__ == "__main__":
    import torch as _torch

    _torch.set_num_threads(1)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    publish(train(plan_and_preprocess()))
    predict()
    shutil.rmtree(WORK)
