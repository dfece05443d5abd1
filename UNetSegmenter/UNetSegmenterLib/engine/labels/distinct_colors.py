"""Colours that one can tell apart, for views, pictures and reports; the structures themselves keep Slicer's colours.

The colours are those of published palettes for all kinds of colour vision: M. Okabe and K. Ito, "Color Universal Design", 2008
(jfly.uni-koeln.de/color), and P. Tol, "Colour Schemes", technical note SRON/EPS/TN/09-002, 2021, without those that a
dichromat sees as a grey, which a scan is full of, and without the darkest. tools/choose_colors.py chose which structure gets
which, by the differences that color_difference.py measures: organs that touch are at least 0.22 apart in the abdomen and 0.16
in the heart for every kind of colour vision, where Slicer's own liver and stomach are 0.005 apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from .color_difference import Color, smallest_differences
from .structures import canonical_name

# fmt: off
PALETTE: dict[str, Color] = {
    # Okabe and Ito
    "orange": (230, 159, 0), "sky blue": (86, 180, 233), "bluish green": (0, 158, 115), "yellow": (240, 228, 66),
    "blue": (0, 114, 178), "vermillion": (213, 94, 0),
    # Tol: bright, vibrant, muted, light
    "bright blue": (68, 119, 170), "bright cyan": (102, 204, 238), "bright green": (34, 136, 51), "bright yellow": (204, 187, 68),
    "vibrant orange": (238, 119, 51), "vibrant cyan": (51, 187, 238), "vibrant magenta": (238, 51, 119),
    "vibrant red": (204, 51, 17), "muted sand": (221, 204, 119), "muted green": (17, 119, 51), "muted cyan": (136, 204, 238),
    "muted olive": (153, 153, 51), "muted purple": (170, 68, 153), "light blue": (119, 170, 221), "light cyan": (153, 221, 255),
    "light pear": (187, 204, 51), "light olive": (170, 170, 0), "light yellow": (238, 221, 136), "light orange": (238, 136, 102),
}
COLORS: dict[str, str] = {
    "aorta": "vibrant magenta", "gallbladder": "light pear", "left kidney": "light blue",
    "right kidney": "vibrant orange", "liver": "light cyan", "pancreas": "vibrant red", "spleen": "light yellow",
    "stomach": "blue", "left ventricular myocardium": "muted sand", "left atrium": "muted green",
    "left ventricle": "bright blue", "right atrium": "yellow", "right ventricle": "bluish green",
    "ascending aorta": "light olive", "pulmonary artery": "muted cyan", "left adrenal gland": "muted olive",
    "right adrenal gland": "muted sand", "left lung": "sky blue", "right lung": "light pear", "bladder": "yellow",
    "brain": "vermillion", "colon": "vibrant red", "duodenum": "vibrant cyan", "esophagus": "orange", "heart": "blue",
    "prostate": "muted purple", "small intestine": "light orange", "spinal cord": "muted olive",
    "trachea": "bright green", "uterus": "bright cyan", "pulmonary vein": "bright yellow",
    "inferior vena cava": "bright green", "superior vena cava": "muted green", "portal vein": "muted purple",
    "splenic vein": "light orange",
}
"""Names in PALETTE by structure, as tools/choose_colors.py prints them."""
# fmt: on


def distinct_colors(names: Iterable[str]) -> list[Color]:
    """A colour for each of some structures that are shown together, in their order.

    A structure of the table has the same colour among whatever others, unless one before it has that already. All others,
    and those, get what is least used and then farthest from what is used, for the eyes that tell the least apart.
    """
    palette = list(PALETTE)
    differences = smallest_differences(list(PALETTE.values()))
    used: list[int] = []
    chosen: list[int | None] = []
    for name in names:
        color = COLORS.get(canonical_name(name))
        index = palette.index(color) if color is not None else None
        chosen.append(index if index not in used else None)
        used += [index] if index is not None and index not in used else []
    for position, index in enumerate(chosen):
        if index is None:
            least = min(used.count(one) for one in range(len(palette)))
            free = [one for one in range(len(palette)) if used.count(one) == least]
            farthest = max(free, key=lambda one: min(differences[one, used], default=0.0))
            chosen[position] = farthest
            used.append(farthest)
    return [PALETTE[palette[index]] for index in chosen if index is not None]
