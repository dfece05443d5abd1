"""Trained models of nnU-Net become cards and checkpoints; whatever can't be carried over is refused with the reason."""

import json
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

FINAL = "fold_{}/checkpoint_final.pth"


@pytest.fixture
def folder(tmp_path):
    folds = {FINAL.format(fold): models.checkpoint(fold) for fold in (0, 1)}
    return models.write_model(tmp_path / "Dataset007_Liver" / "nnUNetTrainer__nnUNetPlans__2d", checkpoints=folds)


def refusal(folder, *words, **options):
    with pytest.raises(InputError) as caught:
        read_nnunet_draft(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message


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


# --- plans and dataset.json ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("configurations/2d/patch_size", [16, 16, 16], ("3 dimensions", "2d")),
        ("configurations/2d/previous_stage", "3d_lowres", ("cascade",)),
        ("configurations/2d/spacing", [3.0, 1.0, 1.0], ("spacing",)),
        ("configurations/2d/spacing", [10**400, 1.0], ("spacing",)),
        ("configurations/2d/resampling_fn_data", [], ("resample data by",)),
        ("configurations/2d/architecture/arch_kwargs/norm_op_kwargs", {"eps": float("nan")}, ("eps", "nan")),
        ("configurations/2d/architecture/arch_kwargs/nonlin_kwargs", {"negative_slope": 1e300}, ("negative_slope",)),
        ("foreground_intensity_properties_per_channel/0/mean", 10**400, ("mean",)),
        ("configurations/2d/patch_size", ["16", 24], ("patch size",)),
        ("configurations", None, ("v1",)),
        ("configurations/2d", None, ('"2d"', "3d_fullres")),
        ("configurations/2d/inherits_from", "2d", ("no usable configuration",)),
        ("configurations/2d/inherits_from", "absent", ("absent",)),
        ("configurations/2d/preprocessor_name", "MyPreprocessor", ("MyPreprocessor",)),
        ("configurations/2d/normalization_schemes", ["RGBTo01Normalization"], ("RGBTo01Normalization",)),
        ("configurations/2d/normalization_schemes", ["MyNormalization"], ("MyNormalization",)),
        ("configurations/2d/resampling_fn_data", "resample_torch_fornnunet", ("resample_torch_fornnunet",)),
        ("configurations/2d/resampling_fn_data_kwargs", models.RESAMPLING, ("order = 1",)),
        ("configurations/2d/resampling_fn_probabilities", "my_resampling", ("my_resampling",)),
        ("configurations/2d/architecture/network_class_name", "my.SwinUNETR", ("SwinUNETR", "ONNX")),
        ("configurations/2d/architecture/arch_kwargs/conv_op", "torch.nn.modules.conv.Conv3d", ("Conv3d",)),
        ("configurations/2d/architecture/arch_kwargs/attention", True, ("attention",)),
        ("configurations/2d/architecture/arch_kwargs/norm_op", "my.Norm", ("norm_op",)),
        ("transpose_forward", [0, 0, 1], ("transpose_forward",)),
        ("image_reader_writer", "NaturalImage2DIO", ("NaturalImage2DIO",)),
        ("foreground_intensity_properties_per_channel", None, ("foreground_intensity_properties_per_channel",)),
    ],
)
def test_plans_that_cant_be_carried_over_are_refused_by_name(tmp_path, path, value, words):
    plans = models.changed(models.PLANS, path, value)
    refusal(models.write_model(tmp_path / "model", plans=plans), *words)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("channel_names", {"0": "CT", "1": "PET"}, ("2 channels", "PET")),
        ("channel_names", {"0": "MRI T1"}, ("MRI T1", "CT")),
        ("channel_names", {"0": "fat fraction"}, ("fat fraction",)),
        ("channel_names", None, ("channel_names",)),
        ("labels", {"background": 0, "whole": [1, 2], "core": 2}, ("region", "whole")),
        ("labels", {"background": 0, "liver": 1, "tumour": 3}, ("without a gap",)),
        ("labels", {"liver": 1}, ("0 (background)",)),
        ("labels", {"background": 0, "liver": 1, "tumour": 1}, ("of its own",)),
        ("labels", {"background": 0, "liver": -1}, ("whole number",)),
        ("labels", None, ("labels",)),
        ("labels", {"background": 0, **{f"s{i}": i for i in range(1, 256)}}, ("256 labels", "at most 255")),
    ],
)
def test_channels_and_labels_that_cant_be_carried_over_are_refused_by_name(tmp_path, path, value, words):
    dataset = models.changed(models.DATASET, path, value)
    refusal(models.write_model(tmp_path / "model", dataset=dataset), *words)


def test_files_that_are_no_json_are_named(tmp_path):
    folder = models.write_model(tmp_path / "model")
    (folder / "dataset.json").write_text("{")
    refusal(folder, "dataset.json", "not JSON")
    (folder / "dataset.json").unlink()
    refusal(folder, "no dataset.json")


def test_plans_of_older_versions_give_the_same_card(tmp_path):
    new = read_nnunet_draft(models.write_model(tmp_path / "new")).card
    configuration = {name: value for name, value in models.CONFIGURATION.items() if name != "architecture"}
    plans = models.changed(models.PLANS, "configurations/2d", configuration | models.OLD_NETWORK)
    plans = models.changed(plans, "foreground_intensity_properties_by_modality", {"0": models.INTENSITIES})
    plans = models.changed(plans, "foreground_intensity_properties_per_channel", None)
    dataset = models.changed(models.changed(models.DATASET, "modality", {"0": "CT"}), "channel_names", None)
    old = read_nnunet_draft(models.write_model(tmp_path / "old", plans=plans, dataset=dataset)).card
    assert Card.from_plain(old).network == Card.from_plain(new).network
    assert old["preprocessing"] == new["preprocessing"]


def test_configurations_inherit_from_each_other(tmp_path):
    plans = models.changed(models.PLANS, "configurations/2d_large", {"inherits_from": "2d", "patch_size": [32, 48]})
    arguments = models.checkpoint()["init_args"] | {"configuration": "2d_large"}
    folds = {FINAL.format(0): models.checkpoint(init_args=arguments)}
    card = read_nnunet_draft(models.write_model(tmp_path / "model", plans=plans, checkpoints=folds)).card
    assert card["preprocessing"]["patch_size"] == [32, 48]
    assert card["preprocessing"]["spacing_mm"] == [1.5, 2.0]


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("ZScoreNormalization", {"name": "z-score", "over": "scan"}),
        ("RescaleTo01Normalization", {"name": "rescale", "range": [0.0, 1.0], "over": "scan"}),
        ("NoNormalization", {"name": "none"}),
    ],
)
def test_normalisations_of_nnunet(tmp_path, scheme, expected):
    plans = models.changed(models.PLANS, "configurations/2d/normalization_schemes", [scheme])
    assert (
        read_nnunet_draft(models.write_model(tmp_path / "model", plans=plans)).card["preprocessing"]["normalisation"]
        == expected
    )


def test_a_mask_for_the_z_score_is_refused(tmp_path):
    plans = models.changed(models.PLANS, "configurations/2d/normalization_schemes", ["ZScoreNormalization"])
    plans = models.changed(plans, "configurations/2d/use_mask_for_norm", [True])
    refusal(models.write_model(tmp_path / "model", plans=plans), "use_mask_for_norm")


def test_plans_without_resampling_take_pixels_as_they_are(tmp_path):
    plans = models.changed(models.PLANS, "configurations/2d/resampling_fn_data", "no_resampling_hack")
    plans = models.changed(plans, "configurations/2d/resampling_fn_probabilities", "no_resampling_hack")
    assert (
        read_nnunet_draft(models.write_model(tmp_path / "model", plans=plans)).card["preprocessing"]["spacing_mm"]
        is None
    )


def test_labels_to_be_ignored_are_no_structure(tmp_path):
    dataset = models.changed(models.DATASET, "labels", {"background": 0, "liver": 1, "tumour": [2], "ignore": 3})
    card = read_nnunet_draft(models.write_model(tmp_path / "model", dataset=dataset)).card
    assert [structure["name"] for structure in card["structures"]] == ["liver", "tumour"]


@pytest.mark.parametrize(
    ("transposed", "orientation", "axis", "rows_and_columns"),
    [
        ([0, 1, 2], "LPS", "axial", "PL"),
        ([0, 1, 2], "ras", "axial", "AR"),
        ([1, 0, 2], "LPS", "coronal", "SL"),
        ([2, 0, 1], "LPS", "sagittal", "SP"),
        ([0, 1, 2], "PIR", "sagittal", "IP"),
    ],
)
def test_a_given_orientation_makes_slices_anatomical(tmp_path, transposed, orientation, axis, rows_and_columns):
    plans = models.changed(models.PLANS, "transpose_forward", transposed)
    folder = models.write_model(tmp_path / "model", plans=plans)
    assert read_nnunet_draft(folder).card["preprocessing"]["stored_axes"] == transposed
    settings = read_nnunet_draft(folder, orientation=orientation).card["preprocessing"]
    assert (settings["axis"], settings["orientation"]) == (axis, rows_and_columns)
    refusal(folder, "XPS", orientation="XPS")
    refusal(folder, "LRS", orientation="LRS")


def test_a_reader_that_turns_scans_fixes_the_orientation(tmp_path):
    plans = models.changed(models.PLANS, "image_reader_writer", "NibabelIOWithReorient")
    settings = read_nnunet_draft(models.write_model(tmp_path / "model", plans=plans)).card["preprocessing"]
    assert (settings["axis"], settings["orientation"]) == ("axial", "AR")


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


# --- postprocessing ------------------------------------------------------------------------------------------------------

LARGEST = "remove_all_but_largest_component_from_segmentation"


def write_postprocessing(path, functions, arguments):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"postprocessing_fns": functions, "postprocessing_kwargs": arguments}))
    return path


def test_postprocessing_of_the_cross_validation_of_these_folds_is_obeyed(folder):
    arguments = [{"labels_or_regions": [1, 2]}, {"labels_or_regions": 2}]
    path = write_postprocessing(folder / "crossval_results_folds_0_1" / "postprocessing.json", [LARGEST] * 2, arguments)
    expected = [{"keep_largest_component_of": [1, 2]}, {"keep_largest_component_of": [2]}]
    assert read_nnunet_draft(folder).card["postprocessing"] == expected
    one = read_nnunet_draft(folder, folds=["0"])
    assert one.card["postprocessing"] == []
    assert any("other folds" in note for note in one.notes)
    assert read_nnunet_draft(folder, folds=["0"], postprocessing=path).card["postprocessing"] == expected


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1, 2], "the largest component of each of liver, tumour is kept"),
        ([[1, 2]], "the largest component of liver, tumour taken together is kept"),
        ([[1, 2], 2], "the largest component of tumour and of liver, tumour taken together is kept"),
    ],
)
def test_the_note_on_postprocessing_names_structures(folder, tmp_path, labels, words):
    path = write_postprocessing(
        tmp_path / "p.json", [LARGEST] * len(labels), [{"labels_or_regions": one} for one in labels]
    )
    assert any(words in note for note in read_nnunet_draft(folder, postprocessing=path).notes)


def test_other_postprocessing_is_refused_by_name(folder, tmp_path):
    path = tmp_path / "postprocessing.json"
    refusal(folder, "my_function", postprocessing=write_postprocessing(path, ["my_function"], [{}]))
    regions = write_postprocessing(path, [LARGEST], [{"labels_or_regions": [[1, 2]]}])
    refusal(folder, "labels from 1 to 2", postprocessing=regions)
    refusal(folder, "postprocessing_fns", postprocessing=write_postprocessing(path, None, []))
    refusal(folder, "postprocessing.json", postprocessing=tmp_path / "postprocessing.pkl")


def test_a_pickle_of_postprocessing_is_not_opened(folder):
    (folder / "crossval_results_folds_0_1").mkdir()
    (folder / "crossval_results_folds_0_1" / "postprocessing.pkl").write_bytes(
        b"cos\nsystem\n(S'touch /tmp/opened'\ntR."
    )
    draft = read_nnunet_draft(folder)
    assert draft.card["postprocessing"] == []
    assert any("postprocessing.pkl" in note for note in draft.notes)
