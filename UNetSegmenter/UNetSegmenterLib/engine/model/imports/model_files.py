"""Files of a model in a folder or in a zip archive, read by their names; nothing is unpacked beside them.

Names in an archive are only compared with names that are looked for, so none of them can lead out of a folder, and what is
read is counted, so an archive that lies about its sizes fills neither memory nor disk.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ...errors import InputError

MOST_MEMBERS = 100_000
MOST_JSON_BYTES = 64 * 2**20
MOST_CHECKPOINT_BYTES = 8 * 2**30
_COPIED_BYTES = 2**20
_DAMAGED_DATA = (zlib.error, LZMAError)


@dataclass(frozen=True)
class ModelFiles:
    """The files below one folder, which may lie in a zip archive.

    Args:
        root: the folder, or the archive.
        inside: the folder within the archive, with "/" between its parts; "" for the archive's top.
        members: names of all files of the archive; None for a folder.
    """

    root: Path
    inside: str = ""
    members: frozenset[str] | None = None

    def __str__(self) -> str:
        """Where the files are, for the user."""
        return f"{self.root}/{self.inside}".rstrip("/") if self.inside else str(self.root)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return PurePosixPath(self.inside).name if self.inside else self.root.resolve().name

    def below(self, name: str) -> ModelFiles:
        """The files of a folder in this one."""
        if self.members is None:
            return ModelFiles(self.root / name)
        return ModelFiles(self.root, f"{self.inside}/{name}".lstrip("/"), self.members)

    def folders(self) -> list[str]:
        """Names of the folders in this one, sorted."""
        if self.members is None:
            return sorted(path.name for path in self.root.iterdir() if path.is_dir())
        start = f"{self.inside}/" if self.inside else ""
        below = (name[len(start) :] for name in self.members if name.startswith(start))
        return sorted({name.partition("/")[0] for name in below if "/" in name})

    def has(self, name: str) -> bool:
        """Whether there is a file of that name; it may have folders in it."""
        return (self.root / name).is_file() if self.members is None else self._member(name) in self.members

    def read_json(self, name: str) -> Any:
        """The content of a JSON file; raises InputError if it is missing, too large or no JSON."""
        if not self.has(name):
            raise InputError(f"{self} has no {name}; choose the trained model's folder with all of its files.")
        with self._opened(name) as file:
            data = file.read(MOST_JSON_BYTES + 1)
        if len(data) > MOST_JSON_BYTES:
            raise InputError(f"{self}/{name} has more than {MOST_JSON_BYTES >> 20} MB; a file of nnU-Net is smaller.")
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{self}/{name} is not JSON text ({error}); copy it again from where it was trained."
            ) from error

    @contextmanager
    def as_file(self, name: str) -> Iterator[Path]:
        """A file on the disk with the content of `name`; that of an archive is removed afterwards."""
        if self.members is None:
            yield self.root / name
            return
        with tempfile.TemporaryDirectory(prefix="unetsegmenter-") as folder:
            path = Path(folder) / PurePosixPath(name).name
            with self._opened(name) as source, path.open("wb") as target:
                copied = 0
                while block := source.read(_COPIED_BYTES):
                    copied += len(block)
                    if copied > min(MOST_CHECKPOINT_BYTES, shutil.disk_usage(folder).free + copied - 2 * _COPIED_BYTES):
                        raise InputError(
                            f"{self}/{name} has more bytes than the disk of {tempfile.gettempdir()} can hold or than "
                            f"{MOST_CHECKPOINT_BYTES >> 30} GB; unpack the archive yourself and choose its folder."
                        )
                    target.write(block)
            yield path

    def _member(self, name: str) -> str:
        return f"{self.inside}/{name}".lstrip("/")

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        try:
            if self.members is None:
                with (self.root / name).open("rb") as file:
                    yield file
                return
            with zipfile.ZipFile(self.root) as archive, archive.open(self._member(name)) as member:
                yield member  # type: ignore[misc]
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, *_DAMAGED_DATA) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk; bzip2 has no other error for damaged data
            raise InputError(
                f"{self.root} is damaged or encrypted at {name} ({error}); copy it again, or unpack it and choose its folder."
            ) from error


def model_files(path: Path) -> ModelFiles:
    """The files of a folder or a zip archive; raises InputError if it is neither."""
    if path.is_dir():
        return ModelFiles(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise InputError(
            f"{path} is neither a folder nor a zip archive ({error}); choose a trained model's folder or its exported zip."
        ) from error
    if len(names) > MOST_MEMBERS:
        raise InputError(
            f"{path} holds {len(names):,} files; a model exported by nnU-Net has fewer than {MOST_MEMBERS:,}."
        )
    return ModelFiles(path, "", frozenset(name for name in names if not name.endswith("/")))
