"""A cross-validation gives a released card postprocessing and figures, unless it is of another kind of network."""

import json
from dataclasses import replace

import pytest
from unetseg.training.configuration import TrainingConfig, stored_values
from unetseg.training.cross_validated_card import read_cross_validation
from unetseg.training.fold_predictions import decided_for
from UNetSegmenterLib.engine.errors import InputError

from ...engine.checkpoints import small_card
from ..datasets import STRUCTURES

STEP = {"remove_components_smaller_than_ml": 2.0, "of": [1]}


def card_of(**changes):
    recipe = stored_values(replace(TrainingConfig(), **changes))
    return small_card(structures=STRUCTURES, training={"data_set": "abdomen", "recipe": recipe})


@pytest.fixture
def runs(tmp_path):
    decided = {
        "steps": [STEP],
        "cases": ["a", "b"],
        "folds": 2,
        "decided_for": decided_for(card_of(train_split="fold1")),
    }
    summary = {
        "structures": {"liver": {"mean": 0.9, "sd": 0.1, "ci95": None, "n": 2}},
        "mean_dice_over_cases": {"mean": 0.9, "sd": 0.1, "ci95": None, "n": 2},
    }
    (tmp_path / "postprocessing.json").write_text(json.dumps(decided))
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    return tmp_path


def test_splits_may_differ_and_another_training_is_noted_in_the_card_too(runs):
    found = read_cross_validation(runs, card_of(train_split="all"))
    assert (found.steps, found.notes) == ((STEP,), ())
    assert found.validation["liver"]["dice"]["mean"] == 0.9
    assert found.validation["all"]["cases"] == ["a", "b"]
    notes = read_cross_validation(runs, card_of(steps=99, seed=5)).notes
    assert [("steps 7000 instead" in note, "seed 0 instead" in note) for note in notes] == [
        (True, False),
        (False, True),
    ]
    assert found.validation["all"]["measured"].endswith("they were trained like this checkpoint")
    other = read_cross_validation(runs, card_of(learning_rate=0.1)).validation["all"]["measured"]
    assert other.startswith("2 networks, each on the patients that it was not trained on")
    assert other.endswith("trained like this checkpoint, but with learning_rate 0.002 instead of 0.1")


def test_a_fold_that_was_removed_is_noted(runs):
    (runs / "fold1").mkdir()
    (runs / "fold1" / "checkpoint.pt").write_bytes(b"")
    (note,) = read_cross_validation(runs, card_of(train_split="all")).notes
    assert "no longer has the checkpoint of fold0" in note


def test_only_what_the_members_of_an_ensemble_agree_in_is_compared(runs):
    card = card_of()
    agreed = {name: value for name, value in card.training["recipe"].items() if name not in ("steps", "learning_rate")}
    notes = read_cross_validation(runs, replace(card, training=card.training | {"recipe": agreed | {"ema": 0.5}})).notes
    assert [note.partition(" with ")[2] for note in notes] == ["ema 0.998 instead of the checkpoint's 0.5"]


def test_another_kind_of_network_is_refused_with_what_differs(runs):
    card = card_of()
    others = {
        "another data set": replace(card, training=card.training | {"data_set": "heart"}),
        "another structures": replace(card, structures=tuple(replace(one, name="x") for one in card.structures)),
        "another preprocessing": replace(card, preprocessing=replace(card.preprocessing, slice_distance_mm=9.0)),
        "does not say how it was trained": replace(card, training={"data_set": "abdomen"}),
    }
    for words, other in others.items():
        with pytest.raises(InputError, match=words):
            read_cross_validation(runs, other)


def test_what_is_no_cross_validation_is_refused(runs):
    (runs / "postprocessing.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"summary\.json beside it, is not what this version's unetseg cross-validate writes"
    ):
        read_cross_validation(runs, card_of())
    (runs / "postprocessing.json").unlink()
    with pytest.raises(InputError, match="a folder that unetseg cross-validate has finished"):
        read_cross_validation(runs, card_of())


@pytest.mark.parametrize(
    "steps",
    [
        [STEP | {"remove_components_smaller_than_ml": "2"}],
        [STEP | {"remove_components_smaller_than_ml": float("nan")}],
        [STEP | {"remove_components_smaller_than_ml": -1}],
        [{"fill_cavities_of": ["liver"]}],
        [{"fill_cavities_of": []}],
        [{"fill_cavities_of": [99]}],
        [{"polish": [1]}],
        [STEP | {"evidence": {"better": 1}}],
        [5],
        {"steps": []},
        "none",
    ],
)
def test_steps_that_were_edited_into_no_steps_are_refused_with_the_file(runs, steps):
    decided = json.loads((runs / "postprocessing.json").read_text())
    (runs / "postprocessing.json").write_text(json.dumps(decided | {"steps": steps}))
    with pytest.raises(
        InputError, match=r"postprocessing\.json holds steps that can't be carried out .* cross-validate again"
    ):
        read_cross_validation(runs, card_of())
