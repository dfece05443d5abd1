"""What postprocessing changed of one structure, and the text of it that files and nodes keep."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..counting import counted

POSTPROCESSING_TAG = "UNetSegmenter.Postprocessing"
"""The segment tag of files and nodes that holds `PostprocessingChange.tag`."""

_TAG = re.compile(r"removed (\d+) of (\S+) ml, filled (\d+) of (\S+) ml")


@dataclass(frozen=True)
class PostprocessingChange:
    """What postprocessing changed of one structure.

    Attributes:
        removed: number of connected components that became background.
        removed_ml: their volume.
        filled: number of cavities that were filled.
        filled_ml: volume of the background that became the structure's.
    """

    removed: int = 0
    removed_ml: float = 0.0
    filled: int = 0
    filled_ml: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.removed or self.filled)

    def __add__(self, other: PostprocessingChange) -> PostprocessingChange:
        return PostprocessingChange(
            self.removed + other.removed,
            self.removed_ml + other.removed_ml,
            self.filled + other.filled,
            self.filled_ml + other.filled_ml,
        )

    @property
    def tag(self) -> str:
        """The change as a segment tag keeps it."""
        return f"removed {self.removed} of {self.removed_ml:.4f} ml, filled {self.filled} of {self.filled_ml:.4f} ml"

    @classmethod
    def from_tag(cls, text: str) -> PostprocessingChange | None:
        """The change that `tag` wrote, None for any other text."""
        if (found := _TAG.fullmatch(text)) is None:
            return None
        try:
            removed_ml, filled_ml = float(found[2]), float(found[4])
        except ValueError:
            return None
        if not (math.isfinite(removed_ml) and math.isfinite(filled_ml)):
            return None
        return cls(int(found[1]), removed_ml, int(found[3]), filled_ml)

    def text(self) -> str:
        """What was changed, in words: "3 components removed (2.1 ml), 1 cavity filled (0.3 ml)"."""
        parts = []
        if self.removed:
            parts.append(f"{counted(self.removed, 'component', 'components')} removed ({ml_text(self.removed_ml)})")
        if self.filled:
            parts.append(f"{counted(self.filled, 'cavity', 'cavities')} filled ({ml_text(self.filled_ml)})")
        return ", ".join(parts)


def changes_text(changes: Iterable[tuple[str, PostprocessingChange]]) -> str:
    """What postprocessing changed of all structures, as one sentence; empty if it changed nothing.

    Args:
        changes: name and change of each structure.
    """
    parts = [f"{name}: {change.text()}" for name, change in changes if change]
    return f"Postprocessing changed {'; '.join(parts)}." if parts else ""


def ml_text(ml: float) -> str:
    """A volume with two significant digits below 10 ml, and whole ml from there on."""
    if ml < 0.01:
        return "less than 0.01 ml"
    return f"{ml:,.0f} ml" if ml >= 10 else f"{ml:.2g} ml"
