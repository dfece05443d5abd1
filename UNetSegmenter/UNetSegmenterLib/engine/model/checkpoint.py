"""Checkpoints: one `.pt` file holds weights and card, and is read without running any code in it."""

from __future__ import annotations

import hashlib
import logging
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..io.atomic_files import write_atomically
from ..io.geometry import sizes_text
from .architectures import ONNX, build_network
from .card import Card
from .onnx_graph import OnnxGraph, is_onnx, read_onnx, write_onnx
from .tensor_file import read_tensor_file

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = 2
READABLE_FORMATS = (1, 2)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that passed all checks: its card fits its weights.

    Args:
        card: what it segments and how.
        weights: state dict of each network, float16 as stored unless it was saved in full precision or float16 can't hold
            it; several networks are an ensemble, whose logits are averaged, and an ONNX file has none.
        path: the file.
        sha256: 64 hexadecimal digits over the whole file, or over those of all files.
        other_paths: further files of an ensemble that was put together from several.
    """

    card: Card
    weights: tuple[dict[str, Tensor], ...] = field(repr=False)
    path: Path
    sha256: str
    other_paths: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files of it."""
        return self.path, *self.other_paths

    def networks(self) -> list[nn.Module]:
        """The networks as float32, in evaluation mode: (B, input slices, H, W) -> logits (B, classes, H, W)."""
        if self.card.network.architecture == ONNX:
            return [_onnx_network(self)]
        networks = []
        for weights in self.weights:
            network = build_network(self.card.network)
            network.load_state_dict(weights)
            networks.append(network.float().eval())
        return networks

    def network(self) -> nn.Module:
        """The network of a checkpoint that has just one; raises InputError for an ensemble."""
        if len(self.weights) > 1:
            raise InputError(
                f"{self.path} holds {len(self.weights)} networks; a checkpoint of a single one is expected."
            )
        return self.networks()[0]


def save_checkpoint(
    path: Path | str, card: Card, weights: dict[str, Tensor] | Sequence[dict[str, Tensor]], half: bool = True
) -> None:
    """Write a checkpoint atomically.

    Args:
        path: the file.
        card: must fit the weights.
        weights: state dict of the network, or of each network of an ensemble.
        half: store floating point weights as float16, which halves the file; those that float16 can't hold stay float32.

    Raises:
        InputError: weights are not finite; nothing is written.
    """
    import torch

    card.check()
    _check_size(path, card, build_network(card.network, device="meta"))
    networks = [weights] if isinstance(weights, dict) else weights
    stored = [
        {name: _stored(path, name, tensor.detach().cpu(), half) for name, tensor in network.items()}
        for network in networks
    ]
    content = {"format": FORMAT, "card": card.to_json(), "weights": stored}

    def write(partial: Path) -> None:
        with partial.open("wb") as file:  # a path without an ending is none to torch
            torch.save(content, file)

    write_atomically(path, write)


def save_with_card(checkpoint: Checkpoint, card: Card, path: Path | str) -> None:
    """Write a copy of a checkpoint with another card; its network stays as it is, to the bit.

    Raises:
        InputError: the card breaks its schema, contradicts itself or the network, or the file can't be written.
    """
    try:
        Card.from_json(card.to_json())
    except InputError as error:
        raise InputError(f"{path} was not written: {error}") from error
    if card.network != checkpoint.card.network:
        raise InputError(
            f"{path} was not written: the new card describes another network than that of {checkpoint.path}."
        )
    if card.network.architecture != ONNX:
        save_checkpoint(path, card, checkpoint.weights, half=False)
        return
    if Path(path).suffix.lower() != ".onnx":
        raise InputError(f"{checkpoint.path} is an ONNX file and stays one; give the output the ending .onnx.")
    write_onnx(read_onnx(checkpoint.path), card.to_json(), path)


def _stored(path: Path | str, name: str, tensor: Tensor, half: bool) -> Tensor:
    import torch

    if not tensor.is_floating_point():
        return tensor.contiguous().clone()
    largest = tensor.abs().max().item() if tensor.numel() else 0.0  # not a number if one of them is not
    if not math.isfinite(largest):
        raise InputError(
            f'{path} was not written: "{name}" holds a value that is not finite: the training diverged. Train again with a '
            "lower learning rate."
        )
    fits = largest <= torch.finfo(torch.float16).max
    if half and not fits:
        logging.getLogger(__name__).warning(
            '%s: "%s" reaches %.3g, more than float16 holds (65,504), so it is kept in float32', path, name, largest
        )
    return (tensor.half() if half and fits else tensor).contiguous().clone()


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read and check a checkpoint; no code in the file is run.

    Raises:
        InputError: the file is missing, truncated, a pickle with code, of a newer format, without a card, or its card
            contradicts its weights.
    """
    path = Path(path)
    if is_onnx(path) or (path.suffix.lower() == ".onnx" and not zipfile.is_zipfile(path)):
        return _load_onnx(path)
    content = _checked_content(path, read_tensor_file(path))
    try:
        card = Card.from_json(content["card"])
    except InputError as error:
        raise InputError(f"{path} can't be used: {error}") from error
    weights = content["weights"] if content["format"] > 1 else [content["weights"]]
    _check_weights(path, card, weights)
    return Checkpoint(card, tuple(weights), path, _sha256(path))


def _load_onnx(path: Path) -> Checkpoint:
    """An ONNX file with its card; the graph stays in the file until a network is wanted."""
    from .onnx_network import check_card

    graph = read_onnx(path)
    if graph.card is None:
        raise InputError(
            f"{path} has no card, so it is unknown what it segments; Model > Import in the panel, or unetseg import, adds one."
        )
    try:
        card = Card.from_json(graph.card)
    except InputError as error:
        raise InputError(f"{path} can't be used: {error}") from error
    if card.network.architecture != ONNX:
        raise InputError(
            f'{path} has the card of a "{card.network.architecture}" network, not of an ONNX file; export it again.'
        )
    check_card(graph, card)
    return Checkpoint(card, (), path, _sha256_of(graph))


def _onnx_network(checkpoint: Checkpoint) -> nn.Module:
    from .onnx_network import OnnxNetwork

    graph = read_onnx(checkpoint.path)
    if _sha256_of(graph) != checkpoint.sha256:
        raise InputError(f"{checkpoint.path} was changed since it was opened; open it again.")
    return OnnxNetwork(graph, checkpoint.card.network)


def _sha256_of(graph: OnnxGraph) -> str:
    return hashlib.sha256(graph.content).hexdigest()


def read_card(path: Path | str) -> Card:
    """The card of a checkpoint; the file passes all checks of `load_checkpoint` first."""
    return load_checkpoint(path).card


def shipped_checkpoints() -> list[Path]:
    """The checkpoint files that come with the extension or with the wheel."""
    here = Path(__file__).resolve()
    folders = (here.parents[3] / "Resources" / "Models", here.parents[2] / "models")
    return sorted(path for folder in folders for path in folder.glob("*.pt"))


def _checked_content(path: Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or "weights" not in content or "format" not in content:
        raise InputError(
            f"{path} is a PyTorch file but no checkpoint of UNetSegmenter; if it is another software's model, import it "
            "(docs/import.md; in the panel Import...)."
        )
    found = content["format"]
    if type(found) is not int or found not in READABLE_FORMATS:
        found = str(found)[:20] if type(found) in (int, str) else type(found).__name__
        raise InputError(
            f"{path} has checkpoint format {found}, this version reads format 1 to {FORMAT}; update UNetSegmenter."
        )
    if not isinstance(content.get("card"), str):
        raise InputError(f"{path} has no card, so it is unknown what its weights segment; train or export it again.")
    return content


def _check_weights(path: Path, card: Card, networks: Any) -> None:
    import torch

    if not isinstance(networks, list) or not networks:
        raise InputError(f"{path} has no list of weights; one state dict per network is expected.")
    meta = build_network(card.network, device="meta")
    _check_size(path, card, meta)
    expected = {name: tensor.shape for name, tensor in meta.state_dict().items()}
    for weights in networks:
        if not isinstance(weights, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
            raise InputError(f"{path} has weights that are not tensors; a state dict is expected.")
        found = {name: tensor.shape for name, tensor in weights.items()}
        if found != expected:
            name = next(iter(sorted(set(expected.items()) ^ set(found.items()))))[0]
            raise InputError(
                f'{path} has a card that contradicts its weights: "{name}" is {_size(found.get(name))}, '
                f"the card's network expects {_size(expected.get(name))}."
            )
        if not all(torch.isfinite(tensor).all() for tensor in weights.values() if tensor.is_floating_point()):
            raise InputError(f"{path} has weights that are not finite: the training that wrote it diverged.")


def _check_size(path: Path | str, card: Card, network: Any) -> None:
    """Raise InputError if the network halves slices more often than their size allows; the card's check knows ours."""
    divisor = getattr(network, "divisor", (1, 1))
    size = card.preprocessing.patch_size or (card.preprocessing.size_multiple,) * 2
    if any(length % by for length, by in zip(size, divisor, strict=True)):
        raise InputError(
            f"{path}: the network takes slices of multiples of {sizes_text(divisor)} pixels by its strides, but the card gives "
            f"it {sizes_text(size)}; correct patch_size."
        )


def _size(shape: Any) -> str:
    return "absent" if shape is None else sizes_text(shape) or "a single number"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
