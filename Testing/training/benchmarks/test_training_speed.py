"""The training benchmark runs, and its three contenders see the same slices."""

from __future__ import annotations

import pytest
import torch
from unetseg.training.device_data import DeviceData

from benchmarks.training_contenders import SliceByIndex, has_nnunet, our_batches
from benchmarks.training_speed import ContenderSpeed, main


@pytest.mark.slow
def test_quick_bench_prints_a_row_a_contender(capsys):
    main(["--quick", "--workers", "1", "--device", "cpu", "--target", "0.01"])
    lines = capsys.readouterr().out.splitlines()
    names = ["ours", "loader", *(["loader"] if has_nnunet() else []), "MONAI"]
    rows = lines[2 : 2 + len(names)]
    assert [row.split(",")[0].split()[0] for row in rows] == names
    assert rows[0].endswith("1.00 x")
    for row in rows:
        *_, step, slices, _, data, busy, _, dice, seconds, _, _ = row.split()
        assert float(slices) == pytest.approx(8 / float(step), rel=0.05)
        assert 0 <= float(dice) <= 1
        assert data.endswith("%")
        assert busy.endswith("%")
        assert seconds == "-" or float(seconds) == pytest.approx(8 * float(step), rel=0.2)


def test_seconds_to_a_dice_count_training_alone():
    result = ContenderSpeed("ours", 0.5, 0.1, None, ((60, 0.4), (80, 0.7), (100, 0.65), (120, 0.8)))
    assert result.seconds_to(0.7) == 40.0
    assert result.seconds_to(0.8) == 60.0
    assert result.seconds_to(0.81) is None


def test_loader_reads_the_slices_that_ours_draws(preprocessed, small_config):
    from dataclasses import replace

    config = replace(small_config, neighbour_jitter=0.0)
    preprocessing = replace(preprocessed.preprocessing, input_slices=3, size_multiple=4)
    data = DeviceData(preprocessed, preprocessed.of_split("train"), preprocessing, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    images, labels, _ = data.sample_batch(config, generator)
    slices, _ = data.sample_slices(config, torch.Generator().manual_seed(1))
    loader = SliceByIndex(data, preprocessing, config)
    for position, number in enumerate(slices.tolist()):
        image, label = loader.raw(number)
        assert torch.equal(image, images[position])
        assert torch.equal(label, labels[position])
    batch, targets = next(our_batches(data, config, torch.device("cpu")))
    assert batch.shape == (4, 3, 32, 32)
    assert targets.shape == (4, 32, 32)
