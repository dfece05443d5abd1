"""Colour tables between a few colours, for what is shown on a continuous scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer


def color_table(
    scene: slicer.vtkMRMLScene, name: str, stops: Sequence[tuple[int, int, int]], count: int
) -> slicer.vtkMRMLColorTableNode:
    """A new colour table node.

    Args:
        scene: gets the node.
        name: of the node.
        stops: RGB from 0 to 255 at equal distances; colours between them are interpolated.
        count: how many colours there are; an odd number has the middle stop in its middle.
    """
    table = scene.AddNewNodeByClass("vtkMRMLColorTableNode")
    table.SetName(name)
    table.SetTypeToUser()
    table.SetNumberOfColors(count)
    positions = np.linspace(0, len(stops) - 1, count)
    channels = [np.interp(positions, range(len(stops)), channel) / 255 for channel in zip(*stops, strict=True)]
    for number, color in enumerate(zip(*channels, strict=True)):
        table.SetColor(number, *(float(channel) for channel in color), 1.0)
    table.SetNamesFromColors()
    return table
