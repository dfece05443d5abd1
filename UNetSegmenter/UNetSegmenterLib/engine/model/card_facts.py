"""A card in words, for the panel and for the terminal: what the network reads, is, was trained on and measured on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ..counting import counted
from ..io.slicing import STORED
from ..io.volume import HU
from .card import Card
from .postprocessing_steps import postprocessing_text
from .preprocessing import Preprocessing

ARCHITECTURES = {
    "UNet": "2D U-Net",
    "PlainConvUNet": "nnU-Net (PlainConvUNet)",
    "ResidualEncoderUNet": "nnU-Net (ResidualEncoderUNet)",
    "ONNX": "ONNX",
}


_FORMER_CROSS_VALIDATION = re.compile(
    r"(\d+) networks of \d+ steps, trained (?:in the same way|with (.*) of the checkpoint), each without the patients"
)
_FORMER_DIFFERENCE = re.compile(r"(\w+) (.+?) for (.+?)(?:, (?=[a-z_]+ )|$)")


def network_text(network: dict[str, Any], folds: int = 1) -> str:
    """The network of a card (plain JSON) in words, with the number of its networks if there is more than one."""
    name = str(network.get("architecture") or "")
    parts = [ARCHITECTURES.get(name, name), *_details(name, network.get("parameters") or {})]
    if folds > 1:
        parts.append(f"ensemble of {folds} networks")
    return ", ".join(part for part in parts if part)


def _details(name: str, parameters: dict[str, Any]) -> list[str]:
    if name == "UNet":
        skips = parameters.get("skip_connections", True)
        sizes = [f"width {parameters.get('base_width')}", f"depth {parameters.get('depth')}"]
        return sizes if skips else [*sizes, "no skip connections"]
    if name == "ONNX":
        size = parameters.get("size")
        return [f"{size[0]} x {size[1]} pixels" if size else "any size", "on ONNX Runtime"]
    features = parameters.get("features_per_stage")
    if isinstance(features, Sequence) and not isinstance(features, str) and features:
        return [f"{len(features)} stages of {features[0]} to {max(features)} features"]
    stages = parameters.get("n_stages")
    return [f"{stages} stages"] if stages else []


def dice_text(validation: Any) -> str:
    """ "0.91 ± 0.03 (n = 4)" of one structure's validation entry; empty where none was recorded."""
    dice = validation.get("dice") if isinstance(validation, dict) else None
    if not isinstance(dice, dict) or not _is_number(dice.get("mean")):
        return ""
    deviation = f" ± {dice['sd']:.2f}" if _is_number(dice.get("sd")) else ""
    n = f" (n = {dice['n']})" if dice.get("n") is not None else ""
    return f"{dice['mean']:.2f}{deviation}{n}"


def training_facts(card: Card) -> list[tuple[str, str]]:
    """What the network was trained and measured on, as names and texts."""
    training = card.training
    facts = []
    cases = training.get("cases")
    count = len(cases) if isinstance(cases, list) else cases
    data = " ".join(filter(None, [str(training.get("data_set") or ""), f"({counted(count, 'scan')})" if count else ""]))
    if data:
        facts.append(("Trained on", data))
    parent = training.get("started_from")
    if isinstance(parent, dict) and parent.get("title"):
        facts.append(("Begun from", _parent(parent, training.get("seen_cases"))))
    overall = card.validation.get("all")
    if isinstance(overall, dict) and overall.get("cases"):
        names = [str(case) for case in overall["cases"]]
        measured = _present_text(str(overall.get("measured", "this checkpoint")))
        facts.append(("Measured on", f"{counted(len(names), 'scan')} ({', '.join(names)}) with {measured}"))
    if training.get("date"):
        facts.append(("Date", str(training["date"])))
    if card.data_licence:
        facts.append(("Data licence", card.data_licence))
    return facts


def cross_validation_text(networks: int | str, differences: Iterable[Sequence[object]]) -> str:
    """How a checkpoint of all patients was measured: by other networks, each on patients that are new to it.

    Args:
        networks: number of the networks.
        differences: name, value and the checkpoint's value of each entry in which their training configuration differs.
    """
    other = ", ".join(f"{name} {value} instead of {own}" for name, value, own in differences)
    return (
        f"{networks} networks, each on the patients that it was not trained on (cross-validation at the network's grid, before "
        "postprocessing); they were trained like this checkpoint" + (f", but with {other}" if other else "")
    )


def _present_text(measured: str) -> str:
    """The sentence on a cross-validation as it is written now, where the card has that of version 0.1."""
    former = _FORMER_CROSS_VALIDATION.match(measured)
    if former is None:
        return measured
    return cross_validation_text(former[1], _FORMER_DIFFERENCE.findall(former[2] or ""))


def _parent(parent: dict[str, Any], seen: Any) -> str:
    """The checkpoint whose weights training began with, and how many more scans its ancestors had been trained on."""
    more = [one for one in seen or () if one.get("generation", 0) > 0 and one.get("role") == "trained"]
    others = f", trained on {counted(len(more), 'other scan')}" if more else ""
    return f"{parent['title']}{others}"


def input_facts(card: Card, folds: int = 1) -> list[tuple[str, str]]:
    """What the network reads and is, and what follows it, as names and texts."""
    preprocessing, network = card.preprocessing, card.network
    neighbours = "" if network.input_slices == 1 else f", {network.input_slices} neighbouring slices"
    axes = {"axial": "", STORED: ", slices as they are stored"}
    axis = axes.get(preprocessing.axis, f", {preprocessing.axis} slices")
    facts = [
        ("Reads", f"{preprocessing.pixels_text()}, {_values(preprocessing)}{neighbours}{axis}"),
        ("Network", network_text(asdict(network), folds)),
    ]
    if preprocessing.normalisation.name != "window":
        facts.append(("Normalised", preprocessing.normalisation.text()))
    if preprocessing.mirror_axes:
        facts.append(("Mirroring", f"possible, {2 ** len(preprocessing.mirror_axes)} times as slow"))
    if card.postprocessing:
        names = {structure.index: structure.name for structure in card.structures}
        facts.append(("Afterwards", postprocessing_text(card.postprocessing, names)))
    return facts


def _values(preprocessing: Preprocessing) -> str:
    if preprocessing.window_hu is None:
        return "HU" if preprocessing.intensities == HU else "any intensities"
    low, high = preprocessing.window_hu
    return f"{low:g} to {high:g} HU"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
