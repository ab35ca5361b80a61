"""A mistake is answered with a code and a text: what it is, what was found, what is allowed."""

import asyncio
import sqlite3
from typing import Any

import aiohttp
import pytest

from photoanimer_async.service import RenderFailedError, ServiceSettings, markdown_table
from photoanimer_async.service import error_codes as codes

from ..support.pages import page
from .conftest import KEY, InstantRenderer, PhotoHost, Running, Start


def test_every_code_is_in_the_table_once() -> None:
    defined = {code for code in vars(codes).values() if isinstance(code, codes.ErrorCode)}
    assert set(codes.TABLE) == defined
    assert len({code.number for code in codes.TABLE}) == len(codes.TABLE)
    assert len({code.name for code in codes.TABLE}) == len(codes.TABLE)


def test_our_own_codes_can_not_be_taken_for_the_vendors() -> None:
    for code in codes.TABLE:
        assert (code.number < 10_000) is (code.origin is codes.Origin.VENDOR)


def test_the_page_shows_the_table() -> None:
    assert markdown_table() in page("service/README.md").text


class TestKey:
    async def test_missing_or_empty(self, service: Running) -> None:
        url = f"{service.service.base_url}/mySubscription"
        async with aiohttp.ClientSession() as session:
            for headers, found in (({}, "missing"), ({"APIKEY": " "}, "empty")):
                async with session.get(url, headers=headers) as response:
                    assert response.status == 200
                    envelope = await response.json()
                assert envelope["code"] == 4003
                assert envelope["msg"] == f"the header APIKEY is {found}; it must hold the API key"

    async def test_any_key_is_good_where_none_are_set(self, service: Running) -> None:
        assert (await service.call("mySubscription"))["code"] == 0

    async def test_only_the_keys_that_are_set_are_accepted(self, start: Start) -> None:
        strict = await start(keys={"another-key"})
        code, text = await strict.refusal("mySubscription")
        assert code == 4003
        assert text == "the API key in the header APIKEY is not accepted"
        async with strict.session.get(
            f"{strict.service.base_url}/mySubscription", headers={"APIKEY": "another-key"}
        ) as response:
            assert (await response.json())["code"] == 0

    async def test_every_interface_wants_it_first(self, service: Running) -> None:
        async with aiohttp.ClientSession() as session:
            for path in ("faceDriven/submitTaskByUrl", "faceDriven/getTaskInfo"):
                async with session.get(f"{service.service.base_url}/{path}") as response:
                    assert (await response.json())["code"] == 4003


class TestSubmitParameters:
    @pytest.mark.parametrize(
        ("query", "code", "text"),
        [
            ({"templateId": "1"}, 40001, "imageUrl is missing; it has to be an http or https URL"),
            (
                {"imageUrl": "", "templateId": "1"},
                40001,
                "imageUrl is empty; it has to be an http or https URL",
            ),
            (
                {"imageUrl": "xxxx", "templateId": "1"},
                40002,
                "imageUrl (xxxx) is not allowed: it has no scheme; allowed are http and https",
            ),
            (
                {"imageUrl": "ws://h", "templateId": "1"},
                40002,
                "imageUrl (ws://h) is not allowed: its scheme is 'ws'; allowed are http and https",
            ),
            (
                {"imageUrl": "http:///photo.jpg", "templateId": "1"},
                40002,
                "imageUrl (http:///photo.jpg) is not allowed: it has no host",
            ),
            (
                {"imageUrl": "http://[::1/photo.jpg", "templateId": "1"},
                40002,
                "imageUrl ((an invalid URL)) is not allowed: it is not a URL",
            ),
            (
                {"imageUrl": "http://h/p.jpg"},
                40001,
                "templateId is missing; it has to be one of 0, 1, 2, 3, 4, 5",
            ),
            (
                {"imageUrl": "http://h/p.jpg", "templateId": "6"},
                40002,
                "templateId is '6'; allowed are 0, 1, 2, 3, 4, 5",
            ),
            (
                {"imageUrl": "http://h/p.jpg", "templateId": "1.0"},
                40002,
                "templateId is '1.0'; allowed are 0, 1, 2, 3, 4, 5",
            ),
            (
                {"imageUrl": "http://h/p.jpg", "templateId": "1", "outputFormat": "webm"},
                40002,
                "outputFormat is 'webm'; allowed are gif and mp4, or none for mp4",
            ),
            (
                {"imageUrl": "http://h/p.jpg", "templateId": "1", "voiceUrl": "http://h/v.mp3"},
                40003,
                "voiceUrl is given with templateId 1; it goes with 0 only",
            ),
        ],
    )
    async def test_refused(
        self, service: Running, query: dict[str, str], code: int, text: str
    ) -> None:
        assert await service.refusal(**query) == (code, text)

    async def test_given_twice(self, service: Running) -> None:
        url = f"{service.service.base_url}/faceDriven/submitTaskByUrl"
        query = "?imageUrl=http://h/p.jpg&templateId=1&templateId=2"
        async with service.session.get(url + query) as response:
            envelope = await response.json()
        assert envelope["code"] == 40002
        assert envelope["msg"] == "templateId is given 2 times; allowed is once"

    async def test_what_was_found_is_shown_in_bounds_and_on_one_line(
        self, service: Running
    ) -> None:
        _, text = await service.refusal(imageUrl="http://h/p", templateId="7\n" * 3000)
        assert len(text) < 300
        assert "\n" not in text

    async def test_a_url_is_shown_without_its_secrets(self, service: Running) -> None:
        for found in ("ftp://ann:pa55@h/p?sig=s3cret", "h/p?sig=s3cret"):
            for query in (
                {"imageUrl": found, "templateId": "1"},
                {"imageUrl": "x", "templateId": found},
            ):
                _, text = await service.refusal(**query)
                assert "s3cret" not in text
                assert "pa55" not in text

    async def test_parameters_that_the_page_does_not_know_are_passed_over(
        self, service: Running, host: PhotoHost
    ) -> None:
        assert await service.submit(host.url("photo.png"), isHd="true")


class TestTaskId:
    @pytest.mark.parametrize(
        ("query", "code", "text"),
        [
            ({}, 40001, "taskId is missing; it has to be the number that submitTaskByUrl returned"),
            (
                {"taskId": "latest"},
                40002,
                "taskId is 'latest'; allowed is the number that submitTaskByUrl returned",
            ),
            (
                {"taskId": "-1"},
                40002,
                "taskId is '-1'; allowed is the number that submitTaskByUrl returned",
            ),
            (
                {"taskId": "9" * 19},
                40002,
                f"taskId is '{'9' * 19}'; allowed is the number that submitTaskByUrl returned",
            ),
            ({"taskId": "123456"}, 40004, "there is no task with taskId 123456"),
        ],
    )
    async def test_refused(
        self, service: Running, query: dict[str, str], code: int, text: str
    ) -> None:
        assert await service.refusal("faceDriven/getTaskInfo", **query) == (code, text)


async def test_a_task_that_costs_more_than_the_balance(start: Start, host: PhotoHost) -> None:
    service = await start(video_balance=3.0)
    code, text = await service.refusal(imageUrl=host.url("photo.png"), templateId="1")
    assert code == 4001
    assert text == ("Insufficient credits: templateId 1 costs 7.13 video seconds, the balance is 3")
    assert await service.submit(host.url("photo.png"), template=2)


async def test_a_photo_that_fails_to_render_ends_with_its_code_and_reason(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    renderer.error = RenderFailedError(codes.NO_FACE, "no person's face was found")

    task_id = await service.submit(host.url("photo.png"), outputFormat="gif")

    assert await service.end_of(task_id) == {
        "taskId": task_id,
        "status": 2,
        "resultUrl": None,
        "gifUrl": None,
        "failCode": 7001,
        "failReason": "no person's face was found",
    }


async def test_a_fault_of_the_renderer_fails_the_task_and_no_other(
    service: Running, host: PhotoHost, renderer: InstantRenderer, logged_errors: list[object]
) -> None:
    renderer.error = ZeroDivisionError("secret detail")
    info = await service.end_of(await service.submit(host.url("photo.png")))
    assert (info["status"], info["failCode"]) == (2, 50001)
    assert "secret detail" not in info["failReason"]
    assert len(logged_errors) == 1
    logged_errors.clear()

    renderer.error = None
    assert (await service.end_of(await service.submit(host.url("photo.png"))))["status"] == 1


class TestPathsAndMethods:
    async def test_an_unknown_path(self, service: Running) -> None:
        async with service.session.get(f"{service.service.base_url}/faceDriven/nothing") as answer:
            assert answer.status == 404
            envelope = await answer.json()
        assert envelope["code"] == 40404
        assert envelope["msg"] == "there is nothing at '/api/v1/faceDriven/nothing'"

    @pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE"])
    async def test_a_submit_is_a_get_and_nothing_else(
        self, service: Running, host: PhotoHost, method: str
    ) -> None:
        async with service.session.request(
            method,
            f"{service.service.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": host.url("photo.png"), "templateId": "1"},
        ) as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET"
            if method != "HEAD":
                assert (await answer.json())["code"] == 40405
        assert host.requests == []

    async def test_a_fault_of_the_service_is_an_envelope_too(
        self,
        service: Running,
        host: PhotoHost,
        logged_errors: list[object],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def full(self: object, *args: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr("photoanimer_async.service.storing.task_store.TaskStore.add", full)
        async with service.session.get(
            f"{service.service.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": host.url("photo.png"), "templateId": "1"},
        ) as answer:
            assert answer.status == 500
            assert (await answer.json())["code"] == 50000
        assert len(logged_errors) == 1
        logged_errors.clear()

    async def test_a_host_that_is_none(self, service: Running, host: PhotoHost) -> None:
        async with service.session.get(
            f"{service.service.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": host.url("photo.png"), "templateId": "1"},
            headers={"Host": "evil/<script>"},
        ) as answer:
            envelope = await answer.json()
        assert envelope["code"] == 40002
        assert envelope["msg"].startswith("the header Host is 'evil/<script>'")


class TestLogs:
    async def test_hold_the_task_but_no_key_and_no_query_of_a_url(
        self, service: Running, host: PhotoHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")

        task_id = await service.submit(host.url("photo.png") + "?sig=s3cret")
        info = await service.end_of(task_id)
        await service.refusal(imageUrl="http://127.0.0.1:1/p?sig=s3cret", templateId="1")
        async with service.session.get(info["resultUrl"]) as answer:
            await answer.read()

        assert f"task={task_id} event=accepted template=1" in caplog.text
        assert f"task={task_id} event=finished" in caplog.text
        assert "event=refused route=/api/v1/faceDriven/submitTaskByUrl" in caplog.text
        ours = [r.getMessage() for r in caplog.records if r.name.startswith("photoanimer_async")]
        for secret in (KEY, "s3cret", info["resultUrl"].rsplit("/", 1)[1]):
            assert not [line for line in ours if secret in line]

    async def test_of_a_request_that_is_no_http_hold_its_kind_and_nothing_of_it(
        self, service: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        host, port = service.service.base_url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /api/v1/faceDriven/submitTaskByUrl?imageUrl=my photo?sig=s3cret HTTP/1.1"
        )
        writer.write(b"\r\n\r\n")
        assert (await reader.readline()).endswith(b"400 Bad Request\r\n")
        writer.close()
        await writer.wait_closed()

        assert "event=bad_request kind=BadStatusLine" in caplog.text
        assert "s3cret" not in caplog.text


class TestSettings:
    def test_an_empty_key_or_a_string_of_keys_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must not be empty"):
            ServiceSettings(data_dir="d", keys={""})
        with pytest.raises(TypeError, match="a set of strings"):
            ServiceSettings(data_dir="d", keys="abc")

    def test_ranges(self) -> None:
        wrong: list[dict[str, Any]] = [
            {"port": 65536},
            {"workers": 0},
            {"image_bytes": 0},
            {"fetch_seconds": 0},
            {"notify_url": "example.com/hook"},
        ]
        for settings in wrong:
            with pytest.raises(ValueError, match=next(iter(settings))):
                ServiceSettings(data_dir="d", **settings)

    def test_keys_and_secrets_of_urls_are_not_shown(self) -> None:
        shown = repr(
            ServiceSettings(data_dir="d", keys={KEY}, notify_url="http://h:80/s3cret?t=s3cret")
        )
        assert "<1 keys>" in shown
        assert "notify_url='http://h:80'" in shown
        assert KEY not in shown
        assert "s3cret" not in shown
