"""What the panel remembers beyond the scene, in Slicer's settings: how it was used last. What a scene remembers is checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import qt

PREFIX = "UNetSegmenter/Last/"
NAMES = (
    "device",
    "showIn3D",
    "keepPartial",
    "mirroring",
    "postprocessing",
    "distanceScale",
    "viewsLayout",
    "outlines",
    "softTissue",
    "opacity",
    "sliceCurve",
    "distinctColors",
)

MODEL_FOLDER_KEY = "UNetSegmenter/ModelFolder"
MODEL_FOLDER = "UNetSegmenter models"


def model_folder() -> str:
    """The folder for imported models: the one that was chosen last, else one beside Slicer's settings file."""
    chosen = qt.QSettings().value(MODEL_FOLDER_KEY)
    if chosen:
        return str(chosen)
    beside = os.path.dirname(qt.QSettings().fileName())
    return os.path.join(beside if os.path.isdir(beside) else os.path.expanduser("~"), MODEL_FOLDER)


def remember_model_folder(folder: str) -> None:
    """Take this folder the next time."""
    qt.QSettings().setValue(MODEL_FOLDER_KEY, folder)


def recall(parameters: Any) -> None:
    """Give the parameters of a new scene the choices that were made last; what can't be chosen any more is left out."""
    settings = qt.QSettings()
    for name in NAMES:
        text, kind = settings.value(PREFIX + name), type(getattr(parameters, name))
        if text is not None:
            with suppress(ValueError, TypeError):
                setattr(parameters, name, str(text) == "True" if kind is bool else kind(text))


def forget_unreadable(node: Any, parameters: Mapping[str, Any]) -> None:
    """Take out of a script node what another version of the module wrote and this one can't read: defaults come instead.

    Slicer checks what is written, not what is read, so the value would get as far as its widget, which has no such choice; the
    panel would be connected to nothing then. `parameters` are the annotations of the parameters.
    """
    for name, annotation in parameters.items():
        checks = [one for one in getattr(annotation, "__metadata__", ()) if hasattr(one, "validate")]
        if checks and node.HasParameter(name):
            try:
                value = annotation.__origin__(node.GetParameter(name))
                for check in checks:
                    check.validate(value)
            except (ValueError, TypeError):
                node.UnsetParameter(name)


class LastChoices:
    """Keeps the parameters in the settings as they change; one write for each change."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def keep(self, parameters: Any) -> None:
        """Write down what has changed since the last call."""
        now = {name: str(getattr(parameters, name)) for name in NAMES}
        for name, text in now.items():
            if self._kept and self._kept[name] != text:
                qt.QSettings().setValue(PREFIX + name, text)
        self._kept = now
