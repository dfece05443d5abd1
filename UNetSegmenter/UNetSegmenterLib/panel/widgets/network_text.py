"""A network in words: its architecture, how many folds, what runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ARCHITECTURES = {
    "UNet": "2D U-Net",
    "PlainConvUNet": "nnU-Net (PlainConvUNet)",
    "ResidualEncoderUNet": "nnU-Net (ResidualEncoderUNet)",
    "ONNX": "ONNX",
}


def network_text(network: dict[str, Any], folds: int = 1) -> str:
    """The network of a card (plain JSON) in words, with the number of folds if there is more than one."""
    name = str(network.get("architecture") or "")
    parts = [ARCHITECTURES.get(name, name), *_details(name, network.get("parameters") or {})]
    if folds > 1:
        parts.append(f"ensemble of {folds} folds")
    return ", ".join(part for part in parts if part)


def _details(name: str, parameters: dict[str, Any]) -> list[str]:
    if name == "UNet":
        return [f"width {parameters.get('base_width')}", f"depth {parameters.get('depth')}"]
    if name == "ONNX":
        size = parameters.get("size")
        return [f"{size[0]} x {size[1]} pixels" if size else "any size", "on ONNX Runtime"]
    features = parameters.get("features_per_stage")
    if isinstance(features, Sequence) and not isinstance(features, str) and features:
        return [f"{len(features)} stages of {features[0]} to {max(features)} features"]
    stages = parameters.get("n_stages")
    return [f"{stages} stages"] if stages else []
