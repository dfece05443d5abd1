"""The training benchmark runs, and its three contenders see the same slices."""

from __future__ import annotations

import pytest
import torch
from unetseg.bench.training import SliceByIndex, main, our_batches
from unetseg.device_data import DeviceData


@pytest.mark.slow
def test_quick_bench_prints_three_rows(capsys):
    main(["--quick", "--workers", "1", "--device", "cpu"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0].split()[0] for line in lines[2:5]] == ["ours", "loader", "MONAI"]
    assert lines[2].endswith("1.00 x")


def test_loader_reads_the_slices_that_ours_draws(pack, small_recipe):
    from dataclasses import replace

    recipe = replace(small_recipe, neighbour_jitter=0.0)
    preprocessing = replace(pack.preprocessing, input_slices=3, size_multiple=4)
    data = DeviceData(pack, pack.of_split("train"), preprocessing, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    images, labels = data.draw(recipe, generator)
    centres = data._centres(recipe, torch.Generator().manual_seed(1)).tolist()
    loader = SliceByIndex(pack, data, preprocessing, recipe)
    for place, centre in enumerate(centres):
        image, label = loader.raw(centre)
        assert torch.equal(image, images[place])
        assert torch.equal(label, labels[place])
    batch, targets = next(our_batches(data, recipe, torch.device("cpu")))
    assert batch.shape == (4, 3, 32, 32)
    assert targets.shape == (4, 32, 32)
