"""Whole files of every format and kind, for `mutations` to start from."""

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import av
import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

import photoanimer_async.engine.samples

_PORTRAIT = Path(photoanimer_async.engine.samples.__file__).parent / "grace_hopper.jpg"
_SIDE = 96
_RATE = 48_000
_SECONDS = 0.4

_SOUNDS: tuple[tuple[str, str, str, int, Literal["mono", "stereo"]], ...] = (
    ("wav", "pcm_s16le", "s16", 48_000, "mono"),
    ("wav", "pcm_f32le", "flt", 44_100, "stereo"),
    ("wav", "pcm_u8", "u8", 8_000, "mono"),
    ("wav", "pcm_alaw", "s16", 8_000, "mono"),
    ("aiff", "pcm_s16be", "s16", 48_000, "stereo"),
    ("mp3", "libmp3lame", "fltp", 44_100, "stereo"),
    ("mp3", "libmp3lame", "fltp", 16_000, "mono"),
    ("ipod", "aac", "fltp", 48_000, "mono"),
    ("ipod", "alac", "s16p", 48_000, "stereo"),
    ("adts", "aac", "fltp", 44_100, "stereo"),
    ("ogg", "libopus", "flt", 48_000, "mono"),
    ("ogg", "vorbis", "fltp", 44_100, "stereo"),
    ("flac", "flac", "s16", 48_000, "stereo"),
    ("matroska", "libopus", "flt", 48_000, "mono"),
    ("webm", "libopus", "flt", 48_000, "stereo"),
    ("matroska", "pcm_s16le", "s16", 48_000, "mono"),
)


def portrait() -> bytes:
    """A small photo with a face, as it should be."""
    return _saved(_face(), "JPEG")


def voice() -> bytes:
    """A short sound, as it should be."""
    return _sound(*_SOUNDS[0])


def pictures() -> list[bytes]:
    """Pictures of the four formats, of every kind that their decoders tell apart."""
    return list(_pictures())


def sounds() -> list[bytes]:
    """Short sounds in every container that is allowed."""
    return [_sound(*kind) for kind in _SOUNDS]


def _pictures() -> Iterator[bytes]:
    face = _face()
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # when it was made
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "how are you", zip=True)

    yield _saved(face, "JPEG", quality=80)
    yield _saved(face, "JPEG", quality=40, progressive=True, subsampling=2)
    yield _saved(face, "JPEG", exif=exif, icc_profile=bytes(profile), restart_marker_blocks=3)
    yield _saved(face.convert("L"), "JPEG")
    yield _saved(face.convert("CMYK"), "JPEG")
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        yield _saved(face.convert(mode), "PNG")
    wide = np.asarray(face.convert("L")).astype(np.uint16) * 257
    yield _saved(Image.fromarray(wide), "PNG")
    yield _saved(face, "PNG", exif=exif, icc_profile=bytes(profile), pnginfo=text)
    yield _saved(face.convert("P"), "PNG", transparency=3)
    yield _saved(face, "PNG", save_all=True, append_images=[face.rotate(90)])
    for mode in ("RGB", "L", "P", "1", "RGBA"):
        yield _saved(face.convert(mode), "BMP")
    yield _run_length_bmp()
    yield _saved(face, "WEBP", quality=60)
    yield _saved(face, "WEBP", lossless=True)
    yield _saved(face.convert("RGBA"), "WEBP", exif=exif, icc_profile=bytes(profile))
    yield _saved(face, "WEBP", save_all=True, append_images=[face.rotate(90)], duration=40)


def _face() -> Image.Image:
    with Image.open(_PORTRAIT) as picture:
        return picture.convert("RGB").resize((_SIDE, _SIDE * 5 // 4))


def _saved(picture: Image.Image, picture_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, picture_format, **options)
    return file.getvalue()


def _run_length_bmp() -> bytes:
    """Which Pillow reads but does not write: 8 bits, runs of one colour, a jump, some literals."""
    rows = b"".join(b"\x08" + bytes([row]) + b"\0\x04\x01\x02\x03\x04\0\0" for row in range(15))
    pixels = rows + b"\0\x02\x0c\0" + b"\0\x01"
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, 12, 16, 1, 8, 1, len(pixels), 2835, 2835, 256, 0)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + (
        header + palette + pixels
    )


def _sound(
    container_format: str, codec: str, kind: str, rate: int, layout: Literal["mono", "stereo"]
) -> bytes:
    times = np.arange(int(_SECONDS * _RATE)) / _RATE
    wave = 0.4 * np.sin(2 * np.pi * 220 * times) * np.sin(2 * np.pi * 3 * times)
    file = io.BytesIO()
    always_the_same = {"fflags": "+bitexact"}
    with av.open(file, "w", format=container_format, options=always_the_same) as container:
        options = {"strict": "-2"}  # FFmpeg's own Vorbis is called an experiment
        stream = container.add_stream(codec, rate=rate, layout=layout, options=options)
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        context.format = kind
        context.open()
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], "fltp", "mono")
        frame.sample_rate = _RATE
        resampler = av.AudioResampler(kind, layout, rate, frame_size=context.frame_size or None)
        for each in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(each))
        container.mux(stream.encode(None))
    return file.getvalue()


SEEDS: dict[str, Callable[[], list[bytes]]] = {"picture": pictures, "sound": sounds}
"""By the kind of file."""
