"""The bytes of a file, decompressed; every checksum and length on the way is verified."""

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
_MOST_AT_ONCE = 1 << 24  # decompressed bytes: a file of zeros grows a thousandfold and more
_MOST_BEHIND = 1 << 28  # bytes that are read to come to the checksum: a small file may unpack to any number of them
MAX_BYTES_PER_COMPRESSED_BYTE = {RAW: 1, GZIP: 1_100, ZLIB: 1_100, BZIP2: 1_500_000}
"""What one byte of a file may become; a header that announces more is damaged.

Deflate compresses 1,032 bytes into one at most. Bzip2 packs 255 equal bytes into 5 and then 900,000 of those into a block, of
which the smallest takes about 32 bytes.
"""


def is_gzip(path: Path) -> bool:
    """Whether a file begins as gzip does, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


class ByteStream:
    """The bytes of a file from `start` on, decompressed; reading to the end verifies the checksum.

    `compression` is RAW, GZIP, ZLIB or BZIP2. All methods raise InputError, which says what is wrong with the file, where it
    is cut off or damaged.
    """

    def __init__(self, path: Path, compression: str = RAW, start: int = 0):
        self._path, self._compression = path, compression
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise InputError(f"{path} can't be opened ({error.strerror}).") from error
        self._file.seek(start)
        self._chunks = self._stored() if compression == RAW else self._decompressed()
        self._left = memoryview(b"")

    def __enter__(self) -> ByteStream:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def fill(self, into: memoryview) -> int:
        """Read as many bytes as `into` holds; returns how many bytes there were."""
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
        """Skip the next bytes."""
        while count > 0 and self._more():
            part = min(count, len(self._left))
            self._left = self._left[part:]
            count -= part

    def rest(self) -> int:
        """Read to the end, which verifies the checksum; returns how many bytes were left, blocks of zeros not counted."""
        left = read = 0
        while self._more():
            read += len(self._left)
            left += len(self._left) if any(self._left) else 0
            self._left = memoryview(b"")
            if read > _MOST_BEHIND:
                raise InputError(
                    f"{self._path} is damaged: more than {_MOST_BEHIND >> 20} MB follow the voxels that its header announces; "
                    "export it again."
                )
        return left

    def _more(self) -> bool:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._left = memoryview(chunk)
        return True

    def _stored(self) -> Iterator[bytes]:
        while chunk := self._file.read(_CHUNK):
            yield chunk

    def _decompressed(self) -> Iterator[bytes]:
        """Decompressed bytes of one compressed stream after another, then the bytes after the last one unchanged."""
        compressed = b""
        while True:
            compressed = compressed or self._file.read(_CHUNK)
            decompressor = self._decompressor()
            while not decompressor.eof:
                is_end = not compressed
                try:
                    part = decompressor.decompress(compressed, _MOST_AT_ONCE)
                except (_zlib.error, OSError) as error:
                    raise InputError(
                        f"{self._path} is damaged: its {self._compression} data do not match their checksum ({error}); "
                        "copy or export it again."
                    ) from error
                if is_end and not part and not decompressor.eof:
                    raise InputError(
                        f"{self._path} is cut off or damaged: its {self._compression} data end too early; copy or export it "
                        "again."
                    )
                yield part
                compressed = self._rest_of_input(decompressor)
            compressed = decompressor.unused_data
            if len(compressed) < _CHUNK:
                compressed += self._file.read(_CHUNK)
            if not compressed.startswith(_MAGIC.get(self._compression, b"\0\0")):
                break
        yield compressed
        yield from self._stored()

    def _rest_of_input(self, decompressor: Any) -> bytes:
        """What the decompressor gets next: what it has not taken yet, nothing while it still holds some, or more of the file."""
        if decompressor.eof or (self._compression == BZIP2 and not decompressor.needs_input):
            return b""
        left = b"" if self._compression == BZIP2 else decompressor.unconsumed_tail
        return left or self._file.read(_CHUNK)

    def _decompressor(self) -> Any:
        if self._compression == BZIP2:
            return bz2.BZ2Decompressor()
        return _zlib.decompressobj(_WINDOW_BITS[self._compression])
