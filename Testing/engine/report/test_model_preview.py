"""The preview of one slice is what a prediction of the whole scan gives there, whatever the card says."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.normalisation import Normalisation, window
from UNetSegmenterLib.engine.model.prediction import Predictor
from UNetSegmenterLib.engine.report.model_preview import PICTURE_PIXELS, preview_slice

from ..checkpoints import small_card, small_weights

FLIPPED = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
CARDS = {
    "a window": {},
    "z-score of the scan": {"normalisation": Normalisation("z-score")},
    "z-score of each slice": {"normalisation": Normalisation("z-score", over="slice")},
    "rescaled by the scan": {"normalisation": Normalisation("rescale", range=(0.0, 1.0))},
    "rescaled by each slice": {"normalisation": Normalisation("rescale", over="slice")},
    "as CT": {"normalisation": Normalisation("ct", (-100.0, 200.0), mean=50.0, sd=80.0)},
    "pixels as they are": {"spacing_mm": None, "slice_distance_mm": None},
    "coronal": {"axis": "coronal"},
    "sagittal, mirrored and turned": {"axis": "sagittal", "orientation": "PS"},
    "stored": {"axis": "stored", "stored_axes": (1, 0, 2), "orientation": ""},
    "cropped": {"crop_to_nonzero": True, "normalisation": Normalisation("z-score")},
    "patches": {"patch_size": (16, 12), "padding": "centre", "size_multiple": 4},
    "cubic": {"interpolation": "cubic", "spacing_mm": (2.0, 1.5)},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    card = small_card()
    path = tmp_path_factory.mktemp("checkpoint") / "small.pt"
    save_checkpoint(path, card, small_weights(card))
    return load_checkpoint(path)


@pytest.fixture(scope="module")
def volume():
    """Smooth blobs in HU with zeros around them, on a flipped grid with pixels that are not square."""
    shape = (12, 30, 26)
    coarse = torch.from_numpy(np.random.default_rng(0).normal(0, 150, (1, 1, 4, 6, 6)).astype(np.float32))
    hu = torch.nn.functional.interpolate(coarse, shape, mode="trilinear")[0, 0].numpy().astype(np.int16) + 1
    for axis in range(3):
        for end in (0, -1):
            np.moveaxis(hu, axis, 0)[end] = 0
    return Volume(hu, Geometry(shape, (3.0, 1.1, 1.3), (5.0, 6.0, 7.0), FLIPPED), "blobs")


def with_card(checkpoint, **changes):
    preprocessing = replace(checkpoint.card.preprocessing, **changes)
    return replace(checkpoint, card=replace(checkpoint.card, preprocessing=preprocessing))


@pytest.mark.parametrize("changes", CARDS.values(), ids=CARDS)
def test_a_slice_is_labelled_as_in_the_whole_scan(checkpoint, volume, changes):
    model = with_card(checkpoint, **changes)
    labels = Predictor(model, "cpu").predict(volume).segmentation.labels
    seen = model.card.preprocessing.slicing(volume.geometry).view(labels)
    assert len(np.unique(seen)) > 2, "a constant result would prove nothing"
    for number in (0, 5, len(seen) - 1):
        preview = preview_slice(model, volume, number)
        assert (preview.slice, preview.slices) == (number, len(seen))
        counts = np.bincount(seen[number].ravel(), minlength=4)
        assert preview.pixels == {str(index): int(counts[index]) for index in range(1, 4) if counts[index]}
    assert preview_slice(model, volume).slice == len(seen) // 2
    assert preview_slice(model, volume, 10_000).slice == len(seen) - 1


def pixels(png, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(png)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_the_picture_shows_the_labels_where_a_radiologist_sees_them(checkpoint, tmp_path):
    """One bright corner: anterior and on the patient's right, which is up and left whatever the grid and the network's slices."""
    hu = np.full((5, 40, 40), -1000, np.int16)
    geometry = Geometry(hu.shape, (3.0, 1.0, 2.0), (0.0, 0.0, 0.0), FLIPPED)
    geometry.to_axial(hu)[:, :20, :20] = 240
    card = replace(
        checkpoint.card, structures=tuple(replace(one, color=(255, 0, 0)) for one in checkpoint.card.structures)
    )
    for orientation in ("PL", "AL", "RA"):
        model = with_card(replace(checkpoint, card=card), orientation=orientation)
        preview = preview_slice(model, Volume(hu, geometry))
        labels = Predictor(model, "cpu").predict(Volume(hu, geometry)).segmentation.labels
        picture = pixels(preview.labels_png, tmp_path).astype(int)
        assert picture.shape == (PICTURE_PIXELS // 2, PICTURE_PIXELS, 3), "columns are twice as far apart as rows"
        grey = picture[..., 1]
        assert grey[20, 20] >= grey[150, 300]
        red = picture[..., 0] > picture[..., 1] + 40
        expected = geometry.to_axial(labels)[2] > 0
        rows, columns = ((np.arange(n) + 0.5) * old / n for n, old in zip(expected.shape, red.shape, strict=True))
        shown = red[np.ix_(rows.astype(int), columns.astype(int))]
        assert (shown == expected).mean() > 0.97


def test_what_the_network_reads_is_shown_as_it_reads_it(checkpoint, tmp_path):
    """A flip turns the picture of the input over, and another window changes its values."""
    hu = np.full((5, 40, 40), -1000, np.int16)
    geometry = Geometry(hu.shape, (3.0, 1.0, 1.0))
    geometry.to_axial(hu)[:, :20, :20] = 240
    plain, flipped = (
        preview_slice(with_card(checkpoint, orientation=one), Volume(hu, geometry)) for one in ("PL", "AL")
    )
    before, after = (pixels(one.input_png, tmp_path) for one in (plain, flipped))
    assert before[5, 5, 0] == 255 and before[-5, 5, 0] == 0
    assert (before[::-1] == after).all()
    assert plain.values[:2] == (-1.0, 1.0) and (plain.rows, plain.columns) == (20, 20)
    other = preview_slice(with_card(checkpoint, normalisation=window(-1000.0, 1480.0)), Volume(hu, geometry))
    assert other.values[1] == pytest.approx(0.0, abs=0.01)


def test_a_slice_outside_of_what_is_read_is_empty(checkpoint):
    hu = np.zeros((6, 20, 20), np.int16)
    hu[2:4, 5:15, 5:15] = 100
    preview = preview_slice(
        with_card(checkpoint, crop_to_nonzero=True), Volume(hu, Geometry(hu.shape, (3.0, 1.0, 1.0))), 0
    )
    assert preview.pixels == {}
