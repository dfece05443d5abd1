"""Keys for the panel's large buttons, the order of the Tab key, and names for screen readers."""

from __future__ import annotations

from typing import Any

import qt

KEYS = {"applyButton": "Alt+A", "compareButton": "Alt+C", "checkButton": "Alt+K", "saveCaseButton": "Alt+B"}
"""Letters that no label of the panel and no menu of Slicer's has."""

NAMES = {
    "progressBar": "Progress of the segmentation",
    "importProgressBar": "Progress of reading a model",
    "probabilityProgressBar": "Progress of the probability",
    "probabilityComboBox": "Structure whose probability is shown",
    "compareProgressBar": "Progress of the comparison",
    "checkProgressBar": "Progress of the checks",
    "reportProgressBar": "Progress of the report",
    "reviewProgressBar": "Progress of the case",
    "saveCaseProgressBar": "Progress of the training case",
    "compareTable": "Measures of all structures",
    "findingsTree": "Findings",
    "reviewList": "Cases of the test set",
    "installLog": "Log of the installation",
    "detailsText": "Last lines of the network's process",
    "viewsLayoutComboBox": "Layout of the views",
    "matchComboBox": "Counterpart",
    "distanceScaleSpinBox": "Distance at which the colours are full",
    "previousStructureButton": "Previous structure",
    "nextStructureButton": "Next structure",
}

PATHS = (
    ("importButton", "checkpointPathLineEdit"),
    ("correctButton", "trainingFolderPathLineEdit"),
    ("openReportButton", "reviewFolderPathLineEdit"),
    ("", "reviewResultsPathLineEdit"),
)
"""Path edits, each with what stands above it."""


class Keyboard:
    """Makes the panel usable without a mouse and without eyes; `shortcuts` by the name of their button.

    A button that changes its text ("Apply", "Cancel") loses the key that Qt made of the text, so keys are objects of their
    own. They work where the button is shown and enabled, wherever the focus is in Slicer's window.
    """

    def __init__(self, ui: Any, card_button: Any) -> None:
        self.shortcuts: dict[str, Any] = {}
        self._name_fields(ui)
        self._order_paths(ui, card_button)
        for name, keys in KEYS.items():
            button = getattr(ui, name)
            button.setAccessibleDescription(f"Key: {keys}")
            shortcut = qt.QShortcut(qt.QKeySequence(keys), button)
            shortcut.activated.connect(lambda button=button: _press(button))
            self.shortcuts[name] = shortcut

    def _order_paths(self, ui: Any, card_button: Any) -> None:
        """The line of a path edit was made anew and so stands last for the Tab key, as does what was made in Python."""
        last = None
        # Section Model lies in a frame made in Python, which comes last by itself.
        qt.QWidget.setTabOrder(ui.modelCollapsibleButton, ui.knownCheckpointsComboBox)
        qt.QWidget.setTabOrder(ui.knownCheckpointsComboBox, ui.importButton)
        for before, name in PATHS:
            last = getattr(ui, before) if before else last
            children = getattr(ui, name).children()
            for kind in ("QLineEdit", "QAbstractButton"):
                for child in (one for one in children if one.inherits(kind)):
                    qt.QWidget.setTabOrder(last, child)
                    last = child
            if name == "checkpointPathLineEdit":
                qt.QWidget.setTabOrder(last, card_button)

    def _name_fields(self, ui: Any) -> None:
        for name, text in NAMES.items():
            _name(getattr(ui, name), text)
        for label in vars(ui).values():
            field = label.buddy() if label.inherits("QLabel") else None
            if field is not None:
                text = label.text.replace("&", "").rstrip(":")
                _name(field, text)
                label.setBuddy(_entered(field))


def _press(button: Any) -> None:
    """As a click would: only where the button is shown and enabled."""
    if button.isVisible() and button.isEnabled():
        button.click()


def _entered(field: Any) -> Any:
    """What takes keys: the field, or the list or line inside of a composed one, whose own policy is to take no focus.

    A list of nodes has its combo box send the focus on to itself, where neither the Tab key nor arrows get any further.
    """
    inner = [child for child in field.children() if child.inherits("QComboBox") or child.inherits("QLineEdit")]
    if field.inherits("QComboBox") or not inner:
        return field
    if inner[0].focusProxy() is not None:
        inner[0].setFocusProxy(None)
    return inner[0]


def _name(field: Any, text: str) -> None:
    """Name a field, and what takes the focus inside of a composed one (a node list, a path edit)."""
    field.setAccessibleName(text)
    for child in field.children():
        if child.inherits("QComboBox") or child.inherits("QLineEdit"):
            child.setAccessibleName(text)
        elif child.inherits("QAbstractButton"):
            child.setAccessibleName(f"Browse: {text}")
