"""The draft of a card for an ONNX file: what is found out, what is asked, and cards that don't fit their file."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.imports.importing import completed_card, read_model, write_model

from ..checkpoints import small_card, small_weights
from ..onnx_files import changed, graph_of, save, write_onnx_file

SLICES = ("slices", ["batch", 1, "rows", "columns"])
WINDOW = {"name": "window", "clip": [-160, 240], "range": [0, 1]}


def asked(draft):
    return [unknown.entry.rpartition(".")[2] for unknown in draft.unknown]


def parameters(draft):
    return draft.card["network"]["parameters"]


def filled(draft, **changes):
    """The draft's card with the names a, b, ... and everything else that is unknown."""
    card = copy.deepcopy(draft.card)
    for number, structure in enumerate(card["structures"]):
        structure["name"] = structure["name"] or chr(ord("a") + number)
    card["preprocessing"] |= {"spacing_mm": [1.5, 1.5], "normalisation": WINDOW, "intensities": "HU"}
    found = card["network"]["parameters"]
    found["activation"] = found["activation"] or "logits"
    found["channels"] = found["channels"] or "neighbours"
    for name, value in changes.items():
        part = found if name in found else card["preprocessing"]
        part[name] = value
    return card


ALWAYS = ["structures", "spacing_mm", "normalisation", "intensities"]


def test_softmax_is_found_out(tmp_path):
    draft = read_model(write_onnx_file(tmp_path / "fetal.onnx", classes=4, last="Softmax"))
    assert (draft.kind, draft.card["title"]) == ("ONNX", "fetal")
    assert parameters(draft) == {
        "input": "slices",
        "output": "result",
        "layout": "NCHW",
        "size": None,
        "activation": "softmax",
        "background": True,
        "channels": "neighbours",
        "batch": None,
    }
    assert draft.card["network"]["classes"] == 4
    assert [one["index"] for one in draft.card["structures"]] == [1, 2, 3]
    assert asked(draft) == ALWAYS
    assert draft.card["preprocessing"]["size_multiple"] == 1


def test_one_channel_needs_no_question_about_background(tmp_path):
    for last, activation in ((None, "sigmoid-logits"), ("Sigmoid", "sigmoid")):
        draft = read_model(write_onnx_file(tmp_path / "a.onnx", classes=1, last=last))
        assert (parameters(draft)["activation"], parameters(draft)["background"]) == (activation, False)
        assert draft.card["network"]["classes"] == 2
        assert asked(draft) == ALWAYS


def test_what_values_do_not_tell_is_asked(tmp_path):
    assert asked(read_model(write_onnx_file(tmp_path / "a.onnx", classes=3))) == ["activation", "background", *ALWAYS]
    assert asked(read_model(write_onnx_file(tmp_path / "b.onnx", classes=3, last="Sigmoid"))) == ["background", *ALWAYS]
    assert asked(read_model(write_onnx_file(tmp_path / "c.onnx", channels=3, last="Softmax"))) == ["channels", *ALWAYS]


def test_layout_and_fixed_sizes_are_read(tmp_path):
    draft = read_model(write_onnx_file(tmp_path / "a.onnx", layout="NHWC", size=(64, 48), batch=1, last="Softmax"))
    assert (parameters(draft)["layout"], parameters(draft)["size"], parameters(draft)["batch"]) == ("NHWC", [64, 48], 1)
    assert draft.card["preprocessing"]["patch_size"] == [64, 48]


def pooled(path, times, fixed_batch=False):
    """A network that halves slices and enlarges them again, so that only multiples of 2 ** times fit."""
    nodes, name = [], "slices"
    for level in range(times):
        nodes.append(helper.make_node("MaxPool", [name], [f"down{level}"], kernel_shape=[2, 2], strides=[2, 2]))
        name = f"down{level}"
    nodes.append(helper.make_node("Resize", [name, "", "scales"], ["back"]))
    if fixed_batch:
        nodes.append(helper.make_node("Concat", ["slices", "back"], ["both"], axis=0))
        nodes.append(helper.make_node("ReduceMax", ["both"], ["result"], axes=[0], keepdims=1))
    else:
        nodes.append(helper.make_node("Add", ["slices", "back"], ["result"]))
    scales = helper.make_tensor("scales", 1, [4], [1.0, 1.0, 2.0**times, 2.0**times])
    return save(path, graph_of(nodes, [SLICES], [("result", SLICES[1])], (scales,)))


@pytest.mark.parametrize("times", [1, 3, 5])
def test_the_multiple_of_sizes_is_tried_out(tmp_path, times):
    draft = read_model(pooled(tmp_path / "a.onnx", times))
    assert draft.card["preprocessing"]["size_multiple"] == 2**times


def test_a_batch_that_does_not_work_is_tried_out(tmp_path):
    assert parameters(read_model(pooled(tmp_path / "a.onnx", 1)))["batch"] is None
    assert parameters(read_model(pooled(tmp_path / "b.onnx", 1, fixed_batch=True)))["batch"] == 1


def two_outputs(path, second_axes):
    kernel = numpy_helper.from_array(np.array([-1.0, 1.0], np.float32).reshape(2, 1, 1, 1), "kernel")
    nodes = [
        helper.make_node("Conv", ["slices", "kernel"], ["main"]),
        helper.make_node("MaxPool", ["main"], ["deep"], kernel_shape=[2, 2], strides=[2, 2])
        if second_axes == "small"
        else helper.make_node("Relu", ["main"], ["deep"]),
    ]
    axes = ["batch", 2, "rows", "columns"]
    outputs = [("deep", ["batch", 2, "h", "w"]), ("main", axes)]
    return save(path, graph_of(nodes, [SLICES], outputs, (kernel,)))


def test_smaller_outputs_of_deep_supervision_are_left_out(tmp_path):
    assert parameters(read_model(two_outputs(tmp_path / "a.onnx", "small")))["output"] == "main"


def test_several_outputs_of_full_size_are_asked(tmp_path):
    draft = read_model(two_outputs(tmp_path / "a.onnx", "full"))
    assert asked(draft)[0] == "output"
    assert draft.unknown[0].choices == ("deep", "main")
    with pytest.raises(InputError, match=r"lacks network\.parameters\.output"):
        completed_card(draft, filled(draft))
    write_model(draft, completed_card(draft, filled(draft, output="main")), tmp_path / "b.onnx")
    assert load_checkpoint(tmp_path / "b.onnx").card.network.parameters["output"] == "main"


# --- files that can't be used --------------------------------------------------------------------------------------------


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        read_model(path)
    for word in words:
        assert word in str(caught.value), (word, str(caught.value))


def test_a_thousand_classes_are_refused(tmp_path):
    refused(write_onnx_file(tmp_path / "a.onnx", classes=1000), "1,000 classes", "255")


@pytest.mark.parametrize("sizes", [{"size": (64, 64), "batch": 10**6}, {"size": (100_000, 100_000)}])
def test_inputs_that_would_fill_the_memory_are_refused(tmp_path, sizes):
    refused(write_onnx_file(tmp_path / "a.onnx", classes=3, **sizes), "values", "smaller")


def test_four_channels_are_refused(tmp_path):
    refused(write_onnx_file(tmp_path / "a.onnx", channels=4), "4 channels", "1, 3 or 5")


def test_labels_in_place_of_logits_are_refused(tmp_path):
    path = write_onnx_file(tmp_path / "a.onnx")

    def add_argmax(model):
        model.graph.node.append(helper.make_node("ArgMax", ["result"], ["labels"], axis=1))
        del model.graph.output[:]
        axes = ["batch", 1, "rows", "columns"]
        model.graph.output.append(helper.make_tensor_value_info("labels", onnx.TensorProto.INT64, axes))

    refused(changed(path, add_argmax), "int64", "argmax")


def test_a_classifier_is_refused(tmp_path):
    nodes = [helper.make_node("ReduceMean", ["slices"], ["result"], axes=[2, 3], keepdims=0)]
    path = save(tmp_path / "a.onnx", graph_of(nodes, [SLICES], [("result", ["batch", 1])]))
    refused(path, "2 axes", "4 are expected")


def test_convolutions_without_padding_are_refused(tmp_path):
    kernel = numpy_helper.from_array(np.ones((2, 1, 3, 3), np.float32), "kernel")
    graph = graph_of(
        [helper.make_node("Conv", ["slices", "kernel"], ["result"])],
        [SLICES],
        [("result", ["batch", 2, "h", "w"])],
        (kernel,),
    )
    refused(save(tmp_path / "a.onnx", graph), "no output of the slices' size", "2 x 254 x 254", "padded")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    refused(write_onnx_file(tmp_path / "a.onnx", weights=np.array([[np.nan], [1.0], [2.0]])), "not finite")


def test_files_of_other_kinds_say_what_to_do(tmp_path):
    refused(tmp_path / "absent.onnx", "not there")
    save_checkpoint(tmp_path / "ours.pt", card := small_card(), small_weights(card))
    refused(tmp_path / "ours.pt", "PyTorch", "--network")
    for name in ("model.h5", "model.keras", "saved_model.pb"):
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")
        refused(tmp_path / name, "tf2onnx")


# --- cards ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def draft(tmp_path):
    return read_model(write_onnx_file(tmp_path / "a.onnx", classes=3, last="Softmax"))


@pytest.mark.parametrize("entry", ["normalisation", "intensities"])
@pytest.mark.parametrize("value", [None, "???"])
def test_an_entry_that_is_not_filled_in_is_named(draft, entry, value):
    with pytest.raises(InputError, match=rf"lacks preprocessing\.{entry}"):
        completed_card(draft, filled(draft, **{entry: value}))


def test_a_structure_without_a_name_is_named(draft):
    for name in (None, "", "???"):
        card = filled(draft)
        card["structures"][1]["name"] = name
        with pytest.raises(InputError, match="lacks structures"):
            completed_card(draft, card)


@pytest.mark.parametrize("spacing", [None, "as it is"])
def test_pixels_as_they_are(draft, spacing):
    assert completed_card(draft, filled(draft, spacing_mm=spacing)).preprocessing.spacing_mm is None


def test_a_pixel_size_that_is_not_filled_in_is_named(draft):
    with pytest.raises(InputError, match=r"lacks preprocessing\.spacing_mm"):
        completed_card(draft, filled(draft, spacing_mm="???"))


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("spacing_mm", [1.5], "spacing_mm"),
        ("spacing_mm", "large", "spacing_mm"),
        ("normalisation", {"name": "windw"}, "normalisation.name"),
        ("normalisation", {"name": "window"}, "clip"),
        ("normalisation", {"name": "window", "clip": "???"}, "clip"),
        ("intensities", "Hounsfield", "intensities"),
        ("axis", "diagonal", "axis"),
        ("size_multiple", 0, "size_multiple"),
        ("normalisation", {"name": "ct", "clip": [0, 1], "mean": 10**400, "sd": 1}, "normalisation.mean"),
        ("normalisation", {"name": "window", "clip": [-float("inf"), float("inf")]}, "normalisation.clip"),
        ("pad_value", 1e308, "pad_value"),
        ("mirror_axes", [0, 0], "mirrored"),
    ],
)
def test_wrong_entries_are_named(draft, entry, value, words):
    with pytest.raises(InputError, match=words):
        completed_card(draft, filled(draft, **{entry: value}))


def test_what_would_be_ignored_is_refused(draft):
    for changes, words in (
        ({"colour": [1, 2, 3]}, 'structure 1 has an unknown entry "colour"; did you mean color'),
        ({"name": "B"}, 'two structures "B" and "b"'),
    ):
        card = filled(draft)
        card["structures"][0] |= changes
        with pytest.raises(InputError, match=words):
            completed_card(draft, card)
    with pytest.raises(InputError, match="step for structure 3; indices of structures, 1 to 2, are expected"):
        completed_card(draft, filled(draft) | {"postprocessing": [{"keep_largest_component_of": [1, 3]}]})


def test_known_names_get_their_colour_and_code(draft):
    card = filled(draft)
    card["structures"][0]["name"] = "Liver"
    liver, other = completed_card(draft, card).structures
    assert (liver.terminology.type.meaning, liver.color) == ("Liver", (221, 130, 101))
    assert other.terminology is None


def test_added_pixels_have_the_value_of_air(draft):
    for normalisation, value in (
        (WINDOW, 0.0),
        ({"name": "ct", "clip": [-100, 300], "mean": 50, "sd": 75}, -2.0),
        ({"name": "z-score"}, 0.0),
        ({"name": "window", "clip": [-100, 300]}, -1.0),
    ):
        assert completed_card(draft, filled(draft, normalisation=normalisation)).preprocessing.pad_value == value
    own = filled(draft)
    own["preprocessing"]["pad_value"] = 0.25
    assert completed_card(draft, own).preprocessing.pad_value == 0.25


def test_the_background_s_channel_is_no_structure(tmp_path):
    draft = read_model(write_onnx_file(tmp_path / "a.onnx", classes=3))
    assert [one["name"] for one in draft.card["structures"]] == ["background", None, None]
    card = completed_card(draft, filled(draft))
    assert ([one.name for one in card.structures], [one.index for one in card.structures]) == (["b", "c"], [1, 2])
    assert card.network.parameters["background"] is True
    write_model(draft, card, tmp_path / "b.onnx")


def test_channels_that_are_structures_each(tmp_path):
    draft = read_model(write_onnx_file(tmp_path / "a.onnx", classes=3, last="Sigmoid"))
    card = completed_card(draft, filled(draft, background=False))
    assert ([one.name for one in card.structures], card.network.classes) == (["a", "b", "c"], 4)
    write_model(draft, card, tmp_path / "b.onnx")
    with pytest.raises(InputError, match=r"3 channels .* 2 structures and the background .* names 3"):
        write_model(draft, completed_card(draft, filled(draft, background=True)), tmp_path / "c.onnx")


def test_a_repeated_slice_is_one_slice(tmp_path):
    draft = read_model(write_onnx_file(tmp_path / "a.onnx", channels=3, last="Softmax"))
    card = completed_card(draft, filled(draft, channels="repeated"))
    assert (card.network.input_slices, card.preprocessing.input_slices) == (1, 1)
    write_model(draft, card, tmp_path / "b.onnx")
    assert completed_card(draft, filled(draft)).preprocessing.input_slices == 3


def refuses_to_write(draft, card, *words, output="b.onnx"):
    path = draft.source.parent / output
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(InputError) as caught:
        write_model(draft, completed_card(draft, card), path)
    for word in words:
        assert word in str(caught.value), (word, str(caught.value))
    assert (path.read_bytes() if path.exists() else None) == before


def test_cards_that_do_not_fit_their_file_are_refused(draft):
    refuses_to_write(draft, filled(draft, input="image"), '"slices"', '"image"')
    refuses_to_write(draft, filled(draft, output="mask"), '"result"', '"mask"')
    refuses_to_write(draft, filled(draft, layout="NHWC"), "NHWC", "layout")
    refuses_to_write(draft, filled(draft, activation="relu"), "network.parameters.activation")
    more = filled(draft)
    more["structures"].append({"name": "more", "index": 3, "values": [3]})
    refuses_to_write(draft, more, "3 channels", "names 3 structures")
    other = filled(draft)
    other["network"]["architecture"] = "UNet"
    refuses_to_write(draft, other, '"UNet"', "network.parameters", '"input"')
    slices = filled(draft)
    slices["network"]["input_slices"] = 3
    refuses_to_write(draft, slices, "takes 1 channels", "input_slices 3")


def test_a_fixed_size_needs_the_patch(tmp_path):
    draft = read_model(write_onnx_file(tmp_path / "a.onnx", size=(64, 48), last="Softmax"))
    refuses_to_write(draft, filled(draft, patch_size=None), "patch_size", "[64, 48]")
    refuses_to_write(draft, filled(draft, size=[64, 64], patch_size=[64, 64]), "64 x 48")


def test_logits_that_are_called_probabilities_are_refused(tmp_path):
    draft = read_model(write_onnx_file(tmp_path / "a.onnx", classes=3))
    refuses_to_write(draft, filled(draft, activation="softmax"), '"softmax"', '"logits" is meant')


def test_an_output_that_depends_on_chance_is_refused(tmp_path):
    nodes = [
        helper.make_node("RandomNormalLike", ["slices"], ["noise"]),
        helper.make_node("Add", ["slices", "noise"], ["result"]),
    ]
    draft = read_model(save(tmp_path / "a.onnx", graph_of(nodes, [SLICES], [("result", SLICES[1])])))
    refuses_to_write(draft, filled(draft), "other values each time", "eval()")


def test_the_model_itself_is_never_replaced(draft):
    refuses_to_write(draft, filled(draft), "belongs to the model", output="a.onnx")


def test_a_card_in_the_file_is_shown_as_it_is(draft):
    written = draft.source.with_name("b.onnx")
    write_model(draft, completed_card(draft, filled(draft)), written)
    again = read_model(written)
    assert again.unknown == ()
    assert completed_card(again, again.card) == load_checkpoint(written).card
