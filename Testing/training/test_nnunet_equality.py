"""A tiny nnU-Net is trained with the real nnunetv2, imported, and its labels are compared with those of nnU-Net's predictor.

nnunetv2 lives in an environment of its own: the interpreter in $NNUNET_PYTHON, or that of `make bench-predict`.
"""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from unetseg.synthetic.phantom_cases import LABEL_VALUES, make_phantom
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.imports.nnunet_folder import read_nnunet_draft, write_nnunet_model
from UNetSegmenterLib.engine.model.prediction import Predictor

ROOT = Path(__file__).resolve().parents[2]
TRAINING = ROOT / "Testing" / "engine" / "model" / "nnunet_tiny_model.py"
LABELS = {"background": 0, "blood": 1, "myocardium": 2}
SHAPES = [*[(32, 64, 72)] * 6, (12, 52, 56)]  # nnU-Net plans a 3d network too, which needs some slices


def nnunet_python() -> str:
    """An interpreter that has nnunetv2; skips the test where there is none."""
    python = os.environ.get("NNUNET_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python"))
    found = Path(python).exists() and subprocess.run(
        [python, "-c", "import nnunetv2"], capture_output=True, check=False
    )
    if not found or found.returncode:
        pytest.skip(
            f"{python} has no nnunetv2: pip install nnunetv2 in an environment of its own, named by NNUNET_PYTHON"
        )
    return python


def write_hearts(raw: Path) -> None:
    """Seven synthetic hearts in nnU-Net's raw layout, the last one to predict, with another spacing."""
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (raw / part).mkdir(parents=True)
    for number, shape in enumerate(SHAPES):
        image, labels = make_phantom(number, shape, "lps").to_sitk()
        values = sitk.GetArrayFromImage(labels)
        myocardium, *blood = LABEL_VALUES
        indices = sitk.GetImageFromArray((np.isin(values, blood) + 2 * (values == myocardium)).astype(np.uint8))
        indices.CopyInformation(image)
        if number == len(SHAPES) - 1:
            columns, rows, slices = image.GetSpacing()
            image.SetSpacing((columns * 0.8, rows * 1.1, slices))
            sitk.WriteImage(image, raw / "imagesTs" / "heart_0000.nii.gz")
        else:
            sitk.WriteImage(image, raw / "imagesTr" / f"heart{number}_0000.nii.gz")
            sitk.WriteImage(indices, raw / "labelsTr" / f"heart{number}.nii.gz")
    description = {
        "channel_names": {"0": "CT"},
        "labels": LABELS,
        "numTraining": len(SHAPES) - 1,
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(description))


@pytest.mark.slow
def test_labels_of_a_freshly_trained_nnunet_are_its_own(tmp_path):
    python = nnunet_python()
    raw, output = tmp_path / "raw" / "Dataset501_Hearts", tmp_path / "output"
    write_hearts(raw)
    command = [python, str(TRAINING), str(raw), str(output)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    draft = read_nnunet_draft(output / "model")
    write_nnunet_model(draft, Card.from_plain(draft.card), tmp_path / "heart.pt")
    checkpoint = load_checkpoint(tmp_path / "heart.pt")
    plain = replace(checkpoint, card=replace(checkpoint.card, postprocessing=()))
    volume = read_volume(raw / "imagesTs" / "heart_0000.nii.gz")
    for ending, one, mirroring in (
        ("", plain, False),
        ("_mirrored", plain, True),
        ("_postprocessed", checkpoint, False),
    ):
        labels = Predictor(one, "cpu", mirroring=mirroring).predict(volume).segmentation.labels
        expected = sitk.GetArrayFromImage(sitk.ReadImage(output / f"heart{ending}.nii.gz"))
        dice = [
            2 * np.sum((labels == i) & (expected == i)) / np.sum((labels == i).astype(int) + (expected == i))
            for i in (1, 2)
        ]
        print(f"heart{ending}: {np.mean(labels == expected):.5%} of the voxels equal, mean Dice {np.mean(dice):.5f}")
        assert np.mean(labels == expected) >= 0.999
        assert np.nanmean(dice) >= 0.998
