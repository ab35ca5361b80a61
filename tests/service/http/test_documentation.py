"""The page at /docs: served with a strict policy, and complete in a browser."""

import re
from collections.abc import Iterator

import pytest
import requests

from photoanimer_async.service.error_codes import NO_SUCH_METHOD, TABLE
from photoanimer_async.testing import PhotoAnimerServer

from ...support.missing import require_program


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with PhotoAnimerServer() as server:
        yield server.base_url.removesuffix("/api/v1")


def test_the_root_leads_to_the_page(origin: str) -> None:
    answer = requests.get(f"{origin}/", timeout=10)
    assert [each.status_code for each in answer.history] == [302]
    assert answer.url == f"{origin}/docs"
    assert "<title>Photo Animer, local service</title>" in answer.text


def test_the_page_loads_nothing_but_the_description(origin: str) -> None:
    answer = requests.get(f"{origin}/docs", timeout=10)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert set(re.findall(r"(?:href|src)=[\"']([^\"']+)", answer.text)) == {"/openapi.json"}
    assert "://" not in answer.text
    assert "url(" not in answer.text


@pytest.mark.slow
def test_the_page_shows_all_paths_parameters_answers_and_codes(origin: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="missing: playwright")
    axe_script = pytest.importorskip("axe_playwright_python.base").AXE_SCRIPT
    path = require_program("chromium", "chromium-browser", "google-chrome")
    description = requests.get(f"{origin}/openapi.json", timeout=10).json()
    messages: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(f"{origin}/docs#mySubscription")
        page.wait_for_selector("#ended")
        for details in page.locator("details").all():
            details.evaluate("element => element.open = true")
        text = page.locator("main").inner_text()
        scrolled = page.evaluate("scrollY")
        links = page.locator("nav a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
        found = page.locator(",".join(links)).count()
        violations = []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.evaluate(axe_script)
            violations += page.evaluate("async () => (await axe.run()).violations")
        browser.close()
    assert messages == []
    assert not [each for each in violations if each["impact"] in {"serious", "critical"}]
    assert scrolled > 0
    assert found == len(links)
    for word in ("imageUrl", "templateId", "voiceUrl", "outputFormat", "taskId", "failReason"):
        assert word in text
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in text
            assert all(answer["description"] in text for answer in operation["responses"].values())
    for code in TABLE:
        if code is not NO_SUCH_METHOD:
            assert str(code.number) in text
