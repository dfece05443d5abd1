"""The frame that shows a checkpoint's card in three lines or unfolded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ...engine.model.card import Card
from .card_text import card_html, reads_text, structures_html
from .drop_frame import DropFrame
from .plain_tip import plain_tip
from .widths import keep_narrow

EMPTY = "Drop a checkpoint (.pt), an .onnx file or an nnU-Net folder here, or choose one above."


class ElidedLabel(qt.QLabel):
    """One line of plain text that ends in an ellipsis where there is no room for it."""

    def __init__(self) -> None:
        qt.QLabel.__init__(self)
        self._full = ""
        self.setTextFormat(qt.Qt.PlainText)
        keep_narrow(self)

    def show_text(self, text: str) -> None:
        """Show a text, shortened to the width that there is."""
        self._full = text
        self._elide(self.width)

    def resizeEvent(self, event: Any) -> None:
        """Shorten the text again."""
        self._elide(self.width)

    def _elide(self, width: int) -> None:
        self.setText(qt.QFontMetrics(self.font).elidedText(self._full, qt.Qt.ElideRight, width))


class CardFrame(DropFrame):
    """`label` holds the whole card or what there is instead of one; `title`, `structures` and `reads` are its three lines."""

    def __init__(self, on_drop: Callable[[str], None]) -> None:
        DropFrame.__init__(self, on_drop)
        self.setFrameShape(qt.QFrame.StyledPanel)
        self.label, self.title, self.structures, self.reads = (
            qt.QLabel(EMPTY),
            ElidedLabel(),
            qt.QLabel(),
            ElidedLabel(),
        )
        font = self.title.font
        font.setBold(True)
        self.title.setFont(font)
        self.more = qt.QToolButton()
        self.more.setCheckable(True)
        self.more.setAutoRaise(True)
        self.more.setToolTip(
            "Show or hide all that the card says: structures with validation Dice, training, licence, file."
        )
        self.more.toggled.connect(self._fold)
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
        keep_narrow(self.label)
        keep_narrow(self.structures)
        self._has_card = False
        self._lay_out()
        self._fold(False)

    def say(self, text: str) -> None:
        """Show a text where the card would be."""
        self._has_card = False
        self.label.setTextFormat(qt.Qt.PlainText)
        self.label.setText(text)
        self.label.setToolTip("")
        self._fold(False)

    def show_card(self, card: Card, sha256: str, size_bytes: int, folds: int = 1) -> None:
        """Show a card, folded to three lines."""
        self._has_card = True
        self.label.setTextFormat(qt.Qt.RichText)
        self.label.setText(card_html(card, sha256, size_bytes, folds))
        self.label.setToolTip(f"SHA-256 {sha256}")
        self.title.show_text(card.title)
        self.title.setToolTip(plain_tip(card.description or card.title))
        self.structures.setText(structures_html(card))
        self.structures.setToolTip(plain_tip(", ".join(structure.name for structure in card.structures)))
        self.reads.show_text(reads_text(card))
        self.more.setChecked(False)
        self._fold(False)

    def _lay_out(self) -> None:
        grid = qt.QGridLayout()
        grid.setContentsMargins(6, 3, 6, 3)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(0, 1)
        grid.addWidget(self.title, 0, 0)
        grid.addWidget(self.more, 0, 1)
        for row, line in enumerate((self.structures, self.reads, self.label), start=1):
            grid.addWidget(line, row, 0, 1, 2)
        self.setLayout(grid)

    def _fold(self, unfolded: bool) -> None:
        self.title.setVisible(self._has_card)
        for line in (self.structures, self.reads):
            line.setVisible(self._has_card and not unfolded)
        self.more.setVisible(self._has_card)
        self.more.setText("Less" if unfolded else "More")
        self.label.setVisible(unfolded or not self._has_card)
