"""Training in float16 with scaled gradients, as GPUs before Ampere do; a CPU does the same, slowly."""

from __future__ import annotations

import csv
import dataclasses

import pytest
import torch
from unetseg.training.distributed import ProcessGroup
from unetseg.training.run_files import read_state
from unetseg.training.training_loop import train
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint


def test_float16_learns_what_float32_learns(preprocessed, small_config, tmp_path, monkeypatch):
    config = dataclasses.replace(small_config, steps=80, loss="dice_ce", learning_rate=1e-2, ema=0.9)
    losses = {}
    for dtype in (torch.float32, torch.float16):
        monkeypatch.setattr(ProcessGroup, "precision", lambda process_group, dtype=dtype: dtype)
        run = tmp_path / str(dtype)
        checkpoint = load_checkpoint(train(preprocessed, run, config, "cpu", validate_every=20, save_every=40))
        assert str(dtype).removeprefix("torch.") in checkpoint.card.training["device"]
        scaler = read_state(run / "state.pt")["parts"]["scaler"]
        assert bool(scaler) == (dtype == torch.float16)
        with (run / "metrics.csv").open(newline="") as file:
            losses[dtype] = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[torch.float32][-1] < 0.8 * losses[torch.float32][0]
    assert losses[torch.float16] == pytest.approx(losses[torch.float32], rel=0.05)
