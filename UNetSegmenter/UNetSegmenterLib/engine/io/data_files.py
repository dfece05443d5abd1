"""Names of data files that a header gives as a pattern, as NRRD and MetaImage do alike."""

from __future__ import annotations

import re


def numbered(text: str, slices: int) -> list[str]:
    """File names of "slice%03d.raw FIRST LAST STEP", at most one per slice; empty if `text` is no such pattern."""
    match = re.fullmatch(r"(.*%0?\d*d.*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(\s+\d+)?", text.strip())
    if match is None or int(match[4]) == 0:
        return []
    first, last, step = (int(match[place]) for place in (2, 3, 4))
    numbers = range(first, last + (1 if step > 0 else -1), step)
    return [match[1] % number for number in numbers][: max(1, slices)]
