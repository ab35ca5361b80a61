"""The body of an answer: from bytes as they arrived to text, as much of it as can be read."""

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress

MAX_BODY_BYTES = 1_048_576

json_decoder = json.JSONDecoder(strict=False)
"""Passes raw control characters in strings."""

_SLICE = 4096
# Not every codec: some take very long for a text that is made for it.
_CHARSET = r"(big5|cp|euc|gb|iso-8859|koi8|latin|shift|utf-8|windows)[\w-]*"


def decompressed(body: bytes, encoding: str) -> bytes:
    """Return a body without its content encoding, which may be cut off or not be there at all.

    Args:
        body: what arrived.
        encoding: the `Content-Encoding` header.
    """
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return body
    for format_bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        content = bytearray()
        stream = zlib.decompressobj(format_bits)
        with suppress(zlib.error):
            for start in range(0, len(body), _SLICE):
                # In slices, so that a fault at the end does not cost what stands before it.
                content += stream.decompress(body[start : start + _SLICE], MAX_BODY_BYTES)
                if len(content) > MAX_BODY_BYTES:
                    break
        if content:
            return bytes(content[:MAX_BODY_BYTES])
    return body


def parsed(body: bytes, content_type: str) -> object:
    """Return a body's JSON value, `None` if it has none.

    Raw control characters in strings, a charset other than UTF-8, and text after the value are
    tolerated.

    Args:
        body: the body, decompressed.
        content_type: the `Content-Type` header.
    """
    for text in _readings(body, content_type):
        with suppress(ValueError, RecursionError):
            value: object = json_decoder.raw_decode(text.lstrip())[0]
            return value
    return None


def _readings(body: bytes, content_type: str) -> Iterator[str]:
    """Yield the texts that a body may be: by its first bytes, its charset, and likely ones."""
    declared = content_type.lower().partition("charset=")[2].partition(";")[0].strip("\"' ")
    with suppress(ValueError):
        # Halves of surrogate pairs are passed: some services write each character as two of them.
        yield body.decode(json.detect_encoding(body), "surrogatepass")
    for charset in (declared, "gb18030", "latin-1"):
        if re.fullmatch(_CHARSET, charset, re.ASCII):
            with suppress(LookupError, ValueError):
                yield body.decode(charset)
