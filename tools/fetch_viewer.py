"""Fetch the viewer of the HTML report: NiiVue's bundle, at one version and with one SHA-256, next to the report's code.

It is not kept in git. npm brings it where npm is installed (from whatever registry is configured there), else a public
address of npm's packages. Whatever comes with another SHA-256 is thrown away, npm's package before it is opened. Without the
file reports are whole but static, so nothing fails: one line says what is missing, and `python tools/fetch_viewer.py` tries
again.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

VERSION = "0.69.0"
SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
PACKAGE_SHA256 = "6e9a6a471b428eb3b258a0086beca9187d95e43a781a39e8a519c6da246af485"
PACKAGE = f"@niivue/niivue@{VERSION}"
ADDRESS = f"https://cdn.jsdelivr.net/npm/{PACKAGE}/dist/niivue.umd.js"
TARGET = Path(__file__).resolve().parents[1] / "UNetSegmenter/UNetSegmenterLib/engine/report/niivue.umd.js"
_SECONDS = 120


def from_npm() -> bytes:
    """The bundle out of npm's package; raises OSError or a subprocess or tar error where that does not work."""
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", "--ignore-scripts", PACKAGE]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_SECONDS)
        package = next(Path(folder).glob("*.tgz")).read_bytes()
        if hashlib.sha256(package).hexdigest() != PACKAGE_SHA256:
            raise OSError("npm's package has another SHA-256 than the pinned one, so it was not opened")
        with tarfile.open(fileobj=io.BytesIO(package)) as archive:
            member = archive.extractfile("package/dist/niivue.umd.js")
            assert member is not None
            return member.read()


def from_address() -> bytes:
    """The bundle from its public address; raises OSError where there is no way there."""
    with urllib.request.urlopen(ADDRESS, timeout=_SECONDS) as answer:
        return answer.read()


def is_right(content: bytes) -> bool:
    """Whether this is the file that was looked at when it was pinned."""
    return hashlib.sha256(content).hexdigest() == SHA256


def fetch(target: Path = TARGET, ways=(from_npm, from_address)) -> str:
    """Bring the file if it is not there yet; returns "" or an error message."""
    if target.is_file() and is_right(target.read_bytes()):
        return ""
    reasons = []
    for way in ways:
        try:
            content = way()
        except (OSError, subprocess.SubprocessError, tarfile.TarError, StopIteration, KeyError) as error:
            reasons.append(f"{way.__name__.replace('_', ' ')}: {error or type(error).__name__}")
            continue
        if is_right(content):
            partial = target.with_name(".partial-" + target.name)
            partial.write_bytes(content)
            partial.replace(target)
            return ""
        reasons.append(f"{way.__name__.replace('_', ' ')}: another SHA-256 than the pinned one")
    return "; ".join(reasons)


def main() -> int:
    if problem := fetch():
        print(
            f"Reports will have no interactive viewer: NiiVue {VERSION} could not be fetched ({problem}).",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
