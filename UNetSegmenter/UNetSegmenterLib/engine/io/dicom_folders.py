"""DICOM in the folder of a data set: which folders are a series, and which files are labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .dicom_objects import LABELS, NO_SLICES, sop_class

_ENDINGS = (".dcm", ".dicom", ".ima", "")


def dicom_entries(folder: Path, names: Iterable[str]) -> dict[Path, str]:
    """The role of what is DICOM in one folder: "image" for the folder itself if slices lie in it, "label" for a file of labels.

    Args:
        folder: the folder.
        names: names of its files; those with an ending that DICOM has, or none, are opened.
    """
    found: dict[Path, str] = {}
    for name in sorted(names):
        path = folder / name
        if path.suffix.lower() not in _ENDINGS or not (uid := sop_class(path)):
            continue
        if uid in LABELS:
            found[path] = "label"
        elif not uid.startswith(NO_SLICES):
            found[folder] = "image"
    return found
