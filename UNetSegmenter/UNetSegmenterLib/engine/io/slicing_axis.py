"""The anatomical axis that slices follow each other along: its words, and the positions of the slices on it.

A network cuts a scan into axial, coronal or sagittal slices; whatever is measured slice by slice follows the same axis. Axial
slices are the rule, so they are just called slices; the others are called by their axis.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from .geometry import Geometry

AXIAL = "axial"


@dataclass(frozen=True)
class SlicingAxis:
    """Words for one slicing axis.

    Attributes:
        name: "axial", "coronal" or "sagittal".
        component: Which of the RAS coordinates changes from slice to slice.
        ends: The patient's sides where that coordinate is smallest and largest.
    """

    name: str
    component: int
    ends: tuple[str, str]

    @property
    def letter(self) -> str:
        """What stands before a position in mm: the side where it is largest."""
        return self.ends[1][0].upper()

    def in_words(self, text: str) -> str:
        """A text whose first "slice" is named after this axis: "coronal slice 12"; axial slices stay as they are."""
        return text if self.name == AXIAL else re.sub(r"\b([Ss])lice", self._named, text, count=1)

    def _named(self, found: re.Match[str]) -> str:
        return f"{self.name.capitalize() if found[1] == 'S' else self.name} slice"


_WORDS = {
    axis.name: axis
    for axis in (
        SlicingAxis(AXIAL, 2, ("inferior", "superior")),
        SlicingAxis("coronal", 1, ("posterior", "anterior")),
        SlicingAxis("sagittal", 0, ("left", "right")),
    )
}


def slicing_axis(name: str) -> SlicingAxis:
    """The words for a slicing axis; a name that is none of the three, as a file may hold it, counts as axial."""
    return _WORDS.get(name, _WORDS[AXIAL])


def slices_along(geometry: Geometry, name: str) -> tuple[int, bool]:
    """How slices lie in the arrays of a grid.

    Returns:
        The array axis nearest to the slicing axis, and whether the RAS coordinate falls along it.
    """
    axes, flips = geometry.axial()  # of superior, posterior and left
    component = slicing_axis(name).component
    along = 2 - component
    return axes[along], flips[along] if component == 2 else not flips[along]


def slice_positions_mm(geometry: Geometry, name: str = AXIAL) -> np.ndarray:
    """RAS coordinate (mm) of the middle of each slice along a slicing axis, by array index."""
    axis, _ = slices_along(geometry, name)
    index = np.ones((geometry.shape[axis], 4))
    index[:, :3] = (np.array(geometry.shape[::-1]) - 1) / 2
    index[:, 2 - axis] = np.arange(geometry.shape[axis])
    component = slicing_axis(name).component
    lps = (index @ geometry.affine_lps().T)[:, component]
    return lps if component == 2 else -lps
