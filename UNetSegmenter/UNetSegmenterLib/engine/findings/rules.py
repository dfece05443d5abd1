"""Every quantity, the check it belongs to, and how it is judged; docs/plausibility.md prints this table."""

from __future__ import annotations

from .finding import WARN
from .quantity import Rule

CHECKS = (
    "presence",
    "components",
    "cavities",
    "continuity",
    "cut face",
    "border",
    "tissue",
    "volume",
    "extent",
    "position",
    "order",
    "neighbours",
    "containment",
    "confidence",
)

RULES: dict[str, Rule] = {
    "pieces": Rule("components", "connected pieces", floor=0.15, sides="high", absolute=(1.5, 5.5), counts="piece"),
    "specks": Rule(
        "components",
        "volume apart from the main body{detail}",
        "ml",
        log=True,
        offset=0.05,
        floor=0.25,
        sides="high",
        absolute=(0.2, None),
        most=WARN,
    ),
    "speck share": Rule(
        "components",
        "share of it apart from the main body{detail}",
        "%",
        floor=0.007,
        sides="high",
        absolute=(0.02, 0.05),
        scale=100,
    ),
    "cavities": Rule(
        "cavities", "hollow space inside", "ml", log=True, offset=0.05, floor=0.5, sides="high", absolute=(0.3, 5)
    ),
    "gaps": Rule(
        "continuity", "empty slices in the middle", floor=0.15, sides="high", absolute=(0.5, 2.5), counts="empty slice"
    ),
    "overlap": Rule(
        "continuity", "smallest Dice of neighbouring slices", floor=0.06, sides="low", absolute=(0.1, None)
    ),
    "jump": Rule("continuity", "largest change of area between slices", floor=0.06, sides="high", absolute=(0.7, None)),
    "cut": Rule("cut face", "flat end on the {detail} side", floor=0.06, sides="high", absolute=(0.85, None)),
    "border": Rule(
        "border",
        "leaves the scan on the {detail} side with",
        floor=0.05,
        sides="high",
        absolute=(0.05, None),
        most=WARN,
    ),
    "hu": Rule("tissue", "median HU", "HU", floor=15),
    "spread": Rule(
        "tissue", "range of HU without the outer tenths", "HU", log=True, offset=20, floor=0.12, sides="high"
    ),
    "drift": Rule("tissue", "correlation of HU with {detail}", floor=0.06),
    "low hu": Rule(
        "tissue", "voxels far darker than its median", "%", log=True, offset=0.02, floor=0.3, sides="high", scale=100
    ),
    "high hu": Rule(
        "tissue", "voxels far brighter than its median", "%", log=True, offset=0.02, floor=0.3, sides="high", scale=100
    ),
    "gas": Rule("tissue", "voxels of air or lung", "%", sides="high", absolute=(0.05, 0.3), scale=100),
    "edge": Rule(
        "tissue",
        "border voxels where the tissue goes on",
        "%",
        log=True,
        offset=0.05,
        floor=0.15,
        sides="high",
        scale=100,
    ),
    "volume": Rule("volume", "volume", "ml", log=True, floor=0.15, sized=True),
    "relative volume": Rule("volume", "volume against the other structures' median", "times", log=True, floor=0.15),
    "extent": Rule("extent", "{detail}", "mm", log=True, floor=0.08, sized=True),
    "form": Rule("extent", "{detail} for its volume", log=True, floor=0.06),
    "position": Rule("position", "{detail} against where the other structures place it", "mm", floor=4, sized=True),
    "in body": Rule("position", "place along the body's {detail}", "%", floor=0.02, scale=100),
    "order": Rule("order", "distance in the learnt direction", "mm", floor=1, sides="low"),
    "arrangement": Rule("order", "agreement of all structures' order", floor=0.05, sides="low"),
    "contact": Rule(
        "neighbours", "share of surface shared with the {other}", "%", log=True, offset=0.02, floor=0.35, scale=100
    ),
    "cover": Rule("containment", "share of surface on other structures", "%", floor=0.04, scale=100),
    "confidence": Rule(
        "confidence", "mean confidence at the boundary", "%", floor=0.03, sides="low", absolute=(0.6, 0.4), scale=100
    ),
}
