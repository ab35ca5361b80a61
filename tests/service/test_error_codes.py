"""The table of error codes: complete, unique, and on the page."""

from photoanimer_async.service import error_codes as codes
from photoanimer_async.service import markdown_table

from ..support.pages import page


def test_the_table_has_every_code_once() -> None:
    defined = {code for code in vars(codes).values() if isinstance(code, codes.ErrorCode)}
    assert set(codes.TABLE) == defined
    assert len({code.number for code in codes.TABLE}) == len(codes.TABLE)
    assert len({code.name for code in codes.TABLE}) == len(codes.TABLE)


def test_our_own_codes_differ_from_the_vendors() -> None:
    for code in codes.TABLE:
        assert (code.number < 10_000) is (code.origin is codes.Origin.VENDOR)


def test_the_page_shows_the_table() -> None:
    assert markdown_table() in page("service/README.md").text
