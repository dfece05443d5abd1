"""Segmentation files (`.seg.nrrd`) and whole scenes (`.mrb`) in Slicer's own formats, without an application."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import slicer

from ...engine.errors import InputError
from ...engine.io.atomic_files import sync, why_not_written
from ...engine.io.file_names import file_stem
from ..nodes.surfaces import DEFAULT_SMOOTHING, make_surfaces


def save_segmentation(node: slicer.vtkMRMLSegmentationNode, path: Path | str) -> None:
    """Write a segmentation node as `.seg.nrrd`. Raises InputError if the file can't be written."""
    path = Path(path)
    storage = slicer.vtkMRMLSegmentationStorageNode()

    def write(partial: Path) -> object:
        storage.SetFileName(str(partial))
        return storage.WriteData(node)

    _write(path, write)


def load_segmentation(
    path: Path | str,
    scene: slicer.vtkMRMLScene,
    name: str | None = None,
    surfaces: bool = True,
    smoothing: float = DEFAULT_SMOOTHING,
) -> slicer.vtkMRMLSegmentationNode:
    """Add the segmentation node of a `.seg.nrrd` file; `surfaces` shows it in 3D. Raises InputError if it is none."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; choose a segmentation file (.seg.nrrd).")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name or file_stem(path))
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        scene.RemoveNode(node)
        raise InputError(f"{path} can't be read as a segmentation; expected is a .seg.nrrd file as Slicer writes it.")
    node.CreateDefaultDisplayNodes()
    if surfaces:
        make_surfaces(node, smoothing)
    return node


def save_scene(scene: slicer.vtkMRMLScene, path: Path | str) -> None:
    """Write the scene with all its data as one `.mrb`. Raises InputError if the file can't be written."""
    path = Path(path).resolve()
    if path.suffix.lower() != ".mrb":
        raise InputError(f"{path} doesn't end in .mrb; a scene is saved with all its data as one .mrb file.")
    root = scene.GetRootDirectory()
    with tempfile.TemporaryDirectory(prefix="unetsegmenter-mrb-") as folder:
        scene.SetRootDirectory(folder)  # the bundle is built there; files of the old root must not get into it
        try:
            with _working_directory_kept():
                _write(path, lambda partial: scene.WriteToMRB(str(partial)))
        finally:
            scene.SetRootDirectory(root)


def load_scene(path: Path | str, scene: slicer.vtkMRMLScene) -> None:
    """Read an `.mrb` into the scene, which is cleared first. Raises InputError if it can't be read."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; choose a scene file (.mrb).")
    with _working_directory_kept():
        read = scene.ReadFromMRB(str(path.resolve()), True)
    if not read:
        raise InputError(f"{path} can't be read as a scene; expected is an .mrb file as Slicer writes it.")


@contextmanager
def _working_directory_kept() -> Iterator[None]:
    """MRML's archive functions change the process's working directory to a temporary folder and leave it there."""
    before = Path.cwd()
    try:
        yield
    finally:
        os.chdir(before)


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write atomically: in a folder beside the target, then rename, so that the target is never half a file.

    The file has its final name from the start: an `.mrb` keeps that name inside.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
            partial = Path(folder) / path.name
            if not write(partial) or not partial.is_file():
                raise OSError("Slicer's writer gave up")
            sync(partial)
            partial.replace(path)
            sync(path.parent)
    except OSError as error:
        raise InputError(f"{path} could not be written ({why_not_written(error, path.parent)}).") from error
