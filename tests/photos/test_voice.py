"""A voice file is checked by its content and published like a photo."""

import io
from collections.abc import Callable
from pathlib import Path

import aiohttp
import av
import numpy as np
import pytest
from aiohttp import web
from av.audio.stream import AudioStream

from photoanimer_async import (
    AnimationOptions,
    AnimationRequest,
    InvalidRequestError,
    Outcome,
    estimate,
)
from photoanimer_async.engine.speech import decode_voice
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


def sound(container: str, codec: str, **options: str) -> bytes:
    """A second of a tone, as FFmpeg writes it."""
    rate = 24_000
    wave = np.sin(np.arange(rate) / rate * 440 * 2 * np.pi) * 8_000
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, AudioStream)
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, stream.layout, rate)
        fifo = av.AudioFifo()
        for part in resampler.resample(frame):
            fifo.write(part)
        size = stream.codec_context.frame_size or 1024
        while (block := fifo.read(size, partial=True)) is not None:
            output.mux(stream.encode(block))
        output.mux(stream.encode(None))
    return file.getvalue()


PLAYED: dict[str, tuple[Callable[[], bytes], VoiceFormat]] = {
    "adts": (lambda: sound("adts", "aac"), VoiceFormat.AAC),
    "dash": (lambda: sound("mp4", "aac", brand="dash"), VoiceFormat.M4A),
    "audiobook": (lambda: sound("mp4", "aac", brand="M4B "), VoiceFormat.M4A),
    "quicktime": (lambda: sound("mov", "aac"), VoiceFormat.M4A),
    "old quicktime": (lambda: without_brands(sound("mov", "pcm_s16le")), VoiceFormat.M4A),
    "3gpp2": (lambda: sound("3g2", "aac"), VoiceFormat.M4A),
    "3gpp": (lambda: sound("3gp", "aac"), VoiceFormat.M4A),
    "aiff": (lambda: sound("aiff", "pcm_s16be"), VoiceFormat.AIFF),
    "aifc": (lambda: sound("aiff", "pcm_s16le"), VoiceFormat.AIFF),
    "rf64": (lambda: sound("wav", "pcm_s16le", rf64="always"), VoiceFormat.WAV),
    "mp3": (lambda: sound("mp3", "mp3"), VoiceFormat.MP3),
    "mp3 behind zeros": (lambda: bytes(5_000) + bare_mp3(), VoiceFormat.MP3),
    "mp2": (lambda: sound("mp2", "mp2"), VoiceFormat.MP3),
    "opus": (lambda: sound("ogg", "libopus"), VoiceFormat.OGG),
    "matroska": (lambda: sound("matroska", "pcm_s16le"), VoiceFormat.WEBM),
}
"""Sounds that the engine plays, by their names: how to make one, and its format."""


def bare_mp3() -> bytes:
    return sound("mp3", "mp3", id3v2_version="0", write_xing="0")


def without_brands(content: bytes) -> bytes:
    """A QuickTime file from before there was a `ftyp` box."""
    size = int.from_bytes(content[:4], "big")
    return size.to_bytes(4, "big") + b"free" + bytes(size - 8) + content[size:]


@pytest.mark.parametrize("kind", PLAYED)
async def test_what_the_engine_plays_is_accepted(tmp_path: Path, kind: str) -> None:
    make, format_ = PLAYED[kind]
    path = tmp_path / "voice"
    path.write_bytes(make())
    assert decode_voice(path.read_bytes(), limit_seconds=60).seconds == pytest.approx(1, abs=0.2)
    assert await check_voice(path) is format_


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"#!AMR\n" + bytes(60), "is an AMR recording; convert it to one of WAV, MP3"),
        (b"caff\0\x01\0\0" + bytes(60), "is a CAF file; convert it"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(60), "is a Windows Media file"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "is not a sound file"),
        (b"The free text of a song", "is not a sound file"),
        (b"\xff\xfe t e x t" * 9, "is not a sound file"),
        (bytes(3_000), "is not a sound file"),
    ],
)
async def test_other_sounds_are_refused_by_name(tmp_path: Path, head: bytes, why: str) -> None:
    path = tmp_path / "voice"
    path.write_bytes(head)
    with pytest.raises(InvalidRequestError, match=why):
        await check_voice(path)


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
