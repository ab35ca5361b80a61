"""Errors of HTTP and of the service, in envelopes."""

import sqlite3

import pytest

from ..conftest import KEY, PhotoHost, Running, Start


class TestPathsAndMethods:
    async def test_an_unknown_path_is_a_404(self, service: Running) -> None:
        async with service.session.get(f"{service.service.base_url}/faceDriven/nothing") as answer:
            assert answer.status == 404
            envelope = await answer.json()
        assert envelope["code"] == 40404
        assert envelope["msg"] == "there is nothing at '/api/v1/faceDriven/nothing'"

    @pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE"])
    async def test_other_methods_than_get_are_a_405(
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

    async def test_an_internal_error_is_a_500_in_an_envelope(
        self,
        service: Running,
        host: PhotoHost,
        logged_errors: list[object],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def full(self: object, *args: object) -> None:
            raise sqlite3.ProgrammingError("a mistake")

        monkeypatch.setattr("photoanimer_async.service.storing.task_store.TaskStore.add", full)
        async with service.session.get(
            f"{service.service.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": host.url("photo.png"), "templateId": "1"},
        ) as answer:
            assert answer.status == 500
            assert (await answer.json())["code"] == 50000
        assert len(logged_errors) == 1
        logged_errors.clear()

    async def test_an_invalid_host_header_is_refused(self, start: Start, host: PhotoHost) -> None:
        service = await start(keys={KEY})
        task_id = await service.submit(host.url("photo.png"))
        await service.end_of(task_id)
        async with service.session.get(
            f"{service.service.base_url}/faceDriven/getTaskInfo",
            params={"taskId": str(task_id)},
            headers={"Host": "evil/<script>"},
        ) as answer:
            envelope = await answer.json()
        assert envelope["code"] == 40002
        assert envelope["msg"].startswith("the header Host is 'evil/<script>'")
