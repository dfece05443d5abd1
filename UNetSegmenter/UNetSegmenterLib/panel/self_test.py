"""What the module's self test needs and every Slicer with torch can make on the spot."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..engine.io.geometry import Geometry
from ..engine.io.volume import Volume
from ..engine.labels.structures import known_structure
from ..engine.model.architectures import unet
from ..engine.model.card import Card
from ..engine.model.normalisation import window
from ..engine.model.preprocessing import Preprocessing
from ..scene.nodes.volume_nodes import volume_to_node


def noise_volume(slices: int = 12) -> Any:
    """A small volume node of HU noise."""
    array = np.random.default_rng(0).integers(-1000, 1000, (slices, 48, 64)).astype(np.int16)
    return volume_to_node(Volume(array, Geometry(array.shape, (3.0, 1.5, 1.5)), "Noise"), slicer.mrmlScene)


@contextmanager
def tiny_checkpoint() -> Iterator[Path]:
    """A checkpoint of an untrained network of two structures, removed at the end."""
    import torch

    from ..engine.model.checkpoint import save_checkpoint
    from ..engine.model.network import UNet

    structures = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,)))
    card = Card(
        "Untrained", unet(1, 3, 4, 2), structures, Preprocessing((1.5, 1.5), window(-200.0, 300.0), size_multiple=4)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "untrained.pt"
        torch.manual_seed(0)
        save_checkpoint(path, card, UNet(1, 3, 4, 2).state_dict())
        yield path
