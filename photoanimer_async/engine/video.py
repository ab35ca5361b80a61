"""Video files: MP4 (H.264 and AAC) and GIF.

Each writer encodes in a thread of its own while the caller renders the next frame; PyAV releases
the GIL while encoding. If several frames are queued, `write` blocks.
"""

import functools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av
import av.filter
import numpy as np
from av.filter.context import FilterContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from photoanimer_async.engine.curves import FRAME_RATE
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.speech import Sound

_MAX_QUEUED_FRAMES = 4

_H264_OPTIONS = {
    "preset": "superfast",
    "crf": "18",
    # For a portrait before a still background, mbtree halves the size in less time. A smaller
    # deadzone and weaker deblocking keep the texture of skin.
    "x264-params": "mbtree=1:rc-lookahead=10:deblock=-2,-2:deadzone-inter=6:deadzone-intra=4",
}
_BT709 = 1
_AAC_BIT_RATE = 128_000
_AAC_FRAME = 1024

_CENTISECONDS = 100


class FrameWriter(Protocol):
    """A context manager that writes frames to a file.

    The file is complete once the context is left without an error.
    """

    def write(self, frame: Picture) -> None:
        """Append a frame, RGB, shape (H, W, 3); the array must not be changed afterwards."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class _ThreadedWriter(ABC):
    """A writer that calls `_encode` for each frame in a thread, in order."""

    def __init__(self, container: av.container.OutputContainer) -> None:
        self._container = container
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._queued: deque[Future[None]] = deque()
        self._failed = False
        self._count = 0

    def write(self, frame: Picture) -> None:
        """Append a frame, RGB, shape (H, W, 3); the array must not be changed afterwards."""
        self._submit(functools.partial(self._encode, frame, self._count))
        self._count += 1
        while len(self._queued) > _MAX_QUEUED_FRAMES:
            self._queued.popleft().result()

    def _submit(self, work: Callable[[], None]) -> None:
        self._queued.append(self._thread.submit(self._unless_failed, work))

    def _unless_failed(self, work: Callable[[], None]) -> None:
        """Do nothing after a failure: a container that could not be written to then crashes."""
        if self._failed:
            return
        try:
            work()
        except BaseException:
            self._failed = True
            raise

    @abstractmethod
    def _encode(self, frame: Picture, number: int) -> None:
        """Encode a frame, the `number`-th from 0."""

    @abstractmethod
    def _finish(self) -> None:
        """Flush the encoder after the last frame."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._submit(self._finish)
                for future in self._queued:
                    future.result()
        finally:
            self._thread.shutdown(cancel_futures=True)
            self._container.close()


class Mp4Writer(_ThreadedWriter):
    """Writes H.264 in yuv420p with the index first (faststart), and AAC if there is sound.

    Args:
        path: The file to write.
        width: Width of the frames in pixels, even.
        height: Height of the frames in pixels, even.
        sound: Starts with the first frame.

    Raises:
        ValueError: The size is odd.
    """

    def __init__(self, path: Path, width: int, height: int, sound: Sound | None = None) -> None:
        """Open the file."""
        if width % 2 or height % 2:
            raise ValueError(f"H.264 in yuv420p requires an even size, not {width}x{height}")
        container = av.open(path, "w", format="mp4", options={"movflags": "+faststart"})
        super().__init__(container)
        self._sound, self._sound_encoded = sound, 0
        # One for all frames: a frame's own would be set up, and start its threads, for that frame.
        self._reformatter = VideoReformatter()
        self._video = container.add_stream("libx264", rate=FRAME_RATE, options=_H264_OPTIONS)
        self._video.width, self._video.height = width, height
        self._video.pix_fmt = "yuv420p"
        context = self._video.codec_context
        context.thread_count = 1
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = ColorRange.MPEG
        if sound is not None:
            self._audio = container.add_stream("aac", rate=sound.rate, layout=sound.layout)
            self._audio.codec_context.bit_rate = _AAC_BIT_RATE

    def _encode(self, frame: Picture, number: int) -> None:
        image = self._reformatter.reformat(
            _image(frame, number),
            format="yuv420p",
            interpolation=Interpolation.AREA,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        self._container.mux(self._video.encode(image))
        if self._sound is not None:
            self._encode_sound(self._sound, (number + 1) / FRAME_RATE)

    def _finish(self) -> None:
        self._container.mux(self._video.encode())
        if self._sound is not None:
            self._encode_sound(self._sound, self._sound.seconds)
            self._container.mux(self._audio.encode())

    def _encode_sound(self, sound: Sound, until: float) -> None:
        """Encode the sound up to a time, in seconds: a player needs it beside its frames."""
        end = min(round(until * sound.rate), sound.samples.shape[1])
        for start in range(self._sound_encoded, end, _AAC_FRAME):
            part = np.ascontiguousarray(sound.samples[:, start : start + _AAC_FRAME])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=sound.layout)
            frame.sample_rate = sound.rate
            frame.pts = start
            frame.time_base = Fraction(1, sound.rate)
            self._container.mux(self._audio.encode(frame))
            self._sound_encoded = start + _AAC_FRAME


class GifWriter(_ThreadedWriter):
    """Writes an endlessly looping GIF with one palette for all frames.

    GIF has a time unit of 1/100 s, so delays of 1/24 s are rounded: each frame begins at its exact
    time, rounded, so that the delays add up to the exact duration. Dithering is ordered, so that it
    does not flicker in still areas.

    Args:
        path: The file to write.
        samples: Frames of equal size, from which the palette is computed.
        frame_count: Number of frames that will be written.
    """

    def __init__(self, path: Path, samples: Sequence[Picture], frame_count: int) -> None:
        """Compute the palette and open the file."""
        height, width = samples[0].shape[:2]
        self._mapper = _PaletteMapper(_palette(samples), width, height)
        last_delay = _centiseconds(frame_count) - _centiseconds(frame_count - 1)
        options = {"loop": "0", "final_delay": str(last_delay)}
        super().__init__(av.open(path, "w", format="gif", options=options))
        self._video = self._container.add_stream("gif", rate=_CENTISECONDS)
        self._video.width, self._video.height = width, height
        self._video.pix_fmt = "pal8"

    def _encode(self, frame: Picture, number: int) -> None:
        image = self._mapper.map(frame, number)
        image.pts = _centiseconds(number)
        image.time_base = Fraction(1, _CENTISECONDS)
        self._container.mux(self._video.encode(image))

    def _finish(self) -> None:
        self._container.mux(self._video.encode())


def _centiseconds(frame_count: int) -> int:
    """Return the duration of a number of frames, in 1/100 s, rounded."""
    return round(Fraction(_CENTISECONDS * frame_count, FRAME_RATE))


def _image(frame: Picture, number: int) -> av.VideoFrame:
    image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    image.pts = number
    image.time_base = Fraction(1, FRAME_RATE)
    return image


def _frame_source(graph: av.filter.Graph, width: int, height: int) -> FilterContext:
    return graph.add_buffer(
        width=width,
        height=height,
        format=av.VideoFormat("rgb24", width, height),
        time_base=Fraction(1, FRAME_RATE),
    )


def _palette(samples: Sequence[Picture]) -> av.VideoFrame:
    """Compute 255 colours and transparency for all samples."""
    height, width = samples[0].shape[:2]
    graph = av.filter.Graph()
    source = _frame_source(graph, width, height)
    generator = graph.add("palettegen", "max_colors=255:stats_mode=full")
    sink = graph.add("buffersink")
    source.link_to(generator)
    generator.link_to(sink)
    graph.configure()
    for number, sample in enumerate(samples):
        source.push(_image(sample, number))
    source.push(None)
    return _pull(sink)


def _pull(sink: FilterContext) -> av.VideoFrame:
    frame = sink.pull()
    if not isinstance(frame, av.VideoFrame):
        raise TypeError(f"a video filter returned {frame!r}")
    return frame


class _PaletteMapper:
    """Converts RGB frames to palette indices with FFmpeg's paletteuse filter."""

    def __init__(self, palette: av.VideoFrame, width: int, height: int) -> None:
        self._graph = av.filter.Graph()  # keeps the filters alive
        self._source = _frame_source(self._graph, width, height)
        colours = self._graph.add_buffer(
            width=palette.width,
            height=palette.height,
            format=palette.format,
            time_base=Fraction(1, FRAME_RATE),
        )
        use = self._graph.add("paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle")
        self._sink = self._graph.add("buffersink")
        self._source.link_to(use, 0, 0)
        colours.link_to(use, 0, 1)
        use.link_to(self._sink)
        self._graph.configure()
        palette.pts, palette.time_base = 0, Fraction(1, FRAME_RATE)
        colours.push(palette)
        colours.push(None)

    def map(self, frame: Picture, number: int) -> av.VideoFrame:
        """Convert a frame to palette indices."""
        self._source.push(_image(frame, number))
        return _pull(self._sink)
