"""Training itself: it learns, it resumes to the same weights, and it feeds the network what prediction feeds it."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.data.splits import split_cases
from unetseg.training.augmentation import affine_grid, augment, change_intensity, elastic_displacement
from unetseg.training.configuration import Augmentation, TrainingConfig
from unetseg.training.device_data import DeviceData
from unetseg.training.distributed import ProcessGroup
from unetseg.training.losses import make_loss
from unetseg.training.optimisation import SCHEDULES, Learner, schedule, update_average
from unetseg.training.preparation import prepare
from unetseg.training.training_loop import next_batch, train
from unetseg.training.validation import dice_of_volume, mean_over_structures, predict_case
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.measures import measure
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.network import UNet
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.prediction import Predictor
from UNetSegmenterLib.engine.model.preprocessing import (
    neighbour_offsets,
    network_slices,
    stack_slices,
)

from ..datasets import write_dataset

GENTLE = Augmentation(rotation_degrees=5, scale=1.1, contrast=0.1, brightness=0.05, gamma=1.1, noise=0.05)
SMALL = TrainingConfig(
    steps=160, batch_size=8, patch=(32, 32), base_width=4, depth=2, learning_rate=1e-2, ema=0.9, augmentation=GENTLE
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return read_dataset(write_dataset(tmp_path_factory.mktemp("blobs")))


@pytest.fixture(scope="module")
def preprocessed(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preprocessed") / "blobs"
    prepare(dataset, folder, window_hu=(-200.0, 300.0), test=["case3"], validation=["case2"])
    return read_preprocessed_dataset(folder)


def test_it_learns_and_generalises(dataset, preprocessed, tmp_path):
    path = train(preprocessed, tmp_path / "run", SMALL, device="cpu", validate_every=80, save_every=1000)
    checkpoint = load_checkpoint(path)
    assert checkpoint.card.training["cases"] == ["case0", "case1"]
    assert checkpoint.card.training["splits"]["test"] == ["case3"]
    validation = [checkpoint.card.validation[name]["dice"]["mean"] for name in ("liver", "spleen")]
    assert min(validation) > 0.9
    unseen = next(case for case in dataset.cases if case.name == "case3")
    prediction = Predictor(checkpoint, "cpu", dtype=torch.float32).predict(read_volume(unseen.image)).segmentation
    reference = read_volume(unseen.label)
    for index in (1, 2):
        assert measure(prediction.labels == index, reference.array == index, (3.0, 2.0, 2.0)).dice > 0.9
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["80", "160"]
    assert float(rows[-1]["dice_mean"]) == pytest.approx(np.mean(validation))
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_network_without_skip_connections_is_trained_saved_and_opened(dataset, preprocessed, tmp_path):
    plain = TrainingConfig(steps=2, batch_size=2, patch=(32, 32), base_width=4, depth=2)
    with_skips = load_checkpoint(train(preprocessed, tmp_path / "with", plain, device="cpu"))
    assert "skip_connections" not in with_skips.card.network.parameters, "its card is the one of earlier versions"
    config = replace(plain, skip_connections=False)
    without = load_checkpoint(train(preprocessed, tmp_path / "without", config, device="cpu"))
    assert without.card.network.parameters["skip_connections"] is False
    assert sum(w.numel() for w in without.weights[0].values()) < sum(w.numel() for w in with_skips.weights[0].values())
    scan = read_volume(dataset.cases[0].image)
    predicted = Predictor(without, "cpu", dtype=torch.float32).predict(scan)
    assert predicted.slices > 0
    with pytest.raises(InputError, match="skip connections True, not False"):
        train(preprocessed, tmp_path / "other", config, device="cpu", start_from=with_skips)


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_resumed_run_ends_with_the_same_weights(preprocessed, tmp_path, deep_supervision):
    config = TrainingConfig(
        steps=14, batch_size=4, patch=(32, 32), base_width=4, depth=2, deep_supervision=deep_supervision
    )
    whole = train(preprocessed, tmp_path / "whole", config, device="cpu", save_every=5, validate_every=1000)

    class Interrupted(Exception):
        pass

    def stop(progress):
        if progress.step == 10:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(preprocessed, tmp_path / "parts", config, device="cpu", save_every=5, validate_every=1000, watch=stop)
    parts = train(preprocessed, tmp_path / "parts", config, device="cpu", save_every=5, validate_every=1000)
    one, other = load_checkpoint(whole).weights[0], load_checkpoint(parts).weights[0]
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_another_configuration_does_not_resume(preprocessed, tmp_path):
    config = TrainingConfig(steps=2, batch_size=2, patch=(32, 32), base_width=4, depth=2)
    train(preprocessed, tmp_path / "run", config, device="cpu")
    with pytest.raises(InputError, match="another training configuration or data set"):
        train(
            preprocessed,
            tmp_path / "run",
            TrainingConfig(steps=3, batch_size=2, patch=(32, 32), base_width=4, depth=2),
            device="cpu",
        )


def test_preprocessing_training_and_prediction_see_the_same_slices(dataset, preprocessed):
    """`prepare`, the training batch and prediction go through one preprocessing: equal to the last bit."""
    for case in preprocessed.cases:
        source = next(one for one in dataset.cases if one.name == case.name)
        volume = read_volume(source.image)
        spacing = volume.geometry.axial_spacing_mm
        grid = network_slices(volume.geometry.to_axial(volume.array), spacing[1:], preprocessed.preprocessing)
        np.testing.assert_array_equal(case.region(preprocessed.images), grid)
    data = DeviceData(
        preprocessed, preprocessed.cases, replace(preprocessed.preprocessing, input_slices=3), torch.device("cpu")
    )
    generator = torch.Generator().manual_seed(1)
    images, labels, _ = data.sample_batch(TrainingConfig(batch_size=6, neighbour_jitter=0.0), generator)
    all_images = torch.from_numpy(np.array(preprocessed.images))
    affine = window(-200.0, 300.0).affine()
    for image, label in zip(images, labels, strict=True):
        centre = next(
            i for i in range(len(preprocessed.images)) if torch.equal(image[1], affine(all_images[i], torch.tensor(i)))
        )
        case = next(one for one in preprocessed.cases if one.start <= centre < one.stop)
        own = all_images[case.start : case.stop]
        expected = stack_slices(own, torch.tensor([centre - case.start]), neighbour_offsets(3, 1), affine)
        assert torch.equal(image, expected[0])
        assert torch.equal(label, torch.from_numpy(np.array(preprocessed.labels[centre])))


def test_validation_predicts_what_prediction_does(dataset, preprocessed, tmp_path):
    config = TrainingConfig(steps=80, batch_size=4, patch=(32, 32), base_width=4, depth=2, learning_rate=1e-2)
    checkpoint = load_checkpoint(train(preprocessed, tmp_path / "run", config, device="cpu"))
    case, network = preprocessed.cases[0], checkpoint.network()
    at_grid = predict_case(
        network,
        preprocessed,
        case,
        checkpoint.card.preprocessing,
        device=torch.device("cpu"),
        dtype=torch.float32,
        batch_size=3,
    )
    volume = read_volume(dataset.cases[0].image)
    predicted = Predictor(checkpoint, "cpu", dtype=torch.float32).predict(volume).segmentation.labels
    assert len(np.unique(predicted)) > 1
    assert (volume.geometry.to_axial(predicted) == at_grid).mean() > 0.9999  # spacing 2 mm: no resampling between them


def test_seed_decides_the_split():
    names = [f"case{i}" for i in range(10)]
    splits = split_cases(names, test=3, validation=2, seed=0)
    assert splits == split_cases(names[::-1], test=3, validation=2, seed=0)
    assert splits != split_cases(names, test=3, validation=2, seed=1)
    assert sorted(name for members in splits.values() for name in members) == names
    with pytest.raises(InputError, match="Of 10 patients none is left"):
        split_cases(names, test=8, validation=2, seed=0)
    with pytest.raises(InputError, match="no such case"):
        split_cases(names, test=["case99"], validation=0, seed=0)


def test_data_set_with_other_arrays_is_refused(dataset, tmp_path):
    prepare(dataset, tmp_path / "preprocessed")
    images = np.load(tmp_path / "preprocessed" / "images.npy")
    images[0, 0, 0] += 1
    np.save(tmp_path / "preprocessed" / "images.npy", images)
    with pytest.raises(InputError, match=r"images\.npy is not the array"):
        read_preprocessed_dataset(tmp_path / "preprocessed")
    with pytest.raises(InputError, match="already holds a preprocessed"):
        prepare(dataset, tmp_path / "preprocessed")


def test_failed_preparation_leaves_nothing(tmp_path):
    folder = write_dataset(tmp_path / "data", cases=2)
    (folder / "labelsTr" / "case1.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"case1\.nii\.gz"):
        prepare(read_dataset(folder), tmp_path / "preprocessed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_data_set_is_readable_with_numpy_alone(preprocessed, tmp_path):
    assert preprocessed.images.dtype == np.int16
    assert preprocessed.labels.dtype == np.uint8
    assert preprocessed.images.shape == preprocessed.labels.shape == (40, 48, 48)
    case = preprocessed.cases[1]
    assert (case.start, case.stop, case.rows, case.columns) == (10, 20, 40, 44)
    outside = np.array(preprocessed.images[case.start : case.stop])
    case_pixels = np.zeros(outside.shape[1:], bool)
    case_pixels[case.top : case.top + case.rows, case.left : case.left + case.columns] = True
    assert (outside[:, ~case_pixels] == -200).all()


NEUTRAL = Augmentation().scaled(0.0)


def test_neutral_augmentation_is_the_centre_of_the_slice():
    images = torch.rand(2, 3, 20, 24) * 2 - 1
    labels = torch.randint(0, 4, (2, 20, 24), dtype=torch.uint8)
    seen, targets = augment(images, labels, (12, 16), NEUTRAL, torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen, images[:, :, 4:16, 4:20], atol=1e-4, rtol=0)
    assert torch.equal(targets, labels[:, 4:16, 4:20].long())


def test_augmentation_moves_image_and_label_together():
    """A disc stays a disc of the same place in both, whatever the draw; nothing is mirrored."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    labels = torch.where((y - 20) ** 2 + (x - 44) ** 2 < 64, 2, 0).to(torch.uint8).expand(16, 48, 64)
    images = torch.where(labels > 0, 0.8, -0.5)[:, None].float()
    settings = Augmentation(contrast=0.0, brightness=0.0, gamma=1.0, noise=0.0, blur=0.0)
    seen, targets = augment(images, labels, (48, 64), settings, torch.Generator().manual_seed(3))
    assert ((seen[:, 0] > 0.15) == (targets == 2)).float().mean() > 0.99
    centres = torch.stack([(target == 2).nonzero().float().mean(dim=0) for target in targets])
    assert (centres[:, 1] > 32).all(), "a mirrored slice would have the disc on the other side"
    assert centres.std(dim=0).min() > 1, "the draws differ"


def test_elastic_deformation_moves_image_and_label_together():
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    labels = (((y // 8) + (x // 8)) % 2).to(torch.uint8).expand(16, 48, 64)
    images = labels[:, None].float() - 0.5
    settings = replace(NEUTRAL, elastic=0.1)
    seen, targets = augment(images, labels, (48, 64), settings, torch.Generator().manual_seed(3))
    assert ((seen[:, 0] > 0) == (targets == 1)).float().mean() > 0.97
    changed = (targets != labels).float().mean(dim=(1, 2))
    assert changed.max() > 0.15 and changed.std() > 0.03, "some slices are deformed much, others hardly"


def test_elastic_deformation_is_a_fraction_of_the_patch_and_smooth():
    field = elastic_displacement(400, (64, 128), (32, 16), 0.25, torch.Generator().manual_seed(0))
    pixels = field.flip(3) * torch.tensor([32.0, 64.0])  # rows and columns
    assert (pixels.abs().amax(dim=(0, 1, 2)) < torch.tensor([8.0, 4.0]) * 1.3).all()  # bicubic overshoots a little
    assert (pixels.abs().amax(dim=(0, 1, 2)) > torch.tensor([8.0, 4.0]) * 0.8).all()
    assert pixels.diff(dim=1).abs()[..., 0].max() < 8 / 2, "neighbouring pixels move alike"


def test_low_resolution_keeps_plain_regions_and_blurs_detail():
    settings = replace(NEUTRAL, low_resolution=1.0, fraction=1.0)
    detail = torch.tensor([0.5, -0.5]).repeat(12)[None, None, None].expand(8, 1, 20, 24)
    plain = torch.full((8, 1, 21, 25), 0.3)
    blurred = change_intensity(detail, settings, torch.Generator().manual_seed(0))
    assert 0 < blurred.abs().amax(dim=(1, 2, 3)).min() < 0.3 < blurred.abs().amax() <= 0.5
    torch.testing.assert_close(change_intensity(plain, settings, torch.Generator().manual_seed(0)), plain)


def test_shift_is_a_fraction_of_the_patch():
    """A shift of up to a quarter of a 32 x 16 patch moves its middle by up to 8 rows and 4 columns, whatever the slice's size."""
    settings = Augmentation(rotation_degrees=0, scale=1.0, shift=0.25)
    grid = affine_grid(2000, (64, 128), (32, 16), settings, torch.Generator().manual_seed(0))
    middles = grid.mean(dim=(1, 2)).flip(1) * torch.tensor([32.0, 64.0])  # rows and columns from the slice's middle
    assert middles.abs().amax(dim=0).tolist() == pytest.approx([8, 4], rel=0.01)
    assert middles.mean(dim=0).abs().max() < 0.3


def test_patches_of_oversampled_slices_contain_the_structure(preprocessed):
    """Also where it lies at the rim, which a patch about the slice's middle would never see; others lie anywhere."""
    train_cases = preprocessed.of_split("train")
    labels = np.zeros_like(preprocessed.labels)
    for case in train_cases:
        region = case.region(labels)
        region[:, 1:4, 2:5] = 1  # a corner
        region[:, -6:-2, -5:-1] = 2  # the opposite one
    rim = replace(preprocessed, labels=labels)
    data = DeviceData(rim, train_cases, preprocessed.preprocessing, torch.device("cpu"))
    config = TrainingConfig(batch_size=600, foreground_fraction=0.5, patch=(32, 32), depth=2, augmentation=NEUTRAL)
    generator = torch.Generator().manual_seed(0)
    images, labels, centres = data.sample_batch(config, generator)
    _, targets = augment(images, labels, config.patch, NEUTRAL, generator, centres)
    _, structures = data.sample_slices(config, torch.Generator().manual_seed(0))
    assert (targets[:300] == structures[:, None, None]).any(dim=(1, 2)).all()
    _, middle = augment(images, labels, (16, 16), NEUTRAL, generator)
    assert not middle.any(), "the middle of the slice holds neither"
    corner, size = data.regions[data.sample_slices(config, torch.Generator().manual_seed(0))[0]].unbind(1)
    reach = size - 32
    assert (centres - 16 >= corner).all()
    assert (centres + 16 <= corner + size).all()
    spread = ((centres - 16 - corner) / reach)[300:]
    assert spread.mean(dim=0).tolist() == pytest.approx([0.5, 0.5], abs=0.07)
    assert spread.std(dim=0).tolist() == pytest.approx([12**-0.5] * 2, abs=0.05)


def test_pixels_of_a_structure_are_sampled_uniformly(preprocessed):
    train_cases = preprocessed.of_split("train")
    labels = np.zeros_like(preprocessed.labels)
    for case in train_cases:
        case.region(labels)[:, 20, 18:22] = 1
    data = DeviceData(
        replace(preprocessed, labels=labels), train_cases, preprocessed.preprocessing, torch.device("cpu")
    )
    config = TrainingConfig(batch_size=4000, foreground_fraction=1.0, patch=(8, 8), depth=2)
    *_, centres = data.sample_batch(config, torch.Generator().manual_seed(0))
    corner = data.regions[data.sample_slices(config, torch.Generator().manual_seed(0))[0], 0]
    columns, counts = (centres - corner)[:, 1].unique(return_counts=True)
    assert columns.tolist() == [18.5, 19.5, 20.5, 21.5]
    assert counts.min() > 900


def test_a_slice_smaller_than_the_patch_lies_in_its_middle(preprocessed):
    data = DeviceData(preprocessed, preprocessed.of_split("train"), preprocessed.preprocessing, torch.device("cpu"))
    *_, centres = data.sample_batch(TrainingConfig(batch_size=50, patch=(64, 64)), torch.Generator().manual_seed(0))
    regions = data.regions[data.sample_slices(TrainingConfig(batch_size=50), torch.Generator().manual_seed(0))[0]]
    torch.testing.assert_close(centres, regions[:, 0] + regions[:, 1] / 2)


def test_rotation_keeps_shapes_on_unequal_sides():
    """Rotated by a quarter turn, a square in an oblong patch is still a square of the same area."""
    grid = affine_grid(
        64, (40, 80), (40, 80), Augmentation(rotation_degrees=90, scale=1.0, shift=0.0), torch.Generator()
    )
    square = torch.zeros(64, 1, 40, 80)
    square[:, :, 14:26, 34:46] = 1
    turned = torch.nn.functional.grid_sample(square, grid, align_corners=False)
    torch.testing.assert_close(turned.sum(dim=(1, 2, 3)), torch.full((64,), 144.0), rtol=0.03, atol=0)


def test_outside_of_the_slice_is_air():
    images = torch.full((4, 1, 16, 16), 0.7)
    labels = torch.ones(4, 16, 16, dtype=torch.uint8)
    seen, targets = augment(images, labels, (32, 32), NEUTRAL, torch.Generator())
    assert seen[:, :, 0, 0].tolist() == [[-1.0]] * 4
    assert targets[:, 0, 0].tolist() == [0] * 4


def test_structures_are_oversampled(preprocessed):
    data = DeviceData(preprocessed, preprocessed.of_split("train"), preprocessed.preprocessing, torch.device("cpu"))
    rate = {}
    for share in (0.0, 1.0):
        config = TrainingConfig(batch_size=400, foreground_fraction=share)
        _, labels, _ = data.sample_batch(config, torch.Generator().manual_seed(0))
        rate[share] = (labels == 1).any(dim=(1, 2)).float().mean().item()
    assert rate[1.0] > rate[0.0] + 0.05


def test_every_structure_leads_as_many_slices(preprocessed):
    """Of 4,000 led slices, half are drawn for the liver and half for the spleen, evenly over the slices that have them."""
    data = DeviceData(preprocessed, preprocessed.of_split("train"), preprocessed.preprocessing, torch.device("cpu"))
    data.labels = torch.arange(len(data.images), dtype=torch.uint8)[:, None, None]
    _, drawn, _ = data.sample_batch(
        TrainingConfig(batch_size=4000, foreground_fraction=1.0), torch.Generator().manual_seed(0)
    )
    counts = torch.bincount(drawn[:, 0, 0], minlength=len(data.images)).float()
    has = [torch.from_numpy((preprocessed.labels[:20] == index).any(axis=(1, 2))) for index in (1, 2)]
    expected = 2000 * (has[0] / has[0].sum() + has[1] / has[1].sum())
    assert ((counts - expected).abs() <= 5 * expected.sqrt()).all()


class HostWaits(TorchDispatchMode):
    """Counts what makes a GPU wait: numbers that Python reads from a tensor, and tensors made from Python's numbers."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in ("_local_scalar_dense", "item", "nonzero", "lift_fresh", "is_nonzero"):
            self.seen.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("memory_bytes", [None, 0])
def test_a_batch_is_sampled_and_augmented_without_the_host(preprocessed, memory_bytes):
    config, cpu = TrainingConfig(batch_size=6, patch=(32, 32), base_width=4, depth=2), torch.device("cpu")
    preprocessing = replace(preprocessed.preprocessing, input_slices=3)
    data = DeviceData(preprocessed, preprocessed.of_split("train"), preprocessing, cpu, memory_bytes)
    learner = Learner(config, preprocessed, ProcessGroup(cpu))
    with HostWaits() as waits:
        images, targets = next_batch(data, config, 0, learner.process_group)
        learner.accumulate_gradients(images, targets)
        update_average(learner.average, learner.network, 0.9)
        assert waits.seen == []
        images.max().item()
        assert waits.seen == ["_local_scalar_dense"], "what is looked for would be seen"


def test_neighbours_never_come_from_another_case(preprocessed):
    data = DeviceData(
        preprocessed, preprocessed.cases, replace(preprocessed.preprocessing, input_slices=5), torch.device("cpu")
    )
    data.images = torch.arange(len(preprocessed.images), dtype=torch.int16)[:, None, None].expand(
        -1, 2, 2
    )  # slice numbers as HU
    images, *_ = data.sample_batch(
        TrainingConfig(batch_size=300, neighbour_jitter=0.5), torch.Generator().manual_seed(0)
    )
    numbers = (images[:, :, 0, 0] * 250 + 50).round().long()
    assert (numbers // 10 == numbers[:, 2:3] // 10).all()
    assert (numbers[:, 0] < numbers[:, 2]).any()


def test_schedule_warms_up_and_ends_at_zero():
    config = TrainingConfig(steps=100, warmup_fraction=0.1)
    rates = [schedule(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    assert rates[-1] < 0.001


def test_other_schedules_fall_in_their_own_way():
    rates = {name: schedule(55, TrainingConfig(steps=100, warmup_fraction=0.1, schedule=name)) for name in SCHEDULES}
    assert rates["polynomial"] == pytest.approx(0.5**0.9)
    assert rates["constant"] == 1
    with pytest.raises(InputError, match="did you mean cosine"):
        schedule(0, TrainingConfig(schedule="cosin"))


def test_average_follows_weights_and_batch_statistics():
    network, average = (UNet(1, 2, 2, 1) for _ in range(2))
    average.load_state_dict(network.state_dict())
    with torch.no_grad():
        network.exit.weight.add_(1)
        network.entry[1].running_mean.add_(2)
    before = average.exit.weight.clone()
    update_average(average, network, 0.75)
    torch.testing.assert_close(average.exit.weight - before, torch.full_like(before, 0.25))
    assert average.entry[1].running_mean.tolist() == [0.5, 0.5]


def test_dice_of_volumes():
    prediction, reference = np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.uint8)
    prediction[0, 0], reference[0, 0, :2] = 1, 1
    reference[1, 2] = 2
    dice = dice_of_volume(prediction, reference, classes=4)
    assert dice[:2].tolist() == [pytest.approx(2 * 2 / 6), 0]
    assert math.isnan(dice[2])


def test_loss_is_small_when_right():
    targets = torch.randint(0, 3, (2, 8, 8))
    right = torch.nn.functional.one_hot(targets, 3).permute(0, 3, 1, 2).float() * 20
    loss = make_loss("dice_ce")
    assert loss(right, targets) < 1e-3
    assert loss(-right, targets) > 2


def test_deep_supervision_trains_coarser_levels_and_leaves_a_plain_network(preprocessed, tmp_path):
    config = replace(SMALL, steps=4, depth=3, deep_supervision=True)
    plain, deep = (
        Learner(one, preprocessed, ProcessGroup(torch.device("cpu")))
        for one in (replace(config, deep_supervision=False), config)
    )
    assert [tuple(head.weight.shape[:2]) for head in deep.supervised.heads] == [(3, 8), (3, 16)] and not len(
        plain.supervised.heads
    )
    images, targets = torch.rand(4, 3, 32, 32) * 2 - 1, torch.randint(0, 3, (4, 32, 32))
    before = [head.weight.detach().clone() for head in deep.supervised.heads]
    deep.step(0, images, targets)
    assert all(not torch.equal(head.weight, old) for head, old in zip(deep.supervised.heads, before, strict=True))
    checkpoint = load_checkpoint(train(preprocessed, tmp_path / "deep", config, device="cpu"))
    assert checkpoint.weights[0].keys() == plain.network.state_dict().keys()


def test_a_run_can_start_from_a_checkpoint(preprocessed, tmp_path):
    """A step with a learning rate of almost nothing leaves the weights it started from."""
    small = {"batch_size": 4, "patch": (32, 32), "base_width": 4, "depth": 2}
    first = load_checkpoint(train(preprocessed, tmp_path / "first", TrainingConfig(steps=6, **small), device="cpu"))
    still = TrainingConfig(steps=1, learning_rate=1e-9, ema=0.0, **small)
    went_on = load_checkpoint(train(preprocessed, tmp_path / "on", still, device="cpu", start_from=first))
    torch.testing.assert_close(went_on.weights[0]["exit.weight"], first.weights[0]["exit.weight"])
    assert went_on.card.training["started_from"]["sha256"] == first.sha256
    assert went_on.card.training["started_from"]["cases"] == ["case0", "case1"]
    wider = TrainingConfig(steps=1, **small | {"base_width": 8})
    with pytest.raises(InputError, match="base width 4, not 8; start from a checkpoint of the same"):
        train(preprocessed, tmp_path / "wider", wider, device="cpu", start_from=first)


def test_run_card_holds_the_configuration(preprocessed, tmp_path):
    config = TrainingConfig(steps=2, batch_size=2, patch=(32, 32), base_width=4, depth=2)
    card = load_checkpoint(train(preprocessed, tmp_path / "run", config, device="cpu", title="Two steps")).card
    assert card.title == "Two steps"
    assert card.training["recipe"]["steps"] == 2
    assert card.statistics["cases"] == 2, "the training labels' statistics, for the plausibility checks"
    assert card.preprocessing.input_slices == 3
    assert json.loads(card.to_json())["structures"][1]["name"] == "spleen"


def test_the_mean_over_structures_is_not_the_mean_of_all_values():
    """One structure in both cases at .9, one in a single case at .1: .5, where all values together give .63."""
    assert mean_over_structures(np.array([[0.9, 0.1], [0.9, np.nan]])) == pytest.approx(0.5)
