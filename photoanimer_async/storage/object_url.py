"""What names a part of an object store, and what goes wrong there."""

from urllib.parse import urlsplit

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.redaction import printable, shown_url

_SCHEMES = ("s3", "gs", "az")
_UNSAFE = frozenset("?#\\%")


class ObjectStoreError(Exception):
    """An object store refused, or could not be reached; the text says why, and nothing else."""


def object_url(text: str, what: str) -> str:
    """The URL of a bucket, or of the part of one under a prefix, without a slash at its end.

    Args:
        text: `s3://bucket/prefix`, or `gs://` or `az://` likewise.
        what: what the user calls it.

    Raises:
        InvalidRequestError: it is something else, or holds more than that.
    """
    try:
        parts = urlsplit(text)
        sound = parts.scheme in _SCHEMES and bool(parts.netloc) and "@" not in parts.netloc
    except ValueError:
        sound = False
    if not sound or not text.isprintable() or _UNSAFE.intersection(text):
        shown = shown_url(text) if "://" in text else printable(repr(text))
        raise InvalidRequestError(
            f"{what} is {shown}; allowed is a string such as s3://bucket/prefix, "
            "gs://bucket/prefix or az://container/prefix"
        )
    return text.rstrip("/")
