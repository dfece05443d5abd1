"""Prediction returns to the grid it came from, in the precision of its preprocessing, with progress and cancel."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.prediction import (
    Predictor,
    network_logits,
)
from UNetSegmenterLib.engine.model.preprocessing import (
    Preprocessing,
    neighbour_offsets,
    neighbour_step,
    network_labels,
    network_size,
    network_slices,
    pad_to_multiple,
    stack_slices,
)
from UNetSegmenterLib.engine.model.upsampling import upsampled_labels

from ..checkpoints import small_card, small_weights
from ..io.test_geometry import geometries


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    card = small_card()
    path = tmp_path_factory.mktemp("checkpoint") / "small.pt"
    save_checkpoint(path, card, small_weights(card))
    return load_checkpoint(path)


@pytest.fixture(scope="module")
def predictor(checkpoint):
    return Predictor(checkpoint, "cpu", dtype=torch.float32)


def scan(shape=(11, 40, 36), spacing=(3.0, 1.1, 1.3), seed=0) -> Volume:
    """Smooth random blobs in HU."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(0, 150, (1, 1, 4, 6, 6)).astype(np.float32))
    hu = torch.nn.functional.interpolate(coarse, shape, mode="trilinear")[0, 0].numpy().astype(np.int16)
    return Volume(hu, Geometry(shape, spacing), "blobs")


def as_input(slices, card):
    """Slices (n, rows, columns) normalised by hand: the window becomes -1..1."""
    low, high = card.preprocessing.window_hu
    return (slices.float() - (low + high) / 2) * 2 / (high - low)


def test_labels_follow_the_network(checkpoint, predictor):
    """The whole path written out once more, slice by slice, in plain code."""
    volume, card = scan(), checkpoint.card
    grid = torch.from_numpy(network_slices(volume.array, (1.1, 1.3), card.preprocessing))
    network = checkpoint.network()
    expected = []
    for centre in range(volume.array.shape[0]):
        index = np.clip([centre - 1, centre, centre + 1], 0, volume.array.shape[0] - 1)
        with torch.inference_mode():
            slices = pad_to_multiple(as_input(grid[index], card)[None], 4)
            logits = network(slices)[:, :, : grid.shape[1], : grid.shape[2]]
            up = torch.nn.functional.interpolate(logits, volume.array.shape[1:], mode="bilinear")
        expected.append(up.argmax(1)[0].numpy())
    prediction = predictor.predict(volume)
    assert prediction.complete
    assert prediction.segmentation.labels.dtype == np.uint8
    assert (prediction.segmentation.labels == np.stack(expected)).mean() > 0.9999
    assert len(np.unique(expected)) > 2, "a constant result would prove nothing"


@given(geometry=geometries(oblique=False))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_orientation_changes_nothing(predictor, geometry):
    """The same patient, stored in another axis order: the same labels at the same positions, in the stored grid."""
    upright = scan((7, 24, 20))
    plain = predictor.predict(upright).segmentation.labels
    axes, _ = geometry.axial()
    shape, spacing = [0, 0, 0], [0.0, 0.0, 0.0]
    for view_axis, axis in enumerate(axes):
        shape[axis], spacing[axis] = upright.array.shape[view_axis], upright.geometry.spacing_mm[view_axis]
    stored = Geometry(tuple(shape), tuple(spacing), geometry.origin_lps, geometry.direction)
    array = np.zeros(stored.shape, np.int16)
    stored.to_axial(array)[...] = upright.array
    result = predictor.predict(Volume(array, stored)).segmentation
    assert result.geometry == stored
    np.testing.assert_array_equal(stored.to_axial(result.labels), plain)


def test_two_runs_are_equal(predictor):
    first, second = (predictor.predict(scan()).segmentation.labels for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_batches_do_not_matter(checkpoint, predictor):
    whole = predictor.predict(scan()).segmentation.labels
    single = Predictor(checkpoint, "cpu", batch_size=1, dtype=torch.float32)
    assert (single.predict(scan()).segmentation.labels == whole).mean() > 0.9999


@pytest.mark.parametrize(
    ("shape", "spacing", "words"),
    [((3, 0, 20), (3.0, 1.0, 1.0), "nothing to segment"), ((3, 24, 20), (3.0, 1000.0, 900.0), "24 m wide")],
)
def test_what_no_scanner_makes_is_refused(predictor, shape, spacing, words):
    """A spacing in micrometres asked for 572 GiB and said that other programs should be closed."""
    with pytest.raises(InputError, match=words):
        predictor.predict(Volume(np.zeros(shape, np.int16), Geometry(shape, spacing)))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 36), (5, 3, 200), (2, 1, 7)])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "f4", "u1", "u2", "i4", "f8"])
def test_any_size_and_type_comes_back_in_its_grid(predictor, shape, dtype):
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    array.setflags(write=False)
    segmentation = predictor.predict(Volume(array, Geometry(shape, (3.0, 1.1, 1.3)))).segmentation
    assert (segmentation.labels.shape, segmentation.labels.dtype) == (shape, np.uint8)


@pytest.mark.parametrize("axis", ["axial", "sagittal"])
def test_probabilities_in_percent_are_the_softmax_on_the_scans_grid(tmp_path, axis):
    """Beside the labels, which they do not change; all classes of a slice add up, and the largest is the label."""
    orientation = {"axial": "PL", "sagittal": "IP"}[axis]
    settings_ = replace(small_card().preprocessing, axis=axis, orientation=orientation)
    card = small_card(preprocessing=settings_)
    save_checkpoint(tmp_path / "a.pt", card, small_weights(card))
    own = Predictor(load_checkpoint(tmp_path / "a.pt"), "cpu", dtype=torch.float32, batch_size=3)
    volume = scan()
    volume = replace(volume, geometry=replace(volume.geometry, direction=((-1.0, 0, 0), (0, 0, -1.0), (0, 1.0, 0))))
    percent = {index: np.zeros(volume.array.shape, np.uint8) for index in (1, 2, 3)}
    labels = own.predict(volume, percent=percent).segmentation.labels
    assert np.array_equal(labels, own.predict(volume).segmentation.labels)
    total = sum(array.astype(int) for array in percent.values())
    assert total.max() <= 102 and len(np.unique(labels)) > 2
    for index, array in percent.items():
        assert (array[labels == index] >= 25 - 1).all() and (labels[array > 50] == index).all(), index
        others = np.max([other for one, other in percent.items() if one != index], axis=0)
        assert (labels[array > np.maximum(others, 101 - total + 1)] == index).all()
    slicing = card.preprocessing.slicing(volume.geometry)
    grid = network_slices(slicing.view(volume.array), slicing.spacing_mm[1:], card.preprocessing, slicing.spacing_mm[0])
    affine = card.preprocessing.normalisation.affine(slicing.view(volume.array))
    offsets = neighbour_offsets(3, neighbour_step(slicing.spacing_mm[0], card.preprocessing))
    stacked = stack_slices(torch.from_numpy(grid), torch.arange(4, 5), offsets, affine)
    logits = torch.nn.functional.interpolate(own.logits(stacked), slicing.shape[1:], mode="bilinear")
    expected = 100 * torch.softmax(logits, 1)[0, 2].numpy()
    assert np.abs(slicing.view(percent[2])[4] - expected).max() <= 0.5 + 1e-3


def test_confidence_along_the_outline(checkpoint, predictor):
    """The definition written out in plain code: pixel by pixel, neighbours in a slice, the mean of both sides."""
    volume, card = scan((5, 24, 20)), checkpoint.card
    grid = torch.from_numpy(network_slices(volume.array, (1.1, 1.3), card.preprocessing))
    found: dict[int, list[float]] = {}
    with torch.inference_mode():
        for centre in range(5):
            index = np.clip([centre - 1, centre, centre + 1], 0, 4)
            slices = pad_to_multiple(as_input(grid[index], card)[None], 4)
            logits = checkpoint.network()(slices)[0, :, : grid.shape[1], : grid.shape[2]]
            confidence, labels = (part.numpy() for part in logits.softmax(0).max(0))
            for row, column in np.ndindex(labels.shape):
                for other in ((row + 1, column), (row, column + 1)):
                    if (
                        other[0] < labels.shape[0]
                        and other[1] < labels.shape[1]
                        and labels[other] != labels[row, column]
                    ):
                        for label in (labels[other], labels[row, column]):
                            found.setdefault(int(label), []).append((confidence[row, column] + confidence[other]) / 2)
    expected = {label: pytest.approx(float(np.mean(values)), abs=1e-4) for label, values in found.items() if label}
    assert len(expected) > 1
    assert predictor.predict(volume).segmentation.confidence == expected
    single = Predictor(checkpoint, "cpu", batch_size=1, dtype=torch.float32)
    assert single.predict(volume).segmentation.confidence == expected
    assert predictor.predict(volume, cancelled=lambda: True).segmentation.confidence == {}


def test_progress_and_cancel_keep_what_is_finished(predictor):
    seen = []
    whole = predictor.predict(scan(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 11), (8, 11), (11, 11)]
    partial = predictor.predict(scan(), cancelled=lambda: len(seen) >= 5, progress=lambda *step: seen.append(step))
    assert not partial.complete
    assert partial.slices_done == 8
    np.testing.assert_array_equal(partial.segmentation.labels[:8], whole.segmentation.labels[:8])
    assert not partial.segmentation.labels[8:].any()


def test_out_of_memory_halves_the_batch(checkpoint, monkeypatch):
    """A network that runs out of memory above one slice a batch: the run goes on with smaller ones."""
    predictor = Predictor(checkpoint, "cpu", batch_size=4)
    inner, sizes = predictor.networks[0], []

    def scarce(slices):
        sizes.append(len(slices))
        if len(slices) > 1:
            raise torch.OutOfMemoryError("no memory left")
        return inner(slices)

    predictor.networks = [scarce]
    assert predictor.predict(scan((5, 24, 20))).complete
    assert sizes == [4, 2, 1, 1, 1, 1, 1]
    predictor.networks = [lambda slices: (_ for _ in ()).throw(torch.OutOfMemoryError("none at all"))]
    with pytest.raises(InputError, match="choose the device cpu"):
        predictor.predict(scan((5, 24, 20)))


def test_reduced_precision_agrees(checkpoint):
    one, other = (
        Predictor(checkpoint, "cpu", dtype=dtype).predict(scan()).segmentation.labels
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert (one == other).mean() > 0.95  # random weights leave many near ties; docs/models.md has a trained network's


def test_the_faster_precision_is_chosen(checkpoint):
    assert Predictor(checkpoint, "cpu").dtype in (torch.float32, torch.bfloat16)
    assert "cpu (" in Predictor(checkpoint, "cpu").device_name


def test_network_grid():
    assert network_size((512, 500), (0.78, 0.8), Preprocessing((1.56, 1.56), window(-1, 1))) == (256, 256)
    volume = scan((3, 60, 64), spacing=(3.0, 1.0, 1.0))
    settings_ = Preprocessing((2.0, 2.0), window(-100.0, 100.0), size_multiple=4)
    small = network_slices(volume.array, (1.0, 1.0), settings_)
    assert small.shape == (3, 30, 32)
    assert small.dtype == np.int16
    assert small.min() >= -100
    assert small.max() <= 100
    same = network_slices(volume.array, (2.0, 2.0), settings_)
    np.testing.assert_array_equal(same, np.clip(volume.array, -100, 100))


def test_labels_are_resampled_without_inventing_structures():
    labels = np.zeros((2, 60, 60), np.uint8)
    labels[:, 10:30, 10:50] = 1
    labels[:, 30:50, 10:50] = 3
    small = network_labels(labels, (1.0, 1.0), Preprocessing((2.0, 2.0), window(-1.0, 1.0)))
    assert set(np.unique(small)) == {0, 1, 3}  # linear label values would have put a 2 between 1 and 3
    np.testing.assert_array_equal(small, labels[:, ::2, ::2])


def test_a_hundred_classes_are_resampled_as_all_at_once():
    """Labels and logits of many classes: the same winner as with every class in memory, the first one where two are equal."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 104, (2, 12, 10), generator=generator).repeat_interleave(5, 1).repeat_interleave(5, 2)
    fractions = torch.nn.functional.one_hot(labels, 104).permute(0, 3, 1, 2).float()
    fractions = torch.nn.functional.interpolate(fractions, (30, 25), mode="bilinear", antialias=True)
    found = network_labels(labels.numpy().astype(np.uint8), (1.0, 1.0), Preprocessing((2.0, 2.0), window(-1.0, 1.0)))
    np.testing.assert_array_equal(found, fractions.argmax(1).numpy())
    logits = torch.randn(2, 104, 12, 10, generator=generator)
    logits[:, 50] = logits[:, 3]
    expected = torch.nn.functional.interpolate(logits, (30, 25), mode="bilinear").argmax(1)
    np.testing.assert_array_equal(upsampled_labels(logits, (30, 25)).numpy(), expected.numpy())


def test_neighbours_keep_their_distance_in_mm():
    settings_ = Preprocessing((2.0, 2.0), window(-100.0, 100.0), input_slices=3, slice_distance_mm=3.0)
    assert [neighbour_step(mm, settings_) for mm in (1.0, 1.5, 3.0, 5.0, 10.0)] == [3, 2, 1, 1, 1]
    assert neighbour_offsets(5, 2) == [-4, -2, 0, 2, 4]
    hu = torch.arange(6, dtype=torch.int16)[:, None, None].expand(6, 2, 2) * 10
    stacked = stack_slices(hu, torch.tensor([0, 3, 5]), [-3, 0, 3], window(-100.0, 100.0).affine())
    assert (stacked[:, :, 0, 0] * 10).round().int().tolist() == [[0, 0, 3], [0, 3, 5], [2, 5, 5]]


def test_padding_is_air_and_leaves_no_trace(predictor, checkpoint):
    slices = torch.rand(1, 3, 21, 30)
    assert pad_to_multiple(slices, 8)[:, :, 21:].unique().tolist() == [-1]
    logits = network_logits(predictor.networks[0], slices, 8, torch.float32)
    assert logits.shape == (1, 4, 21, 30)
    assert upsampled_labels(logits, (42, 60)).shape == (1, 42, 60)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_that_are_not_finite_give_no_labels(tmp_path, dtype):
    card = small_card()
    weights = {name: torch.full_like(tensor.float(), 3e38) for name, tensor in small_weights(card).items()}
    save_checkpoint(tmp_path / "huge.pt", card, weights, half=False)
    with pytest.raises(InputError, match=r"huge\.pt gives values that are not finite"):
        Predictor(load_checkpoint(tmp_path / "huge.pt"), "cpu", dtype=dtype).predict(scan())
