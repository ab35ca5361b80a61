"""A voice file is checked by its content and published like a photo."""

from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import (
    AnimationOptions,
    AnimationRequest,
    InvalidRequestError,
    Outcome,
    estimate,
)
from photoanimer_async.photos.voice import MAX_VOICE_BYTES, VoiceFormat, check_voice

from ..support.pictures import png
from ..support.stub_service import StubService, envelope, quick_client

WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(64)


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "hello there.wav"
    path.write_bytes(WAV)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "me.png"
    path.write_bytes(png(64, 64))
    return path


@pytest.fixture
def fetched_voices(stub: StubService) -> list[tuple[str, bytes]]:
    """The type and content of each sound that the service fetches when it accepts a submit."""
    fetched: list[tuple[str, bytes]] = []

    async def accept(request: web.Request) -> web.Response:
        async with (
            aiohttp.ClientSession() as session,
            session.get(request.query["voiceUrl"]) as sound,
        ):
            fetched.append((sound.content_type, await sound.read()))
        return envelope(471367831765061 + len(fetched))

    stub.submit_script = [accept] * 3
    return fetched


async def animate(stub: StubService, request: AnimationRequest, journal: Path) -> Outcome:
    async with quick_client(stub.base_url) as client:
        [outcome] = [o async for o in client.animate_many([request], journal=journal)]
        return outcome


async def test_a_voice_file_is_published_and_the_photo_submitted_once(
    stub: StubService,
    fetched_voices: list[tuple[str, bytes]],
    photo: Path,
    voice: Path,
    tmp_path: Path,
) -> None:
    request = AnimationRequest(photo, AnimationOptions(template=0, voice=voice, voice_seconds=2))
    first = await animate(stub, request, tmp_path / "batch.db")
    assert first.ok, first.error
    assert fetched_voices == [("audio/wav", WAV)]
    again = await animate(stub, request, tmp_path / "batch.db")
    assert again.task_id == first.task_id
    assert len(stub.submits) == 1


async def test_a_file_that_is_not_a_sound_is_refused_before_the_submit(
    stub: StubService, photo: Path, tmp_path: Path
) -> None:
    request = AnimationRequest(photo, AnimationOptions(template=0, voice=photo))
    outcome = await animate(stub, request, tmp_path / "batch.db")
    assert isinstance(outcome.error, InvalidRequestError)
    assert "is not a sound file; allowed are WAV, MP3" in str(outcome.error)
    assert stub.submits == []


@pytest.mark.parametrize(
    ("head", "format_"),
    [
        (WAV, VoiceFormat.WAV),
        (b"ID3\x04\0\0\0\0\0\0", VoiceFormat.MP3),
        (b"\xff\xfb\x90\x64" + bytes(20), VoiceFormat.MP3),
        (b"OggS\0\x02" + bytes(20), VoiceFormat.OGG),
        (b"fLaC\0\0\0\x22", VoiceFormat.FLAC),
        (b"\0\0\0\x1cftypM4A " + bytes(20), VoiceFormat.M4A),
        (b"\x1aE\xdf\xa3\x9fB", VoiceFormat.WEBM),
    ],
)
async def test_formats_are_detected_from_the_content(
    tmp_path: Path, head: bytes, format_: VoiceFormat
) -> None:
    path = tmp_path / "voice.anything"
    path.write_bytes(head)
    assert await check_voice(path) is format_
    assert format_.content_type.startswith("audio/")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\xff\xd8\xff\xe0 a JPEG", "is not a sound file"),
        (WAV + bytes(MAX_VOICE_BYTES), "has 15.0 MB; allowed is less than 15 MB"),
    ],
)
async def test_unusable_files_are_refused(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "voice.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=why):
        await check_voice(path)


def test_options_take_one_voice_with_template_0_only(voice: Path) -> None:
    with pytest.raises(InvalidRequestError, match="exclude each other"):
        AnimationOptions(template=0, voice=voice, voice_url="http://host/v.wav")
    with pytest.raises(InvalidRequestError, match="voice goes with template 0 only, not with"):
        AnimationOptions(template=1, voice=voice)


def test_the_estimate_uses_the_voice_length(photo: Path, voice: Path) -> None:
    options = AnimationOptions(template=0, voice=voice, voice_seconds=9.5)
    assert estimate([AnimationRequest(photo, options)]).seconds == 9.5
    assert estimate([AnimationRequest(photo, options)]).assumed == 1
