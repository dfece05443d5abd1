"""Make one file with a card of a model that was trained with other software; it opens like a checkpoint.

  unetseg import MODEL_FOLDER --output heart.pt                     (nnU-Net's trained model folder or its zip; 2d)
  unetseg import MODEL_FOLDER --output heart.pt --folds 0 1 --orientation LPS
  unetseg import fetal.onnx                                         (asks the file, and writes card.yaml to fill in)
  unetseg import fetal.onnx --card card.yaml --output fetal-brain.onnx
  unetseg import weights.pth --network my_unet:build                (a PyTorch network of your own)
  unetseg import weights.pth --network my_unet:build --card card.yaml --output fetal-brain.onnx

--network imports and runs your own Python, so name only code that you trust. Nothing else of a model is ever run as a program:
weights are read as numbers, and ONNX files have the standard's operators alone. docs/import.md shows which way fits which model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, quoted, warn
from ..output_folder import Outputs
from .parser import CommandParser

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.model.imports.draft import ImportDraft

CARD = Path("card.yaml")
TRACED_SIZE = (128, 192)  # a network may halve a slice six times


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "model", type=Path, help="folder or zip of nnU-Net, ONNX file, or with --network a file of PyTorch weights"
    )
    parser.add_argument(
        "--card", type=Path, metavar="YAML", help=f"filled-in card (without it, {CARD} is written where one is needed)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the file with the card, .pt for nnU-Net, else .onnx"
    )
    parser.add_argument(
        "--network",
        metavar="MODULE:FUNCTION",
        help="your own Python that returns the network: a function or class; the current folder is searched first",
    )
    parser.add_argument("--title", help="name of the model in its card")
    parser.add_argument(
        "--network-arguments",
        metavar="JSON",
        default="",
        help="the function's arguments, such as '{\"in_channels\": 1}'",
    )
    add_nnunet_options(parser)


def add_nnunet_options(parser: CommandParser) -> None:
    """Add what can be chosen of a trained model of nnU-Net."""
    add = parser.add_argument
    add("--folds", nargs="+", default=[], metavar="FOLD", help="nnU-Net: folds, several as an ensemble (default: all)")
    add("--checkpoint", metavar="NAME", help="nnU-Net: file in each fold's folder (default: checkpoint_final)")
    add(
        "--postprocessing",
        type=Path,
        metavar="JSON",
        help="nnU-Net: a postprocessing.json (default: the one of these folds' cross-validation)",
    )
    add(
        "--orientation",
        metavar="LETTERS",
        help="nnU-Net: orientation of the training scans, as unetseg info shows it, such as LPS: slices are then cut "
        "anatomically, however a scan is stored (default: as its file stores it, as nnU-Net does)",
    )


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    if _asks_for_card(options) and CARD.exists() and not options.overwrite:
        raise InputError(
            f"{CARD} is here already. If it is this model's, import with --card {CARD} --output FILE; else work in "
            "another folder, or replace it with --overwrite."
        )
    return Outputs(_target(options), inputs=(options.model, options.card, options.postprocessing))


def run(options: Any) -> None:
    """Import the model, or write the card that it lacks."""
    from UNetSegmenterLib.engine.model.imports.importing import completed_card, write_model

    from ..conversion.card_yaml import read_card_yaml, write_card_yaml

    target = _target(options)
    with _drafted(options) as read:
        draft = replace(read, card=read.card | {"title": options.title}) if options.title else read
        for note in () if options.card else draft.notes:  # with a card, what it says counts and not what was assumed
            print_line(note)
        if _asks_for_card(options):
            write_card_yaml(draft, target, options.model.name, _next_command(options))
            _say_what_is_missing(draft, options)
            return
        card = read_card_yaml(options.card, draft) if options.card else completed_card(draft, draft.card)
        card = replace(card, title=options.title) if options.title else card
        write_model(draft, card, target)
    names = ", ".join(structure.name for structure in card.structures)
    print_line(f"{target}: {card.title} ({names})")
    if draft.kind == "nnU-Net":
        print_line(card.description)
    print_line(f"It opens in 3D Slicer, and with: unetseg segment SCAN --checkpoint {quoted(target)} --output results")


def _asks_for_card(options: Any) -> bool:
    return options.card is None and (options.network is not None or _is_onnx(options.model))


def _is_onnx(path: Path) -> bool:
    from UNetSegmenterLib.engine.model.onnx_graph import is_onnx

    return path.suffix.lower() == ".onnx" or is_onnx(path)


def _target(options: Any) -> Path:
    if _asks_for_card(options):
        return CARD
    if options.output is None:
        ending = ".onnx" if options.network or _is_onnx(options.model) else ".pt"
        raise InputError(
            f"--output is missing: the file that is written, such as --output {options.model.stem}-model{ending}"
        )
    return options.output


def _next_command(options: Any) -> str:
    parts = [f"unetseg import {quoted(options.model)}"]
    if options.network:
        parts.append(f"--network {quoted(options.network)}")
    if options.network_arguments:
        parts.append(f"--network-arguments '{options.network_arguments}'")
    return " ".join([*parts, f"--card {CARD}", f"--output {quoted(f'{options.model.stem}-model.onnx')}"])


def _say_what_is_missing(draft: ImportDraft, options: Any) -> None:
    if draft.unknown:
        print_line(f"{CARD} is written. What the file doesn't tell is marked ??? in it:")
        for unknown in draft.unknown:
            print_line(f"  {unknown.entry}: {unknown.explanation}")
        print_line("Fill it in, look through the rest, and run:")
    else:
        print_line(f"{CARD} is written, with nothing unknown. To change the card, edit it and run:")
    print_line(f"  {_next_command(options)}")


@contextmanager
def _drafted(options: Any) -> Iterator[ImportDraft]:
    """The draft of the model; one of PyTorch is traced to a temporary ONNX file before."""
    from UNetSegmenterLib.engine.model.imports.importing import read_model

    _nnunet_options(options)
    if options.network is None:
        if options.network_arguments:
            raise InputError("--network-arguments goes with --network.")
        yield _draft_of_nnunet(options) if _nnunet_options(options) else read_model(options.model)
        return
    if _is_onnx(options.model):
        raise InputError(f"{options.model} holds its network already; leave --network out.")
    with tempfile.TemporaryDirectory() as folder:
        yield _traced(options, Path(folder) / f"{options.model.stem}.onnx")


def _nnunet_options(options: Any) -> dict[str, Any]:
    """What was chosen of a model of nnU-Net; raises InputError if the model is of other software."""
    names = ("folds", "checkpoint", "postprocessing", "orientation")
    chosen = {name: getattr(options, name) for name in names if getattr(options, name) not in (None, [])}
    if chosen and (options.network or _is_onnx(options.model)):
        raise InputError(f"--{min(chosen)} goes with a trained model folder of nnU-Net; leave it out.")
    return chosen


def _draft_of_nnunet(options: Any) -> ImportDraft:
    from UNetSegmenterLib.engine.model.imports.nnunet_folder import read_nnunet_draft

    return read_nnunet_draft(options.model, **_nnunet_options(options))


def _traced(options: Any, path: Path) -> ImportDraft:
    """The draft of a PyTorch network, which is traced to `path` and compared with the file."""
    from UNetSegmenterLib.engine.model.imports.importing import read_model

    from ..conversion.onnx_export import export_network
    from ..conversion.own_network import build_own_network, input_channels, load_weights

    warn(f"{options.network} is your own Python: it is imported and run now.")
    network = build_own_network(options.network, _arguments(options.network_arguments))
    load_weights(network, options.model)
    size = _fixed_size(options.card)
    export_network(network, path, input_channels(network), size or TRACED_SIZE, size is not None)
    draft = read_model(path)
    _compare(network, path, draft)
    return draft


def _arguments(text: str) -> dict[str, Any]:
    import yaml

    try:
        arguments = yaml.safe_load(text) or {}
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"--network-arguments is no JSON ({' '.join(str(error).split())}).") from error
    if not isinstance(arguments, dict):
        raise InputError(f'--network-arguments is {text}; names and values such as {{"in_channels": 1}} are expected.')
    return {str(name): value for name, value in arguments.items()}


def _fixed_size(card: Path | None) -> tuple[int, int] | None:
    """The size of slices that a card fixes with preprocessing.patch_size."""
    from UNetSegmenterLib.engine.model.imports.draft import entry_of

    from ..yaml_files import read_yaml

    size = entry_of(read_yaml(card), "preprocessing.patch_size") if card else None
    if size is None:
        return None
    if not isinstance(size, list) or len(size) != 2 or not all(type(one) is int and 0 < one <= 4096 for one in size):
        raise InputError(
            f"{card}: preprocessing.patch_size is {size}; two numbers of pixels such as [256, 256] are expected."
        )
    return size[0], size[1]


def _compare(network: Any, path: Path, draft: ImportDraft) -> None:
    from UNetSegmenterLib.engine.model.card import NetworkDescription
    from UNetSegmenterLib.engine.model.onnx_graph import read_onnx
    from UNetSegmenterLib.engine.model.onnx_network import OnnxNetwork

    from ..conversion.onnx_export import compare_networks, random_slices, two_sizes

    parameters = draft.card["network"]["parameters"] | {
        "activation": "logits",
        "background": True,
        "channels": "neighbours",
    }
    channels = draft.card["network"]["input_slices"]
    multiple, size = draft.card["preprocessing"]["size_multiple"], parameters["size"]
    slices = [random_slices((2, channels, *one)) for one in two_sizes(multiple, size and tuple(size))]
    import torch

    with torch.inference_mode():
        classes = network(slices[0]).shape[1]
    exported = OnnxNetwork(read_onnx(path), NetworkDescription("ONNX", channels, classes, parameters))
    agreement = compare_networks(network, exported, slices)
    sizes = " and ".join(f"{one.shape[2]} x {one.shape[3]}" for one in slices)
    if not agreement.is_close:
        raise InputError(
            f"The traced network gives other logits than your Python on slices of {sizes} pixels: {agreement}. Its forward "
            "depends on the slices' size or on chance; fix the size with preprocessing.patch_size in the card."
        )
    print_line(f"Traced to ONNX; your Python and the file on random slices of {sizes} pixels: {agreement}.")
