"""Coded terminology of segments, as DICOM Segmentation objects and 3D Slicer have it."""

from __future__ import annotations

from dataclasses import dataclass

GENERAL_ANATOMY = "Segmentation category and type - 3D Slicer General Anatomy list"
DICOM_MASTER = "Segmentation category and type - DICOM master list"
_REGION_LIST = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class CodedConcept:
    """A coded concept: coding scheme, value, and what it means in words, e.g. ("SCT", "10200004", "Liver")."""

    scheme: str
    value: str
    meaning: str

    def __str__(self) -> str:
        """The text of Slicer's terminology entries, such as "SCT^10200004^Liver"."""
        return f"{self.scheme}^{self.value}^{self.meaning}"

    def to_json(self) -> dict[str, str]:
        """A JSON-ready dictionary; `from_json` reads it."""
        return {"scheme": self.scheme, "value": self.value, "meaning": self.meaning}

    @classmethod
    def from_json(cls, fields: dict) -> CodedConcept:
        """Read what `to_json` wrote. Raises KeyError where a field is missing."""
        return cls(str(fields["scheme"]), str(fields["value"]), str(fields["meaning"]))


ANATOMICAL_STRUCTURE = CodedConcept("SCT", "123037004", "Anatomical Structure")
TISSUE = CodedConcept("SCT", "85756007", "Tissue")
"""Category and type of a segment whose terminology is not known, as Slicer and others write it."""

LEFT = CodedConcept("SCT", "7771000", "Left")
RIGHT = CodedConcept("SCT", "24028007", "Right")


@dataclass(frozen=True)
class Terminology:
    """What a segment is, in the terms of DICOM Segmentation objects: category, type and, for pairs, the side."""

    category: CodedConcept
    type: CodedConcept
    modifier: CodedConcept | None = None
    context: str = GENERAL_ANATOMY

    def entry(self) -> str:
        """The text of Slicer's segment tag `TerminologyEntry` (vtkSlicerTerminologiesModuleLogic's serialisation)."""
        modifier = "^^" if self.modifier is None else str(self.modifier)
        return f"{self.context}~{self.category}~{self.type}~{modifier}~{_REGION_LIST}~^^~^^"

    @classmethod
    def from_entry(cls, text: str) -> Terminology | None:
        """Read Slicer's tag text; None where it names no type (an empty or foreign tag)."""
        parts = text.split("~")
        if len(parts) < 4:
            return None
        category, kind, modifier = (CodedConcept(*[*part.split("^"), "", ""][:3]) for part in parts[1:4])
        if not category.value or not kind.value:
            return None
        return cls(category, kind, modifier if modifier.value else None, parts[0])

    @property
    def concept(self) -> tuple[str, ...]:
        """Codes of type and side, which mean one anatomy; lists and wording do not count."""
        side = () if self.modifier is None else (self.modifier.scheme, self.modifier.value)
        return (self.type.scheme, self.type.value, *side)

    def to_json(self) -> dict:
        """A JSON-ready dictionary; `from_json` reads it."""
        return {
            "context": self.context,
            "category": self.category.to_json(),
            "type": self.type.to_json(),
            "modifier": None if self.modifier is None else self.modifier.to_json(),
        }

    @classmethod
    def from_json(cls, fields: dict) -> Terminology:
        """Read what `to_json` wrote. Raises KeyError where a field is missing."""
        modifier = fields.get("modifier")
        return cls(
            CodedConcept.from_json(fields["category"]),
            CodedConcept.from_json(fields["type"]),
            None if modifier is None else CodedConcept.from_json(modifier),
            str(fields.get("context", GENERAL_ANATOMY)),
        )
