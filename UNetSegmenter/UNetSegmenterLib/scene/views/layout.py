"""The module's own layouts: what they are called and which views they hold.

The application's layout manager makes the views (Qt) from the XML here; `side_by_side.py` fills them. All layouts share
their views, so that a change of the layout keeps the position in the scan.
"""

from __future__ import annotations

from typing import Any

import slicer

LAYOUT_ID = 7355  # the first of our ids; Slicer's own are below 1000
VIEW_GROUP = 7355  # views follow each other within it, not the application's own
TWO_ROWS, ONE_ROW, ONLY_3D = VARIANTS = ("Two rows", "One row", "3D only")
ORIENTATIONS = {"Ax": "Axial", "Co": "Coronal", "Sa": "Sagittal"}
LETTERS = {"Ax": "A", "Co": "C", "Sa": "S", "3D": "3"}  # after P or G: as much as the bar of a narrow view has room for
COLORS = {"Ax": "#F34A33", "Co": "#6EB04B", "Sa": "#EDD54C"}
ROWS = {"Pred": "Prediction", "Ref": "Ground truth"}
PLOT_VIEWS = {"Dice": "UNetSegmenterDice", "Area": "UNetSegmenterArea"}
_PLOT_HEIGHT, _ROW_HEIGHT = 300, 700  # parts of a thousand


def layout_id(variant: str, with_plots: bool = False) -> int:
    """The number by which the application knows a layout."""
    return LAYOUT_ID + VARIANTS.index(variant) + len(VARIANTS) * with_plots


LAYOUT_IDS = frozenset(layout_id(variant, plots) for variant in VARIANTS for plots in (False, True))


def layout_xml(variant: str = TWO_ROWS, with_plots: bool = False) -> str:
    """A layout as Slicer's layout manager reads it; `with_plots` adds a row with the plots of the slice curve."""
    if variant == TWO_ROWS:
        rows = "".join(f"<item>{_horizontal(_slices_xml(row) + _threed_xml(row))}</item>" for row in ROWS)
    elif variant == ONE_ROW:
        rows = f"<item>{_horizontal(_slices_xml('Pred') + _threed_xml('Pred'))}</item>"
    else:
        rows = f"<item>{_horizontal(''.join(map(_threed_xml, ROWS)))}</item>"
    if with_plots:
        views = f'<layout type="vertical" split="true">{rows}</layout>'
        plots = _horizontal("".join(map(_plot_xml, PLOT_VIEWS)))
        rows = f'<item splitSize="{_ROW_HEIGHT}">{views}</item><item splitSize="{_PLOT_HEIGHT}">{plots}</item>'
    return f'<layout type="vertical" split="true">{rows}</layout>'


def _horizontal(items: str) -> str:
    """Columns of equal width: a split would divide it by the widths of the views' bars, where a 3D view's is the shortest."""
    return f'<layout type="horizontal">{items}</layout>'


def _slices_xml(row: str) -> str:
    return "".join(
        _view_xml(
            "vtkMRMLSliceNode",
            row + name,
            {
                "orientation": orientation,
                "viewlabel": _label(row, name),
                "viewcolor": COLORS[name],
                "viewgroup": VIEW_GROUP,
            },
        )
        for name, orientation in ORIENTATIONS.items()
    )


def _threed_xml(row: str) -> str:
    return _view_xml("vtkMRMLViewNode", f"{row}3D", {"viewlabel": _label(row, "3D"), "viewgroup": VIEW_GROUP})


def _label(row: str, name: str) -> str:
    return ROWS[row][0] + LETTERS[name]


def _plot_xml(title: str) -> str:
    return _view_xml("vtkMRMLPlotViewNode", PLOT_VIEWS[title], {"viewlabel": title})


def _view_xml(node_class: str, tag: str, properties: dict[str, Any]) -> str:
    inner = "".join(
        f'<property name="{name}" action="default">{value}</property>' for name, value in properties.items()
    )
    return f'<item><view class="{node_class}" singletontag="{tag}">{inner}</view></item>'


def add_layouts(layout_node: slicer.vtkMRMLLayoutNode) -> None:
    """Make the layouts known to the application."""
    for variant in VARIANTS:
        for with_plots in (False, True):
            number, xml = layout_id(variant, with_plots), layout_xml(variant, with_plots)
            if layout_node.IsLayoutDescription(number):
                layout_node.SetLayoutDescription(number, xml)
            else:
                layout_node.AddLayoutDescription(number, xml)


def slice_views(row: str) -> list[str]:
    """Layout names of a row's slice views."""
    return [row + name for name in ORIENTATIONS]


def view_ids(row: str) -> list[str]:
    """Ids of a row's view nodes."""
    return [f"vtkMRMLSliceNode{name}" for name in slice_views(row)] + [f"vtkMRMLViewNode{row}3D"]


def plot_view_id(title: str) -> str:
    """Id of the view node of a plot, "Dice" or "Area"."""
    return f"vtkMRMLPlotViewNode{PLOT_VIEWS[title]}"
