"""Training itself: it learns, it resumes to the same weights, and it feeds the network what prediction feeds it."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from unetseg.training.configuration import TrainingConfig
from unetseg.training.device_data import DeviceData
from unetseg.training.distributed import ProcessGroup
from unetseg.training.optimisation import Learner
from unetseg.training.training_loop import train
from unetseg.training.validation import predict_case
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.measures import measure
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.prediction import Predictor
from UNetSegmenterLib.engine.model.preprocessing import (
    neighbour_offsets,
    network_slices,
    stack_slices,
)

from .blob_training import SMALL


def test_it_learns_and_generalises(blob_dataset, prepared_blobs, tmp_path):
    path = train(prepared_blobs, tmp_path / "run", SMALL, device="cpu", validate_every=80, save_every=1000)
    checkpoint = load_checkpoint(path)
    assert checkpoint.card.training["cases"] == ["case0", "case1"]
    assert checkpoint.card.training["splits"]["test"] == ["case3"]
    validation = [checkpoint.card.validation[name]["dice"]["mean"] for name in ("liver", "spleen")]
    assert min(validation) > 0.9
    unseen = next(case for case in blob_dataset.cases if case.name == "case3")
    prediction = Predictor(checkpoint, "cpu", dtype=torch.float32).predict(read_volume(unseen.image)).segmentation
    reference = read_volume(unseen.label)
    for index in (1, 2):
        assert measure(prediction.labels == index, reference.array == index, (3.0, 2.0, 2.0)).dice > 0.9
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["80", "160"]
    assert float(rows[-1]["dice_mean"]) == pytest.approx(np.mean(validation))
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_network_without_skip_connections_is_trained_saved_and_opened(blob_dataset, prepared_blobs, tmp_path):
    plain = TrainingConfig(steps=2, batch_size=2, patch=(32, 32), base_width=4, depth=2)
    with_skips = load_checkpoint(train(prepared_blobs, tmp_path / "with", plain, device="cpu"))
    assert "skip_connections" not in with_skips.card.network.parameters, "its card is the one of earlier versions"
    config = replace(plain, skip_connections=False)
    without = load_checkpoint(train(prepared_blobs, tmp_path / "without", config, device="cpu"))
    assert without.card.network.parameters["skip_connections"] is False
    assert sum(w.numel() for w in without.weights[0].values()) < sum(w.numel() for w in with_skips.weights[0].values())
    scan = read_volume(blob_dataset.cases[0].image)
    predicted = Predictor(without, "cpu", dtype=torch.float32).predict(scan)
    assert predicted.slices > 0
    with pytest.raises(InputError, match="skip connections True, not False"):
        train(prepared_blobs, tmp_path / "other", config, device="cpu", start_from=with_skips)


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_resumed_run_ends_with_the_same_weights(prepared_blobs, tmp_path, deep_supervision):
    config = TrainingConfig(
        steps=14, batch_size=4, patch=(32, 32), base_width=4, depth=2, deep_supervision=deep_supervision
    )
    whole = train(prepared_blobs, tmp_path / "whole", config, device="cpu", save_every=5, validate_every=1000)

    class Interrupted(Exception):
        pass

    def stop(progress):
        if progress.step == 10:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(prepared_blobs, tmp_path / "parts", config, device="cpu", save_every=5, validate_every=1000, watch=stop)
    parts = train(prepared_blobs, tmp_path / "parts", config, device="cpu", save_every=5, validate_every=1000)
    one, other = load_checkpoint(whole).weights[0], load_checkpoint(parts).weights[0]
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_another_configuration_does_not_resume(prepared_blobs, tmp_path):
    config = TrainingConfig(steps=2, batch_size=2, patch=(32, 32), base_width=4, depth=2)
    train(prepared_blobs, tmp_path / "run", config, device="cpu")
    with pytest.raises(InputError, match="another training configuration or data set"):
        train(
            prepared_blobs,
            tmp_path / "run",
            TrainingConfig(steps=3, batch_size=2, patch=(32, 32), base_width=4, depth=2),
            device="cpu",
        )


def test_preprocessing_training_and_prediction_see_the_same_slices(blob_dataset, prepared_blobs):
    """`prepare`, the training batch and prediction go through one preprocessing: equal to the last bit."""
    for case in prepared_blobs.cases:
        source = next(one for one in blob_dataset.cases if one.name == case.name)
        volume = read_volume(source.image)
        spacing = volume.geometry.axial_spacing_mm
        grid = network_slices(volume.geometry.to_axial(volume.array), spacing[1:], prepared_blobs.preprocessing)
        np.testing.assert_array_equal(case.region(prepared_blobs.images), grid)
    data = DeviceData(
        prepared_blobs, prepared_blobs.cases, replace(prepared_blobs.preprocessing, input_slices=3), torch.device("cpu")
    )
    generator = torch.Generator().manual_seed(1)
    images, labels, _ = data.sample_batch(TrainingConfig(batch_size=6, neighbour_jitter=0.0), generator)
    all_images = torch.from_numpy(np.array(prepared_blobs.images))
    affine = window(-200.0, 300.0).affine()
    for image, label in zip(images, labels, strict=True):
        centre = next(
            i
            for i in range(len(prepared_blobs.images))
            if torch.equal(image[1], affine(all_images[i], torch.tensor(i)))
        )
        case = next(one for one in prepared_blobs.cases if one.start <= centre < one.stop)
        own = all_images[case.start : case.stop]
        expected = stack_slices(own, torch.tensor([centre - case.start]), neighbour_offsets(3, 1), affine)
        assert torch.equal(image, expected[0])
        assert torch.equal(label, torch.from_numpy(np.array(prepared_blobs.labels[centre])))


def test_validation_predicts_what_prediction_does(blob_dataset, prepared_blobs, tmp_path):
    config = TrainingConfig(steps=80, batch_size=4, patch=(32, 32), base_width=4, depth=2, learning_rate=1e-2)
    checkpoint = load_checkpoint(train(prepared_blobs, tmp_path / "run", config, device="cpu"))
    case, network = prepared_blobs.cases[0], checkpoint.network()
    at_grid = predict_case(
        network,
        prepared_blobs,
        case,
        checkpoint.card.preprocessing,
        device=torch.device("cpu"),
        dtype=torch.float32,
        batch_size=3,
    )
    volume = read_volume(blob_dataset.cases[0].image)
    predicted = Predictor(checkpoint, "cpu", dtype=torch.float32).predict(volume).segmentation.labels
    assert len(np.unique(predicted)) > 1
    assert (volume.geometry.to_axial(predicted) == at_grid).mean() > 0.9999  # spacing 2 mm: no resampling between them


def test_deep_supervision_trains_coarser_levels_and_leaves_a_plain_network(prepared_blobs, tmp_path):
    config = replace(SMALL, steps=4, depth=3, deep_supervision=True)
    plain, deep = (
        Learner(one, prepared_blobs, ProcessGroup(torch.device("cpu")))
        for one in (replace(config, deep_supervision=False), config)
    )
    assert [tuple(head.weight.shape[:2]) for head in deep.supervised.heads] == [(3, 8), (3, 16)] and not len(
        plain.supervised.heads
    )
    images, targets = torch.rand(4, 3, 32, 32) * 2 - 1, torch.randint(0, 3, (4, 32, 32))
    before = [head.weight.detach().clone() for head in deep.supervised.heads]
    deep.step(0, images, targets)
    assert all(not torch.equal(head.weight, old) for head, old in zip(deep.supervised.heads, before, strict=True))
    checkpoint = load_checkpoint(train(prepared_blobs, tmp_path / "deep", config, device="cpu"))
    assert checkpoint.weights[0].keys() == plain.network.state_dict().keys()


def test_a_run_can_start_from_a_checkpoint(prepared_blobs, tmp_path):
    """A step with a learning rate of almost nothing leaves the weights it started from."""
    small = {"batch_size": 4, "patch": (32, 32), "base_width": 4, "depth": 2}
    first = load_checkpoint(train(prepared_blobs, tmp_path / "first", TrainingConfig(steps=6, **small), device="cpu"))
    still = TrainingConfig(steps=1, learning_rate=1e-9, ema=0.0, **small)
    went_on = load_checkpoint(train(prepared_blobs, tmp_path / "on", still, device="cpu", start_from=first))
    torch.testing.assert_close(went_on.weights[0]["exit.weight"], first.weights[0]["exit.weight"])
    assert went_on.card.training["started_from"]["sha256"] == first.sha256
    assert went_on.card.training["started_from"]["cases"] == ["case0", "case1"]
    wider = TrainingConfig(steps=1, **small | {"base_width": 8})
    with pytest.raises(InputError, match="base width 4, not 8; start from a checkpoint of the same"):
        train(prepared_blobs, tmp_path / "wider", wider, device="cpu", start_from=first)


def test_run_card_holds_the_configuration(prepared_blobs, tmp_path):
    config = TrainingConfig(steps=2, batch_size=2, patch=(32, 32), base_width=4, depth=2)
    card = load_checkpoint(train(prepared_blobs, tmp_path / "run", config, device="cpu", title="Two steps")).card
    assert card.title == "Two steps"
    assert card.training["recipe"]["steps"] == 2
    assert card.statistics["cases"] == 2, "the training labels' statistics, for the plausibility checks"
    assert card.preprocessing.input_slices == 3
    assert json.loads(card.to_json())["structures"][1]["name"] == "spleen"
