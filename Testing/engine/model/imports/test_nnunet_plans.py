"""Plans, dataset.json and postprocessing of nnU-Net become entries of the card; what can't be carried over is refused by name."""

import json

import pytest
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.imports.nnunet_folder import read_nnunet_draft

from . import nnunet_models as models
from .nnunet_models import FINAL
from .nnunet_refusals import refusal

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
