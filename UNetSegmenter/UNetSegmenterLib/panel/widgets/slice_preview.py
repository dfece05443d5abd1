"""One slice of the scan as a model would see and segment it: two pictures, a slider, and what there is to say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from .widths import keep_narrow

SIDE_PIXELS = 250
WAITING = "Segmenting this slice..."
READS = "What the network reads"


class SlicePreview:
    """`widget` shows what the worker answered to `preview_import`; `on_slice` is called with the slice that the user chose."""

    def __init__(self, on_slice: Callable[[int], None]) -> None:
        self._on_slice, self._is_showing = on_slice, False
        self.widget = qt.QWidget()
        column = qt.QVBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        self.widget.setLayout(column)
        self.labels, self._labels_title = _picture(column)
        self.input, self._input_title = _picture(column)
        line = qt.QHBoxLayout()
        self.slider = qt.QSlider(qt.Qt.Horizontal)
        self.slider.setAccessibleName("Slice of the preview")
        self.slider.connect("valueChanged(int)", self._on_slider)
        self._number = qt.QLabel()
        line.addWidget(self.slider, 1)
        line.addWidget(self._number)
        column.addLayout(line)
        self.status = qt.QLabel()
        self.status.setWordWrap(True)
        self.status.setTextFormat(qt.Qt.PlainText)
        keep_narrow(self.status)
        column.addWidget(self.status)
        column.addStretch(1)
        self.slider.setEnabled(False)
        self._labels_title.setText("Labels on the scan")
        self._input_title.setText(READS)

    @property
    def slice_number(self) -> int | None:
        """The slice that the user chose, None for the middle one."""
        return self.slider.value if self.slider.isEnabled() else None

    def say(self, text: str) -> None:
        """Show a text instead of the pictures, which are not true any more."""
        self.status.setText("")
        self._input_title.setText(READS)
        self.input.setText("")
        self.labels.setText(text)

    def show_waiting(self) -> None:
        """Other pictures are awaited: those that are there stay, pale."""
        self.status.setText(WAITING)
        for picture in (self.labels, self.input):
            picture.setEnabled(False)

    def forget_slice(self) -> None:
        """The slices lie in another direction: begin in the middle again."""
        self.slider.setEnabled(False)
        self._number.setText("")

    def show(self, answer: dict[str, Any], names: dict[int, str]) -> None:
        """Show the pictures of an answer; `names` are those of the structures by index."""
        for picture, path in ((self.labels, answer["labels"]), (self.input, answer["input"])):
            pixmap = qt.QPixmap(path)
            picture.setEnabled(True)
            size = qt.QSize(SIDE_PIXELS, SIDE_PIXELS)
            picture.setPixmap(pixmap.scaled(size, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation))
        self._is_showing = True
        try:
            self.slider.setRange(0, answer["slices"] - 1)
            self.slider.setValue(answer["slice"])
            self.slider.setEnabled(answer["slices"] > 1)
        finally:
            self._is_showing = False
        self._number.setText(f"{answer['slice'] + 1} of {answer['slices']}")
        low, high, mean = answer["values"]
        size = f"{answer['rows']} x {answer['columns']} pixels"
        self._input_title.setText(f"{READS}: {size}")
        self.input.setToolTip(f"{size}, values from {low:.3g} to {high:.3g}, mean {mean:.3g}")
        self.status.setText(_found_text(answer, names))

    def _on_slider(self, number: int) -> None:
        if not self._is_showing:
            self._number.setText(f"{number + 1} of {self.slider.maximum + 1}")
            self._on_slice(number)


def _picture(column: Any) -> tuple[Any, Any]:
    title, picture = qt.QLabel(), qt.QLabel()
    keep_narrow(title)
    picture.setFixedSize(SIDE_PIXELS, SIDE_PIXELS)
    picture.setAlignment(qt.Qt.AlignCenter)
    picture.setWordWrap(True)
    picture.setMargin(8)
    picture.setStyleSheet("QLabel { background: black; color: #bbbbbb; }")
    column.addWidget(title)
    column.addWidget(picture)
    return picture, title


def _found_text(answer: dict[str, Any], names: dict[int, str]) -> str:
    """What is labelled in the slice, the largest first."""
    found = sorted(((pixels, int(index)) for index, pixels in answer["pixels"].items()), reverse=True)
    parts = [
        f"{names.get(index) or f'structure {index}'} {pixels * answer['pixel_cm2']:.1f} cm²" for pixels, index in found
    ]
    text = ", ".join(parts) if parts else "nothing is labelled in this slice"
    folds = answer.get("folds", 1)
    note = f" By one of {folds} folds." if folds > 1 else ""
    low, high, mean = answer["values"]
    return f"Found: {text}.{note} Input from {low:.3g} to {high:.3g}, mean {mean:.3g}."
