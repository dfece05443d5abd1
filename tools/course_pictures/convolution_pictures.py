"""Page 3: convolution and pooling on one slice, by hand and as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .sample import ACCENT, INK, SECOND, SLICE, panels, save, scan, show

KERNELS = {
    "mean": np.full((3, 3), 1 / 9),
    "left-right": np.array([[-1, 0, 1]] * 3, dtype=float),
    "front-back": np.array([[-1] * 3, [0] * 3, [1] * 3], dtype=float),
}
CORNER = (50, 80)  # row and column of the 5 x 5 pixels that page 3 works through: soft tissue and fat
FIVE = 5
RECEPTIVE_PIXEL = (62, 84)  # row, column: in the left kidney
FIELDS = ((0, 5), (1, 14), (2, 32), (3, 68))  # level, side in pixels of the slice


def by_hand(path: Path) -> None:
    """Twenty-five HU, a kernel, the nine sums."""
    row, column = CORNER
    part = scan()[SLICE, row : row + FIVE, column : column + FIVE]
    kernel = KERNELS["left-right"]
    output = filtered(part[None, None], kernel, padding=0)[0, 0]
    figure, axes = panels(11, 3.9, 1, 3)
    for axis, numbers, title in zip(
        axes, (part, kernel, output), ("5 x 5 pixels, HU", "kernel, 3 x 3", "output, 3 x 3"), strict=True
    ):
        _numbers(axis, numbers, title)
    _box(axes[1], -0.5, -0.5, 3, INK)
    _box(axes[0], -0.5, -0.5, 3, ACCENT)
    _box(axes[2], -0.5, -0.5, 1, ACCENT)
    save(figure, path)


def kernels(path: Path) -> None:
    """A slice and what three kernels make of it."""
    picture = torch.from_numpy(scan()[None, None, SLICE].clip(-150, 250))
    figure, axes = panels(12, 2.9, 1, 4)
    show(axes[0], picture[0, 0].numpy(), "slice")
    for axis, (name, kernel) in zip(axes[1:], KERNELS.items(), strict=True):
        window = (-150, 250) if name == "mean" else (-900, 900)
        show(axis, filtered(picture.numpy(), kernel, padding=1)[0, 0], name, window)
    save(figure, path)


def stride_and_padding(path: Path) -> None:
    """Which pixels of a 6 x 6 input give which of the output: plain, padded, with stride 2."""
    figure, axes = panels(12, 4.2, 1, 3)
    for axis, (title, padding, stride) in zip(
        axes,
        (("6 x 6, no padding: 4 x 4", 0, 1), ("padding 1: 6 x 6", 1, 1), ("padding 1, stride 2: 3 x 3", 1, 2)),
        strict=True,
    ):
        _grid(axis, title, padding, stride)
    save(figure, path)


def receptive_field(path: Path) -> None:
    """What one pixel of each level of a U-Net can see of the slice."""
    figure, axes = panels(6.5, 5.6, 1, 1)
    show(axes[0], scan()[SLICE], "what one pixel of each level sees")
    row, column = RECEPTIVE_PIXEL
    for (level, side), colour in zip(FIELDS, ("#ffe14d", SECOND, "#7dff6b", ACCENT), strict=True):
        left, top = column - side / 2, row - side / 2
        _box(axes[0], left, top, side, colour)
        text = f"level {level}: {side} x {side}"
        if level > 1:
            axes[0].text(left + 1, top + 1, text, color=colour, va="top", fontsize=9, backgroundcolor="#000000b0")
    axes[0].text(1, 99, "yellow: level 0, 5 x 5; blue: level 1, 14 x 14", color="white", fontsize=9)
    axes[0].set_xlim(-0.5, 121.5)
    axes[0].set_ylim(100.5, -0.5)
    save(figure, path)


def pooling(path: Path) -> None:
    """The slice after one, two and three times max pooling, drawn at one size."""
    picture = torch.from_numpy(scan()[None, None, SLICE])
    figure, axes = panels(12, 2.9, 1, 4)
    for times, axis in enumerate(axes):
        rows, columns = picture.shape[2:]
        show(
            axis,
            picture[0, 0].numpy(),
            f"{rows} x {columns}" if times == 0 else f"pooled {times} x: {rows} x {columns}",
        )
        picture = functional.max_pool2d(picture, 2)
    save(figure, path)


def skip(path: Path) -> None:
    """Down three times and up again by a transposed convolution; what is missing; what the skip brings."""
    slice_ = torch.from_numpy(scan()[None, None, SLICE, :96, :120].clip(-150, 250))
    down = functional.avg_pool2d(slice_, 8)
    up = down
    for _ in range(3):
        up = functional.conv_transpose2d(up, torch.ones(1, 1, 2, 2), stride=2)
    figure, axes = panels(12, 2.9, 1, 4)
    show(axes[0], slice_[0, 0].numpy(), "slice: kept for the skip")
    show(axes[1], down[0, 0].numpy(), "three levels down: 12 x 15")
    show(axes[2], up[0, 0].numpy(), "three times up: what")
    show(axes[3], (slice_ - up)[0, 0].numpy(), "slice minus that: where", (-200, 200))
    save(figure, path)


def filtered(pictures: np.ndarray, kernel: np.ndarray, padding: int) -> np.ndarray:
    """A convolution as networks have it (the kernel is not turned around): (1, 1, H, W) -> (1, 1, H', W')."""
    weight = torch.from_numpy(kernel[None, None].astype(np.float32))
    return functional.conv2d(torch.from_numpy(pictures.astype(np.float32)), weight, padding=padding).numpy()


def _numbers(axis: Any, numbers: np.ndarray, title: str) -> None:
    low, high = numbers.min(), numbers.max()
    show(axis, numbers, title, (low - 0.3 * (high - low), high))
    middle = (low + high) / 2
    for (row, column), value in np.ndenumerate(numbers):
        colour = "black" if value > middle else "white"
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=12)


def _box(axis: Any, left: float, top: float, side: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    axis.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=colour, linewidth=2.5))


def _grid(axis: Any, title: str, padding: int, stride: int) -> None:
    from matplotlib.patches import Rectangle

    size = 6
    for row in range(-padding, size + padding):
        for column in range(-padding, size + padding):
            inside = 0 <= row < size and 0 <= column < size
            face = "#d7e3ea" if inside else "#f4f4f4"
            axis.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor="white", linewidth=1.5))
    centres = np.arange(1 - padding, size - 1 + padding, stride)
    for row in centres:
        for column in centres:
            axis.plot(column + 0.5, row + 0.5, "o", color=INK, markersize=5)
    first = 0 - padding
    axis.add_patch(Rectangle((first, first), 3, 3, fill=False, edgecolor="#d1495b", linewidth=3))
    if stride > 1:
        axis.add_patch(
            Rectangle((first + stride, first), 3, 3, fill=False, edgecolor="#00798c", linewidth=3, linestyle="--")
        )
    axis.set(xlim=(-1.2, size + 1.2), ylim=(size + 1.2, -1.2), aspect="equal")
    axis.set_title(title, fontsize=11, color=INK)
    axis.set_axis_off()


PICTURES = {
    "convolution-by-hand.png": by_hand,
    "kernels.png": kernels,
    "stride-and-padding.png": stride_and_padding,
    "receptive-field.png": receptive_field,
    "pooling.png": pooling,
    "skip.png": skip,
}
