"""A Slicer scene and its pictures for a result, where the `slicer-core` wheel is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import Comparison
from UNetSegmenterLib.engine.io.image_writing import png_bytes
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation

from ..console import warn


@dataclass(frozen=True)
class SceneFiles:
    """What was written, and the pictures for a report as (caption, PNG bytes); all empty where that was not possible."""

    pictures: tuple[tuple[str, bytes], ...] = ()
    picture_paths: tuple[Path, ...] = ()
    scene_path: Path | None = None


def write_scene_files(
    volume: Volume,
    prediction: Segmentation,
    reference: Segmentation | None,
    *,
    title: str,
    names: tuple[str, str] = ("Prediction", "Reference"),
    captions: Mapping[str, str] = MappingProxyType({}),
    colors: Mapping[str, tuple[int, int, int]] | None = None,
    pictures_folder: Path | None = None,
    scene_path: Path | None = None,
    provenance: Mapping[str, str] | None = None,
) -> SceneFiles:
    """Draw slices with both segmentations and two 3D views from one camera; write PNG files and an .mrb if asked.

    Where the scene libraries or OpenGL are missing, a warning says what to install and the rest is written.

    Args:
        volume: the scan.
        prediction: drawn filled.
        reference: drawn as a line, if there is one.
        title: text on the sheet of all views.
        names: names of the two segmentations in the scene and in captions.
        captions: texts of the legend by name of the structure.
        colors: colours in the pictures by name of the structure, where they are not its own; the scene has its own.
        pictures_folder: folder for the PNG files; None writes none.
        scene_path: .mrb file to write; None writes none.
        provenance: facts that are stored in the scene.
    """
    try:
        from UNetSegmenterLib.scene.headless.comparison_scene import comparison_scene
        from UNetSegmenterLib.scene.headless.pictures import draw
        from UNetSegmenterLib.scene.headless.storage import save_scene
    except ImportError as error:
        warn(f"no pictures and no Slicer scene: {error.name} is not installed (pip install 'unetsegmenter[scene]').")
        return SceneFiles()
    made = comparison_scene(volume, prediction, reference, names=names, provenance=provenance)
    if scene_path is not None:
        save_scene(made.headless.scene, scene_path)
    try:
        drawn = draw(made, title, captions, colors)
    except InputError as error:
        warn(str(error))
        return SceneFiles(scene_path=scene_path)
    paths = drawn.write(pictures_folder) if pictures_folder is not None else []
    captions_of = {name: f"{name} slice: {_drawn_as(names, reference)}" for name in drawn.slices}
    captions_of |= {name: f"{name}, in 3D" for name in drawn.surfaces}
    shown = [("All views on one sheet", png_bytes(drawn.sheet))]
    shown += [(captions_of[name], png_bytes(view)) for name, view in {**drawn.slices, **drawn.surfaces}.items()]
    return SceneFiles(tuple(shown), tuple(paths), scene_path)


def _drawn_as(names: tuple[str, str], reference: Segmentation | None) -> str:
    return f"{names[0]} filled" if reference is None else f"{names[0]} filled, {names[1]} as a line"


def row_colors(comparison: Comparison) -> dict[str, tuple[int, int, int]]:
    """The colour of each row by the names that its structure has on the two sides."""
    sides = ((row.color, side) for row in comparison.rows for side in (row.reference, row.prediction))
    return {side.name: color for color, side in sides if side is not None}


def dice_captions(comparison: Comparison) -> dict[str, str]:
    """Texts of the legend: the Dice of each structure."""
    return {
        side.name: f"Dice {row.measures.dice:.2f}"
        for row in comparison.rows
        if row.measures is not None and (side := row.prediction or row.reference) is not None
    }
