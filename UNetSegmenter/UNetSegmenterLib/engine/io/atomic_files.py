"""Files that are written atomically: under a temporary name of their own, to the disk, then renamed into place."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError

_PREFIX = ".partial-"
_LONGEST = (
    50  # characters of the name that the temporary one keeps, its ending among them: a file system takes 255 bytes
)
_ABANDONED_SECONDS = 24 * 3600.0
_LOCK_SECONDS, _LOCK_PAUSE_SECONDS, _LOCKED_BYTE = 30.0, 0.02, 2**30
_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NO_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
_IS_THERE = (errno.EEXIST, errno.ENOTEMPTY)
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Some network folders know neither locks nor syncing; files are whole there too."""


class WriteError(InputError):
    """A file that can't be written, with the reason: the next one in that folder can't be written either."""


def write_atomically(path: Path | str, write: Callable[[Path], object]) -> None:
    """Call `write(partial_path)` beside `path`, bring that to the disk and rename it into place.

    Nobody meets half a file, and of two processes that write one file at once, one wins whole. The temporary name ends as
    `path` does, because writers go by the ending. Raises WriteError, an InputError, with the reason if the file can't be written.
    """
    path = Path(path)
    partial = path.with_name(f"{_PREFIX}{secrets.token_hex(4)}-{path.name[-_LONGEST:]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(partial)
        write(partial)
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    except (OSError, RuntimeError) as error:
        raise WriteError(f"{path} could not be written ({why_not_written(error, path.parent)}).") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically; line ends stay as they are. Raises InputError as `write_atomically` does."""
    write_atomically(path, lambda partial: partial.write_bytes(text.encode("utf-8", errors="replace")))


def write_folder(folder: Path | str, write: Callable[[Path], object]) -> None:
    """Call `write(partial_folder)` beside `folder` and rename it into place; no folder with anything in it is replaced.

    Raises InputError with the reason if it can't be written.
    """
    folder = Path(folder)
    partial = folder.with_name(f"{_PREFIX}{secrets.token_hex(4)}-{folder.name[-_LONGEST:]}")
    try:
        partial.mkdir(parents=True)
        write(partial)
        for path in partial.rglob("*"):
            sync(path)
        partial.replace(folder)
        sync(folder.parent)
    except OSError as error:
        raise WriteError(f"{folder} could not be written ({why_not_written(error, folder.parent)}).") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sync(path: Path) -> None:
    """Bring a file to the disk, or the entries of a folder where the system knows that."""
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


def _remove_abandoned(partial: Path) -> None:
    """Remove what a process that was killed a day ago or earlier left of the same file."""
    tail = partial.name[len(_PREFIX) + 8 :]
    oldest = time.time() - _ABANDONED_SECONDS
    for name in os.listdir(partial.parent):
        if name.startswith(_PREFIX) and name[len(_PREFIX) + 8 :] == tail:
            with suppress(OSError):
                if (other := partial.with_name(name)).stat().st_mtime < oldest:
                    other.unlink()


def why_not_written(error: Exception, folder: Path) -> str:
    """What went wrong and, where that is known, what to do; a library's own text hides both."""
    number = (isinstance(error, OSError) and error.errno) or 0
    with suppress(OSError):
        if not number and shutil.disk_usage(folder).free < 2**16:
            number = errno.ENOSPC
        elif not number and not os.access(folder, os.W_OK):
            number = errno.EACCES
    if number in _NO_ROOM:
        return f"{os.strerror(number)}: free some space, or choose another folder"
    if number in _NO_RIGHTS:
        return f"{os.strerror(number)}: check the rights of {folder}, or choose another folder"
    if number == errno.EFBIG:
        return f"{os.strerror(number)}: a limit of this system or of its disk allows no file of that size"
    if number in _IS_THERE:
        return "another run has written it meanwhile; choose another folder"
    if number:
        return os.strerror(number)
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__


@contextmanager
def locked(path: Path, wait_seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock file `path` against other processes and machines; it is removed at the end.

    The system lets go of the lock when the process ends, however it ends, so a killed one leaves nothing in the way.
    Raises InputError, naming the holder, if another process holds it for longer than `wait_seconds`.
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
    """The descriptor of the lock file, which is held now, or None if another process holds it."""
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
    """Whether the open file could be locked for this process alone."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)  # a locked byte can't be read, and the first ones name the holder
        lock: Callable[..., object] = msvcrt.locking  # type: ignore[attr-defined]
        what: tuple[int, ...] = (msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        lock, what = fcntl.flock, (fcntl.LOCK_EX | fcntl.LOCK_NB,)
    try:
        lock(file, *what)
    except OSError as error:
        return error.errno in _NOT_SUPPORTED
    finally:
        os.lseek(file, 0, os.SEEK_SET)
    return True
