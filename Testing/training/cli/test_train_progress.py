"""What `unetseg train` says of a run while it goes on."""

import pytest
from unetseg.cli.train import _progress_text
from unetseg.training.training_loop import TrainingProgress


@pytest.mark.parametrize(
    ("step", "text"), [(8, "loss 0.500, Dice 0.700, 20 slices/s"), (10, "loss 0.500, 20 slices/s")]
)
def test_the_last_line_has_no_dice_of_the_validation_before(step, text):
    """It would stand above the table of the last validation with another number."""
    progress = TrainingProgress(
        step=step, steps=10, loss=0.5, slices_per_second=20.0, seconds_left=float(10 - step), dice=0.7
    )
    assert _progress_text(progress) == text
