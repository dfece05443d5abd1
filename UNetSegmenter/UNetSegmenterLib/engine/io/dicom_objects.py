"""What a DICOM file holds by its class: a scan, labels (segmentation or structure set), or neither."""

from __future__ import annotations

import struct
from pathlib import Path

from ..errors import InputError

SEGMENTATION, LABEL_MAP_SEGMENTATION, STRUCTURE_SET = (
    f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("66.4", "66.7", "481.3")
)
LABELS = (SEGMENTATION, LABEL_MAP_SEGMENTATION, STRUCTURE_SET)
"""Classes that hold labels (PS3.4, annex B.5)."""

NO_SLICES = tuple(
    f"1.2.840.10008.{kind}"
    for kind in ("1.3.10", *(f"5.1.4.1.1.{part}" for part in ("11.", "66", "88.", "104.", "481.")))
)
"""Classes of files that may lie beside slices: a DICOMDIR, presentations, segmentations and registrations, reports, documents,
radiotherapy."""

_NO_SCANS = {
    SEGMENTATION: "a DICOM segmentation (modality SEG)",
    LABEL_MAP_SEGMENTATION: "a DICOM label map segmentation (modality SEG)",
    "1.2.840.10008.5.1.4.1.1.66.5": "a DICOM surface segmentation (modality SEG)",
    "1.2.840.10008.5.1.4.1.1.66.8": "a DICOM height map segmentation (modality SEG)",
    STRUCTURE_SET: "a DICOM structure set (modality RTSTRUCT)",
    "1.2.840.10008.5.1.4.1.1.481.2": "a DICOM dose (modality RTDOSE)",
    "1.2.840.10008.5.1.4.1.1.481.5": "a DICOM treatment plan (modality RTPLAN)",
    "1.2.840.10008.5.1.4.1.1.66.1": "a DICOM registration (modality REG)",
}
_REPORT_PREFIX, _REPORT = "1.2.840.10008.5.1.4.1.1.88.", "a DICOM structured report (modality SR)"
_META_BYTES = 4096  # the file meta information, group 0002, is some hundred bytes


def label_object(path: Path) -> Path | None:
    """The DICOM segmentation or structure set at `path`: the file itself, or the only one in a folder of DICOM objects.

    None if there is none, or if slices lie beside it. Raises InputError if the folder holds several.
    """
    classes = _classes(path)
    found = [file for file, uid in classes.items() if uid in LABELS]
    if not found or not all(_object_name(uid) for uid in classes.values()):
        return None
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:4])
        raise InputError(f"{path} holds {len(found)} DICOM segmentations ({names}); give one of the files.")
    return found[0]


def refuse_dicom_object(path: Path, scan: bool) -> None:
    """Raise InputError if `path` is a DICOM file of another kind, or a folder whose DICOM files all are.

    Args:
        path: the file or folder.
        scan: a scan is expected; else labels are.
    """
    classes = _classes(path)
    names = [_object_name(uid) for uid in classes.values()]
    if not names or not all(names):
        return
    file, uid = next(iter(classes.items()))
    if uid not in LABELS:
        expected = "a scan" if scan else "a segmentation that can be read"
        raise InputError(f"{file} is {names[0]}, not {expected}; choose the scan or the segmentation itself.")
    if scan:
        raise InputError(
            f"{file} is {names[0]}, which holds labels and no scan; choose the scan itself, and give this file as its "
            "segmentation or reference."
        )


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


def _classes(path: Path) -> dict[Path, str]:
    """SOP class of each DICOM file at `path`, a file or a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file: uid for file in files if (uid := sop_class(file))}


def _object_name(uid: str) -> str:
    """What a class of files that are no scans is called; empty for a scan."""
    return _NO_SCANS.get(uid) or (_REPORT if uid.startswith(_REPORT_PREFIX) else "")
