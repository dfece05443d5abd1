"""Choose the table of engine/labels/distinct_colors.py: structures that touch get colours that are far apart.

    python tools/choose_colors.py

prints a table for that file, with the smallest differences that it reaches. The same seed gives the same table. Colours come
from PALETTE there; those that a dichromat sees as a grey, or that are nearly black or white, are not in it.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "UNetSegmenter"))

from UNetSegmenterLib.engine.labels.color_difference import VISIONS, color_differences
from UNetSegmenterLib.engine.labels.distinct_colors import PALETTE
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, HEART, known_names

Pair = tuple[str, str]

# Touch or lie within one voxel of each other. The first block was counted in the expert labels of 14 patients of the BTCV set
# (at least 3 of them), the second in the sample's reference (TotalSegmentator's 104 structures, 3 mm).
ABDOMEN_TOUCHES: tuple[Pair, ...] = (
    ("liver", "stomach"), ("gallbladder", "liver"), ("liver", "right kidney"), ("pancreas", "stomach"), ("spleen", "stomach"),
    ("left kidney", "spleen"), ("liver", "pancreas"), ("gallbladder", "stomach"), ("left kidney", "pancreas"),
    ("pancreas", "spleen"), ("gallbladder", "pancreas"),
)  # fmt: skip
SAMPLE_TOUCHES: tuple[Pair, ...] = (
    ("colon", "small intestine"), ("liver", "right lung"), ("colon", "liver"), ("bladder", "colon"), ("liver", "portal vein"),
    ("left lung", "spleen"), ("inferior vena cava", "liver"), ("colon", "stomach"), ("liver", "right adrenal gland"),
    ("colon", "gallbladder"), ("duodenum", "inferior vena cava"), ("pancreas", "portal vein"), ("bladder", "small intestine"),
    ("aorta", "duodenum"), ("duodenum", "gallbladder"), ("duodenum", "liver"), ("bladder", "prostate"), ("colon", "spleen"),
    ("duodenum", "small intestine"), ("left kidney", "small intestine"), ("inferior vena cava", "right adrenal gland"),
    ("duodenum", "pancreas"), ("inferior vena cava", "portal vein"), ("left adrenal gland", "portal vein"),
    ("aorta", "inferior vena cava"), ("left adrenal gland", "spleen"), ("duodenum", "stomach"), ("portal vein", "spleen"),
)  # fmt: skip
# What no data at hand show, from any anatomy book: the chambers and great vessels, the chest, the pelvis, the adrenal glands.
HEART_TOUCHES: tuple[Pair, ...] = (
    ("left ventricle", "left ventricular myocardium"), ("left atrium", "left ventricle"), ("ascending aorta", "left ventricle"),
    ("right atrium", "right ventricle"), ("pulmonary artery", "right ventricle"), ("left atrium", "right atrium"),
    ("left ventricular myocardium", "right ventricle"), ("left atrium", "left ventricular myocardium"),
    ("ascending aorta", "pulmonary artery"), ("ascending aorta", "right atrium"), ("ascending aorta", "left atrium"),
    ("left atrium", "pulmonary artery"), ("ascending aorta", "superior vena cava"), ("right atrium", "superior vena cava"),
    ("inferior vena cava", "right atrium"), ("left atrium", "pulmonary vein"), ("pulmonary artery", "pulmonary vein"),
    ("pulmonary artery", "superior vena cava"),
)  # fmt: skip
OTHER_TOUCHES: tuple[Pair, ...] = (
    ("heart", "left lung"), ("heart", "right lung"), ("heart", "liver"), ("esophagus", "trachea"), ("aorta", "esophagus"),
    ("esophagus", "heart"), ("esophagus", "stomach"), ("esophagus", "left atrium"), ("bladder", "uterus"), ("colon", "uterus"),
    ("colon", "prostate"), ("left adrenal gland", "left kidney"), ("right adrenal gland", "right kidney"),
    ("left kidney", "stomach"), ("duodenum", "right kidney"), ("colon", "right kidney"), ("colon", "left kidney"),
    ("portal vein", "splenic vein"), ("pancreas", "splenic vein"), ("spleen", "splenic vein"), ("left lung", "trachea"),
    ("right lung", "trachea"), ("aorta", "left lung"),
)  # fmt: skip
TOUCHES = (*ABDOMEN_TOUCHES, *SAMPLE_TOUCHES, *HEART_TOUCHES, *OTHER_TOUCHES)

ABDOMEN, CHAMBERS = [one.name for one in ABDOMEN8], [one.name for one in HEART]
SETS: tuple[tuple[str, ...], ...] = (  # what one segmentation holds together: BTCV, AMOS, chest
    (*ABDOMEN, "esophagus", "inferior vena cava", "portal vein", "splenic vein", "left adrenal gland", "right adrenal gland"),
    (*ABDOMEN, "esophagus", "inferior vena cava", "left adrenal gland", "right adrenal gland", "duodenum", "bladder", "prostate",
     "uterus"),
    ("left lung", "right lung", "heart", "trachea", "esophagus", "spinal cord", "aorta"),
)  # fmt: skip

# Wanted differences for the usual vision and for dichromats, and the weight of each shortfall: the longer the tighter.
WANTED: tuple[tuple[Iterable[Pair], float, float, float], ...] = (
    (itertools.combinations(known_names(), 2), 0.06, 0.03, 0.2),
    *((itertools.combinations(one, 2), 0.10, 0.06, 0.6) for one in SETS),
    (TOUCHES, 0.22, 0.16, 2.0),
    *((itertools.combinations(one, 2), 0.17, 0.12, 4.0) for one in (ABDOMEN, CHAMBERS)),
    (ABDOMEN_TOUCHES, 0.28, 0.20, 5.0),
    (HEART_TOUCHES, 0.24, 0.18, 2.0),
)


def requirements() -> tuple[list[np.ndarray], np.ndarray]:
    """Wanted differences per vision, each (structures, structures), and the weights of the pairs."""
    number = {name: index for index, name in enumerate(known_names())}
    wanted = [np.zeros((len(number),) * 2) for _ in VISIONS]
    weights = np.zeros((len(number),) * 2)
    for pairs, usual, dichromat, weight in WANTED:
        for first, second in pairs:
            at = (number[first], number[second])
            for where in (at, at[::-1]):
                for one, vision in zip(wanted, VISIONS, strict=True):
                    one[where] = max(one[where], usual if vision == "usual" else dichromat)
                weights[where] = max(weights[where], weight)
    return wanted, weights


def choose(seed: int, rounds: int = 20, steps: int = 6_000) -> list[str]:
    """Names in PALETTE by known structure: first for the abdomen, then for the heart, then for the others beside those."""
    random, names, known = np.random.default_rng(seed), list(PALETTE), list(known_names())
    differences = [color_differences(list(PALETTE.values()), vision) for vision in VISIONS]
    wanted, weights = requirements()
    table, settled = np.zeros(len(known), int), np.zeros(len(known), bool)

    def shortfall(colors: np.ndarray) -> float:
        short = np.zeros((len(colors),) * 2)
        for difference, want in zip(differences, wanted, strict=True):
            least = np.maximum(want[np.ix_(among, among)], 1e-9)
            short = np.maximum(short, np.clip(1 - difference[colors[:, None], colors] / least, 0, None))
        np.fill_diagonal(short, 0)
        return float((weights[np.ix_(among, among)] * short**4).sum())

    for stage in (ABDOMEN, CHAMBERS, known):
        free = np.array([known.index(name) for name in stage if not settled[known.index(name)]])
        among = np.union1d(free, np.flatnonzero(settled))
        moving, best = np.flatnonzero(np.isin(among, free)), np.inf
        for _ in range(rounds):
            colors = table[among]
            colors[moving] = random.integers(len(names), size=len(moving))
            now, heat = shortfall(colors), 0.1
            for _ in range(steps):
                changed = colors.copy()
                changed[random.choice(moving)] = random.integers(len(names))
                after = shortfall(changed)
                if after < now or random.random() < np.exp((now - after) / heat):
                    colors, now = changed, after
                heat = max(1e-5, heat * 0.9985)
            if now < best:
                best, found = now, colors
        table[among], settled[free] = found, True
    return [names[index] for index in table]


def closest(table: dict[str, str], pairs: Iterable[Pair], vision: str) -> tuple[float, Pair]:
    """The smallest difference among some pairs, and the pair."""
    found = []
    for pair in pairs:
        found.append((float(color_differences([PALETTE[table[name]] for name in pair], vision)[0, 1]), pair))
    return min(found)


def main() -> None:
    """Print the table and what it reaches."""
    table = dict(zip(known_names(), choose(int(sys.argv[1]) if len(sys.argv) > 1 else 1), strict=True))
    for name, color in table.items():
        print(f'    "{name}": "{color}",')
    groups = {"touching, abdomen": ABDOMEN_TOUCHES, "touching, heart": HEART_TOUCHES, "touching, all": TOUCHES}
    groups |= {"abdomen": [*itertools.combinations(ABDOMEN, 2)], "heart": [*itertools.combinations(CHAMBERS, 2)]}
    for title, pairs in groups.items():
        print(title, *(f"{vision}: {closest(table, pairs, vision)}" for vision in VISIONS), sep="\n  ")


if __name__ == "__main__":
    main()
