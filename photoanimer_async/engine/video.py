"""Frames to files: MP4 (H.264 and AAC) and GIF.

Each writer encodes in a thread of its own while the caller makes the next frame; PyAV lets go
of the interpreter while it works. A few frames may wait for it; then `write` does.
"""

import functools
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
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from photoanimer_async.engine.curves import FRAME_RATE
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.speech import Sound

_FRAMES_WAITING = 4

_H264_OPTIONS = {
    "preset": "superfast",
    "crf": "18",
    # A portrait before a still background gains most from what this preset leaves out (mbtree:
    # half the bytes in less time), and skin keeps its pores where fine detail is rounded off
    # less (deadzone) and blocks are smoothed less (deblock).
    "x264-params": "mbtree=1:rc-lookahead=10:deblock=-2,-2:deadzone-inter=6:deadzone-intra=4",
}
_BT709 = 1
_AAC_BIT_RATE = 128_000
_AAC_FRAME = 1024

_CENTISECONDS = 100


class FrameWriter(Protocol):
    """Something that takes frames one after another and makes a file of them.

    A context manager: the file is whole once it is left without an error.
    """

    def write(self, frame: Picture) -> None:
        """Add a frame, RGB, shape (H, W, 3); the array must not be changed afterwards."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class _ThreadedWriter:
    """A writer whose `_encode` runs in a thread, frame by frame, in order."""

    def __init__(self, container: av.container.OutputContainer) -> None:
        self._container = container
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._waiting: deque[Future[None]] = deque()
        self._count = 0

    def write(self, frame: Picture) -> None:
        """Add a frame, RGB, shape (H, W, 3); the array must not be changed afterwards."""
        self._submit(functools.partial(self._encode, frame, self._count))
        self._count += 1
        while len(self._waiting) > _FRAMES_WAITING:
            self._waiting.popleft().result()

    def _submit(self, work: Callable[[], None]) -> None:
        self._waiting.append(self._thread.submit(work))

    def _encode(self, frame: Picture, number: int) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """Encode what is left after the last frame."""
        raise NotImplementedError

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
                for future in self._waiting:
                    future.result()
        finally:
            self._thread.shutdown(cancel_futures=True)
            self._container.close()


class Mp4Writer(_ThreadedWriter):
    """Writes H.264 in yuv420p with the index first (faststart), and AAC if there is sound.

    Args:
        path: The file to make.
        width: Width of the frames, even.
        height: Height of the frames, even.
        sound: Runs from the first frame on.
    """

    def __init__(self, path: Path, width: int, height: int, sound: Sound | None = None) -> None:
        """Open the file."""
        if width % 2 or height % 2:
            raise ValueError(f"H.264 in yuv420p needs an even size, not {width}x{height}")
        container = av.open(path, "w", format="mp4", options={"movflags": "+faststart"})
        super().__init__(container)
        self._sound = sound
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
        image = _image(frame, number).reformat(
            format="yuv420p",
            interpolation=Interpolation.AREA,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        self._container.mux(self._video.encode(image))

    def _finish(self) -> None:
        self._container.mux(self._video.encode())
        if self._sound is not None:
            self._encode_sound(self._sound)

    def _encode_sound(self, sound: Sound) -> None:
        for start in range(0, sound.samples.shape[1], _AAC_FRAME):
            part = np.ascontiguousarray(sound.samples[:, start : start + _AAC_FRAME])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=sound.layout)
            frame.sample_rate = sound.rate
            frame.pts = start
            frame.time_base = Fraction(1, sound.rate)
            self._container.mux(self._audio.encode(frame))
        self._container.mux(self._audio.encode())


class GifWriter(_ThreadedWriter):
    """Writes a GIF that loops for ever, with one palette for all frames.

    GIF counts time in hundredths of a second, and a second is no whole number of 24ths in them:
    each frame begins at its true time rounded, so that the delays add up to the true length.
    The dither is an ordered one, which stands still where the picture does.

    Args:
        path: The file to make.
        samples: Frames, all of one size, whose colours the palette is made for.
        frame_count: How many frames will be written.
    """

    def __init__(self, path: Path, samples: Sequence[Picture], frame_count: int) -> None:
        """Make the palette and open the file."""
        height, width = samples[0].shape[:2]
        self._indexing = _Indexing(_palette(samples), width, height)
        last_delay = _centiseconds(frame_count) - _centiseconds(frame_count - 1)
        options = {"loop": "0", "final_delay": str(last_delay)}
        super().__init__(av.open(path, "w", format="gif", options=options))
        self._video = self._container.add_stream("gif", rate=_CENTISECONDS)
        self._video.width, self._video.height = width, height
        self._video.pix_fmt = "pal8"

    def _encode(self, frame: Picture, number: int) -> None:
        image = self._indexing.indexed(frame, number)
        image.pts = _centiseconds(number)
        image.time_base = Fraction(1, _CENTISECONDS)
        self._container.mux(self._video.encode(image))

    def _finish(self) -> None:
        self._container.mux(self._video.encode())


def _centiseconds(frame_count: int) -> int:
    """How long so many frames take, in hundredths of a second."""
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
    """255 colours and transparency, chosen for all samples together."""
    height, width = samples[0].shape[:2]
    graph = av.filter.Graph()
    source = _frame_source(graph, width, height)
    choice = graph.add("palettegen", "max_colors=255:stats_mode=full")
    sink = graph.add("buffersink")
    source.link_to(choice)
    choice.link_to(sink)
    graph.configure()
    for number, sample in enumerate(samples):
        source.push(_image(sample, number))
    source.push(None)
    return _pulled(sink)


def _pulled(sink: FilterContext) -> av.VideoFrame:
    frame = sink.pull()
    if not isinstance(frame, av.VideoFrame):
        raise TypeError(f"a filter of pictures gave {frame!r}")
    return frame


class _Indexing:
    """Turns RGB frames into frames of palette indices, by FFmpeg's paletteuse filter."""

    def __init__(self, palette: av.VideoFrame, width: int, height: int) -> None:
        self._graph = av.filter.Graph()  # kept alive for its filters
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

    def indexed(self, frame: Picture, number: int) -> av.VideoFrame:
        """The frame in the palette's colours."""
        self._source.push(_image(frame, number))
        return _pulled(self._sink)
