"""What it is that is to be published: a photo, or a voice."""

from typing import TypeAlias

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.models import Photo
from photoanimer_async.photos.check import inspect_photo
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.voice import VoiceFormat, detect_voice_format
from photoanimer_async.redaction import shown_photo

MediaFormat: TypeAlias = PictureFormat | VoiceFormat


def media_format(photo: Photo) -> MediaFormat:
    """The format of a photo, or of a file that is a voice. Blocking.

    Raises:
        InvalidPhotoError: neither, not one that the service takes, or a URL.
    """
    try:
        header = inspect_photo(photo)
    except InvalidPhotoError:
        if (sound := detect_voice_format(photo)) is not None:
            return sound
        raise
    if header is None:
        name = shown_photo(photo)
        raise InvalidPhotoError(f"{name}: has a URL already", photo=name)
    return header.format
