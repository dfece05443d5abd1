"""What a command writes: no other files are replaced, no input is written into, and what can't be written is refused at once.

A folder that a command writes into holds a manifest, .unetseg.json, with the command, its files and their SHA-256. From it a
later run of the same command knows what it may replace, and what was added or changed by hand since.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import locked, why_not_written, write_text

MANIFEST, LOCK, RUN_LOCK = ".unetseg.json", ".unetseg.lock", ".unetseg.run.lock"
RESULTS = ("metrics.csv", "summary.json", "report.html", "figures/*.svg", "figures/*.png")
"""The files of every comparison (`write_results`)."""

FileId = tuple[int, int]


def refuse_output_in_input(output: Path, inputs: Iterable[Path | None]) -> None:
    """Raise InputError if `output` is an input folder or lies in one: what is written there would be read the next time.

    Folders are known by device and inode, so links and other spellings are seen through.
    """
    folders = {number: path for path in inputs if path is not None and path.is_dir() and (number := _id(path))}
    place = output.resolve()
    for around in (place, *place.parents) if folders else ():
        if folder := folders.get(_id(around) or (0, 0)):
            where = f"{output} is what" if around == place else f"{output} lies in {folder}, which"
            raise InputError(
                f"{where} this command reads, and nothing is written into an input; choose a place outside for the output."
            )


def _check_file(path: Path, inputs: Iterable[Path], overwrite: bool, endings: Sequence[str]) -> None:
    """Raise InputError if `path` can't be an output: an input, of another ending, or there without `overwrite`."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; the name of a file is expected there.")
    if _id(path) in _ids(inputs):
        raise InputError(_is_input(path))
    if endings and path.suffix.lower() not in endings:
        raise InputError(f"{path} does not end in {' or '.join(endings)}, as what is written there; name it so.")
    if os.path.lexists(path) and not overwrite:
        raise InputError(f"{path} exists already; choose another name, or replace it with --overwrite.")


@dataclass
class OutputFolder:
    """A folder that `command` writes into; see `claimed`."""

    path: Path
    command: str
    inputs: frozenset[FileId]
    overwrite: bool
    marker: str = ""
    former_command: str = ""
    _claimed: list[str] = field(default_factory=list)
    _before: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def claim(self, *patterns: str) -> None:
        """Claim what will be written: names below the folder, or patterns of them.

        Raises InputError if one of them is an input, or exists and was not written by this command.
        """
        with self._manifest() as manifest:
            there = self._matching(patterns)
            self._refuse_other_command(manifest)
            for name in there:
                self._refuse(name, manifest)
            manifest["command"] = self.command
            manifest["unfinished"] = sorted({*manifest["unfinished"], *patterns})
        self._before |= {name: _state(self.path / name) for name in there}
        self._claimed += patterns

    def record(self, names: Iterable[str], source: Path, settings: Mapping[str, str] | None = None) -> None:
        """Note that the claimed `names` are written, from `source` with `settings`; from now on a change is one by hand."""
        made_from: dict[str, Any] = {"path": str(source.absolute()), "sha256": _sha256_of_all(source)}
        made_from |= {"settings": dict(settings)} if settings else {}
        with self._manifest() as manifest:
            for name in names:
                manifest["files"][name] = _sha256(self.path / name)
                manifest["sources"][name] = made_from
                self._claimed.remove(name)
                manifest["unfinished"] = [one for one in manifest["unfinished"] if one != name]

    def close(self) -> None:
        """Note everything that was written; if that is nothing, no manifest is left."""
        with self._manifest() as manifest:
            self._record(manifest)
            manifest["unfinished"] = sorted(set(manifest["unfinished"]) - set(self._claimed))

    def _record(self, manifest: dict[str, Any]) -> None:
        for name in self._matching(self._claimed):
            if self._before.get(name) != (now := _state(self.path / name)):
                manifest["files"][name] = _sha256(self.path / name)
                self._before[name] = now

    def _matching(self, patterns: Iterable[str]) -> list[str]:
        """Names of the files below the folder that fit one of the patterns; only "*" is special in these."""
        found = set()
        for pattern in patterns:
            if "*" not in pattern:
                found |= {pattern} if os.path.lexists(self.path / pattern) else set()
                continue
            folder = Path(pattern).parent
            with suppress(FileNotFoundError, NotADirectoryError):
                for entry in os.scandir(self.path / folder):
                    if fnmatchcase(entry.name, Path(pattern).name) and not entry.is_dir():
                        found.add((folder / entry.name).as_posix())
        return sorted(found)

    def _refuse_other_command(self, manifest: dict[str, Any]) -> None:
        other = manifest["command"]
        if other in ("", self.command, self.former_command):
            return
        if not (manifest["files"] or self._matching(manifest["unfinished"])):  # all of it was moved away since
            manifest["unfinished"] = []
            return
        raise InputError(
            f"{self.path} holds what unetseg {other} wrote; two commands don't share a folder, because one would replace the "
            "other's report and tables: choose another --output."
        )

    def _refuse(self, name: str, manifest: dict[str, Any]) -> None:
        path = self.path / name
        if path.is_dir():
            raise InputError(f"{path} is a folder where a file is to be written; choose another --output.")
        if _id(path) in self.inputs:
            raise InputError(_is_input(path))
        if self.overwrite or any(_fits(name, pattern) for pattern in manifest["unfinished"]):
            return
        known = manifest["files"].get(name)
        if known is None and not (self.marker and (self.path / self.marker).exists()):
            raise InputError(
                f"{path} was not written by unetseg {self.command}; choose another --output, move it away, or replace it "
                "with --overwrite."
            )
        if known is not None and known != _sha256(path):
            raise InputError(
                f"{path} was changed since unetseg {self.command} wrote it; choose another --output, move it away, or "
                "replace it with --overwrite."
            )

    @contextmanager
    def _manifest(self) -> Iterator[dict[str, Any]]:
        """The manifest, which no other process changes meanwhile; written if it was changed."""
        path = self.path / MANIFEST
        with locked(self.path / LOCK):
            manifest = _read_manifest(path)
            for part in ("files", "sources"):
                manifest[part] = {name: of for name, of in manifest[part].items() if (self.path / name).exists()}
            before = json.dumps(manifest)
            yield manifest
            if not (manifest["files"] or manifest["unfinished"]):
                path.unlink(missing_ok=True)
            elif json.dumps(manifest) != before:
                write_text(path, json.dumps(manifest, indent=1) + "\n")


@dataclass(frozen=True)
class Outputs:
    """What a command writes and reads.

    Attributes:
        path: the file that is written, or the folder of the files `writes`.
        writes: names below the folder, or patterns with "*".
        inputs: files that the command reads, and folders that it reads as a whole. No file of them is ever replaced, under
            whatever name or link, and nothing is written into such a folder.
        marker: a file that shows an earlier run where the folder has no manifest.
        former_command: the command's name in earlier versions, which their manifests hold.
        endings: how the name of a single file may end, in lower case; any if there is none.
    """

    path: Path
    writes: tuple[str, ...] = ()
    inputs: tuple[Path | None, ...] = ()
    marker: str = ""
    former_command: str = ""
    endings: tuple[str, ...] = ()


@contextmanager
def claimed(outputs: Outputs, command: str, overwrite: bool, alone: bool = True) -> Iterator[OutputFolder]:
    """Check that a command may write its outputs before the work starts, and note afterwards what it wrote.

    Args:
        outputs: what the command writes and reads.
        command: its name.
        overwrite: whether files may be replaced that the command did not write.
        alone: whether no second run may write into the folder at the same time.

    Raises:
        InputError: an output is an input, belongs to something else, or can't be written.
    """
    inputs = [path for path in outputs.inputs if path is not None]
    refuse_output_in_input(outputs.path, inputs)
    if not outputs.writes:
        _check_file(outputs.path, inputs, overwrite, outputs.endings)
        yield OutputFolder(outputs.path.parent, command, frozenset(), overwrite)
        return
    with (
        output_folder(outputs.path) as folder,
        locked(folder / RUN_LOCK, wait_seconds=0) if alone else nullcontext(),
    ):
        output = OutputFolder(folder, command, _ids(inputs), overwrite, outputs.marker, outputs.former_command)
        output.claim(*outputs.writes)
        try:
            yield output
        except BaseException:
            with suppress(InputError):  # the error that ended the work is reported instead
                output.close()
            raise
        output.close()


@contextmanager
def output_folder(folder: Path | str) -> Iterator[Path]:
    """Make `folder` (and its parents) and check that files can be written there; raises InputError if not.

    New folders are removed again if the work inside leaves them empty.
    """
    folder = Path(folder)
    if file := next((path for path in (folder, *folder.parents) if path.is_file()), None):
        raise InputError(f"{file} is a file, and a folder is expected to write to; choose another name.")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as trial:
                trial.write(b"space for a page" * 256)
                trial.flush()
        except OSError as error:
            raise InputError(f"{folder} can't be written to ({why_not_written(error, folder)}).") from error
        yield folder
    finally:
        _remove_empty(made)


def written_here(folder: Path) -> tuple[str, ...]:
    """Names below the folder of the files that a run of unetseg wrote there."""
    return tuple(_read_manifest(folder / MANIFEST)["files"])


def other_source(result: Path, source: Path, folder: Path) -> str | None:
    """The file or series that `result` in `folder` was made from, if its bytes differ from those of `source`."""
    made_from = _read_manifest(folder / MANIFEST)["sources"].get(result.relative_to(folder).as_posix())
    if made_from is None or not result.exists() or made_from["path"] == str(source.absolute()) or not source.exists():
        return None
    return None if made_from["sha256"] == _sha256_of_all(source) else str(made_from["path"])


def made_with(result: Path, folder: Path) -> dict[str, str] | None:
    """The settings that `result` in `folder` was made with; None if the folder's manifest does not know the file."""
    made_from = _read_manifest(folder / MANIFEST)["sources"].get(result.relative_to(folder).as_posix())
    return None if made_from is None else dict(made_from.get("settings", {}))


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest; an empty one if none can be read."""
    empty: dict[str, Any] = {"command": "", "files": {}, "sources": {}, "unfinished": []}  # unfinished: being written
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(isinstance(found.get(key, of), type(of)) for key, of in empty.items()):
            return empty | found
    return empty


def _is_input(path: Path) -> str:
    return f"{path} is an input of this command, and inputs are never replaced; choose another --output."


def _ids(inputs: Iterable[Path]) -> frozenset[FileId]:
    """Identities of files, independent of their names; of a folder those in it that no run of unetseg wrote."""
    found = set()
    for path in inputs:
        files = [path]
        if path.is_dir():
            ours = written_here(path)
            files = [file for file in path.iterdir() if file.name not in ours]
        found |= {number for file in files if (number := _id(file))}
    return frozenset(found)


def _id(path: Path) -> FileId | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or ("*" in pattern and fnmatchcase(name, pattern))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of_all(path: Path) -> str:
    """SHA-256 of a file; of a folder that of its files, independent of their order and names."""
    if not path.is_dir():
        return _sha256(path)
    return hashlib.sha256(
        "".join(sorted(_sha256(file) for file in path.iterdir() if file.is_file())).encode()
    ).hexdigest()


def _state(path: Path) -> tuple[int, ...]:
    found = path.lstat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _remove_empty(folders: list[Path]) -> None:
    """Remove the innermost first; one that holds something stays, and so do those around it."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
