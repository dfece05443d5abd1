"""Files written atomically: under a temporary name, flushed to the disk, then renamed; and a lock between processes."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError

_PREFIX = ".partial-"
_PARTIAL = re.compile(re.escape(_PREFIX) + r"(?P<host>[0-9a-f]{6})?[0-9a-f]{8}-(?P<tail>.*)", re.DOTALL)
_KEPT_CHARACTERS = 50  # of the name, its ending among them, in the temporary one: a file name may have 255 bytes
_ABANDONED_SECONDS, _JUST_MADE_SECONDS = 24 * 3600.0, 1.0
_LOCK_SECONDS, _LOCK_PAUSE_SECONDS, _LOCKED_BYTE = 30.0, 0.02, 2**30
_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
_EXISTS = (errno.EEXIST, errno.ENOTEMPTY)
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Some network folders support neither locks nor flushing; files are complete there, too."""


class WriteError(InputError):
    """A file that can't be written, with the reason. Other files in its folder will fail in the same way."""


def write_atomically(path: Path | str, write: Callable[[Path], object], ending: str = "") -> None:
    """Write a file under a temporary name in the same folder, flush it to the disk and rename it.

    A reader never finds half a file. If two processes write the same file, the file of one of them remains, complete.

    Args:
        path: the file; its folder is made if it is missing.
        write: writes the temporary file whose path it gets. That path has the ending of `path`, which many writers go by.
        ending: such as ".nii.gz", if the temporary file is to have nothing but that of the name.

    Raises:
        WriteError: the file can't be written; the message gives the reason.
    """
    path = Path(path)
    partial, lock = _partial_of(path, ending), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(partial)
        lock = _hold(partial)
        write(partial)
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    except (OSError, RuntimeError) as error:
        raise WriteError(f"{path} could not be written ({why_not_written(error, path.parent)}).") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        _let_go(lock)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically, line ends unchanged. Raises WriteError with the reason if it can't be written."""
    write_bytes(path, text.encode("utf-8", errors="replace"))


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write bytes atomically. Raises WriteError with the reason if they can't be written."""
    write_atomically(path, lambda partial: partial.write_bytes(content))


def write_folder(folder: Path | str, write: Callable[[Path], object]) -> None:
    """Write a folder under a temporary name and rename it; a folder that is not empty is never replaced.

    Args:
        folder: the folder.
        write: fills the temporary folder whose path it gets.

    Raises:
        WriteError: the folder can't be written; the message gives the reason.
    """
    folder = Path(folder)
    partial, lock = _partial_of(folder), None
    try:
        partial.mkdir(parents=True)
        _remove_abandoned(partial)
        lock = _hold(partial)
        write(partial)
        for path in partial.rglob("*"):
            sync(path)
        partial.replace(folder)
        sync(folder.parent)
    except OSError as error:
        raise WriteError(f"{folder} could not be written ({why_not_written(error, folder.parent)}).") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _let_go(lock)


def sync(path: Path) -> None:
    """Flush a file to the disk, or the entries of a folder where the system supports that."""
    if path.is_dir():
        if os.name != "posix":
            return
        flags = os.O_RDONLY
    else:
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0)
    number = os.open(path, flags)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(number)


def _partial_of(path: Path, ending: str = "") -> Path:
    """A temporary name beside `path` that no other process has; it tells on which machine it is written, and of which file."""

    def short_hash(text: str) -> str:
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:6]

    tail = f"{short_hash(path.name)}{ending}" if ending else path.name[-_KEPT_CHARACTERS:]
    return path.with_name(f"{_PREFIX}{short_hash(socket.gethostname())}{secrets.token_hex(4)}-{tail}")


def _hold(partial: Path) -> int | None:
    """Hold the temporary file or folder as long as this process lives; None where the system has no such locks.

    The lock goes with the process, so what a killed one has left is known by that nobody holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    number = os.open(partial, os.O_RDONLY if partial.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    with suppress(OSError):
        fcntl.flock(number, fcntl.LOCK_EX)  # `_is_abandoned` of another process lets go at once
    return number


def _let_go(number: int | None) -> None:
    if number is not None:
        os.close(number)


def _remove_abandoned(partial: Path) -> None:
    """Remove temporary files and folders of the same target that a killed process left, on this machine or a day ago."""
    mine = _PARTIAL.fullmatch(partial.name)
    assert mine is not None
    for name in os.listdir(partial.parent):
        other = _PARTIAL.fullmatch(name)
        if other is None or other["tail"] != mine["tail"] or name == partial.name:
            continue
        path = partial.with_name(name)
        with suppress(OSError):
            is_old = path.stat().st_mtime < time.time() - _ABANDONED_SECONDS
            if is_old or (other["host"] == mine["host"] and _is_abandoned(path)):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def _is_abandoned(partial: Path) -> bool:
    """Whether no process of this machine holds a temporary file; files that were made just now may be about to be held."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    number = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(number)
    return time.time() - partial.stat().st_mtime > _JUST_MADE_SECONDS


def why_not_written(error: Exception, folder: Path) -> str:
    """Why a file could not be written and what to do about it; the messages of libraries often give neither."""
    number = (isinstance(error, OSError) and error.errno) or 0
    with suppress(OSError):
        if not number and shutil.disk_usage(folder).free < 2**16:
            number = errno.ENOSPC
        elif not number and not os.access(folder, os.W_OK):
            number = errno.EACCES
    if file := next((path for path in (folder, *folder.parents) if path.is_file()), None):
        return f"{file} is a file, and a folder is expected there; choose another name"
    if number in _DISK_FULL:
        return f"{os.strerror(number)}: free some space, or choose another folder"
    if number in _NO_PERMISSION:
        return f"{os.strerror(number)}: check the rights of {folder}, or choose another folder"
    if number == errno.EFBIG:
        return f"{os.strerror(number)}: a limit of this system or of its disk allows no file of that size"
    if number in _EXISTS:
        return "another run has written it meanwhile; choose another folder"
    if number:
        return os.strerror(number)
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__


@contextmanager
def locked(path: Path, wait_seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock file `path`, which excludes other processes and machines; it is removed at the end.

    The operating system releases the lock when the process ends, even if it is killed. Raises InputError, which names the
    holder, if another process holds the lock for longer than `wait_seconds`.
    """
    end = time.monotonic() + wait_seconds
    while (file := _try_lock(path)) is None:
        if time.monotonic() >= end:
            holder = ""
            with suppress(OSError):
                holder = path.read_text(encoding="utf-8").strip()
            raise InputError(
                f"another run ({holder or 'of another process'}) is writing into {path.parent}; wait for it, stop it, or "
                "choose another folder."
            )
        time.sleep(_LOCK_PAUSE_SECONDS)
    try:
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file
            path.unlink()
        os.close(file)


def _try_lock(path: Path) -> int | None:
    """The descriptor of the lock file once it is locked, None if another process holds the lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise WriteError(f"{path} could not be written ({why_not_written(error, path.parent)}).") from error
    if _lock(file):
        with suppress(OSError):
            if os.path.samestat(os.fstat(file), path.stat()):  # else the last holder has just removed this one
                return file
    os.close(file)
    return None


def _lock(file: int) -> bool:
    """Whether this process could lock the open file."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)  # a locked byte can't be read, and the first ones name the holder
        lock: Callable[..., object] = msvcrt.locking  # type: ignore[attr-defined]
        arguments: tuple[int, ...] = (msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        lock, arguments = fcntl.flock, (fcntl.LOCK_EX | fcntl.LOCK_NB,)
    try:
        lock(file, *arguments)
    except OSError as error:
        return error.errno in _NOT_SUPPORTED
    finally:
        os.lseek(file, 0, os.SEEK_SET)
    return True
