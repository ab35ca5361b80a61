"""The scans of a JPEG file: how many there are, and whether its last one is whole.

The markers are found as libjpeg finds them: bytes between segments are skipped, so a file cannot
hide scans from this module that a decoder would decode.
"""

import hashlib
import re
from collections.abc import Iterator
from io import BytesIO

from attrs import field, frozen

MAX_PIXELS = 32 * 1024 * 1024
"""Maximum number of pixels of a picture whose last scan is verified."""

_FREE_SCANS, _MAX_SCANS = 20, 1000
_MAX_PIXEL_PASSES = 32 * 4096 * 4096
_MAX_TRIMMED_PASSES = 4 * 1024 * 1024

_MAX_SEGMENTS = 20_000
"""Many more than any encoder writes. A picture with more counts as one of too many scans."""

# A marker is FF and a byte, with any number of FF before; FF 00 and the restart markers D0 to D7
# belong to a scan's data. (A pattern `\xff+` would take a time that is the square of their number.)
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_NO_LENGTH, _START, _END, _SCAN = 0x01, 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
_COEFFICIENTS = frozenset(range(64))
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_END_MARKER = b"\xff\xd9"
# Bits that no whole picture needs. The first byte is not zero, since decoders fill up with zeros.
# One noise alone decodes now and then to what is missing, by accident.
_NOISES = tuple(
    first + hashlib.shake_128(first).digest(2048).replace(b"\xff", b"")
    for first in (b"\xb6", b"\x5d", b"\xeb", b"\x27")
)


@frozen
class JpegLayout:
    """Where the scans of a JPEG file are.

    Attributes:
        frame: the marker of its frame (ITU-T T.81, table B.1).
        width: in pixels.
        height: in pixels.
        scans: number of scans.
        end: the offset behind the last scan.
        has_end: whether an end marker follows.
        complete: whether the scans contain all coefficients of all components, each to the last
            bit: a progressive picture may lack its last scans.
    """

    frame: int
    width: int
    height: int
    scans: int
    end: int
    has_end: bool
    complete: bool

    @property
    def has_too_many_scans(self) -> bool:
        """Whether decoding takes many times as long as for any picture that encoders write.

        Each scan takes a pass over all pixels, and a few bytes are enough for one. Encoders write
        up to 18 scans.
        """
        passes = self.scans * self.width * self.height
        is_long = self.scans > _FREE_SCANS and passes > _MAX_PIXEL_PASSES
        return is_long or self.scans > _MAX_SCANS


def read_layout(jpeg: bytes) -> JpegLayout | None:
    """Return the layout of a JPEG file; `None` if it has no scan that could be decoded."""
    reading = _Reading(jpeg)
    offset, has_end = 2, False
    segments = 0
    while (found := _MARKER.search(jpeg, offset)) is not None:
        segments += 1
        if segments > _MAX_SEGMENTS:
            return reading.layout(has_end=False, least_scans=_MAX_SCANS + 1)
        marker, offset = found[1][0], found.end()
        if marker in {_START, _END}:
            has_end = marker == _END
            break
        if marker == _NO_LENGTH:
            continue
        length = max(2, int.from_bytes(jpeg[offset : offset + 2], "big"))
        content = jpeg[offset + 2 : offset + length]
        offset += length
        if offset > len(jpeg) or not reading.add(marker, content, offset):
            break
    return reading.layout(has_end=has_end)


def with_end(jpeg: bytes) -> bytes | None:
    """Return a JPEG file with its end marker in its place; `None` if the picture is cut off.

    A file that lacks the marker is accepted if its last scan is whole: then it decodes to the
    same pixels, whatever follows. What stands behind the last scan is dropped in this case; of a
    large picture only from the first marker on, since finding the scan's end takes long.

    Args:
        jpeg: the whole file; without an end marker it is decoded a few times.

    Raises:
        ModuleNotFoundError: Pillow is not installed.
    """
    layout = read_layout(jpeg)
    if layout is None or layout.has_end:
        return None if layout is None else jpeg
    is_verifiable = layout.complete and layout.frame not in _ARITHMETIC
    is_large = layout.width * layout.height > MAX_PIXELS
    if not is_verifiable or is_large or layout.has_too_many_scans:
        return None
    is_quick = layout.scans * layout.width * layout.height <= _MAX_TRIMMED_PASSES
    return _ended(jpeg[: layout.end], trim=is_quick)


def _ended(scans: bytes, *, trim: bool) -> bytes | None:
    """Return scans with an end marker; `None` if they are cut off.

    Args:
        scans: the file up to the first marker that is no part of a scan.
        trim: whether to drop bytes behind the scan that look like a part of it; this decodes the
            picture some 60 times.
    """
    picture = _pixels(scans + _END_MARKER)
    if picture is None:
        return None

    def is_whole(size: int) -> bool:
        return all(_pixels(ended) == picture for ended in _endings(scans[:size]))

    size = len(scans)
    if not is_whole(size):
        return None
    # The scan's end is the shortest that suffices.
    too_short = 0 if trim else size
    step = 1
    while size - too_short > 1:
        middle = max(size - step, (too_short + size) // 2)
        if is_whole(middle):
            size, step = middle, 2 * step
        else:
            too_short = middle
    return scans[:size] + _END_MARKER


def _endings(scans: bytes) -> Iterator[bytes]:
    """Yield scans with an end marker, and with noise in the place of what they lack."""
    yield scans + _END_MARKER
    scans = scans.rstrip(b"\xff")
    numbers = _RESTART.findall(scans)
    # With restart intervals the noise is decoded only behind the marker that is expected next.
    first = numbers[-1][0] + 1 if numbers else 0
    restarts = [bytes((0xFF, 0xD0 + (first + number) % 8)) for number in range(16)]
    for noise in _NOISES:
        yield scans + noise + b"".join(restart + noise for restart in restarts) + _END_MARKER


@frozen
class _Reading:
    """Collects the layout, segment by segment."""

    jpeg: bytes
    frames: list[tuple[int, int, int]] = field(factory=list)
    final: dict[int, set[int]] = field(factory=dict)
    ends: list[int] = field(factory=list)

    def add(self, marker: int, content: bytes, offset: int) -> bool:
        """Add a segment that ends at an offset; return false if no decoder would accept it."""
        if marker in _FRAMES:
            return self._add_frame(marker, content)
        return marker != _SCAN or self._add_scan(content, offset)

    def _add_frame(self, marker: int, content: bytes) -> bool:
        if self.frames or len(content) < 6 or len(content) != 6 + 3 * content[5]:  # noqa: PLR2004
            return False
        height = int.from_bytes(content[1:3], "big")
        self.frames.append((marker, int.from_bytes(content[3:5], "big"), height))
        self.final.update({component: set() for component in content[6::3]})
        return True

    def _add_scan(self, content: bytes, offset: int) -> bool:
        if not content or len(content) != 4 + 2 * content[0] or not self.frames:
            return False
        components = content[1:-3:2]
        if not self.final.keys() >= set(components):
            return False
        first, last, bits = content[-3:]
        if self.frames[0][0] not in _PROGRESSIVE:
            first, last, bits = 0, 63, 0
        if not bits & 0x0F:
            for component in components:
                self.final[component].update(range(first, last + 1))
        following = _MARKER.search(self.jpeg, offset)
        end = len(self.jpeg) if following is None else following.start()
        while following is not None and end > offset and self.jpeg[end - 1] == 0xFF:  # noqa: PLR2004
            end -= 1
        self.ends.append(end)
        return True

    def layout(self, *, has_end: bool, least_scans: int = 0) -> JpegLayout | None:
        if not self.ends:
            return None
        [(frame, width, height)] = self.frames
        return JpegLayout(
            frame,
            width,
            height,
            scans=max(len(self.ends), least_scans),
            end=self.ends[-1],
            has_end=has_end,
            complete=all(done >= _COEFFICIENTS for done in self.final.values()),
        )


def _pixels(jpeg: bytes) -> bytes | None:
    """Return a digest of the decoded pixels; `None` if there are none."""
    from PIL.JpegImagePlugin import JpegImageFile  # noqa: PLC0415 - an extra

    try:
        with JpegImageFile(BytesIO(jpeg)) as image:
            return hashlib.sha256(image.tobytes()).digest()
    except Exception:  # noqa: BLE001 - decoders raise exceptions of any type on damaged files
        return None
