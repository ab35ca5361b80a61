"""A body is understood where it can be, in any charset and however much of it arrived."""

import gzip
import json
import zlib

import pytest

from photoanimer_async.api.body import MAX_BODY_BYTES, decompressed, parsed

VALUE = {"code": 0, "data": 471367831765061, "msg": "人脸 café 誤り"}
TEXT = json.dumps(VALUE, ensure_ascii=False)


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le", "gb18030"])
@pytest.mark.parametrize("declared", ["", "; charset=utf-8", '; charset="punycode"; q=1'])
def test_any_likely_charset_is_read(charset: str, declared: str) -> None:
    assert parsed(TEXT.encode(charset), f"application/json{declared}") == VALUE


@pytest.mark.parametrize("charset", ["big5", "shift_jis", "iso-8859-1", "windows-1252"])
def test_the_declared_charset_is_read(charset: str) -> None:
    text = '{"data": 1, "msg": "caf\u00e9"}' if "1" in charset else '{"data": 1, "msg": "誤"}'
    if charset == "big5":
        text = '{"data": 1, "msg": "許功蓋"}'  # their second byte is a backslash
    assert parsed(text.encode(charset), f"text/json; charset={charset}") == json.loads(text)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": 1, "msg": "a\tb\x00c"}',
        b'\xef\xbb\xbf  {"data": 1}',
        b'{"data": 1}\n<!-- cached -->',
        b'{"data": 1, "msg": "caf\xe9"}',
        b'{"data": 1, "msg": "\xff\xfe\xfd"}',
    ],
)
def test_what_is_wrong_around_the_data_does_not_matter(body: bytes) -> None:
    value = parsed(body, "application/json")
    assert isinstance(value, dict)
    assert value["data"] == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data": 1', b"[" * 100_000])
def test_what_is_not_json_has_no_value(body: bytes) -> None:
    assert parsed(body, "text/html; charset=utf-8") is None


def _raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


@pytest.mark.parametrize("encoding", ["gzip", " X-GZIP", "deflate"])
@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, _raw_deflate, bytes])
def test_a_compressed_body_is_read_and_so_is_one_that_is_not(
    encoding: str, compress: "type[bytes]"
) -> None:
    assert decompressed(compress(TEXT.encode()), encoding) == TEXT.encode()


def test_a_compressed_body_that_is_cut_off_or_damaged_is_read_as_far_as_possible() -> None:
    text = b"".join(b'"%d", ' % n for n in range(50_000))
    body = gzip.compress(text)
    for arrived in (body[: len(body) // 2], body[:-8] + b"\0" * 8):
        assert text.startswith(content := decompressed(arrived, "gzip"))
        assert len(content) > len(text) // 4


def test_a_decompressed_body_is_bounded() -> None:
    bomb = gzip.compress(b" " * (100 * MAX_BODY_BYTES))
    assert len(decompressed(bomb, "gzip")) == MAX_BODY_BYTES
