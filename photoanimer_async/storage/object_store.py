"""Object stores: Amazon S3 and its likes, Google Cloud Storage, Azure.

Only `bucket` needs obstore, which comes with the extra `object-store`.
"""

from typing import TYPE_CHECKING

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.storage.object_url import ObjectStoreError, object_url

if TYPE_CHECKING:
    from photoanimer_async.storage.bucket import Bucket

__all__ = ["ObjectStoreError", "object_url", "open_bucket"]


def open_bucket(url: str) -> "Bucket":
    """A bucket, or the part of one under a prefix.

    Args:
        url: as `object_url` gives it.

    Raises:
        InvalidRequestError: the extra `object-store` is not installed.
    """
    try:
        from photoanimer_async.storage.bucket import Bucket  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise InvalidRequestError(
            "object stores need obstore: pip install 'photoanimer-async[object-store]'"
        ) from None
    return Bucket(url)
