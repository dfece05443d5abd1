"""The networks that a card can name, each by its own file.

| architecture | file | parameters |
|---|---|---|
| `UNet` | network.py | `base_width`, `depth`; `skip_connections`, true where it is left out |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..plain_data import violation

if TYPE_CHECKING:
    from torch import nn

UNET, PLAIN_CONV_UNET, RESIDUAL_ENCODER_UNET, ONNX = "UNet", "PlainConvUNet", "ResidualEncoderUNet", "ONNX"
_UNET_PARAMETERS = {
    "type": "object",
    "required": ["base_width", "depth"],
    "properties": {
        "base_width": {"type": "integer", "minimum": 1, "maximum": 512},
        "depth": {"type": "integer", "minimum": 1, "maximum": 8},
        "skip_connections": {"type": "boolean"},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True)
class NetworkDescription:
    """A network by name.

    Args:
        architecture: its name, see the top of this file.
        input_slices: neighbouring slices given as channels (1, 3 or 5).
        classes: structures and background.
        parameters: of the architecture.
    """

    architecture: str
    input_slices: int
    classes: int
    parameters: dict[str, Any] = field(default_factory=dict)


def unet(
    input_slices: int, classes: int, base_width: int, depth: int, skip_connections: bool = True
) -> NetworkDescription:
    """Description of `network.UNet`; one with skip connections is described as before there was a choice."""
    parameters: dict[str, Any] = {"base_width": base_width, "depth": depth}
    if not skip_connections:
        parameters["skip_connections"] = False
    return NetworkDescription(UNET, input_slices, classes, parameters)


def check_unet_parameters(parameters: dict[str, Any]) -> None:
    """Raise InputError for parameters that a `UNet` can't have."""
    if problem := violation(parameters, _UNET_PARAMETERS, "card.network.parameters"):
        raise InputError(f'The card breaks its schema for the architecture "{UNET}": {problem}')


def build_network(description: NetworkDescription, device: str = "cpu") -> nn.Module:
    """The network of a card, with weights of no meaning.

    Args:
        description: architecture and parameters.
        device: where its weights are; "meta" for their names and shapes alone.

    Raises:
        InputError: the parameters are not those of the architecture.
    """
    import torch

    with torch.device(device):
        if description.architecture == UNET:
            from .network import UNet

            check_unet_parameters(description.parameters)
            return UNet(description.input_slices, description.classes, **description.parameters)
        if description.architecture in (PLAIN_CONV_UNET, RESIDUAL_ENCODER_UNET):
            from . import nnunet_networks

            network = getattr(nnunet_networks, description.architecture)
            return network(description.input_slices, description.classes, description.parameters)
    raise InputError(f'The architecture "{description.architecture}" can\'t be built from a card.')
