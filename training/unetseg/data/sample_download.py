"""The demo's sample scan: a CT that a Python package index carries, fetched once and kept.

It lies in the source distribution of TotalSegmentator (engine/labels/sample.py says what it is). pip fetches that from whatever
index the user's pip is set up for. pip runs a source distribution's own code to learn its name and version, so it is told the
SHA-256 of the whole file: with --require-hashes it throws another file away before it looks into it. Every file that is taken
out of it is checked as well.
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
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.sample_scan import (
    ARCHIVE_SHA256,
    FOLDER,
    LICENCE,
    REFERENCE,
    SCAN,
    SHA256,
    VERSION,
    read_reference,
)
from UNetSegmenterLib.engine.labels.segmentation import Segmentation

from ..console import print_line

PACKAGE = "totalsegmentator"
REFERENCE_WORDS = "reference by TotalSegmentator"
_IN_ARCHIVE = {SCAN: FOLDER + SCAN, REFERENCE: FOLDER + REFERENCE, LICENCE: LICENCE}


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
    return path.is_file() and _sha256(path) == SHA256[path.name]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(folder: Path) -> Path:
    """The source distribution, by pip, from the index that this user's pip is set up for; raises InputError for another."""
    print_line(f"fetching the sample scan: source distribution of {PACKAGE} {VERSION} (38 MB), by pip, once")
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{ARCHIVE_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--require-hashes", "--requirement", str(pinned), "--no-deps"]
    command += ["--no-binary", ":all:", "--no-build-isolation", "--disable-pip-version-check", "--dest", str(folder)]
    if not sys.stdout.isatty():
        command.append("--quiet")
    done = subprocess.run(command, stderr=subprocess.PIPE, encoding="utf-8", errors="replace", check=False)
    archives = sorted(folder.glob(f"{PACKAGE}-{VERSION}*.tar.gz"))
    if "DO NOT MATCH THE HASHES" in done.stderr or (archives and _sha256(archives[0]) != ARCHIVE_SHA256):
        raise InputError(
            f"Your package index has another file for {PACKAGE} {VERSION} than the one whose SHA-256 is pinned, so it was "
            "thrown away and nothing in it was run; use a scan of your own: unetseg demo --scan FILE [--reference FILE]."
        )
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
            for name, place in _IN_ARCHIVE.items():
                member = tar.extractfile(f"{PACKAGE}-{VERSION}/{place}")
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
