"""DICOM files that hold something else than the voxels of a scan, told by their SOP class and refused for what they are."""

from __future__ import annotations

import struct
from pathlib import Path

from ..errors import InputError

_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "a DICOM segmentation (modality SEG)",
    "1.2.840.10008.5.1.4.1.1.66.7": "a DICOM label map segmentation (modality SEG)",
    "1.2.840.10008.5.1.4.1.1.66.5": "a DICOM surface segmentation (modality SEG)",
    "1.2.840.10008.5.1.4.1.1.481.3": "a DICOM structure set (modality RTSTRUCT)",
    "1.2.840.10008.5.1.4.1.1.481.2": "a DICOM dose (modality RTDOSE)",
    "1.2.840.10008.5.1.4.1.1.481.5": "a DICOM treatment plan (modality RTPLAN)",
    "1.2.840.10008.5.1.4.1.1.66.1": "a DICOM registration (modality REG)",
}
_REPORTS, _REPORT = "1.2.840.10008.5.1.4.1.1.88.", "a DICOM structured report (modality SR)"
_HELP = {
    "SEG": "open it in 3D Slicer with its extension QuantitativeReporting and save the segmentation as .seg.nrrd",
    "RTSTRUCT": "open it in 3D Slicer with its extension SlicerRT and save the segmentation as .seg.nrrd",
}
_CHOOSE = "choose the scan or the segmentation itself"
_META_BYTES = 4096  # the file meta information, group 0002, is some hundred bytes


def refuse_dicom_object(path: Path) -> None:
    """Raise InputError if `path` is a DICOM file of a class that can't be read yet, or a folder whose DICOM files all are."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    classes = {file: uid for file in files if (uid := sop_class(file))}
    names = [_CLASSES.get(uid) or (_REPORT if uid.startswith(_REPORTS) else "") for uid in classes.values()]
    if not names or not all(names):
        return
    modality = names[0].rpartition(" ")[2].rstrip(")")
    raise InputError(f"{next(iter(classes))} is {names[0]}, which can't be read yet; {_HELP.get(modality, _CHOOSE)}.")


def sop_class(path: Path) -> str:
    """The SOP class UID in the file meta information of a DICOM file (PS3.10, 7.1); empty for any other file."""
    if path.name.startswith(".") or not path.is_file():
        return ""
    with path.open("rb") as file:
        head = file.read(_META_BYTES)
    if head[128:132] != b"DICM":
        return ""
    at = 132
    while at + 8 <= len(head):
        group, element, kind, length = struct.unpack_from("<HH2sH", head, at)
        if group != 2:
            return ""
        at += 8
        if kind in (b"OB", b"UN"):  # a length of four bytes follows two reserved ones
            if at + 4 > len(head):
                return ""
            (length,) = struct.unpack_from("<I", head, at)
            at += 4
        if element == 2:
            return head[at : at + length].decode("ascii", errors="replace").strip("\0 ")
        at += length
    return ""
