"""What makes a picture upright."""

import io

import pytest
from PIL import ExifTags, Image

from photoanimer_async.photos.pictures.orientation import transposition_of


def stored(orientation: int, file_format: str) -> Image.Image:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    Image.new("RGB", (4, 2)).save(file, file_format, exif=exif)
    return Image.open(file)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_the_orientation_of_the_exif_says_how_to_turn(file_format: str) -> None:
    assert transposition_of(stored(6, file_format)) is Image.Transpose.ROTATE_270
    assert transposition_of(stored(3, file_format)) is Image.Transpose.ROTATE_180


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_a_picture_that_is_upright_is_not_turned(orientation: int) -> None:
    assert transposition_of(stored(orientation, "JPEG")) is None
    assert transposition_of(Image.new("RGB", (4, 2))) is None


def test_damaged_exif_says_nothing() -> None:
    image = Image.new("RGB", (4, 2))
    image.info["exif"] = b"Exif\0\0MM\0*\0\0\0\x08\xff"
    assert transposition_of(image) is None
