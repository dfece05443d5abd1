"""Page 9: errors that Dice does not tell apart; page 10: six results to judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.evaluation.measures import Measures, measure

from .sample import ACCENT, INK, index_of, panels, reference, sample, save, scan

SIZE, RADIUS, LENGTH = 64, 20, 200
COLOURS = ("#e6194b", "#9acd32", "#ff4fd8", "#ff7f0e", "#4d9de0", "#f5e663", "#b565d8", "#2ec4b6")  # by label index - 1
CORONAL_ROW, KIDNEY_ROW, AXIAL_SLICE = 40, 60, 95


def same_dice(path: Path) -> None:
    """Three errors of one Dice: a rim, a hole, an island, all alike in every slice of a long column."""
    organ, predictions = errors_of_one_dice()
    figure, axes = panels(10.5, 4.1, 1, 3)
    for axis, (name, prediction) in zip(axes, predictions.items(), strict=True):
        found = measured(prediction, organ)
        axis.imshow(prediction, cmap="Blues", vmin=0, vmax=1.6, interpolation="nearest")
        axis.contour(organ, levels=[0.5], colors=[ACCENT], linewidths=[2])
        axis.set_title(f"{name}: Dice {found.dice:.2f}, HD95 {found.hd95_mm:.0f} mm", fontsize=11, color=INK)
        axis.set_axis_off()
    save(figure, path)


def measured(prediction: np.ndarray, organ: np.ndarray) -> Measures:
    """Of two columns that are alike in every slice; in a volume of one slice each voxel would be surface."""
    return measure(*(np.repeat(one[None], LENGTH, axis=0) for one in (prediction, organ)), (1.0, 1.0, 1.0))


def errors_of_one_dice() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A round organ (rows, columns) and three predictions of it."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE // 2 + 0.5
    distance = np.hypot(rows + 4, columns + 4)
    organ = distance < RADIUS
    rim = distance < RADIUS - 2
    size, missing = organ.sum(), organ.sum() - rim.sum()
    added = size * (2 * size - missing) / (size - missing) - 2 * size  # voxels that cost as much as the missing ones
    hole = organ & (distance >= np.sqrt(missing / np.pi))
    island = organ | (np.hypot(rows - 21, columns - 21) < np.sqrt(added / np.pi))
    return organ, {"rim": rim, "hole": hole, "island": island}


def six_results(path: Path) -> None:
    """Six label maps of one scan over its slices, to be judged before the answer is read."""
    from unetseg.evaluation.scan_prediction import open_predictor, predict

    prediction = predict(open_predictor(None, "cpu"), sample().volume).segmentation
    predicted = prediction.geometry.to_axial(prediction.labels)
    figure, axes = panels(13, 8.6, 2, 3)
    _coronal(axes[0], reference(), KIDNEY_ROW, "A")
    _coronal(axes[1], predicted, CORONAL_ROW, "B")
    _axial(axes[2], _kidneys_exchanged(), "C")
    _coronal(axes[3], _slices_missing(), KIDNEY_ROW, "D")
    _axial(axes[4], reference()[:, :, ::-1], "E")
    _coronal(axes[5], _component_in_the_pelvis(), KIDNEY_ROW, "F")
    for index, structure in enumerate(sample().reference.structures):
        figure.text(0.03 + 0.12 * index, 0.005, structure.name, color=COLOURS[index], fontsize=12, weight="bold")
    figure.get_layout_engine().set(rect=(0, 0.03, 1, 0.97))
    save(figure, path)


def _kidneys_exchanged() -> np.ndarray:
    left, right = index_of("left kidney"), index_of("right kidney")
    labels = reference().copy()
    labels[reference() == left], labels[reference() == right] = right, left
    return labels


def _slices_missing() -> np.ndarray:
    labels = reference().copy()
    part = labels[86:89]
    part[part == index_of("right kidney")] = 0
    part[part == index_of("liver")] = 0
    return labels


def _component_in_the_pelvis() -> np.ndarray:
    labels = reference().copy()
    rows, columns = np.mgrid[:101, :122]
    for number in range(16, 28):
        labels[number][np.hypot(rows - KIDNEY_ROW, columns - 60) < 8] = index_of("spleen")
    return labels


def _coronal(axis: Any, labels: np.ndarray, row: int, letter: str) -> None:
    _draw(axis, scan()[::-1, row], labels[::-1, row], f"{letter} (from the front)")


def _axial(axis: Any, labels: np.ndarray, letter: str) -> None:
    _draw(axis, scan()[AXIAL_SLICE], labels[AXIAL_SLICE], f"{letter} (from the feet)")


def _draw(axis: Any, picture: np.ndarray, labels: np.ndarray, title: str) -> None:
    from matplotlib.colors import to_rgb

    palette = np.array([(0, 0, 0), *(to_rgb(colour) for colour in COLOURS)])
    axis.imshow(picture, cmap="gray", vmin=-150, vmax=250, interpolation="nearest")
    axis.imshow(np.dstack([palette[labels], 0.55 * (labels > 0)]), interpolation="nearest")
    axis.set_title(title, fontsize=12, color=INK)
    axis.set_axis_off()


PICTURES = {"same-dice.png": same_dice, "six-results.png": six_results}
