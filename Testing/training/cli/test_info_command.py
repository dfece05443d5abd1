"""`unetseg info`: a scan with its label, and a data set whose cases differ in every way that matters."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from unetseg.cli.main import main
from unetseg.data.fingerprint import inspect_cases, slice_jumps
from unetseg.data.layouts.detection import declared_structures, read_dataset
from unetseg.synthetic.phantom_cases import make_phantom, write_phantoms
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.structures import HEART
from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint

from ...engine.checkpoints import small_card, small_weights
from ..command import refused, unetseg_here
from ..datasets import write_dataset

SHAPE = (20, 60, 60)


@pytest.fixture
def hearts(tmp_path):
    """Six hearts, all stored as LPS."""
    write_phantoms(tmp_path / "hearts", 6, seed=20, shape=SHAPE, orientation="lps")
    return tmp_path / "hearts"


def edit(path, change):
    """Read an image file, change it, write it back."""
    sitk.WriteImage(change(sitk.ReadImage(str(path))), str(path))


def said(capsys, *arguments, status=0):
    assert main(["info", *map(str, arguments)]) == status
    return capsys.readouterr()


def test_data_set_has_a_row_a_case_and_the_ranges(hearts, tmp_path, capsys):
    lines = said(capsys, hearts, "--plot", tmp_path / "plots" / "hearts.png").out.splitlines()
    assert "MM-WHS layout, 6 cases" in lines[0]
    rows = [line.split() for line in lines if line.startswith(" ct_train_")]
    assert len(rows) == 18, "one row of geometry, one of volumes and one of HU for each"
    first = next(read for read in rows if read[0] == "ct_train_1001")
    assert first[1:6] == ["60", "x", "60", "x", "20"]
    assert first[-3:] == ["7", "of", "7"]
    volumes = [float(text) for text in rows[6][1:]]
    labels = sitk.ReadImage(str(hearts / "ct_train_1001_label.nii.gz"))
    voxel_ml = np.prod(labels.GetSpacing()) / 1000
    values = [part.values[0] for part in HEART]
    assert volumes == pytest.approx([np.sum(sitk.GetArrayFromImage(labels) == v) * voxel_ml for v in values], abs=0.06)
    middle_hu = [float(text) for text in rows[12][1:]]
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(hearts / "ct_train_1001_image.nii.gz")))
    by_hand = [np.median(image[sitk.GetArrayFromImage(labels) == value]) for value in values]
    assert middle_hu == pytest.approx(by_hand, abs=8), "of every seventh voxel"
    facts = dict(line.split("  ", 1) for line in lines if "  " in line and not line.startswith(" "))
    assert facts["slices"].strip() == "20, 120 in all"
    assert facts["left ventricle"].strip().endswith("in 6 of 6 cases")
    of_the_aorta = np.array([[float(row[6]) for row in rows[start : start + 6]] for start in (6, 12)])
    ml_percent, hu_sd = 100 * of_the_aorta[0].std(ddof=1) / of_the_aorta[0].mean(), of_the_aorta[1].std(ddof=1)
    shown = re.findall(r"SD (\d+)", facts["ascending aorta"])
    assert [int(text) for text in shown] == pytest.approx([ml_percent, hu_sd], abs=1)
    assert "No case differs from the others." in lines
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "plots" / "hearts.png")))
    for rows_, columns in ((np.s_[:450], np.s_[:650]), (np.s_[:450], np.s_[650:]), (np.s_[450:], np.s_[:650])):
        assert picture[rows_, columns].std() > 10, "a plot in each corner"


def test_cases_that_differ_are_named(hearts, capsys):
    def spacing(factor):
        def change(image):
            image.SetSpacing([mm * factor for mm in image.GetSpacing()])
            return image

        return change

    for role in ("image", "label"):
        edit(hearts / f"ct_train_1002_{role}.nii.gz", spacing(11))
        edit(hearts / f"ct_train_1003_{role}.nii.gz", lambda image: sitk.DICOMOrient(image, "RAS"))
    edit(hearts / "ct_train_1004_label.nii.gz", lambda image: image * 0)
    edit(hearts / "ct_train_1005_label.nii.gz", spacing(1.5))
    edit(hearts / "ct_train_1001_label.nii.gz", lambda image: sitk.Mask(image, image != 850))
    shutil.copy(hearts / "ct_train_1006_image.nii.gz", hearts / "ct_train_1007_image.nii.gz")
    shutil.copy(hearts / "ct_train_1006_label.nii.gz", hearts / "ct_train_1007_label.nii.gz")
    out = said(capsys, hearts).out
    sentences = [line.strip() for line in out.split("Look at:")[1].splitlines()]

    def sentence(*words):
        return any(all(word in line for word in words) for line in sentences)

    assert sentence("ct_train_1005", "can't be used", "must share one grid")
    assert sentence("pixels run from", "ct_train_1002", "lost its spacing")
    assert sentence("pixels far from the median", "ct_train_1002")
    assert sentence("no voxel is labelled: ct_train_1004.")
    assert sentence("pulmonary artery is absent in 1 of", "ct_train_1001")
    assert sentence("the very same voxels", "ct_train_1006, ct_train_1007")
    assert sentence("stored otherwise than most (LPS)", "ct_train_1003 RAS")
    assert sentence("ct_train_1002:", "unusual for CT")


def test_structure_in_no_case(hearts, capsys):
    for label in hearts.glob("*_label.nii.gz"):
        edit(label, lambda image: sitk.Mask(image, image != 850))
    assert "pulmonary artery is in no case" in said(capsys, hearts).out


def test_processes_read_what_one_process_reads(hearts):
    dataset = read_dataset(hearts)
    alone, together = (list(inspect_cases(dataset, workers)) for workers in (1, 2))
    for one, other in zip(alone, together, strict=True):
        assert one.to_json() == other.to_json()
        assert np.array_equal(one.hu_sample, other.hu_sample)


def test_scan_with_its_label(hearts, tmp_path, capsys):
    image, label = (hearts / f"ct_train_1001_{role}.nii.gz" for role in ("image", "label"))
    out = said(capsys, image, "--label", label, "--plot", tmp_path / "scan.png").out
    row = next(line.split() for line in out.splitlines() if line.startswith(" right ventricle"))
    stored = sitk.ReadImage(str(label))
    inside = sitk.GetArrayFromImage(stored) == 600
    assert float(row[2]) == pytest.approx(inside.sum() * np.prod(stored.GetSpacing()) / 1000, abs=0.06)
    assert int(row[3]) == inside.any(axis=(1, 2)).sum()
    hu = np.percentile(sitk.GetArrayFromImage(sitk.ReadImage(str(image)))[inside], (5, 50, 95))
    assert [float(text) for text in row[4:]] == pytest.approx(hu, abs=0.51)
    plain = tmp_path / "plain.png"
    said(capsys, image, "--plot", plain)
    labelled, unlabelled = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[400:, :, :3].astype(int)
        for path in (tmp_path / "scan.png", plain)
    )
    colored = [(np.ptp(picture, axis=2) > 60).sum() for picture in (labelled, unlabelled)]
    assert colored[0] > 5000 > colored[1], "the slices show the structures in colour"


def test_label_of_another_scan_is_refused(hearts, capsys):
    image, other = hearts / "ct_train_1001_image.nii.gz", hearts / "ct_train_1002_label.nii.gz"
    error = said(capsys, image, "--label", other, status=2).err
    assert "must share one grid" in error
    assert error.count("\n") == 1
    assert "leave --label out" in said(capsys, hearts, "--label", other, status=2).err


def test_what_a_label_file_means_comes_from_its_data_set(hearts, tmp_path):
    assert declared_structures(hearts / "ct_train_1001_label.nii.gz") == HEART
    (hearts / "structures.json").write_text('{"structures": {"pump": [205, 420, 500, 550, 600, 820, 850, 421]}}')
    for path in hearts.glob("*.nii.gz"):
        path.rename(path.with_name(path.name.removeprefix("ct_train_")))
    structures = declared_structures(hearts / "1001_label.nii.gz")
    assert structures is not None
    assert [part.name for part in structures] == ["pump"]
    shutil.copy(hearts / "1001_label.nii.gz", tmp_path / "alone.nii.gz")
    assert declared_structures(tmp_path / "alone.nii.gz") is None


@pytest.mark.parametrize(("command", "out"), [("plan", "out.yaml"), ("prepare", "out")])
def test_label_without_its_image_is_one_line_whatever_the_command(hearts, tmp_path, capsys, command, out):
    (hearts / "ct_train_1002_image.nii.gz").unlink()
    assert main([command, str(hearts), str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "ct_train_1002_label.nii.gz has no image ct_train_1002_image.nii.gz" in error
    assert not (tmp_path / out).exists()


@pytest.mark.parametrize(("command", "out"), [("plan", "out.yaml"), ("prepare", "out")])
def test_spacing_ten_times_as_large_is_one_line(hearts, tmp_path, capsys, command, out):
    for role in ("image", "label"):
        edit(hearts / f"ct_train_1003_{role}.nii.gz", _tenfold)
    assert main([command, str(hearts), str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "(ct_train_1003); a file seems to have lost its spacing" in error
    assert not (tmp_path / out).exists()


def _tenfold(image):
    image.SetSpacing([10 * mm for mm in image.GetSpacing()])
    return image


def test_folder_of_images_that_nothing_describes(hearts, tmp_path, capsys):
    (tmp_path / "some").mkdir()
    shutil.copy(hearts / "ct_train_1001_image.nii.gz", tmp_path / "some" / "a.nii.gz")
    error = said(capsys, tmp_path / "some", status=2).err
    assert "in no known layout" in error
    assert "a.nii.gz" in error


@pytest.mark.parametrize("seed", range(3))
def test_missing_slices_show_as_a_jump(seed, tmp_path, capsys):
    phantom = make_phantom(seed, (80, 64, 64), "lps")
    spacing = phantom.spacing_mm[::-1]
    whole = Volume(phantom.image, Geometry(phantom.image.shape, spacing))
    assert slice_jumps(whole) == []
    cut = np.delete(phantom.image, slice(30, 36), axis=0)
    assert slice_jumps(Volume(cut, Geometry(cut.shape, spacing))) == [29]
    head_first = Geometry(cut.shape, spacing, (0.0, 0.0, 0.0), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)))
    assert slice_jumps(Volume(cut, head_first)) == [len(cut) - 2 - 29], "slices are counted from the feet"
    image = sitk.GetImageFromArray(cut)
    image.SetSpacing(phantom.spacing_mm)
    sitk.WriteImage(image, str(tmp_path / "cut.nrrd"))
    assert "jump between axial slices 30 and 31" in said(capsys, tmp_path / "cut.nrrd").err


def spoil_nnunet(folder):
    write_dataset(folder, cases=5)
    (folder / "labelsTr" / "case0.nii.gz").unlink()
    (folder / "imagesTr" / "case1_0000.nii.gz").unlink()
    (folder / "labelsTr" / "case2.nii.gz").write_text("no image")
    shutil.copy(folder / "imagesTr" / "case3_0000.nii.gz", folder / "imagesTr" / "case3_0001.nii.gz")
    return (
        "case0_0000.nii.gz has no label",
        "case1.nii.gz has no image",
        "case2.nii.gz",
        "case3_0001.nii.gz is a second",
    )


def spoil_pairs(folder):
    made = write_dataset(folder / "made", cases=4)
    for i in range(4):
        (made / "imagesTr" / f"case{i}_0000.nii.gz").rename(folder / f"case{i}_image.nii.gz")
        (made / "labelsTr" / f"case{i}.nii.gz").rename(folder / f"case{i}_label.nii.gz")
    shutil.rmtree(made)
    (folder / "structures.json").write_text('{"structures": {"liver": 1, "spleen": 2}}')
    (folder / "case0_label.nii.gz").unlink()
    (folder / "case1_image.nii.gz").unlink()
    (folder / "case2_label.nii.gz").write_bytes((folder / "case2_label.nii.gz").read_bytes()[:60])
    return ('(case "case0") has no label', '(case "case1") has no image', "case2_label.nii.gz")


def spoil_decathlon(folder):
    write_dataset(folder, cases=4)
    pairs = [{"image": f"imagesTr/case{i}_0000.nii.gz", "label": f"labelsTr/case{i}.nii.gz"} for i in range(4)]
    description = {"name": "D", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"}, "training": pairs}
    (folder / "dataset.json").write_text(json.dumps(description))  # the spleen's value is declared by nobody
    (folder / "labelsTr" / "case0.nii.gz").unlink()
    return ("case0.nii.gz, which does not exist", "case1.nii.gz holds label values that are not declared")


def spoil_mmwhs(folder):
    write_phantoms(folder, 3, seed=1, shape=(8, 40, 40))
    (folder / "ct_train_1001_label.nii.gz").unlink()
    (folder / "ct_train_1002_image.nii.gz").unlink()
    return ("ct_train_1001_image.nii.gz has no label", "ct_train_1002_label.nii.gz has no image")


@pytest.mark.parametrize("spoil", [spoil_nnunet, spoil_pairs, spoil_decathlon, spoil_mmwhs])
def test_a_data_set_is_looked_at_past_a_missing_pair_and_a_bad_label(spoil, tmp_path):
    """All that is wrong at once, where prepare refuses the first of it."""
    words = spoil(tmp_path)
    done = unetseg_here("info", tmp_path)
    assert done.returncode == 0, done.stderr
    look = done.stdout.partition("Look at:")[2].splitlines()
    for word in words:
        assert any(word in line for line in look), (word, done.stdout)
    refused(unetseg_here("prepare", tmp_path, tmp_path / "preprocessed"))


def test_a_model_says_what_it_segments_and_reads(tmp_path, capsys):
    """The facts of the panel's card, and each structure with its label values and validation Dice."""
    card = small_card(statistics={"cases": 3}, data_licence="CC0")
    card = replace(card, preprocessing=replace(card.preprocessing, axis="coronal", mirror_axes=(1,)))
    save_checkpoint(tmp_path / "model.pt", card, [small_weights(card, seed) for seed in (0, 1)])
    assert main(["info", str(tmp_path / "model.pt")]) == 0
    said = capsys.readouterr().out
    for words in (
        "Small abdomen",
        "CC0",
        "2 mm pixels, -160 to 240 HU, 3 neighbouring slices, coronal slices",
        "2D U-Net, width 4, depth 2, ensemble of 2 networks",
        "possible, 2 times as slow",
        "training statistics of 3 cases",
        "0.50 ± 0.10 (n = 2)",
    ):
        assert words in said, words
    refused(unetseg_here("info", tmp_path / "model.pt", "--plot", tmp_path / "x.png"), "is a model")
    (tmp_path / "none.onnx").write_bytes(b"no model")
    refused(unetseg_here("info", tmp_path / "none.onnx"), "ONNX")


def test_folders_of_other_commands_are_refused_with_what_is_shown_instead(tmp_path, capsys):
    for name in ("run/checkpoint.pt", "folds/fold0/checkpoint.pt", "preprocessed/pack.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert f"unetseg info {tmp_path / 'run' / 'checkpoint.pt'}" in said(capsys, tmp_path / "run", status=2).err
    assert f"{tmp_path / 'folds' / 'fold0'}" in said(capsys, tmp_path / "folds", status=2).err
    assert "is a preprocessed data set; name" in said(capsys, tmp_path / "preprocessed", status=2).err
