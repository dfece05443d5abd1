"""Checkpoint files for tests: untrained networks that are whole, and files that are not."""

from __future__ import annotations

import pickle
import zipfile


class Bomb:
    """Runs code when it is unpickled: a checkpoint that holds it must be refused without doing so."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return (open, (self.trace, "w"))


def write_checkpoints(folder):
    """Paths by name: good, slow, other, and one for every way in which a file can be wrong."""
    import torch
    from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, known_structure
    from UNetSegmenterLib.engine.model.architectures import unet
    from UNetSegmenterLib.engine.model.card import Card
    from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint
    from UNetSegmenterLib.engine.model.network import UNet
    from UNetSegmenterLib.engine.model.normalisation import window
    from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

    def network(classes, width, depth):
        torch.manual_seed(0)
        return UNet(1, classes, width, depth).state_dict()

    validation = {
        structure.name: {"dice": {"mean": 0.9 - 0.03 * structure.index, "sd": 0.02 + 0.01 * structure.index, "n": 4}}
        for structure in ABDOMEN8
    }
    abdomen = Card(
        "Abdomen, 8 organs (untrained test network)",
        unet(1, 9, 4, 2),
        tuple(ABDOMEN8),
        Preprocessing((1.5, 1.5), window(-125.0, 275.0), size_multiple=4),
        description="Portal venous CT of the abdomen.",
        data_licence="research use",
        training={"data_set": "abdomen8", "cases": [f"case{i:04d}" for i in range(10)], "date": "2026-11-23"},
        validation=validation,
    )
    pair = tuple(known_structure(name, i, (i,)) for i, name in enumerate(("liver", "spleen"), start=1))
    slow = Card("Slow", unet(1, 3, 12, 3), pair, Preprocessing((0.8, 0.8), window(-200.0, 300.0), size_multiple=8))
    other = Card(
        "Two organs", unet(1, 3, 4, 2), pair, Preprocessing((3.0, 3.0), window(-200.0, 300.0), size_multiple=4)
    )
    paths = {name: folder / f"{name}.pt" for name in ("good", "slow", "other")}
    save_checkpoint(paths["good"], abdomen, network(9, 4, 2))
    background = network(3, 12, 3)
    background["exit.bias"][0] = 100.0  # finds nothing: surfaces of noise would take longer than the run
    save_checkpoint(paths["slow"], slow, background)
    liver = network(3, 4, 2)
    liver["exit.bias"][1] = 100.0  # finds liver everywhere
    save_checkpoint(paths["other"], other, liver)
    paths["spaces and letters"] = folder / "mödel für Bauch é 腹部.pt"
    paths["spaces and letters"].write_bytes(paths["good"].read_bytes())
    return paths | _bad(folder, paths["good"], torch)


def _bad(folder, good, torch):
    content = torch.load(good, weights_only=True)
    paths = {
        name: folder / f"{name}.pt"
        for name in ("text", "truncated", "code", "no card", "contradiction", "newer", "foreign")
    }
    paths["text"].write_text("not a network")
    paths["truncated"].write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    torch.save({"format": 1, "card": content["card"], "weights": Bomb(folder / "code ran")}, paths["code"])
    torch.save({name: part for name, part in content.items() if name != "card"}, paths["no card"])
    torch.save(
        content | {"card": content["card"].replace('"base_width": 4', '"base_width": 8')}, paths["contradiction"]
    )
    torch.save(content | {"format": 3}, paths["newer"])
    torch.save({"state_dict": content["weights"]}, paths["foreign"])
    paths["missing"] = folder / "not there.pt"
    paths["folder"] = folder / "a folder.pt"
    paths["folder"].mkdir()
    paths["trace"] = folder / "code ran"
    assert pickle and zipfile.is_zipfile(paths["code"])
    return paths


_LESS_THAN = {"slices": ((0, 1, 1), (2, 1, 1)), "rows": ((1, 0, 1), (1, 2, 1)), "columns": ((1, 1, 0), (1, 1, 2))}
_DIRECTIONS = {  # what runs from right to left, front to back, foot to head in the slices of each axis
    "axial": ("columns", "rows", "slices"),
    "coronal": ("columns", "slices", "rows"),
    "sagittal": ("slices", "columns", "rows"),
}


def write_directional_checkpoint(path, axis="axial"):
    """A network, with weights set by hand, whose labels tell in which direction of the patient a scan grows brighter.

    Classes 1 to 6: towards right, left, front, back, foot and head; 0 where it is even. So a result shows whether the network
    saw the scan turned or mirrored, its slices in reverse, or whether its labels were put back at another position.
    """
    import torch
    from UNetSegmenterLib.engine.labels.structures import ABDOMEN8
    from UNetSegmenterLib.engine.model.architectures import unet
    from UNetSegmenterLib.engine.model.card import Card
    from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint
    from UNetSegmenterLib.engine.model.network import UNet
    from UNetSegmenterLib.engine.model.normalisation import window
    from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

    network = UNet(3, 7, 6, 1)
    weights = {
        name: torch.zeros_like(one) if one.is_floating_point() else one for name, one in network.state_dict().items()
    }
    for name, one in weights.items():
        if name.endswith(("running_var", "weight")) and one.ndim == 1:
            one.fill_(1)  # batch normalisation that changes nothing
    first = weights["entry.0.weight"]  # (features, slices, rows, columns)
    for feature, along in enumerate(_DIRECTIONS[axis]):
        low, high = _LESS_THAN[along]
        if along == "rows" and axis != "axial":  # they run from head to foot
            low, high = high, low
        first[2 * feature][low], first[2 * feature][high] = 1, -1
        first[2 * feature + 1][low], first[2 * feature + 1][high] = -1, 1
    for feature in range(6):
        for convolution in ("entry.3", "up.0.convolutions.0", "up.0.convolutions.3"):
            weights[f"{convolution}.weight"][feature, feature, 1, 1] = (
                1  # the skip comes first, what comes up counts nothing
            )
        weights["exit.weight"][feature + 1, feature] = 1
    weights["exit.bias"][0] = 0.02
    pixels, distance_mm = ((1.5, 1.5), 3.0) if axis == "axial" else (None, None)
    preprocessing = Preprocessing(pixels, window(-200.0, 300.0), 3, distance_mm, size_multiple=2, axis=axis)
    card = Card("Directions", unet(3, 7, 6, 1), tuple(ABDOMEN8[:6]), preprocessing)
    save_checkpoint(path, card, weights, half=False)
    return path
