"""A checkpoint opens without running code, and whatever isn't one is refused in one sentence."""

import io
import json
import pickle
import zipfile
from dataclasses import replace

import jsonschema
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.card import Card, card_schema
from UNetSegmenterLib.engine.model.checkpoint import (
    load_checkpoint,
    read_card,
    save_checkpoint,
    save_with_card,
    shipped_checkpoints,
)
from UNetSegmenterLib.engine.plain_data import violation

from ..checkpoints import small_card, small_weights


@pytest.fixture
def saved(tmp_path):
    card = small_card()
    path = tmp_path / "small åß.pt"
    save_checkpoint(path, card, small_weights(card))
    return path


def rewritten(path, **changes):
    content = torch.load(path, weights_only=True)
    torch.save(content | changes, path)
    return path


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_card_and_weights_come_back(saved):
    card = small_card()
    checkpoint = load_checkpoint(saved)
    assert checkpoint.card == card
    assert len(checkpoint.sha256) == 64
    for name, tensor in checkpoint.network().state_dict().items():
        torch.testing.assert_close(tensor, small_weights(card)[name], rtol=2e-3, atol=1e-3)
    assert read_card(saved).structures == card.structures


def test_weights_are_stored_in_half_precision(saved):
    weights = torch.load(saved, weights_only=True)["weights"][0]
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16, torch.int64}


class Attack:
    def __reduce__(self):
        return exec, ("open('attacked', 'w').write('code ran')",)


@pytest.mark.parametrize("kind", ["torch", "pickle", "card"])
def test_code_in_a_checkpoint_does_not_run(tmp_path, monkeypatch, saved, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "attack.pt"
    if kind == "torch":
        torch.save({"format": 1, "card": "{}", "weights": Attack()}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Attack()))
    else:
        path = rewritten(saved, card=Attack())
    message = refusal(path)
    assert not (tmp_path / "attacked").exists()
    assert "refused" in message or "not a checkpoint" in message


@pytest.mark.parametrize("share", [0.0, 0.4, 0.95])
def test_truncated_file(saved, share):
    saved.write_bytes(saved.read_bytes()[: int(share * saved.stat().st_size)])
    assert "cut off" in refusal(saved) or "damaged" in refusal(saved)


def test_damaged_bytes_inside(saved):
    whole = bytearray(saved.read_bytes())
    for place in range(len(whole) // 4, len(whole) // 2):
        whole[place] ^= 0xFF
    saved.write_bytes(whole)
    refusal(saved)


def test_other_files(tmp_path):
    assert "does not exist" in refusal(tmp_path / "absent.pt")
    assert "is not a file" in refusal(tmp_path)
    with zipfile.ZipFile(tmp_path / "letters.pt", "w") as file:
        file.writestr("letter", "dear")
    refusal(tmp_path / "letters.pt")
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "foreign.pt")
    assert "no checkpoint of UNetSegmenter" in refusal(tmp_path / "foreign.pt")


def test_newer_format(saved):
    assert "format 3" in refusal(rewritten(saved, format=3))


def test_format_1_opens(saved):
    """A file as versions before 2 wrote it: another network entry, a window in HU, one state dict."""
    card = json.loads(small_card().to_json())
    network, preprocessing = card["network"], card["preprocessing"]
    sizes = {name: network[name] for name in ("input_slices", "classes")}
    names = ("axis", "input_slices", "slice_distance_mm", "size_multiple")
    card["network"] = sizes | network["parameters"]
    card["preprocessing"] = {name: preprocessing[name] for name in names} | {
        "spacing_mm": 2.0,
        "window_hu": [-160, 240],
    }
    del card["postprocessing"]
    weights = torch.load(saved, weights_only=True)["weights"][0]
    opened = load_checkpoint(rewritten(saved, format=1, card=json.dumps(card), weights=weights))
    assert opened.card == small_card()
    assert opened.weights[0].keys() == weights.keys()


def test_no_card(saved):
    assert "no card" in refusal(rewritten(saved, card=None))


def test_card_that_is_no_json(saved):
    assert "not JSON" in refusal(rewritten(saved, card="{"))


def test_card_that_contradicts_its_weights(saved):
    card = json.loads(small_card().to_json())
    card["network"]["parameters"]["base_width"] = 8
    assert "contradicts its weights" in refusal(rewritten(saved, card=json.dumps(card)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": {"input_slices": 3, "classes": 6, "base_width": 4, "depth": 2}}, "indices"),
        ({"network": {"input_slices": 1, "classes": 4, "base_width": 4, "depth": 2}}, "must be equal"),
        ({"network": {"input_slices": 3, "classes": 4, "base_width": 4, "depth": 3}}, "size multiple"),
        ({"network": {"input_slices": 3, "classes": 4, "base_width": 4}}, 'lacks "depth"'),
        ({"titel": "typo"}, 'unknown entry "titel"'),
        ({"title": ""}, "title"),
        ({"structures": []}, "structures"),
    ],
)
def test_card_that_contradicts_itself(saved, change, words):
    card = json.loads(small_card().to_json()) | change
    assert words in refusal(rewritten(saved, card=json.dumps(card)))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("spacing_mm", 1e-6),
        ("spacing_mm", float("inf")),
        ("spacing_mm", float("nan")),
        ("window_hu", [-1e9, 1e9]),
        ("size_multiple", 2**40),
        ("slice_distance_mm", 1e300),
    ],
)
def test_card_with_numbers_that_ask_for_terabytes(saved, entry, value):
    card = json.loads(small_card().to_json())
    card["preprocessing"][entry] = value
    assert entry in refusal(rewritten(saved, card=json.dumps(card)))


@pytest.mark.parametrize("depth", [None, 1e9, 2**31, 0, -1, "x", [2]])
def test_card_with_a_depth_that_no_network_has(saved, depth):
    card = json.loads(small_card().to_json())
    card["network"]["parameters"]["depth"] = depth
    assert "card.network.parameters.depth" in refusal(rewritten(saved, card=json.dumps(card)))


def test_card_with_a_label_value_that_no_file_holds(saved):
    card = json.loads(small_card().to_json())
    card["structures"][0]["values"] = [70_000]
    assert "values" in refusal(rewritten(saved, card=json.dumps(card)))


def test_card_of_brackets(saved):
    assert "not JSON" in refusal(rewritten(saved, card="[" * 200_000))
    assert "not JSON" in refusal(rewritten(saved, card="1" * 5000))


def test_weights_that_diverged(saved):
    weights = torch.load(saved, weights_only=True)["weights"]
    weights[0]["exit.weight"].fill_(float("nan"))
    assert "not finite" in refusal(rewritten(saved, weights=weights))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("name", ["exit.weight", "entry.1.running_var"])
def test_weights_that_are_no_numbers_are_refused_at_saving(saved, name, half, value):
    before = saved.read_bytes()
    weights = small_weights(small_card())
    weights[name].view(-1)[0] = value
    with pytest.raises(InputError, match=f'was not written: "{name}" holds a value that is not finite'):
        save_checkpoint(saved, small_card(), weights, half=half)
    assert saved.read_bytes() == before


@pytest.mark.parametrize("value", [65519.9, -65520.0, 7e4, 3e38])
@pytest.mark.parametrize("name", ["exit.weight", "entry.1.running_var"])
def test_what_float16_cannot_hold_is_kept_in_float32(saved, name, value, caplog):
    weights = small_weights(small_card())
    weights[name].view(-1)[0] = value
    save_checkpoint(saved, small_card(), weights)
    assert f'"{name}" reaches' in caplog.text
    checkpoint = load_checkpoint(saved)
    assert checkpoint.network().state_dict()[name].view(-1)[0] == weights[name].view(-1)[0]
    kept = {key for key, tensor in checkpoint.weights[0].items() if tensor.dtype == torch.float32}
    assert kept == {name}


def test_the_largest_float16_is_kept(saved):
    weights = small_weights(small_card())
    weights["exit.weight"].view(-1)[0] = -65504.0
    save_checkpoint(saved, small_card(), weights)
    assert load_checkpoint(saved).network().exit.weight.view(-1)[0] == -65504


def test_failed_save_leaves_no_half_file(tmp_path):
    blocker = tmp_path / "folder"
    blocker.write_text("a file where a folder is wanted")
    card = small_card()
    with pytest.raises(InputError, match="could not be written"):
        save_checkpoint(blocker / "model.pt", card, small_weights(card))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_saving_twice_replaces(saved):
    card = small_card(title="Second")
    save_checkpoint(saved, card, small_weights(card))
    assert read_card(saved).title == "Second"
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_shipped_checkpoints_open():
    for path in shipped_checkpoints():
        assert path.stat().st_size <= 16 * 2**20
        jsonschema.validate(json.loads(load_checkpoint(path).card.to_json()), card_schema())


def places(value, path=()):
    yield path
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(part, (*path, key))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_own_schema_check_agrees_with_jsonschema(data):
    """The card, changed at one place: our check and the jsonschema package accept and refuse the same cards.

    One difference is meant and left out here: JSON Schema takes 1.0 for an integer, the card's check does not.
    """
    card = json.loads(small_card().to_json())
    path = data.draw(st.sampled_from(list(places(card))[1:]))
    parent = card
    for key in path[:-1]:
        parent = parent[key]
    if data.draw(st.booleans()):
        del parent[path[-1]]
    else:
        parent[path[-1]] = data.draw(
            st.sampled_from([None, 0, -1, 1.5, 7, 300, "", "x", [], [1], {}, [0, 0, 0], [1.5, 2.5], 3])
        )
    try:
        jsonschema.validate(card, card_schema())
        valid = True
    except jsonschema.ValidationError:
        valid = False
    assert (violation(card, card_schema(), "card") is None) == valid


def test_card_text_is_what_the_schema_says():
    jsonschema.validate(json.loads(small_card().to_json()), card_schema())
    assert Card.from_json(small_card().to_json()) == small_card()


def test_a_buffer_is_not_mistaken_for_a_checkpoint(tmp_path):
    buffer = io.BytesIO()
    torch.save([1, 2, 3], buffer)
    (tmp_path / "list.pt").write_bytes(buffer.getvalue())
    assert "no checkpoint of UNetSegmenter" in refusal(tmp_path / "list.pt")


def test_no_file_is_written_with_a_card_that_could_not_be_read(saved, tmp_path):
    checkpoint, new = load_checkpoint(saved), tmp_path / "new.pt"
    for entries in (
        {"postprocessing": ({"remove_components_smaller_than_ml": -1, "of": [1]},)},
        {"postprocessing": ({"fill_cavities_of": ["liver"]},)},
        {"statistics": {"cases": "many"}},
    ):
        with pytest.raises(InputError, match=r"new\.pt was not written: The card breaks its schema"):
            save_with_card(checkpoint, replace(checkpoint.card, **entries), new)
    assert not new.exists()
