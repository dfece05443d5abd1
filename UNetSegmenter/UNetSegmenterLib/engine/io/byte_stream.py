"""The bytes of a file, unpacked, with every checksum and length on the way compared."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from ..errors import InputError

_zlib: Any
try:  # twice as fast as zlib and just as strict; Slicer's Python has none
    from isal import isal_zlib as _zlib
except ImportError:
    import zlib as _zlib

RAW, GZIP, ZLIB, BZIP2 = "raw", "gzip", "zlib", "bzip2"
GZIP_MAGIC = b"\x1f\x8b"
_MAGIC = {GZIP: GZIP_MAGIC, BZIP2: b"BZh"}
_WINDOW_BITS = {GZIP: 31, ZLIB: 15}
_CHUNK = 1 << 20
MOST_PER_PACKED_BYTE = 1100
"""Deflate packs 1,032 bytes into one at most; a header that announces more is damaged."""


def is_gzip(path: Path) -> bool:
    """Whether a file begins as gzip does, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


class Stream:
    """A file's bytes from `start` on, unpacked as `packing` says; reading to the end compares the checksum.

    All methods raise InputError, which says what is wrong with the file, where it is cut off or damaged.
    """

    def __init__(self, path: Path, packing: str = RAW, start: int = 0):
        self._path, self._packing = path, packing
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise InputError(f"{path} can't be opened ({error.strerror}).") from error
        self._file.seek(start)
        self._chunks = self._raw() if packing == RAW else self._unpacked()
        self._left = memoryview(b"")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def fill(self, into: memoryview) -> int:
        """Read as many bytes as `into` holds; returns how many there were."""
        done = 0
        while done < len(into) and self._more():
            part = self._left[: len(into) - done]
            into[done : done + len(part)] = part
            self._left = self._left[len(part) :]
            done += len(part)
        return done

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end of the file."""
        into = bytearray(count)
        return bytes(into[: self.fill(memoryview(into))])

    def skip(self, count: int) -> None:
        """Leave out the next bytes."""
        while count > 0 and self._more():
            part = min(count, len(self._left))
            self._left = self._left[part:]
            count -= part

    def rest(self) -> int:
        """Read to the end, so that the checksum is compared; returns how many bytes besides zeros were left."""
        left = 0
        while self._more():
            left += len(self._left) if any(self._left) else 0
            self._left = memoryview(b"")
        return left

    def _more(self) -> bool:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._left = memoryview(chunk)
        return True

    def _raw(self) -> Iterator[bytes]:
        while chunk := self._file.read(_CHUNK):
            yield chunk

    def _unpacked(self) -> Iterator[bytes]:
        """Unpacked bytes of one packed stream after another; what follows the last one is given as it is."""
        packed = b""
        while True:
            packed = packed or self._file.read(_CHUNK)
            unpacker = self._unpacker()
            while not unpacker.eof:
                if not packed:
                    raise InputError(
                        f"{self._path} is cut off or damaged: its {self._packing} data end too early; copy or export it again."
                    )
                try:
                    yield unpacker.decompress(packed)
                except (_zlib.error, OSError) as error:
                    raise InputError(
                        f"{self._path} is damaged: its {self._packing} data do not unpack to their checksum ({error}); "
                        "copy or export it again."
                    ) from error
                packed = b"" if unpacker.eof else self._file.read(_CHUNK)
            packed = unpacker.unused_data
            if len(packed) < _CHUNK:
                packed += self._file.read(_CHUNK)
            if not packed.startswith(_MAGIC.get(self._packing, b"\0\0")):
                break
        yield packed
        yield from self._raw()

    def _unpacker(self) -> Any:
        return bz2.BZ2Decompressor() if self._packing == BZIP2 else _zlib.decompressobj(_WINDOW_BITS[self._packing])
