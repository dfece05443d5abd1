"""Volumes and segmentations to nodes and back: geometry bit for bit, names, colours, terminology, transforms."""

import numpy as np
import pytest
import slicer
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, HEART, known_structure
from UNetSegmenterLib.scene.headless.headless_scene import HeadlessScene
from UNetSegmenterLib.scene.nodes.node_attributes import module_attributes
from UNetSegmenterLib.scene.nodes.node_grids import image_geometry
from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node
from UNetSegmenterLib.scene.nodes.volume_nodes import volume_from_node, volume_to_node

from ..conftest import blocks, grid, segmentation, turned, write_scan

OBLIQUE = turned((12.0, -7.0, 31.0))
LEFT_HANDED = turned(signs=(1, 1, -1))

permutations = st.permutations([0, 1, 2])
signs = st.tuples(*[st.sampled_from([-1, 1])] * 3)
angles = st.one_of(st.just((0.0, 0.0, 0.0)), st.tuples(*[st.integers(-400, 400).map(lambda tenths: tenths / 10)] * 3))


@pytest.fixture(scope="module")
def shared():
    return HeadlessScene(make_current=False)


@given(permutations, signs, angles)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_orientation_comes_back_bit_for_bit(shared, axes, flips, rotation):
    geometry = grid(direction=turned(rotation, axes, flips))
    array = np.random.default_rng(0).integers(-1000, 1000, geometry.shape, dtype=np.int16)
    before = segmentation(geometry)
    volume_node = volume_to_node(Volume(array, geometry, "CT"), shared.scene)
    volume = volume_from_node(volume_node)
    assert volume.geometry == geometry
    assert volume.array.dtype == np.int16 and np.array_equal(volume.array, array)
    node = segmentation_to_node(before, shared.scene, volume_node, surfaces=False)
    after = segmentation_from_node(node, volume_node)
    assert after.geometry == geometry
    assert np.array_equal(after.labels, before.labels)
    assert after.structures == before.structures
    assert np.array_equal(segmentation_from_node(node).labels, before.labels)
    shared.scene.Clear(False)


@pytest.mark.parametrize("direction", [turned(), LEFT_HANDED, OBLIQUE, turned(axes=(2, 0, 1), signs=(-1, 1, -1))])
def test_a_file_read_by_slicer_is_the_file_read_by_the_engine(headless, tmp_path, direction):
    path = tmp_path / "ct.nrrd"
    array = write_scan(path, grid(direction=direction))
    node = headless.volumes.AddArchetypeVolume(str(path), "CT")
    assert node is not None
    volume, ours = volume_from_node(node), read_volume(path)
    assert volume.array.dtype == np.int16
    # Slicer's reader turns a left-handed grid over; what counts is which value lies where in the patient.
    corners = np.indices(array.shape[::-1]).reshape(3, -1)
    places = volume.geometry.affine_lps() @ np.vstack([corners, np.ones(corners.shape[1])])
    index = np.linalg.inv(ours.geometry.affine_lps()) @ places
    i, j, k = np.rint(index[:3]).astype(int)
    assert np.abs(index[:3] - [i, j, k]).max() < 1e-3
    assert np.array_equal(volume.array[corners[2], corners[1], corners[0]], array[k, j, i])


def test_the_array_is_the_nodes_own_memory(headless):
    geometry = grid()
    node = volume_to_node(Volume(np.zeros(geometry.shape, np.int16), geometry, "CT"), headless.scene)
    first, second = volume_from_node(node).array, volume_from_node(node).array
    assert np.shares_memory(first, second)


def test_one_shared_layer_with_everything_a_person_sees(headless):
    geometry = grid(direction=OBLIQUE)
    volume_node = volume_to_node(Volume(np.zeros(geometry.shape, np.int16), geometry, "CT"), headless.scene)
    before = segmentation(geometry, HEART, attributes={"Partial": "no"}, confidence={2: 0.75})
    node = segmentation_to_node(
        before, headless.scene, volume_node, name="Heart", provenance={"Checkpoint": "abc"}, surfaces=True
    )
    segments = node.GetSegmentation()
    assert segments.GetNumberOfLayers("Binary labelmap") == 1
    names = [segments.GetNthSegment(i).GetName() for i in range(segments.GetNumberOfSegments())]
    assert names == [structure.name for structure in HEART]
    for number, structure in enumerate(HEART):
        segment = segments.GetNthSegment(number)
        assert np.allclose(np.array(segment.GetColor()) * 255, structure.color, atol=0.01)
        text = vtk.reference("")
        assert segment.GetTag("TerminologyEntry", text) and str(text) == structure.terminology.entry()
    assert module_attributes(node) == {"Checkpoint": "abc", "Partial": "no"}
    assert segmentation_from_node(node, volume_node).confidence == {2: 0.75}
    reference = slicer.vtkOrientedImageData()
    text = segments.GetConversionParameter("Reference image geometry")
    assert slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, reference, False)
    assert image_geometry(reference).is_close(geometry, 1e-6)
    assert node.GetNodeReference("referenceImageGeometryRef").GetID() == volume_node.GetID()
    display = node.GetDisplayNode()
    assert display.GetVisibility3D() and display.GetPreferredDisplayRepresentationName3D() == "Closed surface"
    for number, structure in enumerate(HEART):
        surface = segments.GetNthSegment(number).GetRepresentation("Closed surface")
        assert (surface.GetNumberOfPoints() > 0) == bool((before.labels == structure.index).any()), structure.name


@pytest.mark.parametrize("direction", [turned(), LEFT_HANDED, OBLIQUE])
def test_surfaces_enclose_the_volume_of_the_labels(headless, direction):
    geometry = grid((40, 50, 60), direction, (1.5, 1.0, 0.9))
    z, y, x = np.indices(geometry.shape)
    ball = ((z - 20) * 1.5) ** 2 + (y - 25.0) ** 2 + ((x - 30) * 0.9) ** 2 < 18.0**2
    before = Segmentation(ball.astype(np.uint8), geometry, (known_structure("liver", 1, 1),))
    node = segmentation_to_node(before, headless.scene)
    surface = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Closed surface")
    mass = vtk.vtkMassProperties()
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(surface)
    mass.SetInputConnection(triangles.GetOutputPort())
    mass.Update()
    assert mass.GetVolume() / 1000 == pytest.approx(ball.sum() * geometry.voxel_ml, rel=0.05)
    bounds = np.array(surface.GetBounds())
    ras = np.diag([-1, -1, 1]) @ (geometry.affine_lps() @ [30, 25, 20, 1])[:3]
    assert (bounds[0::2] + bounds[1::2]) / 2 == pytest.approx(ras, abs=0.6)


def test_a_new_result_replaces_the_old_one_or_stands_beside_it(headless):
    geometry = grid()
    first = segmentation_to_node(segmentation(geometry, HEART), headless.scene, provenance={"Old": "1"}, surfaces=False)
    second = segmentation_to_node(segmentation(geometry), headless.scene, name="made", surfaces=False)
    assert second.GetName() != first.GetName()
    again = segmentation_to_node(
        segmentation(geometry, ABDOMEN8[:2]), headless.scene, node=first, provenance={"New": "1"}, surfaces=False
    )
    assert again is first and first.GetSegmentation().GetNumberOfSegments() == 2
    assert module_attributes(first) == {"New": "1"}
    assert headless.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2


def test_it_stands_beside_the_scan_in_the_subject_hierarchy(headless):
    geometry = grid()
    volume_node = volume_to_node(Volume(np.zeros(geometry.shape, np.int16), geometry, "CT"), headless.scene)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(headless.scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, volume_node)
    node = segmentation_to_node(segmentation(geometry), headless.scene, volume_node, surfaces=False)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study


def test_overlapping_structures_stay_whole(headless):
    geometry = grid()
    labels = np.zeros(geometry.shape, np.uint8)
    labels[2:6, 2:6, 2:6] = 1
    labels[4:8, 4:8, 4:8] = 2
    under = np.zeros(geometry.shape, bool)
    under[4:6, 4:6, 4:6] = True
    before = Segmentation(labels, geometry, HEART[:2], "two", overlaps={1: np.flatnonzero(under)})
    node = segmentation_to_node(before, headless.scene, surfaces=False)
    after = segmentation_from_node(node)
    for index in (1, 2):
        assert np.array_equal(after.mask(index), before.mask(index))


def test_empty_results_are_shown_empty(headless):
    geometry = grid()
    before = Segmentation(np.zeros(geometry.shape, np.uint8), geometry, ABDOMEN8, "nothing")
    node = segmentation_to_node(before, headless.scene)
    after = segmentation_from_node(node)
    assert not after.labels.any() and after.structures == ABDOMEN8 and after.geometry.is_close(geometry, 1e-6)


def test_nodes_without_usable_voxels_are_refused(headless):
    empty = headless.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Leer")
    with pytest.raises(InputError, match='"Leer" has no image data'):
        volume_from_node(empty)
    colour = headless.scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Farbe")
    image = vtk.vtkImageData()
    image.SetDimensions(3, 3, 3)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    colour.SetAndObserveImageData(image)
    with pytest.raises(InputError, match="3 values per voxel"):
        volume_from_node(colour)


def test_boxes_of_the_fixture_differ():
    labels = blocks((9, 10, 11))
    assert len(np.unique(labels)) > 4
    assert not any(np.array_equal(labels, np.flip(labels, axis)) for axis in range(3))


def test_surfaces_are_those_that_slicer_makes(headless):
    geometry = grid((30, 40, 50), OBLIQUE)
    before = segmentation(geometry, HEART)
    before.labels[1, 1, 1] = before.labels[-1, -1, -1] = 3  # single voxels at the border
    node = segmentation_to_node(before, headless.scene)
    segments = node.GetSegmentation()

    def surfaces():
        made = [segments.GetNthSegment(i).GetRepresentation("Closed surface") for i in range(len(HEART))]
        return [(s.GetNumberOfPoints(), s.GetNumberOfPolys(), np.round(s.GetBounds(), 3).tolist()) for s in made]

    ours = surfaces()
    node.RemoveClosedSurfaceRepresentation()
    node.CreateClosedSurfaceRepresentation()
    assert ours == surfaces() and sum(points for points, *_ in ours) > 100
