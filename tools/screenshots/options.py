"""What the programs of all groups are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Where pictures go, and what can't be fetched or made.

    Attributes:
        output: Folder of the screenshots.
        nnunet: A trained 2d nnU-Net of the organs of abdomen8.
        abdomen8: The data set of the released checkpoint, in nnU-Net's layout.
    """

    output: Path
    nnunet: Path | None = None
    abdomen8: Path | None = None
