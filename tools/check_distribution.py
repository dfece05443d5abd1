"""Look into the wheel and the source distribution of a folder: `python tools/check_distribution.py dist`.

Both must hold every file that the package reads at run time; the viewer of the report is fetched, so it is missing where
`tools/fetch_viewer.py` had no way to it.
"""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {  # in the wheel: in the tree
    "UNetSegmenterLib": "UNetSegmenter/UNetSegmenterLib",
    "UNetSegmenterLib/models": "UNetSegmenter/Resources/Models",
    "unetseg": "training/unetseg",
}
FETCHED = "UNetSegmenterLib/engine/report/niivue.umd.js"
LEFT_OUT = ("UNetSegmenterLib/panel/",)  # of use only inside Slicer


def expected(root: Path = ROOT) -> dict[str, str]:
    """Names in the wheel of all that must be in it, and the file of the tree that each one is."""
    names = {FETCHED: FOLDERS["UNetSegmenterLib"] + FETCHED.removeprefix("UNetSegmenterLib")}
    for package, folder in FOLDERS.items():
        for path in (root / folder).rglob("*"):
            if path.is_file() and path.suffix not in (".pyc", ".md"):
                names[f"{package}/{path.relative_to(root / folder).as_posix()}"] = path.relative_to(root).as_posix()
    return {name: file for name, file in names.items() if not name.startswith(LEFT_OUT)}


def wheel_names(wheel: Path) -> set[str]:
    """Files of a wheel, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def sdist_names(archive: Path) -> set[str]:
    """Files of a source distribution, without the folder that they are in."""
    with tarfile.open(archive) as tar:
        return {name.partition("/")[2] for name in tar.getnames()}


def problems(folder: Path, root: Path = ROOT) -> list[str]:
    """What is missing in the distributions of a folder, or too much in the wheel."""
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        return [f"{folder} has {len(wheels)} wheels and {len(sdists)} source distributions; expected is one of each"]
    wanted, in_wheel, in_sdist = expected(root), wheel_names(wheels[0]), sdist_names(sdists[0])
    found = [f"the wheel lacks {name}" for name in sorted(set(wanted) - in_wheel)]
    found += [f"the wheel has {name}, which the tree has not" for name in sorted(in_wheel - set(wanted))]
    found += [f"the source distribution lacks {file}" for file in sorted(set(wanted.values()) - in_sdist)]
    if re.match(r"unetsegmenter-([^-]+)", wheels[0].name)[1] not in sdists[0].name:
        found.append(f"{wheels[0].name} and {sdists[0].name} have different versions")
    return found


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0] if arguments else "dist")
    found = problems(folder)
    print(*found or [f"{folder}: wheel and source distribution hold all that the package reads"], sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
