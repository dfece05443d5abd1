"""Networks as ONNX files, and the check that a file gives the logits of the network it was made from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.onnx_graph import first_line

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17  # of 2022: the first that holds every operator of a U-Net, and read by every runtime of the last years
INPUT, OUTPUT = "slices", "logits"
LARGEST_DIFFERENCE = 1e-3  # of logits, relative to the largest one: float32 sums in another order
SEED = 0


def export_network(
    network: nn.Module, path: Path, input_slices: int, size: tuple[int, int], is_size_fixed: bool, opset: int = OPSET
) -> None:
    """Trace a network to an ONNX file: "slices" (B, input_slices, H, W) -> "logits" (B, classes, H, W), any B.

    Args:
        network: in evaluation mode, on the CPU.
        path: the file.
        input_slices: channels of the input.
        size: rows and columns of the slices that it is traced with.
        is_size_fixed: whether the file takes slices of this size alone, instead of any that the network takes.
        opset: version of the operators.

    Raises:
        InputError: the network can't be traced, or gives no single tensor.
    """
    import torch

    slices = random_slices((2, input_slices, *size))
    with torch.inference_mode():
        _check_output(_called(network, slices), slices)
    axes = {0: "batch"} if is_size_fixed else {0: "batch", 2: "rows", 3: "columns"}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (slices,),
                str(path),
                dynamo=False,  # the other exporter needs further packages
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: axes, OUTPUT: axes},
            )
    except Exception as error:  # the exporter raises what it likes
        logging.debug("Export to ONNX failed", exc_info=True)
        raise InputError(
            f"The network can't be traced to ONNX with opset {opset} ({type(error).__name__}: {first_line(error)}); export it "
            "yourself, and import the file."
        ) from error


def _called(network: nn.Module, slices: Tensor) -> object:
    try:
        return network(slices)
    except Exception as error:
        raise InputError(
            f"The network fails on slices of {' x '.join(map(str, slices.shape))} ({type(error).__name__}: {first_line(error)}); "
            "check --network-arguments, and network.input_slices and preprocessing.size_multiple in the card."
        ) from error


def _check_output(output: object, slices: Tensor) -> None:
    import torch

    if not isinstance(output, torch.Tensor):
        raise InputError(
            f"The network returns a {type(output).__name__}; one tensor of logits is expected. Write a function that wraps it "
            "and returns the one at full size, and name that with --network."
        )
    if output.ndim != 4 or output.shape[0] != slices.shape[0] or output.shape[2:] != slices.shape[2:]:
        raise InputError(
            f"The network gives {' x '.join(map(str, output.shape))} for slices of {' x '.join(map(str, slices.shape))}; "
            "(slices, classes, rows, columns) of the same rows and columns are expected."
        )


@dataclass(frozen=True)
class Agreement:
    """How far an ONNX file and its network agree.

    Args:
        difference: the largest of two logits.
        largest: the largest logit.
        equal: fraction of pixels with the same label, 0 to 1.
        pixels: how many were compared.
    """

    difference: float
    largest: float
    equal: float
    pixels: int

    @property
    def is_close(self) -> bool:
        """Whether they differ by rounding alone."""
        return self.difference <= LARGEST_DIFFERENCE * max(1.0, self.largest)

    def __str__(self) -> str:
        return (
            f"logits differ by at most {self.difference:.2g} (they reach {self.largest:.3g}), {100 * self.equal:.4f} % of "
            f"{self.pixels:,} labels are equal"
        )


def compare_networks(network: nn.Module, exported: nn.Module, batches: Sequence[Tensor]) -> Agreement:
    """Compare logits and labels on slices (B, input slices, H, W).

    Raises:
        InputError: the file fails on slices that the network takes.
    """
    import torch

    difference = largest = 0.0
    equal = pixels = 0
    for slices in batches:
        with torch.inference_mode():
            expected, found = network(slices).float(), exported(slices)
        difference = max(difference, (expected - found).abs().max().item())
        largest = max(largest, expected.abs().max().item())
        equal += int((expected.argmax(1) == found.argmax(1)).sum())
        pixels += expected[:, 0].numel()
    return Agreement(difference, largest, equal / pixels, pixels)


def random_slices(shape: tuple[int, ...]) -> Tensor:
    """Smooth noise with a mean of 0 and a standard deviation of 1, the same each time: (B, input slices, H, W)."""
    import torch
    from torch.nn import functional

    generator = torch.Generator().manual_seed(SEED)
    coarse = torch.randn((*shape[:2], -(-shape[2] // 8), -(-shape[3] // 8)), generator=generator)
    smooth = functional.interpolate(coarse, shape[2:], mode="bilinear", align_corners=False)
    noisy = smooth + 0.3 * torch.randn(shape, generator=generator)
    return (noisy - noisy.mean()) / noisy.std()


def two_sizes(multiple: int, fixed: tuple[int, int] | None) -> list[tuple[int, int]]:
    """Sizes to try a file with: odd numbers of multiples, rows and columns different; one alone where the size is fixed."""
    if fixed is not None:
        return [fixed]
    count = max(3, -(-48 // multiple) | 1)
    return [(multiple * count, multiple * (count + 2)), (multiple * (count + 4), multiple * count)]


def equal_fraction(first: np.ndarray, second: np.ndarray) -> float:
    """Fraction of voxels with the same label."""
    return float((first == second).mean())
