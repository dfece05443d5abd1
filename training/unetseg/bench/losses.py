"""What each loss gives on the same data, seed and steps.

    python -m unetseg.bench.losses [PACK] [--steps 300] [--seeds 1]

Without PACK, synthetic hearts are written to a temporary folder. The table holds the mean Dice of the validation cases'
whole volumes, of the averaged weights after the last step.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.checkpoint import read_card

from ..datasets import read_dataset
from ..losses import LOSSES
from ..pack import Pack, read_pack
from ..phantom import write_phantoms
from ..prepare import prepare
from ..recipe import Recipe
from ..train import train

SMALL = Recipe(
    steps=300, batch_size=8, patch=(64, 64), base_width=8, depth=3, learning_rate=5e-3, ema=0.95, input_slices=1
)


def hearts(folder: Path) -> Pack:
    """Eight hearts of 24 slices of 64 x 64 pixels, two of them for validation."""
    write_phantoms(folder / "hearts", 8, seed=1, shape=(24, 64, 64))
    prepare(read_dataset(folder / "hearts"), folder / "pack", window_hu=(-150.0, 550.0), validation=2)
    return read_pack(folder / "pack")


def rows(pack: Pack, recipe: Recipe, seeds: int, folder: Path, device: str) -> Iterator[tuple[str, list[float], float]]:
    """Loss, Dice of each structure (mean over cases and seeds), seconds a run."""
    for name in LOSSES:
        began = time.perf_counter()
        dice = []
        for seed in range(seeds):
            card = read_card(
                train(
                    pack,
                    folder / f"{name}-{seed}",
                    replace(recipe, loss=name, seed=seed),
                    device,
                    validate_every=recipe.steps,
                    save_every=recipe.steps,
                )
            )
            dice.append([part["dice"].get("mean", float("nan")) for part in card.validation.values()])
        yield name, np.nanmean(dice, axis=0).tolist(), (time.perf_counter() - began) / seeds


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m unetseg.bench.losses", description=__doc__.split("\n")[0])
    parser.add_argument("pack", nargs="?", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        pack = read_pack(options.pack) if options.pack else hearts(Path(folder))
        base = Recipe() if options.pack else SMALL
        names = [structure.name for structure in pack.structures]
        print("| Loss | mean | " + " | ".join(names) + " | seconds |", flush=True)
        print("|---" * (len(names) + 3) + "|")
        for name, dice, seconds in rows(
            pack, replace(base, steps=options.steps), options.seeds, Path(folder), options.device
        ):
            cells = " | ".join(f"{value:.3f}" for value in dice)
            print(f"| `{name}` | {np.nanmean(dice):.3f} | {cells} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
