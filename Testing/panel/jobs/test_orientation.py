"""Labels at their position, whatever way a scan is stored: end to end, with a network that tells directions apart."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from host.checkpoints import write_directional_checkpoint
from host.pressing import press, settle, turn
from UNetSegmenterLib.engine.io.geometry import IDENTITY, Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.image_writing import write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.panel.sections.segment_section import RunState
from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node

SHAPE, SPACING_MM, ORIGIN_LPS = (14, 40, 48), (3.0, 1.5, 1.5), (-30.0, -50.0, 100.0)
FLIPS = {  # of the array's axes (slices, rows, columns)
    "LPS": (False, False, False),
    "RAS": (False, True, True),
    "reversed slices, left-handed": (True, False, False),
    "mirrored columns, left-handed": (False, False, True),
    "all reversed, left-handed": (True, True, True),
}


@pytest.fixture(scope="module")
def directional(tmp_path_factory):
    return write_directional_checkpoint(tmp_path_factory.mktemp("directional") / "directional.pt")


def blobs():
    """HU `(slices, rows, columns)` of a body without any symmetry: every direction in which it can grow brighter is there."""
    grid = np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij")
    hu = np.full(SHAPE, -100.0)
    random = np.random.default_rng(3)
    for _ in range(12):
        middle, radius = random.uniform(0, SHAPE), random.uniform((2, 4, 4), (5, 11, 11))
        hu += random.uniform(80, 250) * np.exp(
            -sum(((at - m) / r) ** 2 for at, m, r in zip(grid, middle, radius, strict=True))
        )
    return hu.astype(np.int16)


def stored(flips):
    """The same body, stored with reversed axes: as it lies, nothing changes."""
    where = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
    direction = np.array(IDENTITY, dtype=float)
    origin = np.array(ORIGIN_LPS)
    for axis, flip in enumerate(reversed(flips)):  # columns of the matrix are of x, y, z
        if flip:
            size, spacing = SHAPE[2 - axis], SPACING_MM[2 - axis]
            origin = origin + direction[:, axis] * (size - 1) * spacing
            direction[:, axis] *= -1
    geometry = Geometry(SHAPE, SPACING_MM, tuple(origin), tuple(tuple(row) for row in direction))
    return Volume(np.ascontiguousarray(blobs()[where]), geometry, "Blobs")


def turned(degrees, axis):
    """The matrix that turns by an angle about an axis of the patient."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix, (one, other) = np.eye(3), [number for number in range(3) if number != axis]
    matrix[one, one] = matrix[other, other] = cosine
    matrix[one, other], matrix[other, one] = -sine, sine
    return matrix


def oblique(matrix):
    """The body under a gantry or a patient that is turned."""
    direction = tuple(tuple(float(one) for one in row) for row in matrix)
    return Volume(blobs(), Geometry(SHAPE, SPACING_MM, ORIGIN_LPS, direction), "Blobs")


def axial(segmentation):
    """The labels from foot to head, front to back, right to left, and where its first voxel lies, in mm.

    Slicer reads a left-handed file with reversed slices, so only what lies where can be compared, not the order in memory.
    """
    geometry, array = segmentation.geometry, segmentation.labels
    numbers = np.arange(array.size).reshape(array.shape)
    first = np.unravel_index(geometry.to_axial(numbers)[0, 0, 0], array.shape)
    position = np.array(geometry.position_lps_mm(first))
    return geometry.to_axial(array), position


def by_engine(path, checkpoint):
    """Labels of the engine's own predictor on the same file, in axial order, and the position of the first."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
    from UNetSegmenterLib.engine.model.prediction import Predictor

    found = Predictor(load_checkpoint(checkpoint), "cpu").predict(read_volume(path)).segmentation
    assert set(np.unique(found.labels)) == set(range(7)), "every direction must be found to prove anything"
    return axial(found)


def by_panel(widget, path, checkpoint):
    """The same of the result that Apply leaves beside the scan that was loaded from a file."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Blobs")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    widget.initializeParameterNode()
    widget.ui.inputSelector.setCurrentNode(node)
    panel = widget.panel
    panel.model.choose(str(checkpoint))
    turn(lambda: panel.model.card is not None)
    settle()
    press(widget.ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy, 60)
    assert panel.segment.state is RunState.DONE
    found = segmentation_from_node(panel.segment.result.node, node)
    return axial(found)


def are_equal(one, other):
    return np.array_equal(one[0], other[0]) and np.allclose(one[1], other[1], atol=1e-3)


@pytest.mark.parametrize("name", FLIPS)
def test_a_scan_that_is_stored_flipped(widget, directional, tmp_path, name):
    path, straight = tmp_path / "blobs.nii.gz", tmp_path / "straight.nii.gz"
    write_volume(stored(FLIPS[name]), path)
    write_volume(stored(FLIPS["LPS"]), straight)
    found = by_panel(widget, path, directional)
    assert are_equal(found, by_engine(path, directional))
    assert are_equal(found, by_engine(straight, directional)), "the same body gets the same labels"


OBLIQUE = {"turned": turned(20, 2), "tilted": turned(-15, 0), "both": turned(20, 2) @ turned(-15, 0)}


@pytest.mark.parametrize("name", OBLIQUE)
def test_an_oblique_scan(widget, directional, tmp_path, name):
    path = tmp_path / "blobs.nii.gz"
    write_volume(oblique(OBLIQUE[name]), path)
    assert are_equal(by_panel(widget, path, directional), by_engine(path, directional))


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_the_labels_say_in_which_direction_of_the_patient_it_grows_brighter(widget, tmp_path, axis):
    """Against the voxels themselves, not against the engine."""
    path = tmp_path / "blobs.nii.gz"
    write_volume(stored(FLIPS["all reversed, left-handed"]), path)
    labels, _ = by_panel(widget, path, write_directional_checkpoint(tmp_path / "directional.pt", axis))
    assert widget.panel.segment.result.node.GetAttribute("UNetSegmenter.SlicingAxis") == (
        None if axis == "axial" else axis
    )
    hu = blobs().clip(-200, 300).astype(float)  # in axial order as it is: from foot to head
    growth = np.stack(
        [sign * (np.roll(hu, -1, axis) - np.roll(hu, 1, axis)) for axis in (2, 1, 0) for sign in (-1, 1)]
    )[:, 1:-1, 1:-1, 1:-1]
    inner = labels[1:-1, 1:-1, 1:-1]
    second, first = np.sort(growth, axis=0)[-2:]
    clear = (first - second > 2) & (first > 10)  # HU: no rounding decides
    assert np.mean(clear) > 0.3
    assert np.array_equal(inner[clear], 1 + growth.argmax(axis=0)[clear])


def test_a_cancelled_run_of_a_coronal_network_counts_coronal_slices(widget, tmp_path):
    from host.scans import add_scan

    array = np.concatenate([blobs().transpose(1, 0, 2)] * 20, axis=1)
    scan = add_scan("Deep", array, SPACING_MM)
    path, logic, results, texts = write_directional_checkpoint(tmp_path / "coronal.pt", "coronal"), widget.logic, [], []

    def cancel(progress):
        texts.append(progress.text())
        job.cancel()

    job = logic.startSegment(scan, str(path), device="cpu", surfaces=False, onProgress=cancel, onEnd=results.append)
    turn(lambda: results, 60)
    done, slices = results[0].outcome.slices_done, results[0].outcome.slices
    assert results[0].outcome.cancelled and 0 < done < slices == array.shape[1]
    assert texts[0].split(" ·")[0].endswith(f"of {slices} coronal slices")
    assert f"(partial: {done} of {slices} coronal slices)" in results[0].node.GetName()
    kept = segmentation_from_node(results[0].node, scan)
    assert kept.slicing_axis == "coronal"
    assert kept.labels[:, :done].any(axis=(0, 2)).all() and not kept.labels[:, done:].any()


def test_the_voxels_of_what_a_cancel_kept(widget, directional):
    """The slices that were finished are those of a full run, and the rest is empty."""
    from host.scans import add_scan

    array = np.concatenate([blobs()] * 20)
    scan = add_scan("Long", array, SPACING_MM, direction=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)))
    logic, results = widget.logic, []
    whole = segmentation_from_node(logic.segment(scan, str(directional), device="cpu", surfaces=False), scan)
    job = logic.startSegment(
        scan,
        str(directional),
        device="cpu",
        surfaces=False,
        onProgress=lambda progress: job.cancel(),
        onEnd=results.append,
    )
    turn(lambda: results, 60)
    done, slices = results[0].outcome.slices_done, results[0].outcome.slices
    assert results[0].outcome.cancelled and 0 < done < slices == len(array)
    kept = segmentation_from_node(results[0].node, scan)
    axial, full = (one.geometry.to_axial(one.labels) for one in (kept, whole))
    assert np.array_equal(axial[:done], full[:done]) and full[:done].any(axis=(1, 2)).all()
    assert not axial[done:].any() and full[done:].any()
