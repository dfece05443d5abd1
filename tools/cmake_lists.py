"""Write the file lists of `UNetSegmenter/CMakeLists.txt` from the tree; `--check` only says whether they are equal.

Slicer's build installs what is listed and nothing else: a file that is missing works from source and fails once packaged.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "UNetSegmenter"
LISTS = MODULE / "CMakeLists.txt"
FETCHED = ("niivue.umd.js",)  # not in git (tools/fetch_viewer.py): CMakeLists.txt takes it along where it is


def module_files(module: Path = MODULE) -> tuple[list[str], list[str]]:
    """Python files and other files of the module folder, as CMake has them; no caches, no documentation, no build files."""
    files = sorted(path.relative_to(module) for path in module.rglob("*") if path.is_file())
    files = [path for path in files if not any(part.startswith((".", "__pycache__")) for part in path.parts)]
    scripts = [path.as_posix() for path in files if path.suffix == ".py" and path.name != "UNetSegmenter.py"]
    others = [
        path.as_posix()
        for path in files
        if path.suffix not in (".py", ".pyc", ".md") and path.name not in ("CMakeLists.txt", *FETCHED)
    ]
    return ["${MODULE_NAME}.py", *scripts], others


def listed(text: str, variable: str) -> list[str]:
    """Entries of `set(variable ...)` in a CMake file."""
    found = re.search(rf"set\({variable}\n(.*?)\n  \)", text, re.DOTALL)
    return [line.strip() for line in found.group(1).splitlines()] if found else []


def with_lists(text: str, scripts: list[str], others: list[str]) -> str:
    """The CMake text with both lists replaced."""
    for variable, entries in (("MODULE_PYTHON_SCRIPTS", scripts), ("MODULE_PYTHON_RESOURCES", others)):
        lines = "".join(f"  {entry}\n" for entry in entries)
        text = re.sub(rf"set\({variable}\n.*?\n  \)", lambda _: f"set({variable}\n{lines}  )", text, flags=re.DOTALL)  # noqa: B023
    return text


def main() -> int:
    before = LISTS.read_text(encoding="utf-8")
    after = with_lists(before, *module_files())
    if "--check" in sys.argv[1:]:
        return int(before != after)
    LISTS.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
