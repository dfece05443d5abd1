"""A data set of phantoms in every layout, as real small files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from unetseg.synthetic.phantom_cases import write_phantoms

from .layout_files import SHAPE, VALUES, write_json


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> list[tuple[Path, Path]]:
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 3, seed=3, shape=SHAPE)


@pytest.fixture
def mmwhs(tmp_path, phantoms) -> Path:
    return Path(shutil.copytree(phantoms[0][0].parent, tmp_path / "mmwhs"))


@pytest.fixture
def nnunet(tmp_path, phantoms) -> Path:
    folder = tmp_path / "Dataset001_Heart"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for image, label in phantoms:
        name = image.name.removesuffix("_image.nii.gz")
        shutil.copy(image, folder / "imagesTr" / f"{name}_0000.nii.gz")
        shutil.copy(label, folder / "labelsTr" / f"{name}.nii.gz")
    write_json(
        folder / "dataset.json",
        channel_names={"0": "CT"},
        labels={"background": 0, **VALUES},
        numTraining=3,
        file_ending=".nii.gz",
    )
    return folder


@pytest.fixture
def decathlon(tmp_path, phantoms) -> Path:
    folder = tmp_path / "Task20_Heart"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    training = []
    for image, label in phantoms:
        name = image.name.removeprefix("ct_train_").removesuffix("_image.nii.gz")
        shutil.copy(image, folder / "imagesTr" / f"heart_{name}.nii.gz")
        shutil.copy(label, folder / "labelsTr" / f"heart_{name}.nii.gz")
        training.append(
            {"image": f"./imagesTr/heart_{name}.nii.gz", "label": f"./labelsTr/heart_{name}.nii.gz"},
        )
    (folder / "imagesTr" / "._heart_1001.nii.gz").write_bytes(b"what macOS leaves")
    write_json(
        folder / "dataset.json",
        name="Heart",
        licence="CC-BY-SA 4.0",
        reference="someone",
        modality={"0": "CT"},
        labels={"0": "background", **{str(value): name for name, value in VALUES.items()}},
        numTraining=3,
        training=training,
        test=["./imagesTs/heart_1009.nii.gz"],
    )
    return folder


@pytest.fixture
def pairs(mmwhs) -> Path:
    write_json(mmwhs / "structures.json", structures={**VALUES, "left atrium": [420, 421]}, licence="own")
    return mmwhs
