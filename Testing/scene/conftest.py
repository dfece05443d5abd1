"""The real MRML libraries of the slicer-core wheel, and small scans in odd orientations as real files."""

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core==5.12.4.0)")

from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8
from UNetSegmenterLib.scene.headless.headless_scene import HeadlessScene


@pytest.fixture
def headless():
    made = HeadlessScene(make_current=False)
    yield made
    made.scene.Clear(True)


def turned(rotation_degrees=(0.0, 0.0, 0.0), axes=(0, 1, 2), signs=(1, 1, 1)):
    """ITK direction matrix: axes permuted and flipped, then turned around x, y and z."""
    matrix = np.zeros((3, 3))
    for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        matrix[axis, column] = sign
    for axis, degrees in enumerate(rotation_degrees):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        first, second = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = c
        turn[first, second], turn[second, first] = -s, s
        matrix = turn @ matrix
    return tuple(tuple(float(value) for value in row) for row in matrix)


def blocks(shape, structures=ABDOMEN8, rng=None):
    """Labels with one box a structure, without symmetry, some touching, none twice."""
    rng = rng or np.random.default_rng(1)
    labels = np.zeros(shape, dtype=np.uint8)
    for structure in structures:
        low = [int(rng.integers(0, max(1, size - 3))) for size in shape]
        high = [start + int(rng.integers(1, 4)) for start in low]
        labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = structure.index
    return labels


def grid(shape=(9, 10, 11), direction=None, spacing_mm=(2.5, 0.8, 0.7), origin=(10.1, -20.3, 33.7)):
    return Geometry(shape, spacing_mm, origin, direction or turned())


def segmentation(geometry, structures=ABDOMEN8, **kwargs):
    return Segmentation(blocks(geometry.shape, structures), geometry, structures, "made", **kwargs)


def write_scan(path, geometry, seed=0):
    """A NIfTI or NRRD file of this geometry with HU that name each voxel; returns the array."""
    count = int(np.prod(geometry.shape))
    array = np.random.default_rng(seed).permutation(count).reshape(geometry.shape).astype(np.int16)
    array -= 1000
    image = sitk.GetImageFromArray(array)
    geometry.apply_to(image)
    sitk.WriteImage(image, str(path))
    return array
