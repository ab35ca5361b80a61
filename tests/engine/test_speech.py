"""Decoding of voices, and their motion."""

import io
import socket
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine.blendshapes import NAMES
from photoanimer_async.engine.curves import FRAME_RATE
from photoanimer_async.engine.engine_errors import VoiceError
from photoanimer_async.engine.speech import RATE, Sound, decode_voice, voice_motion

Samples = NDArray[np.float32]
SoundFile = Callable[[Samples, str], bytes]


def curve(sound: Sound, name: str) -> NDArray[np.float64]:
    return np.array([moment.get(name, 0.0) for moment in voice_motion(sound, seed=1)])


def tone(*hertz: float, seconds: float = 1.0) -> Samples:
    """Return sine waves between two half seconds of silence."""
    times = np.arange(int(seconds * RATE)) / RATE
    waves = np.sum([np.sin(2 * np.pi * each * times) for each in hertz], axis=0)
    return np.pad(0.3 * waves, RATE // 2).astype(np.float32)


def mono(samples: Samples) -> Sound:
    return Sound(samples[None])


@pytest.mark.parametrize("extension", ["wav", "mp3", "m4a", "ogg", "flac"])
def test_common_formats_are_decoded(extension: str, speech: Samples, sound_file: SoundFile) -> None:
    sound = decode_voice(sound_file(speech, extension), limit_seconds=60)
    assert sound.layout == "mono"
    assert sound.seconds == pytest.approx(len(speech) / RATE, abs=0.06)
    loud = np.abs(sound.samples).max()
    assert loud == pytest.approx(np.abs(speech).max(), rel=0.2)


def test_stereo_stays_stereo(speech: Samples, sound_file: SoundFile) -> None:
    sound = decode_voice(sound_file(np.stack([speech, 0 * speech]), "wav"), limit_seconds=60)
    assert sound.layout == "stereo"
    assert sound.samples.shape == (2, len(speech))
    assert np.abs(sound.samples[1]).max() < 1e-4
    assert sound.mono == pytest.approx(speech / 2, abs=1e-3)


def test_channels_of_opposite_phase_do_not_cancel_each_other_out(speech: Samples) -> None:
    opposite = Sound(np.stack([speech, -speech]))
    assert curve(opposite, "jawOpen") == pytest.approx(curve(mono(speech), "jawOpen"))


@pytest.mark.parametrize("extension", ["aac", "mp3"])
def test_a_voice_that_was_cut_off_is_decoded(
    extension: str, speech: Samples, sound_file: SoundFile
) -> None:
    whole = sound_file(speech, extension)
    sound = decode_voice(whole[: int(len(whole) * 0.9)], limit_seconds=60)
    assert 0.7 < sound.seconds / (len(speech) / RATE) < 1


def test_a_voice_with_many_damaged_packets_is_rejected(
    speech: Samples, sound_file: SoundFile
) -> None:
    damaged = bytearray(sound_file(speech, "m4a"))
    for at in range(len(damaged) // 4, len(damaged) // 2, 50):
        damaged[at] ^= 0xFF
    with pytest.raises(VoiceError, match="packets are damaged"):
        decode_voice(bytes(damaged), limit_seconds=60)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"this is a letter, not a voice " * 40, id="text"),
        pytest.param(bytes(range(256)) * 40, id="bytes"),
    ],
)
def test_other_files_are_rejected(data: bytes) -> None:
    with pytest.raises(VoiceError, match="mp3, wav, m4a, ogg and flac"):
        decode_voice(data, limit_seconds=60)


class TestPlaylists:
    """Playlists must not make FFmpeg open files or URLs."""

    @pytest.fixture(autouse=True)
    def secret(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        speech: Samples,
        sound_file: SoundFile,
    ) -> None:
        (tmp_path / "secret.wav").write_bytes(sound_file(speech, "wav"))
        monkeypatch.chdir(tmp_path)

    CONCAT = "ffconcat version 1.0\nfile secret.wav\n"
    HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
    SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"

    def test_ffmpeg_without_our_options_opens_files(self) -> None:
        with av.open(io.BytesIO(self.CONCAT.encode()), "r") as container:
            assert next(container.decode(audio=0)).samples > 0

    @pytest.mark.parametrize(
        "playlist",
        [
            CONCAT,
            CONCAT.replace("secret", "{folder}/secret"),
            HLS.format("secret.wav"),
            HLS.format("file://{folder}/secret.wav"),
            SDP,
        ],
    )
    def test_no_file_is_read(self, playlist: str, tmp_path: Path) -> None:
        playlist = playlist.replace("{folder}", str(tmp_path))
        with pytest.raises(VoiceError, match="mp3, wav, m4a, ogg and flac"):
            decode_voice(playlist.encode(), limit_seconds=60)

    @pytest.mark.parametrize(
        "playlist",
        [
            HLS.format("{url}"),
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}\n",
            "ffconcat version 1.0\nfile '{url}'\n",
        ],
    )
    def test_no_connection_is_made(self, playlist: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/secret.wav"
            with pytest.raises(VoiceError, match="mp3, wav, m4a, ogg and flac"):
                decode_voice(playlist.replace("{url}", url).encode(), limit_seconds=60)
            with pytest.raises(BlockingIOError):
                server.accept()


def test_unusual_codecs_are_rejected(speech: Samples, sound_file: SoundFile) -> None:
    wav = bytearray(sound_file(speech, "wav"))
    (kind,) = struct.unpack_from("<H", wav, 20)
    assert kind == 1  # plain samples
    struct.pack_into("<H", wav, 20, 0x0402)  # Indeo audio
    with pytest.raises(VoiceError, match="mp3, wav, m4a, ogg and flac"):
        decode_voice(bytes(wav), limit_seconds=60)


@pytest.mark.parametrize("rate", [1, 867_524_416])
def test_an_unusual_sample_rate_is_rejected_before_resampling(
    rate: int, speech: Samples, sound_file: SoundFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = bytearray(sound_file(speech, "wav"))
    struct.pack_into("<I", wav, 24, rate)
    monkeypatch.setattr(av, "AudioResampler", lambda **_: None)
    with pytest.raises(VoiceError, match=rf"cannot be decoded .*\(its sample rate is {rate} Hz"):
        decode_voice(bytes(wav), limit_seconds=60)


def test_samples_are_clipped_and_never_nan() -> None:
    values = np.tile(np.array([0.5, np.nan, np.inf, -np.inf, 1e30, -7], "<f4"), 8000)
    header = struct.pack("<IHHIIHH", 16, 3, 1, RATE, 4 * RATE, 4, 32)
    data = b"data" + struct.pack("<I", values.nbytes) + values.tobytes()
    wav = b"RIFF" + struct.pack("<I", 24 + len(data)) + b"WAVEfmt " + header + data
    sound = decode_voice(wav, limit_seconds=60)
    assert set(np.unique(sound.samples)) == {-1, 0, 0.5, 1}
    assert all(np.isfinite(curve(sound, name)).all() for name in NAMES)


def test_a_voice_without_samples_is_rejected(sound_file: SoundFile) -> None:
    whole = sound_file(np.zeros(48, np.float32), "wav")
    head = whole[: whole.index(b"data") + 4] + bytes(4)
    with pytest.raises(VoiceError, match="empty"):
        decode_voice(head, limit_seconds=60)


def test_a_too_long_voice_is_rejected(speech: Samples, sound_file: SoundFile) -> None:
    with pytest.raises(VoiceError, match=r"too long; at most 2 seconds"):
        decode_voice(sound_file(speech, "mp3"), limit_seconds=2)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_voice_may_be_as_long_as_the_limit(rate: int) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 60 * rate))
    assert decode_voice(file.getvalue(), limit_seconds=60).seconds == pytest.approx(60)


@pytest.mark.parametrize("extension", ["mp3", "m4a"])
def test_the_padding_of_an_encoder_does_not_count(extension: str, sound_file: SoundFile) -> None:
    coded = sound_file(tone(200, seconds=1), extension)
    assert decode_voice(coded, limit_seconds=2).seconds < 2.1


@pytest.mark.parametrize("seconds", [0.02, 0.5, 1.0, 2.51])
def test_the_motion_has_the_length_of_the_voice(seconds: float, speech: Samples) -> None:
    samples = np.tile(speech, 2)[: int(seconds * RATE)]
    moved = voice_motion(mono(samples), seed=3)
    assert len(moved) == max(2, int(np.ceil(len(samples) / RATE * FRAME_RATE)))
    assert moved[0] == moved[-1] == {}
    assert {name for moment in moved for name in moment} <= set(NAMES)


def test_the_jaw_follows_the_loudness(speech: Samples) -> None:
    jaw = curve(mono(speech), "jawOpen")
    loudness = np.sqrt(np.square(speech.reshape(len(jaw), -1)).mean(axis=1))
    by_lag = {lag: np.corrcoef(jaw, np.roll(loudness, lag))[0, 1] for lag in range(-3, 4)}
    assert by_lag[0] >= 0.8
    assert max(by_lag[lag] for lag in (-1, 0, 1)) == max(by_lag.values())


def test_the_jaw_is_closed_in_silence(speech: Samples) -> None:
    assert curve(mono(np.zeros_like(speech)), "jawOpen").max() == 0
    pause = curve(mono(speech), "jawOpen")[26:30]  # between two words
    assert pause.max() < 0.05


def test_a_quiet_voice_opens_the_mouth_as_far_as_a_loud_one(speech: Samples) -> None:
    loud, quiet = curve(mono(speech), "jawOpen"), curve(mono(speech * np.float32(0.125)), "jawOpen")
    assert quiet == pytest.approx(loud, abs=0.05)


def test_vowels_shape_the_mouth() -> None:
    ah = mono(tone(130, 260, 750, 1150))
    ee = mono(tone(130, 280, 2200, 2600))
    oo = mono(tone(130, 300, 780))
    middle = slice(18, 30)

    def mean(sound: Sound, name: str) -> float:
        return float(curve(sound, name)[middle].mean())

    assert mean(ah, "jawOpen") > 1.3 * mean(ee, "jawOpen")
    assert mean(ee, "mouthSmileLeft") > 0.1 + mean(oo, "mouthSmileLeft")
    assert mean(oo, "mouthPucker") > 0.2 + mean(ee, "mouthPucker")


def test_fricatives_show_the_teeth_and_close_the_jaw() -> None:
    noise = np.random.default_rng(1).normal(0, 0.2, RATE)
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(RATE, 1 / RATE) < 4000] = 0
    hiss: Samples = np.pad(np.fft.irfft(spectrum), RATE // 2).astype(np.float32)
    sound, vowel = mono(hiss), mono(tone(130, 260, 750, 1150))
    middle = slice(18, 30)
    assert curve(sound, "mouthLowerDown")[middle].mean() > 0.2
    assert curve(sound, "jawOpen")[middle].mean() < 0.5 * curve(vowel, "jawOpen")[middle].mean()


def test_eyes_blink_during_a_long_voice(speech: Samples) -> None:
    blink = curve(mono(np.tile(speech, 8)), "eyeBlinkLeft")  # 20 seconds
    closed = np.diff((blink > 0.7).astype(int), prepend=0) == 1
    assert 4 <= closed.sum() <= 10
