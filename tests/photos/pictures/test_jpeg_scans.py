"""The scans of a JPEG are counted, and the last one is verified where the end marker is missing."""

import random
import struct

import pytest
from PIL import Image

from photoanimer_async.photos.pictures.jpeg_scans import read_layout, with_end

from ...support.pictures import CASES, jpeg, pixels, saved, segment

RIGHT = Image.open(CASES / "right.png").convert("RGB")
END = b"\xff\xd9"
KINDS: dict[str, dict[str, object]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "optimized": {"optimize": True, "quality": 95},
    "restarts": {"restart_marker_blocks": 4},
    "grey": {},
    "cmyk": {"progressive": True},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
TRAILERS = [
    b"\n",
    bytes(3000),
    b"made by a phone",
    *(b"\0\0\0\x18ftypmp42" + random.Random(seed).randbytes(30_000) for seed in range(8)),
]


def photo(kind: str) -> bytes:
    image = RIGHT.convert("L" if kind == "grey" else "RGB")
    if kind == "cmyk":
        image = Image.merge("CMYK", (*image.split(), RIGHT.convert("L")))
    return saved(image.resize((120, 90)), "JPEG", **KINDS[kind])


def with_scans(count: int, width: int, height: int, *, frame: int = 0xC2) -> bytes:
    """A picture of one component whose scans hold no data."""
    sides = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    first = segment(0xDA, b"\x01\x01\x00\x00\x00\x00")
    return b"".join(
        (b"\xff\xd8", segment(frame, sides), first)
        + (segment(0xDA, b"\x01\x01\x00\x01\x3f\x00"),) * (count - 1)
        + (END,)
    )


class TestEnd:
    @EVERY_KIND
    def test_a_jpeg_with_its_end_is_unchanged(self, kind: str) -> None:
        assert with_end(photo(kind)) == photo(kind)

    @EVERY_KIND
    @pytest.mark.parametrize("trailer", [b"", *TRAILERS], ids=range(12))
    def test_a_missing_end_marker_is_added_in_its_place(self, kind: str, trailer: bytes) -> None:
        whole = photo(kind)
        ended = with_end(whole[:-2] + trailer)
        assert ended is not None
        assert ended.endswith(END)
        # The last byte of a scan may hold nothing but padding.
        assert len(whole) - 1 <= len(ended) <= len(whole)
        assert pixels(ended) == pixels(whole)

    @pytest.mark.parametrize("trailer", TRAILERS, ids=range(11))
    def test_a_last_scan_that_changes_no_pixel_may_be_shortened(self, trailer: bytes) -> None:
        whole = saved(RIGHT.convert("CMYK").resize((120, 90)), "JPEG", progressive=True)
        ended = with_end(whole[:-2] + trailer)
        assert ended is not None
        assert ended.endswith(END)
        assert whole.startswith(ended[:-2])
        assert pixels(ended) == pixels(whole)

    @EVERY_KIND
    @pytest.mark.parametrize("trailer", [b"", b"\n"])
    def test_a_jpeg_that_is_cut_off_is_refused(self, kind: str, trailer: bytes) -> None:
        whole = photo(kind)
        for size in (*range(40, len(whole) - 60, 97), *range(len(whole) - 60, len(whole) - 6, 3)):
            ended = with_end(whole[:size] + trailer)
            assert ended is None or pixels(ended) == pixels(whole), size

    def test_a_progressive_jpeg_without_its_last_scans_is_refused(self) -> None:
        whole = photo("progressive")
        last_scan = whole.rindex(b"\xff\xc4", 0, whole.rindex(b"\xff\xda"))
        assert with_end(whole[:last_scan]) is None

    def test_of_a_large_picture_only_the_marker_is_added(self) -> None:
        whole = saved(RIGHT.resize((2400, 2000)), "JPEG")
        assert with_end(whole[:-2] + b"from a phone") == whole[:-2] + b"from a phone" + END

    def test_a_second_picture_behind_the_scans_is_dropped(self) -> None:
        whole = photo("baseline")
        ended = with_end(whole[:-2] + whole)
        assert ended is not None
        assert pixels(ended) == pixels(whole)
        assert len(ended) <= len(whole)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff\xd8",
            b"\xff\xd8\xff\xd9",
            jpeg(64, 64, end=b""),
            random.Random(1).randbytes(999),
        ],
    )
    def test_what_no_decoder_accepts_is_refused(self, content: bytes) -> None:
        assert with_end(content) is None

    def test_arithmetic_coding_needs_the_end_marker(self) -> None:
        coded = jpeg(64, 64, frame=0xC9)
        assert with_end(coded) == coded
        assert with_end(coded[:-2]) is None


class TestScans:
    def test_a_photo_has_few_scans(self) -> None:
        assert [getattr(read_layout(photo(kind)), "scans", 0) for kind in KINDS] == [
            1, 10, 1, 1, 1, 18,
        ]  # fmt: skip

    @pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xC9, 0xCA])
    @pytest.mark.parametrize(
        ("count", "side", "is_refused"),
        [
            (20, 8192, False),
            (32, 4096, False),
            (33, 4096, True),
            (1000, 64, False),
            (1001, 8, True),
        ],
    )
    def test_scans_are_limited_by_the_work_they_make(
        self, frame: int, count: int, side: int, is_refused: bool
    ) -> None:
        layout = read_layout(with_scans(count, side, side, frame=frame))
        assert layout is not None
        assert (layout.scans, layout.has_too_many_scans) == (count, is_refused)

    def test_bytes_between_segments_hide_no_scans(self) -> None:
        # Decoders skip them.
        hidden = with_scans(40, 64, 64).replace(b"\xff\xda", b"hidden\xff\xff\xda")
        layout = read_layout(hidden)
        assert layout is not None
        assert layout.scans == 40

    @pytest.mark.parametrize(
        "filling", [b"\xff", b"\xff\x01", b"\xff\xe0\0\2", b"\xff\xc4\0\2", b"\xff\xfe\0\0"]
    )
    def test_segments_without_end_neither_take_long_nor_hide_scans(self, filling: bytes) -> None:
        # A run of FF once took a time that is the square of its length: minutes for this one.
        count = 4_000_000 // len(filling)
        hidden = with_scans(1, 64, 64)[:-2] + filling * count + with_scans(2000, 64, 64)[15:]
        layout = read_layout(hidden)
        assert layout is not None
        assert layout.has_too_many_scans

    def test_scans_of_pictures_behind_the_first_do_not_count(self) -> None:
        layout = read_layout(photo("baseline") + photo("progressive"))
        assert layout is not None
        assert layout.scans == 1

    def test_an_mpo_of_many_scans_is_recognized(self) -> None:
        layout = read_layout((CASES / "as-mpo.jpg").read_bytes())
        assert layout is not None
        assert layout.has_too_many_scans
