"""Decompression of a result that a server sends compressed, although it was asked not to."""

import zlib
from collections.abc import Iterator

CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
"""The values of `Content-Encoding` that `Decompressor` takes."""

_PART_BYTES = 256 * 1024


class Decompressor:
    """Decompresses gzip and deflate, and tells if the end has arrived, which aiohttp does not."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either of the two
        self._has_begun = False

    @property
    def is_complete(self) -> bool:
        """Whether the end of the content has arrived."""
        return self._stream.eof or not self._has_begun

    def decompress(self, data: bytes) -> Iterator[bytes]:
        """Yield the content in parts of at most 256 KiB.

        Raises:
            zlib.error: it is not compressed, or damaged.
        """
        while data:
            if self._stream.eof:  # gzip may have several members
                self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
            self._has_begun = True
            yield self._stream.decompress(data, _PART_BYTES)
            data = self._stream.unconsumed_tail or self._stream.unused_data
