"""What a card says in words of how its checkpoint was measured."""

from dataclasses import replace

import pytest
from UNetSegmenterLib.engine.model.card_facts import cross_validation_text, training_facts
from UNetSegmenterLib.engine.model.checkpoint import read_card, shipped_checkpoints

DIFFERENCES = [("steps", 1200, 14000), ("patch", (144, 176), (128, 176)), ("ema", 0.998, 0.999)]
FORMER = (
    "5 networks of 1200 steps, trained {}, each without the patients it was measured on (cross-validation at the ...)"
)


@pytest.mark.parametrize("differences", [DIFFERENCES, []], ids=["another training", "the same training"])
def test_a_cross_validation_reads_the_same_whichever_version_wrote_it(differences):
    now = cross_validation_text(5, differences)
    before = ", ".join(f"{name} {value} for {own}" for name, value, own in differences)
    former = FORMER.format(f"with {before} of the checkpoint" if before else "in the same way")
    assert measured_on(now) == measured_on(former)
    assert measured_on(now).startswith(
        "2 scans (a, b) with 5 networks, each on the patients that it was not trained on"
    )
    assert ("but with steps 1200 instead of 14000" in now) == bool(differences)


def test_any_other_measurement_is_said_as_it_is():
    assert measured_on("this model") == "2 scans (a, b) with this model"


def measured_on(text):
    card = read_card(shipped_checkpoints()[0])
    return dict(training_facts(replace(card, validation={"all": {"cases": ["a", "b"], "measured": text}})))[
        "Measured on"
    ]
