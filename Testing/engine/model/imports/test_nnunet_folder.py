"""Trained models of nnU-Net become cards and checkpoints, wherever they lie; what is damaged or missing is named."""

import os
import zipfile

import pytest
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.imports import model_files
from UNetSegmenterLib.engine.model.imports.importing import completed_card, read_model, write_model
from UNetSegmenterLib.engine.model.imports.nnunet_folder import read_nnunet_draft, write_nnunet_model

from . import nnunet_models as models
from .nnunet_models import FINAL
from .nnunet_refusals import refusal


def test_a_folder_becomes_a_complete_card(folder):
    draft = read_model(folder)
    assert draft.kind == "nnU-Net"
    assert not draft.unknown
    card = completed_card(draft, draft.card)
    assert card.title == "Liver (nnU-Net 2d)"
    assert [structure.name for structure in card.structures] == ["liver", "tumour"]
    assert (card.network.architecture, card.network.classes) == ("PlainConvUNet", 3)
    assert card.network.parameters["norm_op"] == "InstanceNorm2d"
    settings = card.preprocessing
    assert settings.spacing_mm == (1.5, 2.0)
    assert (settings.normalisation.name, settings.normalisation.clip) == ("ct", (-100.0, 250.0))
    assert (settings.normalisation.mean, settings.normalisation.sd) == (80.0, 60.0)
    assert (settings.axis, settings.stored_axes, settings.patch_size) == ("stored", (0, 1, 2), (16, 24))
    assert (settings.interpolation, settings.crop_to_nonzero, settings.mirror_axes) == ("cubic", True, (0, 1))
    assert (settings.padding, settings.pad_value) == ("centre", 0.0)
    assert card.training["trainer"] == "nnUNetTrainer"
    assert card.training["folds"] == ["0", "1"]
    assert any("orientation" in note for note in draft.notes)


def test_weights_of_all_folds_are_stored_once_and_unchanged(folder, tmp_path):
    draft = read_model(folder)
    write_model(draft, completed_card(draft, draft.card), tmp_path / "liver.pt")
    checkpoint = load_checkpoint(tmp_path / "liver.pt")
    assert len(checkpoint.weights) == 2
    for fold, weights in enumerate(checkpoint.weights):
        theirs = models.network_weights(fold)
        assert not any("all_modules" in name or name.startswith("decoder.encoder") for name in weights)
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights.items())
    assert checkpoint.networks()[0](torch.zeros(1, 1, 16, 24)).shape == (1, 3, 16, 24)


def test_folds_and_checkpoints_can_be_chosen(folder):
    torch.save(models.checkpoint(5), folder / "fold_1" / "checkpoint_best.pth")
    assert read_nnunet_draft(folder, folds=["1"]).folds == ("1",)
    assert read_nnunet_draft(folder, folds=[1], checkpoint="checkpoint_best").folds == ("1",)
    assert read_nnunet_draft(folder, checkpoint="checkpoint_best.pth").folds == ("1",)
    refusal(folder, "fold_2/checkpoint_final.pth", "0, 1", folds=["2"])
    refusal(folder, "fold_0/checkpoint_best.pth", folds=["0"], checkpoint="checkpoint_best")
    refusal(folder, "no file name", checkpoint="../fold_0/checkpoint_final")


def test_a_fold_of_all_cases_is_taken_where_there_is_no_other(tmp_path):
    folder = models.write_model(tmp_path / "model", checkpoints={FINAL.format("all"): models.checkpoint()})
    assert read_nnunet_draft(folder).folds == ("all",)


def test_a_folder_without_a_fold_is_refused(tmp_path):
    refusal(models.write_model(tmp_path / "model", checkpoints={}), "no fold", "checkpoint_final.pth")
    unfinished = models.write_model(tmp_path / "other", checkpoints={"fold_3/checkpoint_best.pth": models.checkpoint()})
    refusal(unfinished, "fold 3 has a checkpoint_best.pth")


# --- where the model lies ------------------------------------------------------------------------------------------------


def test_the_2d_model_is_found_in_the_folder_of_its_data_set_and_in_an_exported_zip(folder, tmp_path):
    models.write_model(folder.with_name("nnUNetTrainer__nnUNetPlans__3d_fullres"))
    draft = read_nnunet_draft(folder.parent)
    assert draft.files.root == folder
    assert "2d" in draft.notes[0]
    archive = models.zipped(tmp_path / "Dataset007_Liver", tmp_path / "export.zip")
    nested = models.zipped(tmp_path, tmp_path.with_name(f"{tmp_path.name}.zip"))
    for path in (archive, nested):
        zip_draft = read_nnunet_draft(path)
        assert zip_draft.card == draft.card
        write_nnunet_model(zip_draft, Card.from_plain(zip_draft.card), tmp_path / "zip.pt")
        assert len(load_checkpoint(tmp_path / "zip.pt").weights) == 2


def test_several_2d_models_or_none_are_refused_with_their_names(folder, tmp_path):
    models.write_model(folder.with_name("nnUNetTrainer__nnUNetResEncUNetMPlans__2d"))
    refusal(folder.parent, "several", "nnUNetResEncUNetMPlans__2d")
    models.write_model(tmp_path / "other" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    refusal(tmp_path / "other", "no 2d model", "3d_fullres")


def test_what_is_no_model_is_refused(tmp_path):
    refusal(tmp_path, "no plans.json")
    refusal(tmp_path / "absent", "not there")
    (tmp_path / "text.zip").write_text("no zip")
    refusal(tmp_path / "text.zip", "neither a folder nor a zip")
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "plans.pkl").write_bytes(b"")
    refusal(tmp_path / "v1", "nnU-Net v1")


def test_a_zip_with_names_that_lead_out_of_its_folder_writes_nothing_there(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for path in folder.rglob("*"):
            if path.is_file():
                archive.write(path, f"../../escaped/{path.relative_to(folder).as_posix()}")
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(InputError):
        read_nnunet_draft(tmp_path / "evil.zip", folds=["../../0"])
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_zip_that_holds_more_than_fits_is_refused_before_it_fills_the_disk(folder, tmp_path, monkeypatch):
    archive = models.zipped(folder, tmp_path / "export.zip")
    monkeypatch.setattr(model_files, "MOST_CHECKPOINT_BYTES", 1000)
    refusal(archive, "checkpoint_final.pth", "unpack the archive")
    monkeypatch.setattr(model_files, "MOST_JSON_BYTES", 100)
    refusal(archive, "plans.json")


def test_a_damaged_member_is_named(folder, tmp_path):
    archive = models.zipped(folder, tmp_path / "export.zip")
    with zipfile.ZipFile(archive) as opened:
        offset = opened.getinfo("plans.json").header_offset + 60
    data = bytearray(archive.read_bytes())
    data[offset : offset + 40] = bytes(40)
    archive.write_bytes(data)
    refusal(archive, "plans.json")


def test_a_damaged_member_of_bzip2_is_named(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "bzip2.zip", "w", zipfile.ZIP_BZIP2) as archive:
        for name in ("plans.json", "dataset.json", FINAL.format(0)):
            archive.write(folder / name, name)
        offset = archive.getinfo("plans.json").header_offset + 60
    data = bytearray((tmp_path / "bzip2.zip").read_bytes())
    data[offset : offset + 40] = b"U" * 40
    (tmp_path / "bzip2.zip").write_bytes(data)
    refusal(tmp_path / "bzip2.zip", "plans.json", "damaged")


def test_patches_that_the_strides_do_not_divide_are_refused(tmp_path):
    plans = models.changed(models.PLANS, "configurations/2d/patch_size", [15, 24])
    draft = read_model(models.write_model(tmp_path / "model", plans=plans))
    with pytest.raises(InputError, match="15 x 24"):
        write_model(draft, completed_card(draft, draft.card), tmp_path / "liver.pt")
    assert not (tmp_path / "liver.pt").exists()


def test_mirroring_along_what_is_no_axis_is_refused(folder):
    torch.save(models.checkpoint(0) | {"inference_allowed_mirroring_axes": ([0], [1])}, folder / FINAL.format(0))
    refusal(folder, "mirroring")


def test_a_postprocessing_that_is_not_there_is_named(folder, tmp_path):
    refusal(folder, "absent.json is no file", postprocessing=tmp_path / "absent.json")


def test_the_checkpoint_may_have_any_name(folder, tmp_path):
    draft = read_model(folder)
    write_model(draft, completed_card(draft, draft.card), tmp_path / "liver")
    assert len(load_checkpoint(tmp_path / "liver").weights) == 2


# --- checkpoints ---------------------------------------------------------------------------------------------------------


class Bomb:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_a_checkpoint_with_code_is_refused_and_does_not_run(tmp_path):
    folds = {FINAL.format(0): models.checkpoint(my_callback=Bomb(tmp_path / "trace"))}
    folder = models.write_model(tmp_path / "model", checkpoints=folds)
    refusal(folder, "fold_0/checkpoint_final.pth", "could run code")
    refusal(models.zipped(folder, tmp_path / "export.zip"), "export.zip/fold_0/checkpoint_final.pth", "could run code")
    assert not (tmp_path / "trace").exists()


def test_a_checkpoint_of_the_format_before_torch_1_6_is_refused(tmp_path):
    folder = models.write_model(tmp_path / "model", checkpoints={})
    (folder / "fold_0").mkdir()
    torch.save(models.checkpoint(), folder / FINAL.format(0), _use_new_zipfile_serialization=False)
    refusal(folder, "bare pickle")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_weights_saved_by_several_gpus_or_compiled_fit(tmp_path, prefix):
    weights = {prefix + name: tensor for name, tensor in models.network_weights().items()}
    folds = {FINAL.format(0): models.checkpoint(network_weights=weights)}
    read_nnunet_draft(models.write_model(tmp_path / "model", checkpoints=folds))


def test_the_weights_of_a_trainer_with_a_network_of_its_own_are_refused(tmp_path):
    weights = models.network_weights() | {"encoder.attention.weight": torch.zeros(2)}
    folds = {FINAL.format(0): models.checkpoint(network_weights=weights, trainer_name="MyTrainer")}
    refusal(models.write_model(tmp_path / "more", checkpoints=folds), "MyTrainer", "encoder.attention.weight", "ONNX")
    folds = {
        FINAL.format(0): models.checkpoint(network_weights=models.network_weights(classes=5), trainer_name="MyTrainer")
    }
    refusal(models.write_model(tmp_path / "larger", checkpoints=folds), "MyTrainer", "seg_layers")
    weights = models.network_weights()
    del weights["decoder.transpconvs.0.weight"]
    folds = {FINAL.format(0): models.checkpoint(network_weights=weights)}
    refusal(models.write_model(tmp_path / "fewer", checkpoints=folds), "decoder.transpconvs.0.weight")


def test_a_second_fold_that_does_not_fit_is_refused_on_writing(folder, tmp_path):
    torch.save(models.checkpoint(network_weights=models.network_weights(classes=4)), folder / FINAL.format(1))
    draft = read_nnunet_draft(folder)
    with pytest.raises(InputError, match="fold_1"):
        write_nnunet_model(draft, Card.from_plain(draft.card), tmp_path / "liver.pt")
    assert not (tmp_path / "liver.pt").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state_dict": {}}, ("no checkpoint of nnU-Net v2",)),
        ([1, 2], ("no checkpoint of nnU-Net v2",)),
        (models.checkpoint(network_weights={"a": 1}), ("not tensors",)),
        (models.checkpoint(inference_allowed_mirroring_axes=(0, 1, 2)), ("mirroring",)),
    ],
)
def test_other_checkpoints_are_refused(tmp_path, content, words):
    folder = models.write_model(tmp_path / "model", checkpoints={FINAL.format(0): content})
    refusal(folder, "checkpoint_final.pth", *words)


def test_a_trainer_without_mirroring_allows_none(tmp_path):
    folds = {FINAL.format(0): models.checkpoint(inference_allowed_mirroring_axes=None)}
    card = read_nnunet_draft(models.write_model(tmp_path / "model", checkpoints=folds)).card
    assert card["preprocessing"]["mirror_axes"] == []
