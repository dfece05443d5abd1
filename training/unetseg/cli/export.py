"""Write a checkpoint as an ONNX file, card included, and compare the two.

  unetseg export abdomen8.pt abdomen8.onnx
  unetseg export abdomen8.pt abdomen8.onnx --scan scan.nii.gz

The file takes batches and slices of any size that is a multiple of the card's size_multiple ("slices", float32), and gives
"logits" at the same size. It runs on ONNX Runtime and whatever else reads ONNX, and opens here like the checkpoint. An ensemble
becomes one network that averages its logits.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line
from ..output_folder import Outputs
from .argument_types import integer
from .parser import CommandParser
from .shared_options import add_resample

if TYPE_CHECKING:
    from torch import nn
    from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

OLDEST_OPSET, NEWEST_OPSET = 13, 20
LEAST_EQUAL = 0.999  # of the labels of a scan


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument("checkpoint", type=Path, help="trained checkpoint")
    parser.add_argument("output", type=Path, help="ONNX file to write")
    parser.add_argument("--opset", type=integer, default=17, help="version of ONNX's operators, 13 to 20")
    parser.add_argument("--scan", type=Path, help="also segment this scan with both, and compare the labels")
    add_resample(parser)


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    return Outputs(options.output, inputs=(options.checkpoint, options.scan), endings=(".onnx",))


def run(options: Any) -> None:
    """Export the checkpoint and print how far both agree."""
    from UNetSegmenterLib.engine.io.atomic_files import write_bytes
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

    if not OLDEST_OPSET <= options.opset <= NEWEST_OPSET:
        raise InputError(f"--opset is {options.opset}; {OLDEST_OPSET} to {NEWEST_OPSET} are written.")
    checkpoint = load_checkpoint(options.checkpoint)
    if checkpoint.card.network.architecture == "ONNX":
        raise InputError(f"{options.checkpoint} is an ONNX file already; copy it.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported.onnx"
        _export(checkpoint, path, options.opset)
        exported = load_checkpoint(path)
        _compare_on_noise(checkpoint, exported)
        if options.scan:
            _compare_on_scan(checkpoint, exported, options.scan, options.resample)
        write_bytes(options.output, path.read_bytes())
    size_mb = options.output.stat().st_size / 2**20
    print_line(f"{options.output}: {checkpoint.card.title}, opset {options.opset}, {size_mb:.1f} MB")


def _average(checkpoint: Checkpoint) -> nn.Module:
    """The network of a checkpoint; the average of an ensemble's."""
    import torch
    from torch import nn

    networks = checkpoint.networks()
    if len(networks) == 1:
        return networks[0]

    class Average(nn.Module):
        """Mean of the logits of several networks."""

        def __init__(self) -> None:
            super().__init__()
            self.networks = nn.ModuleList(networks)

        def forward(self, slices: torch.Tensor) -> torch.Tensor:
            """(B, input slices, H, W) -> (B, classes, H, W)."""
            total = self.networks[0](slices)
            for network in self.networks[1:]:
                total = total + network(slices)
            return total / len(self.networks)

    return Average().eval()


def _export(checkpoint: Checkpoint, path: Path, opset: int) -> None:
    from UNetSegmenterLib.engine.model.card import NetworkDescription
    from UNetSegmenterLib.engine.model.onnx_graph import read_onnx, write_onnx

    from ..conversion.onnx_export import INPUT, OUTPUT, export_network

    card = checkpoint.card
    export_network(_average(checkpoint), path, card.network.input_slices, _tried_sizes(checkpoint)[1], False, opset)
    parameters = {
        "input": INPUT,
        "output": OUTPUT,
        "layout": "NCHW",
        "size": None,
        "activation": "logits",
        "background": True,
        "channels": "neighbours",
        "batch": None,
    }
    network = NetworkDescription("ONNX", card.network.input_slices, card.network.classes, parameters)
    write_onnx(read_onnx(path), replace(card, network=network).to_json(), path)


def _tried_sizes(checkpoint: Checkpoint) -> list[tuple[int, int]]:
    """Two sizes of slices that the network takes; one that reads patches needs no more than multiples of these."""
    from ..conversion.onnx_export import two_sizes

    preprocessing = checkpoint.card.preprocessing
    if preprocessing.patch_size is None:
        return two_sizes(preprocessing.size_multiple, None)
    rows, columns = preprocessing.patch_size
    return [(rows, columns), (rows, 2 * columns)]


def _compare_on_noise(checkpoint: Checkpoint, exported: Checkpoint) -> None:
    from ..conversion.onnx_export import compare_networks, random_slices

    channels = checkpoint.card.network.input_slices
    sizes = _tried_sizes(checkpoint)
    batches = [random_slices((count, channels, *size)) for count, size in zip((1, 3), sizes, strict=True)]
    agreement = compare_networks(_average(checkpoint), exported.network(), batches)
    if not agreement.is_close:
        raise InputError(f"The ONNX file does not give the network's logits: {agreement}; it was not written.")
    print_line(
        f"on random slices of {' and '.join(f'{rows} x {columns}' for rows, columns in sizes)} pixels: {agreement}"
    )


def _compare_on_scan(checkpoint: Checkpoint, exported: Checkpoint, scan: Path, resample: bool) -> None:
    import torch
    from UNetSegmenterLib.engine.model.prediction import Predictor

    from ..conversion.onnx_export import equal_fraction
    from ..evaluation.scan_prediction import predict, read_scan

    volume = read_scan(scan, resample)
    reference = predict(Predictor(checkpoint, "cpu", dtype=torch.float32), volume, "with PyTorch:")
    found = predict(Predictor(exported, "cpu"), volume, "with ONNX Runtime:")
    equal = equal_fraction(reference.segmentation.labels, found.segmentation.labels)
    print_line(
        f"{volume.name}: {100 * equal:.4f} % of {volume.array.size:,} labels are equal; PyTorch {reference.seconds:.1f} s "
        f"(float32), ONNX Runtime {found.seconds:.1f} s"
    )
    if equal < LEAST_EQUAL:
        raise InputError(
            f"The ONNX file gives other labels in {100 * (1 - equal):.2f} % of the scan; it was not written."
        )
