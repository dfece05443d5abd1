"""Columns of one width, and in each view the words that tell what it shows."""

from __future__ import annotations

from typing import Any

import qt

from ...scene.views.layout import ONE_ROW, ROWS, slice_views
from ...scene.views.view_labels import WordsInView
from .view_widgets import slice_widgets, threed_widgets

MIN_WIDTH = 120  # pixels; Slicer's slice views ask for more than 300, for the bar above them


class NamedViews:
    """The words while the module's layouts are shown: `show` after a layout was chosen, `fit` when sizes have changed."""

    def __init__(self) -> None:
        self._words: list[tuple[Any, WordsInView]] = []

    def show(self, variant: str, prediction: str, reference: str) -> None:
        """Write names of nodes into the views of a variant, which share the width equally from now on."""
        self.stop()
        names = {"Pred": prediction, "Ref": reference}
        slices, threed = slice_widgets(), threed_widgets()
        for row, title in ROWS.items():
            lines = [title, names[row]]
            if variant == ONE_ROW:
                lines = [" + ".join(ROWS.values()), f"{prediction}: areas", f"{reference}: lines"]
            widgets = [(slices.get(name), "sliceView") for name in slice_views(row)] + [
                (threed.get(f"{row}3D"), "threeDView")
            ]
            for widget, view_of in widgets:
                if widget is not None:
                    _share_width(widget)
                    view = getattr(widget, view_of)()
                    renderer = view.renderWindow().GetRenderers().GetItemAsObject(0)
                    self._words.append((view, WordsInView(renderer, lines)))
                    view.scheduleRender()

    def fit(self) -> None:
        for view, words in self._words:
            words.fit()
            view.scheduleRender()

    def stop(self) -> None:
        """Take the words away."""
        for view, words in self._words:
            words.remove()
            view.scheduleRender()
        self._words = []


def _share_width(widget: Any) -> None:
    """Let a view be as narrow as its neighbours, and ask for no more than they do."""
    widget.setMinimumWidth(MIN_WIDTH)
    widget.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Expanding)
