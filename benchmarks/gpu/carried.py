"""What `make gpu-bundle` carries to a machine that can install nothing: wheels of pure Python and a preprocessed data set."""

from __future__ import annotations

import os
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "gpu-bundle"
WHEELS, PREPROCESSED = "wheels", "preprocessed.tar.xz"


def make_importable(work: Path, bundle: Path = BUNDLE) -> list[str]:
    """Let this process and its children import this checkout, and of the carried wheels what the machine does not have.

    Returns:
        Names of the packages that were taken from wheels.
    """
    site = work / "site"
    taken = []
    for wheel in sorted((bundle / WHEELS).glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            if not any(find_spec(name) for name in _top_level(archive)):
                archive.extractall(site)
                taken.append(wheel.name.split("-", 1)[0])
    folders = [str(ROOT), str(ROOT / "training"), str(ROOT / "UNetSegmenter"), str(site)]
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*folders, *filter(None, before)]))
    return taken


def _top_level(archive: zipfile.ZipFile) -> set[str]:
    """Modules and packages that a wheel installs."""
    names = {name.split("/", 1)[0] for name in archive.namelist()}
    return {name.removesuffix(".py") for name in names if not name.endswith((".dist-info", ".data"))}


def carried_dataset(work: Path, bundle: Path = BUNDLE) -> Path | None:
    """The carried preprocessed data set, unpacked; None where there is no bundle."""
    archive = bundle / PREPROCESSED
    if not archive.exists():
        return None
    folder = work / "preprocessed"
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder
