"""How far apart two colours are, also for eyes that lack one of the three kinds of cones.

Colours are compared as Euclidean distances in OKLab (B. Ottosson, "A perceptual color space for image processing", 2020:
bottosson.github.io/posts/oklab), after simulating how a dichromat sees them (G. M. Machado, M. M. Oliveira and L. A. F.
Fernandes, "A physiologically-based model for simulation of color vision deficiency", IEEE TVCG 15, 2009, severity 1). About
0.02 is the smallest difference that can be seen between two areas that touch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255 (sRGB)."""

VISIONS: dict[str, np.ndarray] = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""What a kind of colour vision makes of linear RGB."""

_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def oklab(colors: Sequence[Color], vision: str = "usual") -> np.ndarray:
    """Lightness (0 to 1), green to red, and blue to yellow of each colour as seen with this vision; shape (colours, 3)."""
    encoded = np.asarray(colors, dtype=np.float64).reshape(-1, 3) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISIONS[vision].T, 0.0, 1.0)
    return np.cbrt(seen @ _CONES.T) @ _LAB.T


def color_differences(colors: Sequence[Color], vision: str) -> np.ndarray:
    """Distances in OKLab of every two colours as seen with this vision; shape (colours, colours)."""
    seen = oklab(colors, vision)
    return np.linalg.norm(seen[:, None] - seen[None], axis=-1)


def smallest_differences(colors: Sequence[Color]) -> np.ndarray:
    """Distances in OKLab of every two colours for the eyes that see the least of them; shape (colours, colours)."""
    return np.min([color_differences(colors, vision) for vision in VISIONS], axis=0)
