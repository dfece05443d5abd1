"""Real offscreen pictures: what has to be seen is counted in pixels."""

import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, Structure
from UNetSegmenterLib.scene.headless import comparison_scene as comparison
from UNetSegmenterLib.scene.headless import pictures
from UNetSegmenterLib.scene.headless.offscreen_views import check_rendering
from UNetSegmenterLib.scene.views.capture import window_png

from ..conftest import grid, turned

RED = Structure("red thing", 1, (1,), (230, 20, 20))
BLUE = Structure("blue thing", 2, (2,), (20, 60, 230))


@pytest.fixture(scope="module", autouse=True)
def _rendering():
    try:
        check_rendering()
    except InputError as error:
        pytest.skip(str(error))


def scan(direction=None, shape=(40, 60, 70)):
    geometry = grid(shape, direction, (2.0, 1.5, 1.5))
    hu = np.full(shape, -1000, np.int16)
    hu[2:-2, 5:-5, 5:-5] = 40
    return Volume(hu, geometry, "CT")


def balls(volume, shift=0.0):
    """A red ball on the patient's right and a blue one on the left, `shift` mm further back."""
    place = np.moveaxis(np.indices(volume.geometry.shape[::-1]), 0, -1) @ volume.geometry.affine_lps()[:3, :3].T
    middle = place.reshape(-1, 3).mean(axis=0)
    labels = np.zeros(volume.geometry.shape, np.uint8)
    for structure, side in ((RED, -1), (BLUE, 1)):
        center = middle + [side * 22.0, shift, 0.0]
        inside = np.linalg.norm(place - center, axis=-1) < 15.0
        labels[inside.transpose(2, 1, 0)] = structure.index
    return Segmentation(labels, volume.geometry, (RED, BLUE), "balls")


def like(pixels, color, tolerance=40):
    """Where a picture has roughly this colour."""
    return np.abs(pixels.astype(int) - color).max(axis=2) <= tolerance


def reddish(pixels):
    red, green, blue = pixels[..., 0].astype(int), pixels[..., 1].astype(int), pixels[..., 2].astype(int)
    return (red - green > 35) & (red - blue > 35)


def bluish(pixels):
    red, green, blue = pixels[..., 0].astype(int), pixels[..., 1].astype(int), pixels[..., 2].astype(int)
    return (blue - red > 35) & (blue - green > 35)


@pytest.mark.parametrize("direction", [turned(), turned(axes=(2, 0, 1), signs=(-1, 1, -1)), turned(signs=(1, 1, -1))])
def test_slices_show_fill_line_and_scan_where_they_belong(direction):
    volume = scan(direction)
    made = comparison.comparison_scene(volume, balls(volume), balls(volume, shift=8.0))
    axial = pictures.draw(made).slices["Axial"]
    red, blue, white = reddish(axial), bluish(axial), like(axial, (255, 255, 255), 25)
    assert red.mean() > 0.02 and blue.mean() > 0.02
    assert np.nonzero(red)[1].mean() < axial.shape[1] / 2 < np.nonzero(blue)[1].mean()  # the patient's right is left
    assert 0.002 < white.mean() < 0.05  # a line, not a fill
    assert np.nonzero(white[60:-40])[0].mean() > np.nonzero(red[60:-40])[0].mean()  # posterior is down
    assert (like(axial, (128, 128, 128), 15)).mean() > 0.1  # 40 HU in a window from -160 to 240


def test_both_3d_views_show_the_same_place_from_the_same_camera():
    volume = scan()
    made = comparison.comparison_scene(volume, balls(volume), balls(volume))
    shown = pictures.draw(made)
    left, right = shown.surfaces["Prediction"], shown.surfaces["Reference"]
    assert reddish(left).mean() > 0.05 and bluish(left).mean() > 0.05
    below = slice(40, None)  # the titles differ
    assert np.abs(left[below].astype(int) - right[below]).max() <= 2
    rows, columns = np.nonzero(reddish(left) | bluish(left))
    assert columns.max() - columns.min() > 0.75 * left.shape[1]  # close, and nothing cut off
    assert columns.min() > 2 and columns.max() < left.shape[1] - 3 and rows.min() > 2


def test_each_3d_view_shows_its_own_segmentation():
    volume = scan()
    prediction = balls(volume)
    only_red = Segmentation(
        np.where(prediction.labels == 1, 1, 0).astype(np.uint8), volume.geometry, (RED, BLUE), "red"
    )
    shown = pictures.draw(comparison.comparison_scene(volume, only_red, prediction)).surfaces
    assert bluish(shown["Prediction"])[:-80].sum() == 0 and bluish(shown["Reference"]).mean() > 0.05


def test_without_reference_front_and_back_are_shown():
    volume = scan()
    shown = pictures.draw(comparison.comparison_scene(volume, balls(volume))).surfaces
    front, back = shown["From the front"], shown["From the back"]
    assert np.nonzero(reddish(front))[1].mean() < np.nonzero(bluish(front))[1].mean()
    assert np.nonzero(reddish(back))[1].mean() > np.nonzero(bluish(back))[1].mean()


def test_an_empty_prediction_can_be_drawn():
    volume = scan()
    empty = Segmentation(np.zeros(volume.geometry.shape, np.uint8), volume.geometry, ABDOMEN8, "nothing")
    shown = pictures.draw(comparison.comparison_scene(volume, empty), "nothing found")
    assert shown.sheet.shape[0] > 800 and shown.slices["Axial"].std() > 10


def test_colours_of_the_reference_in_the_scene_are_its_own_again():
    volume = scan()
    made = comparison.comparison_scene(volume, balls(volume), balls(volume))
    pictures.draw(made)
    display = made.reference_node.GetDisplayNode()
    for name in made.reference_node.GetSegmentation().GetSegmentIDs():
        assert list(display.GetSegmentOverrideColor(name)) == [-1.0, -1.0, -1.0]


def test_other_colours_are_in_all_pictures_and_the_nodes_keep_their_own():
    volume, yellow = scan(), (240, 228, 66)
    made = comparison.comparison_scene(volume, balls(volume), balls(volume))
    shown = pictures.draw(made, colors={BLUE.name: yellow, "another": (0, 0, 0)})
    for name, picture in {**shown.slices, **shown.surfaces}.items():
        assert not bluish(picture[40:]).any() and reddish(picture).any(), name
    legend = shown.sheet[-430:, -240:]
    assert like(legend, yellow, 12).sum() > 150 and not like(legend, BLUE.color, 12).any()
    for node in (made.prediction_node, made.reference_node):
        segments, display = node.GetSegmentation(), node.GetDisplayNode()
        for segment_id in segments.GetSegmentIDs():
            assert list(display.GetSegmentOverrideColor(segment_id)) == [-1.0, -1.0, -1.0]
            own = next(one for one in (RED, BLUE) if one.name == segments.GetSegment(segment_id).GetName())
            assert np.allclose(segments.GetSegment(segment_id).GetColor(), np.array(own.color) / 255)


def test_the_legend_names_structures_in_their_colours_and_files_are_pngs(tmp_path):
    volume = scan()
    made = comparison.comparison_scene(volume, balls(volume), balls(volume))
    shown = pictures.draw(made, "Title", {"red thing": "0.93"})
    legend = shown.sheet[-430:, -240:]
    for structure in (RED, BLUE):
        assert like(legend, structure.color, 12).sum() > 150, structure.name
    paths = shown.write(tmp_path)
    assert {path.name for path in paths} == {
        "slice-axial.png",
        "slice-coronal.png",
        "slice-sagittal.png",
        "surface-prediction.png",
        "surface-reference.png",
        "sheet.png",
    }
    import SimpleITK as sitk

    back = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "sheet.png")))
    assert np.array_equal(back, shown.sheet)


def test_without_an_opengl_library_an_error_names_the_packages(tmp_path):
    """The libraries are hidden from a process of its own; Render() there would end it with a segmentation fault."""
    code = (
        "import ctypes\n"
        "real = ctypes.CDLL\n"
        "def hidden(name, *a, **k):\n"
        "    if name and ('EGL' in name or 'OSMesa' in name): raise OSError(name)\n"
        "    return real(name, *a, **k)\n"
        "ctypes.CDLL = hidden\n"
        "from UNetSegmenterLib.scene.headless import offscreen_views\n"
        "offscreen_views.check_rendering()\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment, check=False
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("the check is for Linux")
    assert done.returncode == 1
    assert "apt-get install libegl1 libgl1 libgl1-mesa-dri" in done.stderr.splitlines()[-1]


def test_a_window_is_captured_as_it_is_drawn(tmp_path):
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(40, 30)
    renderer.SetBackground(1.0, 0.5, 0.0)
    window.AddRenderer(renderer)
    window.Render()
    path = tmp_path / "window.png"
    path.write_bytes(window_png(window))
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert pixels.shape == (30, 40, 3) and np.abs(pixels.astype(int) - (255, 128, 0)).max() <= 1
