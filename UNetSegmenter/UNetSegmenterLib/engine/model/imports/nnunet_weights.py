"""Checkpoints of nnU-Net: weights under the names of our networks, and what else prediction needs of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...io.geometry import sizes_text
from ..architectures import NetworkDescription, build_network
from ..tensor_file import read_tensor_file

if TYPE_CHECKING:
    from torch import Tensor

_PREFIXES = ("module.", "_orig_mod.")  # of weights saved by several GPUs, or compiled
# nnU-Net's decoder keeps the encoder, and each block its layers, under a second name; deep supervision has heads of its own.
_SECOND_NAMES = re.compile(r"decoder\.encoder\.|.*\.all_modules\.")
_HEADS = re.compile(r"decoder\.seg_layers\.")


@dataclass(frozen=True)
class TrainedFold:
    """One checkpoint of nnU-Net.

    Args:
        configuration: its name in the plans.
        trainer: name of the trainer's class.
        mirror_axes: along which slices may be mirrored, 0 rows and 1 columns.
        epochs: that were trained.
        weights: state dict as nnU-Net wrote it.
    """

    configuration: str
    trainer: str
    mirror_axes: tuple[int, ...]
    epochs: int | None
    weights: Mapping[str, Tensor] = field(repr=False)


def read_fold(path: Path, shown: str) -> TrainedFold:
    """Read a checkpoint without running what may be in it.

    Args:
        path: the file.
        shown: what messages call it, such as "heart.zip/fold_0/checkpoint_final.pth".

    Raises:
        InputError: it is damaged, holds code, or is no checkpoint of nnU-Net v2.
    """
    import torch

    try:
        content = read_tensor_file(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), shown)) from error
    weights = content.get("network_weights") if isinstance(content, Mapping) else None
    arguments = content.get("init_args") if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not isinstance(arguments, Mapping):
        raise InputError(
            f"{shown} is a PyTorch file but no checkpoint of nnU-Net v2 (network_weights and init_args are expected)."
        )
    if not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise InputError(f"{shown} has weights that are not tensors; a checkpoint of nnU-Net v2 is expected.")
    axes = content.get("inference_allowed_mirroring_axes")
    axes = tuple(axes) if isinstance(axes, (list, tuple)) else ()
    if not all(axis in (0, 1) for axis in axes) or len(set(axes)) != len(axes):
        raise InputError(f"{shown} allows mirroring along the axes {axes}; 0 and 1 are the axes of a 2D network.")
    epochs = content.get("current_epoch")
    return TrainedFold(
        str(arguments.get("configuration", "2d")),
        str(content.get("trainer_name", "unknown")),
        axes,
        epochs if type(epochs) is int and 0 <= epochs < 10**9 else None,
        weights,
    )


def fitted_weights(fold: TrainedFold, network: NetworkDescription, shown: str) -> dict[str, Tensor]:
    """The weights under the names of our network, each of them once.

    Args:
        fold: see `read_fold`.
        network: what the plans describe.
        shown: what messages call the checkpoint.

    Raises:
        InputError: they are not those of this network, as after training with another one.
    """
    found = {_without_prefix(name): tensor for name, tensor in fold.weights.items()}
    expected = {name: tensor.shape for name, tensor in build_network(network, device="meta").state_dict().items()}
    fitted = {name: tensor for name, tensor in found.items() if name in expected}
    others = {
        name for name in found if name not in expected and not _SECOND_NAMES.match(name) and not _HEADS.match(name)
    }
    reason = ""
    if others:
        reason = f'it has "{min(others)}", which that network has not'
    elif missing := sorted(set(expected) - set(fitted)):
        reason = f'it has no "{missing[0]}"'
    elif wrong := [name for name in fitted if fitted[name].shape != expected[name]]:
        name = wrong[0]
        reason = f'"{name}" is {sizes_text(fitted[name].shape)} where {sizes_text(expected[name])} is expected'
    if reason:
        raise InputError(
            f"{shown} was trained by {fold.trainer[:100]} and does not fit the network {network.architecture} of its plans.json "
            f"({reason}); a trainer with a network of its own can be imported through ONNX (see docs/import.md)."
        )
    return fitted


def parameters_of_trainer(fold: TrainedFold, parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the network, with what nnU-Net's own trainer nnUNetTrainerBN changes in those of the plans."""
    if fold.trainer == "nnUNetTrainerBN":
        return parameters | {"norm_op": "BatchNorm2d", "norm_op_kwargs": {"eps": 1e-5, "affine": True}}
    return parameters


def _without_prefix(name: str) -> str:
    for prefix in _PREFIXES:
        name = str(name).removeprefix(prefix)
    return name
