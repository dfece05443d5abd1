"""The repository's address: one constant in pyproject.toml, and a command that changes it wherever else it must stand.

  python tools/repository_address.py                                       say the address, and which files name another one
  python tools/repository_address.py https://github.com/OWNER/SlicerNAME   change it in every file

CMake, JSON and web pages can't read a constant of Python, so they repeat it; Testing/test_publishing.py holds them equal. After a
change look at `git diff`. The Extensions Index wants a name that starts with "Slicer" (docs/publishing.md).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"https://github\.com/(?P<owner>[\w.-]+)/(?P<name>[\w-]+)")


def address(root: Path = ROOT) -> str:
    """The one constant."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"]


def spellings(address: str) -> tuple[str, str]:
    """What other addresses are made from: OWNER/NAME, and the site of GitHub Pages."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError(f"{address} is no address of a repository; expected https://github.com/OWNER/NAME.")
    owner, name = found["owner"], found["name"]
    return f"{owner}/{name}", f"{owner.lower()}.github.io/{name}"


def text_files(root: Path = ROOT) -> list[Path]:
    """Files of the repository, without those that git ignores and without pictures and weights."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout.decode()
    paths = [root / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink() and b"\0" not in path.read_bytes()]


def others(root: Path = ROOT) -> list[str]:
    """Lines that name a repository or site of this project's name under another owner."""
    slug, site = spellings(address(root))
    name = re.escape(slug.partition("/")[2])
    mention = re.compile(rf"(?:github\.com|githubusercontent\.com)/[\w.-]+/{name}\b|[\w-]+\.github\.io/{name}\b")
    own = (f"github.com/{slug}", f"githubusercontent.com/{slug}", site)
    found = []
    for path in text_files(root):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found += [
                f"{path.relative_to(root).as_posix()}:{number}: {one}"
                for one in mention.findall(line)
                if one not in own
            ]
    return found


def change(new: str, root: Path = ROOT) -> list[str]:
    """Replace the address in every file; returns the files."""
    pairs = list(zip(spellings(address(root)), spellings(new), strict=True))
    changed = []
    for path in text_files(root):
        before = after = path.read_text(encoding="utf-8")
        for old, replacement in pairs:
            after = re.sub(rf"(?<![\w.-]){re.escape(old)}(?![\w-])", replacement, after)
        if after != before:
            path.write_text(after, encoding="utf-8", newline="\n")
            changed.append(path.relative_to(root).as_posix())
    return changed


def main(arguments: list[str]) -> int:
    if arguments:
        try:
            print(*change(arguments[0].removesuffix(".git").rstrip("/")), sep="\n")
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        return 0
    print(address())
    if found := others():
        print("another address:", *found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
