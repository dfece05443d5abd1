"""`.seg.nrrd` and `.mrb` out and in again unchanged."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import HEART
from UNetSegmenterLib.scene.headless import comparison_scene as comparison
from UNetSegmenterLib.scene.headless import storage
from UNetSegmenterLib.scene.headless.headless_scene import HeadlessScene
from UNetSegmenterLib.scene.nodes.node_attributes import module_attributes
from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node
from UNetSegmenterLib.scene.nodes.volume_nodes import volume_from_node

from ..conftest import grid, segmentation, turned

ORIENTATIONS = {
    "axial": turned(),
    "left-handed": turned(signs=(1, 1, -1)),
    "sagittal": turned(axes=(1, 2, 0), signs=(1, -1, -1)),
    "oblique": turned((12.0, -7.0, 31.0)),
}


@pytest.mark.parametrize("direction", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_seg_nrrd_comes_back_unchanged(headless, tmp_path, direction):
    before = segmentation(grid(direction=direction), HEART)
    node = segmentation_to_node(before, headless.scene, surfaces=False)
    path = tmp_path / "mit Leerzeichen ä" / "heart.seg.nrrd"
    storage.save_segmentation(node, path)
    again = storage.load_segmentation(path, headless.scene)
    after = segmentation_from_node(again, before.geometry)
    assert again.GetName() == "heart"
    assert np.array_equal(after.labels, before.labels) and after.structures == before.structures
    assert segmentation_from_node(again).geometry.is_close(before.geometry, 1e-6)
    assert again.GetSegmentation().GetNumberOfLayers("Binary labelmap") == 1
    ours = read_segmentation(path)
    assert np.array_equal(ours.labels, before.labels) and ours.structures == before.structures
    assert [file.name for file in path.parent.iterdir()] == ["heart.seg.nrrd"]


@pytest.mark.parametrize("direction", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_a_scene_comes_back_unchanged(tmp_path, direction):
    geometry = grid((12, 20, 24), direction)
    hu = np.random.default_rng(3).integers(-1000, 1000, geometry.shape, dtype=np.int16)
    prediction, reference = segmentation(geometry, HEART), segmentation(geometry, HEART[:3])
    made = comparison.comparison_scene(
        Volume(hu, geometry, "CT"), prediction, reference, provenance={"Checkpoint": "abdomen8", "Seconds": "12.5"}
    )
    path, folder = tmp_path / "fall 1.mrb", Path.cwd()
    storage.save_scene(made.headless.scene, path)
    assert Path.cwd() == folder
    assert [file.name for file in tmp_path.iterdir()] == ["fall 1.mrb"]
    assert any(name.endswith("Prediction.seg.nrrd") for name in zipfile.ZipFile(path).namelist())

    other = HeadlessScene(make_current=False)
    storage.load_scene(path, other.scene)
    assert Path.cwd() == folder
    volume_node = other.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    volume = volume_from_node(volume_node)
    assert volume.array.dtype == np.int16
    if direction == ORIENTATIONS["left-handed"]:  # Slicer's volume reader turns the slices over, places unchanged
        assert np.array_equal(volume.array[::-1], hu)
    else:
        assert np.array_equal(volume.array, hu) and volume.geometry.is_close(geometry, 1e-6)
    display = volume_node.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-160, 240)
    for name, before in (("Prediction", prediction), ("Reference", reference)):
        node = other.scene.GetFirstNodeByName(name)
        after = segmentation_from_node(node, geometry)
        assert np.array_equal(after.labels, before.labels), name
        assert after.structures == before.structures
    predicted = other.scene.GetFirstNodeByName("Prediction")
    assert module_attributes(predicted) == {"Checkpoint": "abdomen8", "Seconds": "12.5"}
    assert predicted.GetDisplayNode().GetVisibility3D()
    layout = other.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == layout.SlicerLayoutDual3DView
    assert {"Red", "Green", "Yellow"} == {
        other.scene.GetNthNodeByClass(i, "vtkMRMLSliceNode").GetLayoutName()
        for i in range(other.scene.GetNumberOfNodesByClass("vtkMRMLSliceNode"))
    }
    composite = other.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert other.scene.GetNodeByID(composite.GetBackgroundVolumeID()).GetName() == "CT"


def test_labels_on_a_coarser_grid_than_the_scan_s_are_saved_on_their_own_in_silence(tmp_path, capfd):
    scan = grid((12, 20, 24), spacing_mm=(3.0, 0.8, 0.8))
    coarse = grid((4, 6, 7), spacing_mm=(9.0, 2.7, 2.9))
    reference = segmentation(coarse, HEART[:3])
    volume = Volume(np.zeros(scan.shape, np.int16), scan, "CT")
    made = comparison.comparison_scene(volume, segmentation(scan, HEART), reference)
    storage.save_scene(made.headless.scene, tmp_path / "case.mrb")
    assert capfd.readouterr() == ("", "")
    other = HeadlessScene(make_current=False)
    storage.load_scene(tmp_path / "case.mrb", other.scene)
    after = segmentation_from_node(other.scene.GetFirstNodeByName("Reference"), coarse)
    assert np.array_equal(after.labels, reference.labels)


def test_files_that_are_no_segmentation_or_scene_are_refused_and_leave_nothing(headless, tmp_path):
    (tmp_path / "x.seg.nrrd").write_text("nonsense")
    (tmp_path / "x.mrb").write_text("nonsense")
    nodes_before = headless.scene.GetNumberOfNodes()
    with pytest.raises(InputError, match="can't be read as a segmentation"):
        storage.load_segmentation(tmp_path / "x.seg.nrrd", headless.scene)
    assert headless.scene.GetNumberOfNodes() == nodes_before
    with pytest.raises(InputError, match="can't be read as a scene"):
        storage.load_scene(tmp_path / "x.mrb", headless.scene)
    for load in (storage.load_segmentation, storage.load_scene):
        with pytest.raises(InputError, match="does not exist"):
            load(tmp_path / "nothing", headless.scene)


def test_a_folder_that_can_not_be_written_to_is_named(headless, tmp_path):
    node = segmentation_to_node(segmentation(grid()), headless.scene, surfaces=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        storage.save_segmentation(node, tmp_path / "file" / "x.seg.nrrd")
    with pytest.raises(InputError, match="could not be written"):
        storage.save_scene(headless.scene, tmp_path / "file" / "x.mrb")
    with pytest.raises(InputError, match=r"doesn't end in \.mrb"):
        storage.save_scene(headless.scene, tmp_path / "x.zip")
