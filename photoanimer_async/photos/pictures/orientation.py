"""How pictures must be turned to be upright, from what their files state. Requires Pillow."""

from PIL import ExifTags, Image

_TRANSPOSITIONS = {  # by the orientation (Exif 2.32, 4.6.4)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def transposition_of(image: Image.Image) -> Image.Transpose | None:
    """Return what makes a picture upright; `None` if it is, or if its Exif is damaged.

    Args:
        image: the picture. Some decoders turn it themselves while they load it, and a PNG may have
            its Exif behind its pixels: the answer is final once the picture is loaded.
    """
    try:
        return _TRANSPOSITIONS.get(int(image.getexif().get(ExifTags.Base.Orientation, 1)))
    except Exception:  # noqa: BLE001 - damaged Exif is treated as no Exif
        return None
