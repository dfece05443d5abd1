"""The engine's `.seg.nrrd` in Slicer's own segmentation node, and Slicer's in the engine."""

from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.seg_nrrd import SLICING_AXIS_TAG, write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import HEART
from UNetSegmenterLib.engine.stepwise import run_to_end

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from UNetSegmenterLib.scene.nodes.case_nodes import read_pair_steps
from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node

OBLIQUE = ((0.0, -0.6, 0.8), (-1.0, 0.0, 0.0), (0.0, -0.8, -0.6))
GRID = Geometry((9, 10, 11), (2.5, 0.8, 0.7), (10.0, -20.0, 30.0), OBLIQUE)


@pytest.fixture
def scene():
    scene = slicer.vtkMRMLScene()
    yield scene
    scene.Clear(True)


def heart(overlap):
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    for structure in HEART:
        labels[structure.index, 2:5, structure.index : structure.index + 3] = structure.index
    overlaps = {1: np.flatnonzero(labels == 3)} if overlap else {}
    return Segmentation(labels, GRID, HEART, "heart", overlaps=overlaps)


def load(scene, path):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Loaded")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


@pytest.mark.parametrize("overlap", [False, True])
def test_slicer_reads_what_the_engine_writes(scene, tmp_path, overlap):
    before = heart(overlap)
    write_seg_nrrd(before, tmp_path / "heart.seg.nrrd")
    node = load(scene, tmp_path / "heart.seg.nrrd")
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == len(HEART)
    for number, structure in enumerate(HEART):
        segment = segmentation.GetNthSegment(number)
        assert segment.GetName() == structure.name
        assert np.allclose(segment.GetColor(), np.array(structure.color) / 255, atol=1e-5)
        tag = slicer.vtkSegment.GetTerminologyEntryTagName()
        text = _tag(segment, tag)
        assert text == structure.terminology.entry()
        mask = slicer.vtkOrientedImageData()
        identifier = segmentation.GetNthSegmentID(number)
        assert node.GetBinaryLabelmapRepresentation(identifier, mask)
        assert _voxels(mask) == int(before.mask(structure.index).sum()), structure.name
        assert _centre_ras(mask) == pytest.approx(_centre(before, structure.index), abs=1e-3)
    text = segmentation.GetConversionParameter("Reference image geometry")
    image = slicer.vtkOrientedImageData()
    assert slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False)
    assert image.GetExtent() == (0, 10, 0, 9, 0, 8)
    assert np.allclose(image.GetSpacing(), GRID.spacing_mm[::-1])


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_the_slicing_axis_survives_slicer(scene, tmp_path, axis):
    """Slicer drops attributes that it does not know, and keeps the tags of the segments; it also lets users add segments."""
    write_seg_nrrd(replace(heart(overlap=False), slicing_axis=axis), tmp_path / "heart.seg.nrrd")
    node = load(scene, tmp_path / "heart.seg.nrrd")
    drawn = slicer.vtkSegment()
    drawn.DeepCopy(node.GetSegmentation().GetNthSegment(1))
    drawn.SetName("drawn by hand")
    drawn.RemoveTag(SLICING_AXIS_TAG)
    node.GetSegmentation().RemoveSegment(node.GetSegmentation().GetNthSegmentID(0))
    node.GetSegmentation().AddSegment(drawn, "drawn by hand")
    node.GetSegmentation().SetSegmentIndex("drawn by hand", 0)
    assert segmentation_from_node(node).slicing_axis == axis
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "slicer.seg.nrrd"))
    assert storage.WriteData(node)
    assert read_segmentation(tmp_path / "slicer.seg.nrrd").slicing_axis == axis


@pytest.mark.parametrize("axis", ["axial", "coronal"])
def test_the_slicing_axis_is_an_attribute_of_the_node(scene, axis):
    before = replace(heart(overlap=False), slicing_axis=axis)
    node = segmentation_to_node(before, scene, provenance={"Checkpoint": "x"}, surfaces=False)
    assert node.GetAttribute(SLICING_AXIS_TAG) == (None if axis == "axial" else axis)
    after = segmentation_from_node(node)
    assert after.slicing_axis == axis and after.attributes == {"Checkpoint": "x"}
    segmentation_to_node(heart(overlap=False), scene, node=node, surfaces=False)
    assert segmentation_from_node(node).slicing_axis == "axial", "nothing of the earlier result is left"


def test_the_engine_reads_what_slicer_writes(scene, tmp_path):
    before = heart(overlap=True)
    write_seg_nrrd(before, tmp_path / "ours.seg.nrrd")
    node = load(scene, tmp_path / "ours.seg.nrrd")
    node.GetSegmentation().GetNthSegment(0).SetName("Herzmuskel: links | rechts ä")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "slicer.seg.nrrd"))
    assert storage.WriteData(node)
    after = read_segmentation(tmp_path / "slicer.seg.nrrd")
    assert after.structures[0].name == "Herzmuskel: links | rechts ä"
    assert [s.terminology for s in after.structures] == [s.terminology for s in HEART]
    assert [s.values for s in after.structures] == [s.values for s in HEART]
    assert [s.color for s in after.structures] == [s.color for s in HEART]
    assert after.geometry.is_close(before.geometry, 1e-3)
    for structure in HEART:
        assert np.array_equal(after.mask(structure.index), before.mask(structure.index)), structure.name


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("drawn", [True, False])
def test_a_node_saved_by_slicer_comes_back_on_its_grid(scene, tmp_path, crop, drawn):
    """Cropped or not, drawn or empty; Slicer itself ends when it opens an empty box of one voxel."""
    before = heart(overlap=False)
    before = replace(before, labels=before.labels * np.uint8(drawn))
    node = segmentation_to_node(before, scene, surfaces=False)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "a.seg.nrrd"))
    storage.SetCropToMinimumExtent(crop)
    assert storage.WriteData(node)
    after = read_segmentation(tmp_path / "a.seg.nrrd")
    assert np.array_equal(after.labels, before.labels) and after.geometry.is_close(GRID, 1e-6)
    assert after.structures == before.structures
    again = segmentation_from_node(load(scene, tmp_path / "a.seg.nrrd"))
    assert np.array_equal(again.labels, before.labels)


def test_empty_segments_without_a_grid_are_empty_on_the_other_sides(scene):
    before = heart(overlap=False)
    drawn = segmentation_to_node(before, scene, surfaces=False)
    empty = segmentation_to_node(replace(before, labels=np.zeros_like(before.labels)), scene, surfaces=False)
    empty.GetSegmentation().SetConversionParameter("Reference image geometry", "")
    for pair in ((drawn, empty), (empty, drawn)):
        sides = run_to_end(read_pair_steps(*pair))
        assert all(side.geometry.is_close(GRID, 1e-6) for side in sides[:2])
        assert sorted(bool(side.labels.any()) for side in sides[:2]) == [False, True]


def test_voxels_of_a_grid_a_hair_apart_are_copied(scene):
    before = heart(overlap=False)
    node = segmentation_to_node(before, scene, surfaces=False)
    angle = 1e-4
    turn = np.array([[1, -angle, 0], [angle, 1, 0], [0, 0, 1]]) @ np.array(OBLIQUE)
    other = replace(GRID, direction=tuple(tuple(map(float, row)) for row in turn), origin_lps=(10.02, -20.0, 30.0))
    assert GRID.is_close(other)
    assert np.array_equal(segmentation_from_node(node, other).labels, before.labels)


def _tag(segment, name):
    import vtk

    text = vtk.reference("")
    return str(text) if segment.GetTag(name, text) else ""


def _voxels(image):
    from vtk.util.numpy_support import vtk_to_numpy

    return int(np.count_nonzero(vtk_to_numpy(image.GetPointData().GetScalars())))


def _centre_ras(image):
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    extent = image.GetExtent()
    shape = [extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0)]
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    k, j, i = (np.mean(part) + extent[2 * axis] for part, axis in zip(np.nonzero(values), (2, 1, 0), strict=True))
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return matrix.MultiplyPoint((i, j, k, 1.0))[:3]


def _centre(segmentation, index):
    k, j, i = (part.mean() for part in np.nonzero(segmentation.mask(index)))
    x, y, z, _ = segmentation.geometry.affine_lps() @ [i, j, k, 1.0]
    return (-x, -y, z)
