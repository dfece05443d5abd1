"""Page 4: the U-Net as an SVG, drawn from a network by what leaves each of its parts when a real slice goes through."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from UNetSegmenterLib.engine.io.atomic_files import write_text
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint, load_checkpoint, shipped_checkpoints
from UNetSegmenterLib.engine.model.network import UNet
from UNetSegmenterLib.engine.model.preprocessing import network_slices, pad_to_multiple, stack_slices

from .sample import INK, SLICE, SPACING_MM, scan

ROW_HEIGHT, TOP, WIDTH = 150, 50, 1120
ENCODER_X, DECODER_X = 330, 790  # middles of the two columns
WIDEST, NARROWEST = 170, 40  # pictures of the first and the last level
HIGHEST = 0.66  # a picture's height over the height of its row
BLUE, RED, GREY = "#00798c", "#d1495b", "#7a8793"


@dataclass(frozen=True)
class Part:
    """What leaves one part of the network: channels, rows, columns, and a picture of its liveliest channel."""

    channels: int
    rows: int
    columns: int
    picture: str  # PNG as data address

    def text(self) -> str:
        """As the drawing has it."""
        return f"{self.channels} x {self.rows} x {self.columns}"


def network_input(checkpoint: Checkpoint, number: int = SLICE) -> Tensor:
    """One slice of the sample scan as the checkpoint's network reads it: (1, input slices, rows, columns)."""
    preprocessing = checkpoint.card.preprocessing
    slices = network_slices(scan()[number - 1 : number + 2], (SPACING_MM, SPACING_MM), preprocessing)
    stack = stack_slices(torch.from_numpy(slices), torch.tensor([1]), [-1, 0, 1], preprocessing.normalisation.affine())
    return pad_to_multiple(stack, preprocessing.size_multiple)


def parts_of(network: UNet, slices: Tensor) -> dict[str, Part]:
    """Every part of the network by name, and what left it: "input", "entry", "down.0", ..., "up.0", ..., "exit"."""
    found = {"input": _part(slices)}
    hooks = []
    for name, module in network.named_modules():
        if name in ("entry", "exit") or (name.count(".") == 1 and name.startswith(("down.", "up."))):
            hooks.append(module.register_forward_hook(_remember(found, name)))
    with torch.inference_mode():
        logits = network.eval()(slices)
    for hook in hooks:
        hook.remove()
    found["exit"] = Part(*logits.shape[1:], _label_picture(logits[0].argmax(dim=0).numpy()))
    return found


def _remember(found: dict[str, Part], name: str):
    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found[name] = _part(output)

    return hook


def _part(features: Tensor) -> Part:
    channels = features[0].float().numpy()
    liveliest = channels[int(channels.reshape(len(channels), -1).std(axis=1).argmax())]
    low, high = np.percentile(liveliest, (1, 99))
    grey = (255 * np.clip((liveliest - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
    return Part(*features.shape[1:], _data_address(grey))


def _label_picture(labels: np.ndarray) -> str:
    from matplotlib import colormaps

    colours = np.vstack([[0, 0, 0], 255 * np.array(colormaps["tab10"].colors)]).astype(np.uint8)
    return _data_address(colours[labels])


def _data_address(pixels: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(16).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def drawing(parts: dict[str, Part]) -> str:
    """The parts as an SVG: down on the left, up on the right, skips between."""
    depth = sum(name.startswith("down.") for name in parts)
    height = TOP + ROW_HEIGHT * (depth + 1) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs>',
        _text(WIDTH / 2, 24, "channels x rows x columns; of every part the picture of one channel", GREY),
    ]
    lines += [
        *_picture(parts["input"], 90, 0, WIDEST, "input: "),
        *_picture(parts["exit"], 1030, 0, WIDEST, "output: "),
    ]
    lines += [_arrow(177, _middle(0), 240, _middle(0), BLUE), _arrow(880, _middle(0), 943, _middle(0), BLUE)]
    for level in range(depth + 1):
        width = WIDEST * (NARROWEST / WIDEST) ** (level / depth)
        down = parts["entry" if level == 0 else f"down.{level - 1}"]
        lowest = level == depth
        x = (ENCODER_X + DECODER_X) / 2 if lowest else ENCODER_X
        lines += _picture(down, x, level, width, "lowest level: " if lowest else f"level {level}: ")
        if not lowest:
            lines += _picture(parts[f"up.{depth - 1 - level}"], DECODER_X, level, width, "")
            lines.append(
                _arrow(ENCODER_X + width / 2 + 6, _middle(level), DECODER_X - width / 2 - 8, _middle(level), GREY)
            )
            lines.append(_text(560, _middle(level) - 7, f"skip: {down.channels} channels laid beside", GREY))
            lines += _between(level, depth)
    return "\n".join([*lines, "</svg>", ""])


def _between(level: int, depth: int) -> list[str]:
    """Arrows from a level to the next one and back."""
    top, bottom = _middle(level) + ROW_HEIGHT * 0.47, _middle(level + 1) - ROW_HEIGHT * 0.35
    if level + 1 < depth:
        return [
            _arrow(ENCODER_X, top, ENCODER_X, bottom, RED),
            _text(ENCODER_X - 12, top + 9, "max pooling", RED, "end"),
            _arrow(DECODER_X, bottom, DECODER_X, top, RED),
            _text(DECODER_X + 12, top + 9, "transposed convolution", RED, "start"),
        ]
    y, middle = _middle(depth), (ENCODER_X + DECODER_X) / 2
    return [
        _arrow(ENCODER_X, top, middle - 40, y, RED),
        _text(ENCODER_X - 12, top + 9, "max pooling", RED, "end"),
        _arrow(middle + 40, y, DECODER_X, top, RED),
        _text(DECODER_X + 12, top + 9, "transposed convolution", RED, "start"),
    ]


def _middle(level: int) -> float:
    return TOP + ROW_HEIGHT * (level + 0.45)


def _picture(part: Part, x: float, level: int, width: float, label: str) -> list[str]:
    height = width * part.rows / part.columns
    if height > HIGHEST * ROW_HEIGHT:
        width, height = width * HIGHEST * ROW_HEIGHT / height, HIGHEST * ROW_HEIGHT
    y = _middle(level)
    return [
        f'<image x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{part.picture}"/>',
        _text(x, y + height / 2 + 14, label + part.text(), INK),
    ]


def _text(x: float, y: float, text: str, colour: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}" text-anchor="{anchor}">{text}</text>'


def _arrow(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    ends = f'x1="{x:.0f}" y1="{y:.0f}" x2="{to_x:.0f}" y2="{to_y:.0f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="2" marker-end="url(#tip)"/>'


def unet(path: Path) -> None:
    """The network that ships here, with a slice of the sample scan going through."""
    checkpoint = load_checkpoint(shipped_checkpoints()[0])
    network = checkpoint.networks()[0]  # those of an ensemble look alike
    assert isinstance(network, UNet)
    write_text(path, drawing(parts_of(network, network_input(checkpoint))))


PICTURES = {"unet.svg": unet}
