"""Query parameters: which errors explain a wrong one."""

import pytest

from ..conftest import PhotoHost, Running


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
    async def test_an_unsuitable_value_is_refused(
        self, service: Running, query: dict[str, str], code: int, text: str
    ) -> None:
        assert await service.refusal(**query) == (code, text)

    @pytest.mark.parametrize("second", ["2", ""])
    async def test_a_parameter_with_two_values_is_refused(
        self, service: Running, second: str
    ) -> None:
        url = f"{service.service.base_url}/faceDriven/submitTaskByUrl"
        query = f"?imageUrl=http://h/p.jpg&templateId=1&templateId={second}"
        async with service.session.get(url + query) as response:
            envelope = await response.json()
        assert envelope["code"] == 40002
        assert envelope["msg"] == "templateId is given with 2 different values"

    async def test_a_parameter_that_is_repeated_counts_once(
        self, service: Running, host: PhotoHost
    ) -> None:
        query = f"?imageUrl={host.url('photo.png')}&templateId=1" * 2
        url = f"{service.service.base_url}/faceDriven/submitTaskByUrl"
        async with service.session.get(url + query.replace("1?", "1&")) as response:
            task_id = (await response.json())["data"]
        url = f"{service.service.base_url}/faceDriven/getTaskInfo"
        async with service.session.get(f"{url}?taskId={task_id}&taskId={task_id}") as response:
            assert (await response.json())["code"] == 0

    async def test_messages_show_a_value_as_one_short_line(self, service: Running) -> None:
        _, text = await service.refusal(imageUrl="http://h/p", templateId="7\n" * 3000)
        assert len(text) < 300
        assert "\n" not in text

    async def test_messages_show_urls_without_secrets(self, service: Running) -> None:
        for found in ("ftp://ann:pa55@h/p?sig=s3cret", "h/p?sig=s3cret"):
            for query in (
                {"imageUrl": found, "templateId": "1"},
                {"imageUrl": "x", "templateId": found},
            ):
                _, text = await service.refusal(**query)
                assert "s3cret" not in text
                assert "pa55" not in text

    async def test_unknown_parameters_are_ignored(self, service: Running, host: PhotoHost) -> None:
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
    async def test_an_unsuitable_value_is_refused(
        self, service: Running, query: dict[str, str], code: int, text: str
    ) -> None:
        assert await service.refusal("faceDriven/getTaskInfo", **query) == (code, text)
