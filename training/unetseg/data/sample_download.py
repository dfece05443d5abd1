"""The demo's sample scan: a CT that a Python package index carries, downloaded once and kept.

It is part of the source distribution of TotalSegmentator (engine/labels/sample_scan.py describes it). pip downloads that from the
index that the user's pip is set up for. pip runs a source distribution's own code to learn its name and version, so it gets the
SHA-256 of the whole file: with --require-hashes it discards another file before it opens it. Every file that is extracted is
checked as well.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
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
REFERENCE_DESCRIPTION = "reference by TotalSegmentator"
_IN_ARCHIVE = {SCAN: FOLDER + SCAN, REFERENCE: FOLDER + REFERENCE, LICENCE: LICENCE}


@dataclass(frozen=True)
class SampleCase:
    """The sample scan and its machine-made reference, in the scan's grid."""

    volume: Volume
    reference: Segmentation


def default_cache() -> Path:
    """This platform's folder for files that can be downloaded again."""
    from platformdirs import user_cache_path

    return user_cache_path("unetsegmenter", appauthor=False)


def read_sample(cache: Path | None = None, may_fetch: Callable[[], bool] | None = None) -> SampleCase:
    """The sample from the cache, downloaded first if it is not there.

    Args:
        cache: where it is kept; by default this platform's folder for such files.
        may_fetch: asked before a download; without it, calling this is the consent.

    Raises:
        InputError: it may not or can't be downloaded, or is not the pinned file.
    """
    folder = fetch_sample(cache or default_cache(), may_fetch)
    return SampleCase(read_volume(folder / SCAN), read_reference(folder / REFERENCE, "TotalSegmentator (machine-made)"))


def fetch_sample(cache: Path, may_fetch: Callable[[], bool] | None = None) -> Path:
    """Folder with the sample's files, each with the SHA-256 it should have; needs the network only the first time."""
    folder = cache / f"{PACKAGE}-{VERSION}"
    if all(_is_pinned(folder / name) for name in _IN_ARCHIVE):
        return folder
    if may_fetch is not None and not may_fetch():
        raise InputError(
            f"The sample scan is not in {cache}, and nothing is downloaded without consent; fetch it (38 MB, by pip) with "
            "--fetch, or use a scan of your own: --scan FILE."
        )
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


def _is_pinned(path: Path) -> bool:
    return path.is_file() and _sha256(path) == SHA256[path.name]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(folder: Path) -> Path:
    """Download the source distribution with pip, from the index that this user's pip is set up for.

    Raises:
        InputError: the download fails, or the index has another file.
    """
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
            "discarded and nothing in it was run; use a scan of your own: unetseg demo --scan FILE [--reference FILE]."
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
    """Extract the files that are used, and nothing else.

    Raises:
        InputError: the archive is damaged, or a file has not the pinned content.
    """
    try:
        with tarfile.open(archive) as tar:
            for name, path in _IN_ARCHIVE.items():
                member = tar.extractfile(f"{PACKAGE}-{VERSION}/{path}")
                if member is None:
                    raise KeyError(name)
                (folder / name).write_bytes(member.read())
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise InputError(
            f"{archive.name} was fetched but is damaged ({error}); run the command again, or use --scan FILE."
        ) from error
    for name in _IN_ARCHIVE:
        if not _is_pinned(folder / name):
            raise InputError(
                f"{name} in {archive.name} does not have the pinned SHA-256, so it is not used; your package index "
                "carries another file: use --scan FILE."
            )
