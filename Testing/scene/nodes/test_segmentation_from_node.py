"""Segmentation and label map nodes on other grids and under transforms, against voxels counted by hand."""

import numpy as np
import pytest
import vtk
from hypothesis import given, settings
from hypothesis import strategies as st
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import HEART, known_structure
from UNetSegmenterLib.scene.headless.headless_scene import HeadlessScene
from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
from UNetSegmenterLib.scene.nodes.segmentation_to_node import labelmap_image, segmentation_to_node
from UNetSegmenterLib.scene.nodes.volume_nodes import volume_from_node, volume_to_node

from ..conftest import grid, segmentation, turned

permutations = st.permutations([0, 1, 2])
signs = st.tuples(*[st.sampled_from([-1, 1])] * 3)


@pytest.fixture(scope="module")
def shared():
    return HeadlessScene(make_current=False)


def transform(scene, matrix=None, name="T"):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    if matrix is not None:
        m = vtk.vtkMatrix4x4()
        m.DeepCopy(np.asarray(matrix, float).flatten())
        node.SetMatrixTransformToParent(m)
    return node


def scan(scene, geometry):
    return volume_to_node(Volume(np.zeros(geometry.shape, np.int16), geometry, "CT"), scene)


def by_place(labels, source, target):
    """Labels of each voxel of `target` by its place in `source`, one voxel after the other (the slow, plain way)."""
    out = np.zeros(target.shape, np.uint8)
    to_source = np.linalg.inv(source.affine_lps()) @ target.affine_lps()
    for k, j, i in np.ndindex(*target.shape):
        x, y, z = np.rint((to_source @ [i, j, k, 1])[:3]).astype(int)
        if 0 <= z < source.shape[0] and 0 <= y < source.shape[1] and 0 <= x < source.shape[2]:
            out[k, j, i] = labels[z, y, x]
    return out


@given(permutations, signs, st.tuples(*[st.integers(-4, 4)] * 3))
@settings(max_examples=40, deadline=None)
def test_a_grid_with_the_same_voxel_centres_is_copied(shared, axes, flips, shift):
    source = grid((7, 8, 9), spacing_mm=(1.1, 1.1, 1.1), direction=turned((10.0, 20.0, -5.0)))
    before = segmentation(source)
    turn = np.asarray(turned(axes=axes, signs=flips))
    direction = tuple(map(tuple, (np.asarray(source.direction) @ turn).tolist()))
    corner = source.affine_lps() @ [*(np.array([4, 4, 3]) + shift), 1.0]
    target = Geometry((6, 7, 8), (1.1, 1.1, 1.1), tuple(corner[:3].tolist()), direction)
    node = segmentation_to_node(before, shared.scene, surfaces=False)
    after = segmentation_from_node(node, target)
    assert after.geometry == target
    assert np.array_equal(after.labels, by_place(before.labels, source, target))
    shared.scene.Clear(False)


@pytest.mark.parametrize("rotation", [(0, 0, 0), (8.0, -12.0, 21.0)])
def test_another_grid_takes_the_nearest_voxel(headless, rotation):
    source = grid((9, 10, 11))
    target = Geometry((12, 13, 14), (1.9, 0.67, 0.59), (9.3, -19.6, 34.1), turned(rotation))
    before = segmentation(source)
    node = segmentation_to_node(before, headless.scene, surfaces=False)
    after = segmentation_from_node(node, target)
    # The crop of the labelmap does not change which voxel is nearest, but at its border half a voxel decides.
    assert np.array_equal(after.labels, by_place(before.labels, source, target))


def test_the_same_parent_transform_changes_nothing(headless):
    geometry = grid(direction=turned((12.0, -7.0, 31.0)))
    volume_node = scan(headless.scene, geometry)
    warp = transform(headless.scene, [[0, -1, 0, 40], [1, 0, 0, 3], [0, 0, 1, -9], [0, 0, 0, 1]])
    volume_node.SetAndObserveTransformNodeID(warp.GetID())
    before = segmentation(geometry)
    node = segmentation_to_node(before, headless.scene, volume_node, surfaces=False)
    assert node.GetTransformNodeID() == warp.GetID()
    after = segmentation_from_node(node, volume_node)
    assert after.geometry == geometry and np.array_equal(after.labels, before.labels)
    assert volume_from_node(volume_node).geometry == geometry


def test_parent_transforms_on_both_sides_count(headless):
    geometry = grid((8, 9, 10), spacing_mm=(1.0, 1.0, 1.0))
    volume_node = scan(headless.scene, geometry)
    before = segmentation(geometry)
    node = segmentation_to_node(before, headless.scene, surfaces=False)
    outer = transform(headless.scene, np.diag([1, 1, 1, 1]) + np.eye(4, k=3) * 2, "outer")  # 2 mm to the right in RAS
    inner = transform(headless.scene, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]], "inner")  # 1 mm up
    inner.SetAndObserveTransformNodeID(outer.GetID())
    node.SetAndObserveTransformNodeID(inner.GetID())
    after = segmentation_from_node(node, volume_node)
    expected = np.zeros_like(before.labels)
    expected[1:, :, :-2] = before.labels[:-1, :, 2:]  # R is towards lower columns, S towards higher slices
    assert np.array_equal(after.labels, expected)
    volume_node.SetAndObserveTransformNodeID(outer.GetID())
    expected = np.zeros_like(before.labels)
    expected[1:] = before.labels[:-1]
    assert np.array_equal(segmentation_from_node(node, volume_node).labels, expected)


def test_a_warping_transform_counts_too(headless):
    geometry = grid((8, 9, 10), spacing_mm=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0))
    before = segmentation(geometry)
    node = segmentation_to_node(before, headless.scene, surfaces=False)
    warp = headless.scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    spline = vtk.vtkThinPlateSplineTransform()
    points, moved = vtk.vtkPoints(), vtk.vtkPoints()
    for corner in np.ndindex(2, 2, 2):
        place = np.array(corner) * 40.0 - 20.0
        points.InsertNextPoint(*place)
        moved.InsertNextPoint(*(place + [0, 0, 3]))
    spline.SetBasisToR()
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(moved)
    warp.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(warp.GetID())
    after = segmentation_from_node(node, geometry)
    expected = np.zeros_like(before.labels)
    expected[3:] = before.labels[:-3]
    assert (after.labels == expected).mean() > 0.99


def test_a_label_map_volume_by_declared_values(headless):
    geometry = grid(direction=turned(signs=(1, 1, -1)))
    labels = segmentation(geometry, HEART).labels
    table = np.array([0, 205, 420, 500, 550, 600, 820, 850], np.int16)
    values = table[labels]
    values[0, 0, 0] = 421
    node = volume_to_node(Volume(values, geometry, "heart"), headless.scene)
    after = segmentation_from_node(node, structures=HEART)
    labels[0, 0, 0] = 2
    assert np.array_equal(after.labels, labels) and after.geometry == geometry and after.structures == HEART
    with pytest.raises(InputError, match=r"undeclared label values: 820 \("):
        segmentation_from_node(node, structures=HEART[:5])


def test_a_label_map_of_its_own_colour_table(headless):
    geometry = grid()
    values = np.zeros(geometry.shape, np.int16)
    values[1:3, 1:3, 1:3], values[4:6, 4:6, 4:6] = 3, 7
    node = volume_to_node(Volume(values, geometry, "labels"), headless.scene)
    plain = segmentation_from_node(node)
    assert [(s.name, s.values) for s in plain.structures] == [("label 3", (3,)), ("label 7", (7,))]
    table = headless.scene.AddNewNodeByClass("vtkMRMLColorTableNode", "Labels")
    table.SetTypeToUser()
    table.SetNumberOfColors(8)
    for value, name in ((3, "Liver"), (7, "kidney_left")):
        table.SetColor(value, name, 1.0, 0.5, 0.0, 1.0)
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    named = segmentation_from_node(node)
    assert [(s.name, s.values) for s in named.structures] == [("liver", (3,)), ("left kidney", (7,))]


def test_a_segmentation_made_of_surfaces_is_turned_into_labels_and_left_as_it_was(headless):
    geometry = grid((30, 30, 30), spacing_mm=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0))
    volume_node = scan(headless.scene, geometry)
    node = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "model")
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(-15, -15, 15)
    sphere.SetRadius(9)
    sphere.SetThetaResolution(40)
    sphere.SetPhiResolution(40)
    sphere.Update()
    node.SetSourceRepresentationToClosedSurface()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "liver", [1, 0, 0])
    after = segmentation_from_node(node, volume_node)
    assert after.labels[15, 15, 15] == 1 and after.geometry == geometry
    assert (after.labels > 0).sum() == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.05)
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")


def test_what_is_no_segmentation_is_refused(headless):
    geometry = grid()
    array = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)
    with pytest.raises(InputError, match="choose the segmentation, not the scan"):
        segmentation_from_node(volume_to_node(Volume(array - 500, geometry, "CT"), headless.scene))
    with pytest.raises(InputError, match="choose the segmentation, not the scan"):
        segmentation_from_node(volume_to_node(Volume(array, geometry, "CT"), headless.scene))
    with pytest.raises(InputError, match="fractions"):
        halves = (array / 2).astype(np.float32)
        segmentation_from_node(volume_to_node(Volume(halves, geometry, "CT"), headless.scene))
    with pytest.raises(InputError, match="a segmentation or a label map volume is expected"):
        segmentation_from_node(transform(headless.scene))
    with pytest.raises(InputError, match="segment something first"):
        segmentation_from_node(headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "leer"))


def test_segments_edited_in_slicer_are_read_whatever_their_label_values(headless):
    """The Segment Editor gives segments of separate layers the value 1 each."""
    geometry = grid()
    before = Segmentation(np.zeros(geometry.shape, np.uint8), geometry, (known_structure("liver", 1, 1),), "x")
    node = segmentation_to_node(before, headless.scene, surfaces=False)
    mask = np.zeros(geometry.shape, bool)
    mask[3:6, 2:5, 1:4] = True
    segments = node.GetSegmentation()
    for name in ("a", "b"):
        segment_id = segments.AddEmptySegment(name, name)
        labels = mask if name == "a" else np.roll(mask, 4, axis=2)
        image = labelmap_image(labels.astype(np.uint8), geometry)
        segments.GetSegment(segment_id).AddRepresentation("Binary labelmap", image)
        segments.GetSegment(segment_id).SetLabelValue(1)
    after = segmentation_from_node(node)
    assert [s.name for s in after.structures] == ["liver", "a", "b"]
    assert np.array_equal(after.labels == 2, mask)
    assert np.array_equal(after.labels == 3, np.roll(mask, 4, axis=2))
    assert [s.values for s in after.structures] == [(1,), (2,), (3,)]
