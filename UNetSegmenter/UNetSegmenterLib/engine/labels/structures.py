"""Anatomical structures: name, label values, index in the network, colour and coded terminology.

Codes (SNOMED CT) and colours are those of 3D Slicer's own terminology files, read from
`Modules/Loadable/Terminologies/Resources/SegmentationCategoryTypeModifier-{SlicerGeneralAnatomy,DICOM-Master}`: a
structure takes its entry from the general anatomy list where it stands there, else from the DICOM master list. Three
things are not in Slicer's files and are chosen here: the colour of the ascending aorta (that of the aorta), the
colour of a few veins, and the myocardium (SNOMED CT 74281007, the code the TotalSegmentator extension writes too).
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import InputError
from .terminology import ANATOMICAL_STRUCTURE, DICOM_MASTER, GENERAL_ANATOMY, LEFT, RIGHT, CodedConcept, Terminology


@dataclass(frozen=True)
class Structure:
    """One structure that a network segments.

    `name` is the usual one ("left kidney"); `index` its value 1..n in label arrays and its channel in the network
    (0 is background); `values` its label values in the source data, of which the first is written to files; `color` RGB
    0..255; `terminology` None where no code is known.
    """

    name: str
    index: int
    values: tuple[int, ...]
    color: tuple[int, int, int]
    terminology: Terminology | None = None

    def to_json(self) -> dict:
        """A JSON-ready dictionary; `from_json` reads it."""
        return {
            "name": self.name,
            "index": self.index,
            "values": list(self.values),
            "color": list(self.color),
            "terminology": None if self.terminology is None else self.terminology.to_json(),
        }

    @classmethod
    def from_json(cls, fields: dict) -> Structure:
        """Read what `to_json` wrote. Raises InputError where a field is missing or of the wrong kind."""
        try:
            codes = fields.get("terminology")
            terminology = None if codes is None else Terminology.from_json(codes)
            red, green, blue = (int(channel) for channel in fields["color"])
            values = tuple(int(value) for value in fields["values"])
            return cls(str(fields["name"]), int(fields["index"]), values, (red, green, blue), terminology)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"The structure {fields!r} cannot be read ({type(error).__name__}: {error}); expected name, index, "
                "values, color [r, g, b] and terminology: write it with Structure.to_json."
            ) from error


_Known = tuple[CodedConcept, CodedConcept | None, str, tuple[int, int, int]]


def _entry(
    value: str,
    meaning: str,
    color: tuple[int, int, int],
    context: str = GENERAL_ANATOMY,
    side: CodedConcept | None = None,
) -> _Known:
    return CodedConcept("SCT", value, meaning), side, context, color


_KNOWN: dict[str, _Known] = {
    "aorta": _entry("15825003", "Aorta", (224, 97, 76)),
    "gallbladder": _entry("28231008", "Gallbladder", (139, 150, 98)),
    "left kidney": _entry("64033007", "Kidney", (185, 102, 83), side=LEFT),
    "right kidney": _entry("64033007", "Kidney", (185, 102, 83), side=RIGHT),
    "liver": _entry("10200004", "Liver", (221, 130, 101)),
    "pancreas": _entry("15776009", "Pancreas", (249, 180, 111)),
    "spleen": _entry("78961009", "Spleen", (157, 108, 162)),
    "stomach": _entry("69695003", "Stomach", (216, 132, 105)),
    "left ventricular myocardium": _entry("74281007", "Myocardium", (238, 202, 160), DICOM_MASTER),
    "left atrium": _entry("82471001", "Left atrium", (203, 108, 81), DICOM_MASTER),
    "left ventricle": _entry("87878005", "Left Ventricle", (152, 55, 13)),
    "right atrium": _entry("73829009", "Right atrium", (210, 115, 89), DICOM_MASTER),
    "right ventricle": _entry("53085002", "Right Ventricle", (181, 85, 57)),
    "ascending aorta": _entry("54247002", "Ascending aorta", (224, 97, 76), DICOM_MASTER),
    "pulmonary artery": _entry("81040000", "Pulmonary artery", (0, 122, 171), DICOM_MASTER),
    "left adrenal gland": _entry("23451007", "Adrenal gland", (249, 186, 150), side=LEFT),
    "right adrenal gland": _entry("23451007", "Adrenal gland", (249, 186, 150), side=RIGHT),
    "left lung": _entry("39607008", "Lung", (197, 165, 145), side=LEFT),
    "right lung": _entry("39607008", "Lung", (197, 165, 145), side=RIGHT),
    "bladder": _entry("89837001", "Bladder", (222, 154, 132)),
    "brain": _entry("12738006", "Brain", (250, 250, 225)),
    "colon": _entry("71854001", "Colon", (204, 168, 143)),
    "duodenum": _entry("38848004", "Duodenum", (255, 253, 229)),
    "esophagus": _entry("32849002", "Esophagus", (211, 171, 143)),
    "heart": _entry("80891009", "Heart", (206, 110, 84)),
    "prostate": _entry("41216001", "Prostate", (230, 158, 140)),
    "small intestine": _entry("30315005", "Small Intestine", (205, 167, 142)),
    "spinal cord": _entry("2748008", "Spinal cord", (244, 214, 49)),
    "trachea": _entry("44567001", "Trachea", (182, 228, 255)),
    "uterus": _entry("35039007", "Uterus", (255, 181, 158)),
    "pulmonary vein": _entry("122972007", "Pulmonary vein", (186, 77, 64), DICOM_MASTER),
    "inferior vena cava": _entry("64131007", "Inferior vena cava", (0, 151, 206), DICOM_MASTER),
    "superior vena cava": _entry("48345005", "Superior vena cava", (0, 135, 190), DICOM_MASTER),
    "portal vein": _entry("32764006", "Portal vein", (0, 110, 160), DICOM_MASTER),
    "splenic vein": _entry("35819009", "Splenic vein", (0, 100, 145), DICOM_MASTER),
}

# Names after normalisation (lower case, one space, the side in front) and the canonical names that they stand for.
_SYNONYMS: dict[str, str] = {
    "lv": "left ventricle",
    "lvbp": "left ventricle",
    "lvc": "left ventricle",
    "lv blood pool": "left ventricle",
    "lv cavity": "left ventricle",
    "left ventricle cavity": "left ventricle",
    "left ventricular cavity": "left ventricle",
    "left ventricle blood cavity": "left ventricle",
    "left ventricle blood pool": "left ventricle",
    "left ventricular blood cavity": "left ventricle",
    "left heart ventricle": "left ventricle",
    "rv": "right ventricle",
    "right ventricle cavity": "right ventricle",
    "right ventricle blood cavity": "right ventricle",
    "right heart ventricle": "right ventricle",
    "la": "left atrium",
    "left atrium blood cavity": "left atrium",
    "left heart atrium": "left atrium",
    "ra": "right atrium",
    "right atrium blood cavity": "right atrium",
    "right heart atrium": "right atrium",
    "myo": "left ventricular myocardium",
    "lvm": "left ventricular myocardium",
    "lvmyo": "left ventricular myocardium",
    "lv myo": "left ventricular myocardium",
    "lv myocardium": "left ventricular myocardium",
    "myocardium": "left ventricular myocardium",
    "heart myocardium": "left ventricular myocardium",
    "left ventricle myocardium": "left ventricular myocardium",
    "left myocardium": "left ventricular myocardium",
    "ao": "ascending aorta",
    "aa": "ascending aorta",
    "aorta ascending": "ascending aorta",
    "pa": "pulmonary artery",
    "pulmonary trunk": "pulmonary artery",
    "pulmonary vein": "pulmonary vein",
    "pulmonary venous system": "pulmonary vein",
    "gall bladder": "gallbladder",
    "gb": "gallbladder",
    "oesophagus": "esophagus",
    "urinary bladder": "bladder",
    "small bowel": "small intestine",
    "left adrenal": "left adrenal gland",
    "right adrenal": "right adrenal gland",
    "lkid": "left kidney",
    "lk": "left kidney",
    "rkid": "right kidney",
    "rk": "right kidney",
    "ivc": "inferior vena cava",
    "postcava": "inferior vena cava",
    "svc": "superior vena cava",
}
_SIDES = {"left": "left", "lt": "left", "l": "left", "right": "right", "rt": "right", "r": "right"}
_FILLERS = {"label", "labels", "mask", "seg", "segmentation", "segment", "gt", "manual", "prediction", "pred", "the"}

_NUMBERED = {
    "layer", "class", "value", "region", "roi", "object", "structure", "channel", "component", "unnamed", "untitled", "segmento",
}  # fmt: skip
"""Words that name no structure, alone or with a number."""


def canonical_name(name: str) -> str:
    """The name by which structures are compared: "kidney_left", "Kidney (L)" and "LKid" all give "left kidney".

    Case, underscores, hyphens, the order of the side and words such as "label" do not count. Names that are not in
    the table come back normalised ("Femur_Left" -> "left femur"), so that two spellings of one unknown name agree.
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)
    words = re.sub(r"[\W_]+", " ", text.lower()).split()
    kept = [word for word in words if word not in _FILLERS] or words
    sides = [_SIDES[word] for word in kept if word in _SIDES]
    rest = [word for word in kept if word not in _SIDES]
    plain = " ".join(kept)
    if len(set(sides)) == 1 and rest:
        plain = " ".join([sides[0], *rest])
    if plain in _KNOWN:
        return plain
    if plain in _SYNONYMS:
        return _SYNONYMS[plain]
    if plain.endswith("s") and plain[:-1] in _KNOWN:
        return plain[:-1]
    return plain


def number_in_name(name: str) -> int | None:
    """The number of a structure without a meaningful name ("Segment_3", "label 3", "3"), 0 if it has none; else None.

    Such a number is the position of a segment in a list or the value of a voxel, and does not identify a structure.
    """
    words = re.findall(r"[^\W\d_]+|\d+", canonical_name(name))
    if any(not word.isdecimal() and word not in _FILLERS | _NUMBERED for word in words):
        return None
    return next((int(word[-18:]) for word in reversed(words) if word.isdecimal()), 0)


def has_name(structure: Structure) -> bool:
    """Whether name or terminology identify a structure."""
    return structure.terminology is not None or number_in_name(structure.name) is None


def two_spellings(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two of some names that mean one structure ("Liver" and "liver"), None if each means its own."""
    seen: dict[str, str] = {}
    for name in names:
        if (key := canonical_name(name)) in seen:
            return seen[key], name
        seen[key] = name
    return None


def refuse_two_spellings(names: Iterable[str], what: object) -> None:
    """Raise InputError if two of the names mean the same organ; lesions and the like may share a name."""
    found = two_spellings(name for name in names if canonical_name(name) in _KNOWN)
    if found:
        both = f"“{found[0]}” and “{found[1]}”" if found[0] != found[1] else f"“{found[0]}” twice"
        raise InputError(
            f"{what} holds {both}, which is one structure ({canonical_name(found[0])}): merge them, or rename one of them."
        )


def distinct_color(index: int) -> tuple[int, int, int]:
    """A colour for a structure that has none of its own: hues a golden angle apart, so that neighbours differ."""
    hue = (0.58 + 0.61803398875 * (index - 1)) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.55, (0.92, 0.75)[(index // 8) % 2])
    return round(red * 255), round(green * 255), round(blue * 255)


def known_structure(name: str, index: int, values: int | Sequence[int]) -> Structure:
    """The structure of that name or synonym with Slicer's colour and terminology.

    A name outside the table keeps its wording and gets a distinct colour and no terminology. `values` are the label
    values in the source data, one or several; the first is written to files.
    """
    all_values = (values,) if isinstance(values, int) else tuple(int(value) for value in values)
    canonical = canonical_name(name)
    if canonical not in _KNOWN:
        return Structure(name.strip(), index, all_values, distinct_color(index), None)
    kind, side, context, color = _KNOWN[canonical]
    return Structure(canonical, index, all_values, color, Terminology(ANATOMICAL_STRUCTURE, kind, side, context))


def known_names() -> tuple[str, ...]:
    """Canonical names of all structures whose code and colour are known."""
    return tuple(_KNOWN)


# MM-WHS (Zhuang et al., Medical Image Analysis 2019): label values as published; a stray 421 in the data means 420.
HEART: tuple[Structure, ...] = tuple(
    known_structure(name, index, values)  # type: ignore[arg-type]
    for index, (name, values) in enumerate(
        (
            ("left ventricular myocardium", 205),
            ("left atrium", (420, 421)),
            ("left ventricle", 500),
            ("right atrium", 550),
            ("right ventricle", 600),
            ("ascending aorta", 820),
            ("pulmonary artery", 850),
        ),
        start=1,
    )
)

# The eight organs of the BTCV / "Synapse" abdominal set (Landman et al., MICCAI 2015) in their usual order.
ABDOMEN8: tuple[Structure, ...] = tuple(
    known_structure(name, index, index)
    for index, name in enumerate(
        ("aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach"), start=1
    )
)

# Label values of TotalSegmentator 2's class map "total" for the abdominal organs: what the sample's reference holds.
TOTALSEGMENTATOR_VALUES: dict[str, int] = {
    "aorta": 52,
    "gallbladder": 4,
    "left kidney": 3,
    "right kidney": 2,
    "liver": 5,
    "pancreas": 7,
    "spleen": 1,
    "stomach": 6,
}
