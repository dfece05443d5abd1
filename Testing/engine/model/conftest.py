"""A good checkpoint for the tests that damage one."""

import pytest
from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint

from ..checkpoints import small_card, small_weights


@pytest.fixture
def checkpoint(tmp_path):
    card = small_card()
    save_checkpoint(tmp_path / "good.pt", card, small_weights(card))
    return tmp_path / "good.pt"
