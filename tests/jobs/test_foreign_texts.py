"""What foreign code raises is logged by its name and place, never by its text."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from photoanimer_async import (
    HostingError,
    NotSentError,
    Photo,
    PhotoAnimerClient,
    PhotoAnimerError,
    ProgressEvent,
)
from photoanimer_async.photos.preparation import _TemporaryCopy
from photoanimer_async.polling.adaptive import AdaptivePolling
from photoanimer_async.storage.result_folder import ResultFolder

from ..support.batches import VIDEO
from ..support.pictures import quarters, saved
from ..support.stub_service import StubService, quick_client

SIGNED = "https://cdn.example/a.png?sig=s3cret"


class UploadError(BaseException):
    """An error whose text shows a signed URL, as those of HTTP libraries do."""

    def __init__(self) -> None:
        super().__init__(f"PUT {SIGNED} failed")
        self.add_note(f"while sending {SIGNED}")


def fail() -> None:
    raise UploadError from ValueError(SIGNED)


class Host:
    """An image host that fails to withdraw its photos."""

    @asynccontextmanager
    async def publish(self, _: Photo) -> AsyncIterator[str]:
        yield SIGNED
        fail()


@pytest.fixture(autouse=True)
def no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert "s3cret" not in caplog.text


async def test_an_image_host_that_fails_to_clean_up_is_named(
    stub: StubService, photo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with quick_client(stub.base_url, host=Host()) as client:
        assert (await client.animate(photo)).task_id
    assert "grandma.png: its image host failed to clean up" in caplog.text
    assert "UploadError" in caplog.text
    assert ", in publish" in caplog.text  # where it was raised


async def test_a_result_store_that_fails_to_clean_up_is_named(
    client: PhotoAnimerClient,
    results: StubService,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claim = ResultFolder.claim

    @asynccontextmanager
    async def faulty(self: ResultFolder, *args: object, **options: object) -> AsyncIterator[object]:
        async with claim(self, *args, **options) as destination:  # type: ignore[arg-type] # passed on
            yield destination
        fail()

    monkeypatch.setattr(ResultFolder, "claim", faulty)
    animation = await client.animate("http://127.0.0.1:9/grandma.png", save_to=tmp_path / "out")
    assert animation.path is not None
    assert animation.path.read_bytes() == VIDEO
    assert "/grandma.png: its result store failed to clean up" in caplog.text


async def test_a_prepared_copy_that_cannot_be_removed_is_named(
    client: PhotoAnimerClient,
    stub: StubService,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = tmp_path / "me.tif"
    original.write_bytes(saved(quarters(), "TIFF"))
    monkeypatch.setattr(_TemporaryCopy, "remove", lambda _: fail())
    assert (await client.animate(original, prepare=True)).task_id
    assert "me.tif: its prepared copy failed to clean up" in caplog.text


async def test_each_resource_is_cleaned_up_though_others_fail(
    stub: StubService, photo: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with quick_client(stub.base_url, host=Host()) as client:
        with pytest.raises(PhotoAnimerError):
            await client.animate(photo, save_to=tmp_path / "out")  # its link leads nowhere
    assert list((tmp_path / "out").iterdir()) == []
    assert caplog.text.count("failed to clean up") == 1


async def test_a_hook_is_logged_without_its_text(
    client: PhotoAnimerClient, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(event: ProgressEvent) -> None:
        raise KeyError(event.photo)

    await client.animate(SIGNED, on_progress=hook)
    assert "the progress hook failed at photo 0" in caplog.text
    assert "KeyError" in caplog.text


async def test_a_poll_policy_is_logged_without_its_text(
    stub: StubService, caplog: pytest.LogCaptureFixture
) -> None:
    class Policy(AdaptivePolling):
        def delay(self, kind: str, age: float, rng: Random) -> float:
            return 0.001

        def task_ended(self, kind: str, after: float, age: float) -> bool:
            fail()
            return False

    async with quick_client(stub.base_url, poll=Policy()) as client:
        await client.animate(SIGNED)
    assert "the poll policy raised in task_ended" in caplog.text
    assert "UploadError" in caplog.text


async def test_an_error_of_this_package_that_foreign_code_raises_shows_no_query(
    stub: StubService, photo: Path
) -> None:
    class RefusedHost:
        @asynccontextmanager
        async def publish(self, _: Photo) -> AsyncIterator[str]:
            if stub.submits:
                yield SIGNED
            raise HostingError(f"{SIGNED}: HTTP status 403")

    class Limiter:
        async def acquire(self) -> None:
            error = NotSentError(f"the limiter at {SIGNED} is down")
            error.is_permanent = True
            raise error

    limiter = Limiter()
    async with quick_client(
        stub.base_url, host=RefusedHost(), submit_rate=limiter, poll_rate=limiter
    ) as client:
        with pytest.raises(HostingError) as hosting:
            await client.animate(photo)
        with pytest.raises(NotSentError) as limiting:
            await client.submit("https://x.example/a.png")
        with pytest.raises(NotSentError, match=r"the limiter at .*/a\.png\?… is down \(task 5 "):
            await client.wait(5)
    assert str(hosting.value) == "https://cdn.example/a.png?… HTTP status 403"
    assert str(limiting.value) == "the limiter at https://cdn.example/a.png?… is down"


async def test_a_limiter_that_fails_a_submit_is_its_cause(stub: StubService) -> None:
    class Limiter:
        async def acquire(self) -> None:
            fail()

    async with quick_client(stub.base_url, submit_rate=Limiter()) as client:
        with pytest.raises(PhotoAnimerError) as caught:
            await client.submit(SIGNED)
    assert str(caught.value) == "https://cdn.example/a.png?…: failed by UploadError"
    assert isinstance(caught.value.__cause__, UploadError)
