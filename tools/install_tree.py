"""Install the extension into a folder as Slicer's build does: `python tools/install_tree.py FOLDER [SLICER_SOURCE CTK_SOURCE]`.

find_package(Slicer) is answered by Testing/installed/slicer: with own small macros, or with Slicer's own where the sources of
Slicer and CTK are named. Then the package is made too, beside FOLDER, and FOLDER is what it holds. Nothing is compiled, so no
compiler is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAND_IN = ROOT / "Testing" / "installed" / "slicer"


def cmake(*arguments: object) -> None:
    """Run cmake, the one beside this Python first; raises CalledProcessError with what it says on standard error."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("cmake", path=path)
    if program is None:
        raise FileNotFoundError("cmake is not installed; it comes with: make setup")
    subprocess.run(
        [program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PATH": path}
    )


def configure(build: Path, *more: str) -> None:
    """Configure the extension; the languages of `project()` are taken as they are, because nothing is compiled."""
    languages = [
        f"-DCMAKE_{name}_COMPILER{what}" for name in ("C", "CXX") for what in (f"={sys.executable}", "_FORCED=ON")
    ]
    cmake("-S", ROOT, "-B", build, f"-DSlicer_DIR={STAND_IN}", *languages, *more)


def install(folder: Path) -> None:
    """Install with own macros."""
    with tempfile.TemporaryDirectory() as build:
        configure(Path(build))
        cmake("--install", build, "--prefix", folder)


def package(folder: Path, slicer: Path, ctk: Path) -> Path:
    """Configure, build and package with Slicer's own macros, and unpack; returns the package."""
    with tempfile.TemporaryDirectory() as build:
        configure(Path(build), f"-DSLICER_SOURCE={slicer}", f"-DCTK_SOURCE={ctk}")
        cmake("--build", build, "--target", "package")
        made = next(Path(build).glob("*.tar.gz"))
        kept = Path(shutil.copy(made, folder.parent / made.name))
    with tarfile.open(kept) as archive:
        top = archive.getnames()[0].partition("/")[0]
        archive.extractall(folder.parent, filter="data")
    (folder.parent / top).rename(folder)
    return kept


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 3):
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    folder = Path(arguments[0]).resolve()
    if folder.exists():
        print(f"{folder} is there already", file=sys.stderr)
        return 2
    folder.parent.mkdir(parents=True, exist_ok=True)
    if len(arguments) == 3:
        print(package(folder, Path(arguments[1]).resolve(), Path(arguments[2]).resolve()))
    else:
        install(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
