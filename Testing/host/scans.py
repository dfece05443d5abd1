"""Volume nodes for tests: CT-like bodies of known shape."""

from __future__ import annotations

import numpy as np
import slicer


def body(slices=16, rows=96, columns=128, seed=0):
    """HU (slices, rows, columns): air, an ellipse of soft tissue with noise, a bright spine."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    hu = np.full((slices, rows, columns), -1000, dtype=np.int16)
    noise = np.random.default_rng(seed).normal(0, 15, hu.shape)
    inside = (x / 0.85) ** 2 + (y / 0.7) ** 2 < 1
    hu[:, inside] = (40 + noise[:, inside]).astype(np.int16)
    hu[:, x**2 + (y - 0.45) ** 2 < 0.02] = 400
    hu[:, (x + 0.35) ** 2 + (y + 0.1) ** 2 < 0.06] = 110
    return hu


def add_scan(name="CT", array=None, spacing_mm=(3.0, 1.5, 1.5), direction=None, origin_lps=(-90.0, -70.0, 20.0)):
    """A scalar volume node with this array `(slices, rows, columns)` and place."""
    from UNetSegmenterLib.engine.io.geometry import IDENTITY, Geometry
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.scene.nodes.volume_nodes import volume_to_node

    array = body() if array is None else array
    geometry = Geometry(array.shape, spacing_mm, origin_lps, direction or IDENTITY)
    return volume_to_node(Volume(array, geometry, name), slicer.mrmlScene)
