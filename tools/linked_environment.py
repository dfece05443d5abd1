"""A virtual environment that has one wheel and exactly what it requires, made in a second without a download.

  python tools/linked_environment.py dist/unetsegmenter-0.1.0-py3-none-any.whl FOLDER [EXTRA ...]

The wheel is unpacked there; what it requires, with the named extras, is linked to where it is installed in the environment that
runs this. What pip would not install is not there either: so a test finds an import that no requirement covers, and the bill of
materials lists what a user gets and not what the tests need.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def required(package: Distribution, extras: Iterable[str] = ()) -> dict[str, Distribution]:
    """The installed packages that a package requires, directly or not, by their normalised names.

    Raises:
        PackageNotFoundError: one of them is not installed here.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(package, frozenset(extras))]
    while waiting:
        one, wanted = waiting.pop()
        for text in one.requires or ():
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            if not _applies(requirement, wanted) or (name, frozenset(requirement.extras)) in seen:
                continue
            seen.add((name, frozenset(requirement.extras)))
            if name == canonicalize_name(package.name):
                waiting.append((package, frozenset(requirement.extras)))
                continue
            found[name] = distribution(name)
            waiting.append((found[name], frozenset(requirement.extras)))
    return found


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""})


def make(folder: Path, wheel: Path, extras: Iterable[str] = ()) -> Path:
    """Make the environment and return its Python.

    Args:
        folder: where to, a folder that is not there yet.
        wheel: the wheel that is unpacked there; its scripts are not made: run `python -m unetseg.cli`.
        extras: names of its optional dependencies.

    Raises:
        OSError: this system makes no links, or not for this user.
        PackageNotFoundError: something that the wheel requires is not installed here.
    """
    venv.EnvBuilder(with_pip=False, symlinks=sys.platform != "win32").create(folder)
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    python = folder / scripts / ("python.exe" if sys.platform == "win32" else "python")
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    package = PathDistribution(next(site.glob("*.dist-info")))
    for one in required(package, extras).values():
        for name in sorted({file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}):
            target = Path(str(one.locate_file(name)))
            if target.exists() and not (site / name).exists():
                (site / name).symlink_to(target, target_is_directory=target.is_dir())
    return python


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__.splitlines()[2].strip(), file=sys.stderr)
        return 2
    try:
        python = make(Path(arguments[1]), Path(arguments[0]), arguments[2:])
    except PackageNotFoundError as error:
        print(f"{error.name} is not installed here; set the environment up first: make setup", file=sys.stderr)
        return 2
    return subprocess.run([python, "-m", "unetseg.cli", "--version"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
