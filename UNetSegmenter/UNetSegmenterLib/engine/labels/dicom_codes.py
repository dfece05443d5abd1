"""What DICOM objects say of a segment: its name, its coded terminology, its colour."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..io.dicom_file import DicomFile
from ..io.dicom_tags import CATEGORY, CODE, CODE_MEANING, CODING_SCHEME, LONG_CODE, TYPE, TYPE_MODIFIERS
from .structures import canonical_name, known_structure
from .terminology import ANATOMICAL_STRUCTURE, DICOM_MASTER, LEFT, RIGHT, TISSUE, CodedConcept, Terminology

_SIDES = {LEFT.value: "left", RIGHT.value: "right"}
_XYZ_TO_LINEAR_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
_WHITE = np.array([0.9505, 1.0, 1.0889])  # D65


def terminology_of(file: DicomFile, segment: dict[int, Any]) -> Terminology | None:
    """Category, type and side of a segment; None where it has no type, or tissue, which is written where none is known."""
    kind = _code(file, segment, TYPE)
    if kind is None or kind.value == TISSUE.value:
        return None
    modifiers = segment.get(TYPE, [{}])[0].get(TYPE_MODIFIERS) or segment.get(TYPE_MODIFIERS, [])
    side = _concept(file, modifiers[0]) if len(modifiers) == 1 else None
    return Terminology(_code(file, segment, CATEGORY) or ANATOMICAL_STRUCTURE, kind, side, DICOM_MASTER)


def coded_terminology(file: DicomFile, items: list[dict[int, Any]]) -> Terminology | None:
    """The terminology of a region of interest, whose one code names the anatomy."""
    kind = _concept(file, items[0]) if len(items) == 1 else None
    return None if kind is None else Terminology(ANATOMICAL_STRUCTURE, kind, None, DICOM_MASTER)


def segment_name(label: str, terminology: Terminology | None, number: int) -> str:
    """The label of a segment or what its code means; with the side in front where the code alone has one."""
    name = label or (terminology.type.meaning if terminology else "") or f"segment {number}"
    side = _SIDES.get(terminology.modifier.value, "") if terminology and terminology.modifier else ""
    words = canonical_name(name).split()
    return f"{side} {name}" if side and not {"left", "right"} & set(words) else name


def color_of(lab: tuple[int, ...] | None, name: str, index: int) -> tuple[int, int, int]:
    """RGB of a colour in DICOM's CIELab, three numbers from 0 to 65535 (PS3.3, C.10.7.1.1); a structure's own without one."""
    if lab is None or len(lab) != 3:
        return known_structure(name, index, index).color
    lightness, a, b = lab[0] / 65535 * 100, *(value / 65535 * 255 - 128 for value in lab[1:])
    y = (lightness + 16) / 116
    roots = np.array([y + a / 500, y, y - b / 200])
    xyz = _WHITE * np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    linear = np.clip(_XYZ_TO_LINEAR_RGB @ xyz, 0, 1)
    rgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)  # IEC 61966-2-1
    red, green, blue = (round(float(channel) * 255) for channel in np.clip(rgb, 0, 1))
    return red, green, blue


def _code(file: DicomFile, segment: dict[int, Any], tag: int) -> CodedConcept | None:
    items = segment.get(tag, [])
    return _concept(file, items[0]) if items else None


def _concept(file: DicomFile, item: dict[int, Any]) -> CodedConcept | None:
    value = file.words(item, CODE) or file.words(item, LONG_CODE)
    return CodedConcept(file.words(item, CODING_SCHEME), value, file.words(item, CODE_MEANING)) if value else None
