"""Draw the pictures of docs/course anew: python -m tools.course_pictures [PICTURE...]

Without names all are drawn; those of losses and training train small networks, which takes some minutes. The sample scan is
fetched once, as `unetseg demo` does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import convolution_pictures, judgement_pictures, network_drawing, run_pictures, scan_pictures

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "course" / "pictures"
PICTURES: dict[str, Callable[[Path], None]] = {
    **scan_pictures.PICTURES,
    **convolution_pictures.PICTURES,
    **network_drawing.PICTURES,
    **run_pictures.PICTURES,
    **judgement_pictures.PICTURES,
}


def main(arguments: Sequence[str]) -> None:
    """Draw the named pictures, or all."""
    unknown = [name for name in arguments if name not in PICTURES]
    if unknown:
        raise SystemExit(f"There is no picture {unknown[0]}; there are: {', '.join(PICTURES)}")
    FOLDER.mkdir(exist_ok=True)
    for name in arguments or PICTURES:
        PICTURES[name](FOLDER / name)
        print(FOLDER / name)


if __name__ == "__main__":
    main(sys.argv[1:])
