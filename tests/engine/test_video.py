"""MP4 and GIF files."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from photoanimer_async.engine import video
from photoanimer_async.engine.curves import FRAME_RATE
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.speech import RATE, Sound
from photoanimer_async.engine.video import GifWriter, Mp4Writer

FULL = Path("/dev/full")


def frames(count: int, width: int = 64, height: int = 48) -> list[Picture]:
    """Return frames of a bright square that moves over a gradient."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    ground = np.dstack([x * 2, y * 3, (x + y) // 2]).astype(np.uint8)
    square = []
    for at in range(count):
        frame = ground.copy()
        frame[10:26, at % 40 : at % 40 + 16] = (250, 220, 40)
        square.append(frame)
    return square


def write_mp4(path: Path, pictures: list[Picture], sound: Sound | None = None) -> None:
    height, width = pictures[0].shape[:2]
    with Mp4Writer(path, width, height, sound) as writer:
        for picture in pictures:
            writer.write(picture)


def test_mp4_has_the_frames_in_order(tmp_path: Path) -> None:
    path, written = tmp_path / "square.mp4", frames(30)
    write_mp4(path, written)
    with av.open(path) as container:
        read = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 24
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(30, 24)
    assert len(read) == 30
    for then, now in zip(written, read, strict=True):
        assert np.abs(then.astype(int) - now).mean() < 6


def test_converting_a_frame_sets_up_nothing_and_starts_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up, threads = [], []

    class Recorded:
        def __init__(self) -> None:
            self._own = VideoReformatter()
            set_up.append(self)

        def reformat(self, *arguments: Any, **options: Any) -> av.VideoFrame:
            threads.append(options["threads"])
            return self._own.reformat(*arguments, **options)

    monkeypatch.setattr(video, "VideoReformatter", Recorded)
    write_mp4(tmp_path / "square.mp4", frames(20))
    assert len(set_up) == 1
    assert threads == [1] * 20


def test_the_index_comes_before_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "square.mp4"
    write_mp4(path, frames(5))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_an_odd_size_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even size, not 63x48"):
        Mp4Writer(tmp_path / "square.mp4", 63, 48)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_is_muxed_as_aac(channels: int, tmp_path: Path, speech: NDArray[np.float32]) -> None:
    path = tmp_path / "talk.mp4"
    write_mp4(path, frames(60), Sound(np.tile(speech, (channels, 1))))
    with av.open(path) as container:
        audio = container.streams.audio[0]
        assert audio.codec_context.name == "aac"
        assert audio.codec_context.channels == channels
        decoded = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio)])
    with av.open(path) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60
        assert container.duration == pytest.approx(2.5 * av.time_base, abs=0.03 * av.time_base)
    count = min(len(decoded), len(speech))
    lag = int(np.correlate(decoded[:count], speech[:count], "same").argmax()) - count // 2
    assert abs(lag) <= 48  # a thousandth of a second


def test_sound_is_stored_beside_the_frames_that_it_belongs_to(tmp_path: Path) -> None:
    path, seconds = tmp_path / "talk.mp4", 20
    sound = Sound(np.random.default_rng(1).normal(0, 0.1, (1, seconds * RATE)).astype(np.float32))
    write_mp4(path, frames(seconds * FRAME_RATE, 16, 16), sound)
    read = {"video": 0.0, "audio": 0.0}
    with av.open(path) as container:
        packets = [packet for packet in container.demux() if packet.pos is not None]
        for packet in sorted(packets, key=lambda packet: packet.pos or 0):
            if packet.pts is not None and packet.time_base is not None:
                read[packet.stream.type] = float(packet.pts * packet.time_base)
                assert abs(read["video"] - read["audio"]) < 1  # 10 if all sound is encoded last
    assert min(read.values()) > seconds - 1


def test_an_error_of_the_caller_is_raised(tmp_path: Path) -> None:
    def make() -> None:
        with Mp4Writer(tmp_path / "square.mp4", 64, 48) as writer:
            writer.write(frames(1)[0])
            raise RuntimeError("no more frames")

    with pytest.raises(RuntimeError, match="no more frames"):
        make()


def test_an_error_of_the_encoder_is_raised(tmp_path: Path) -> None:
    wrong: list[Callable[[], Picture]] = [lambda: np.zeros((48, 64, 4), np.uint8)]
    with pytest.raises(ValueError, match="array"), Mp4Writer(tmp_path / "w.mp4", 64, 48) as writer:
        for frame in wrong:
            writer.write(frame())


@pytest.mark.parametrize("count", [1, 2, 51, 75, 90])
def test_delays_of_a_gif_add_up_to_the_duration(tmp_path: Path, count: int) -> None:
    path, written = tmp_path / "square.gif", frames(count)
    with GifWriter(path, written[::10], count) as writer:
        for frame in written:
            writer.write(frame)
    with GifImageFile(path) as image:
        delays = []
        for at in range(image.n_frames):
            image.seek(at)
            delays.append(image.info["duration"])
    assert sum(delays) == pytest.approx(1000 * count / 24, abs=5)
    if count > 1:
        assert len(delays) == count
        assert set(delays) <= {40, 50}


def test_a_gif_loops_and_keeps_its_colours(tmp_path: Path) -> None:
    path, written = tmp_path / "square.gif", frames(40)
    with GifWriter(path, written[::10], 40) as writer:
        for frame in written:
            writer.write(frame)
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        for at in (0, 17, 39):
            image.seek(at)
            shown = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(shown - written[at]).mean() < 6


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("count", [1, 30])
def test_on_a_full_disk_the_error_says_so(count: int) -> None:
    # Writing on after the first error crashed the process.
    pictures = frames(count)
    with pytest.raises(OSError, match="No space left"):
        write_mp4(FULL, pictures)
    with pytest.raises(OSError, match="No space left"), GifWriter(FULL, pictures, count) as writer:
        for picture in pictures:
            writer.write(picture)
