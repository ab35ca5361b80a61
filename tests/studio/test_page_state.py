"""The JSON that the page receives."""

from photoanimer_async.studio.page_state import EXPRESSIONS

from .conftest import Page


async def test_the_state_has_formats_and_limits(page: Page) -> None:
    state = await page.state()
    assert state["formats"] == ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "HEIC", "AVIF"]
    assert state["limits"]["side"] is None


async def test_the_state_has_the_account_balance(page: Page) -> None:
    state = await page.wait_until(lambda s: s["account"]["seconds"] is not None)
    assert state["account"] == {
        "service": None,
        "cancels": True,
        "everyone": False,
        "seconds": 123.5,
        "error": None,
    }


def test_expression_texts_match_the_engine() -> None:
    from photoanimer_async.engine.expressions import expression  # noqa: PLC0415 - is heavy

    for template, text in EXPRESSIONS.items():
        ours = expression(template.value)
        assert (text.title, text.description) == (ours.title, ours.description)
