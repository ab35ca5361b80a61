"""Image hosts: what gives a local photo a URL that the service can fetch."""

from photoanimer_async.storage.default_host import HOST_VARIABLE, DefaultImageHost, chosen_host
from photoanimer_async.storage.evidence import CountsFetches, evidence_of
from photoanimer_async.storage.image_host import ImageHost, published
from photoanimer_async.storage.local_host import LocalImageHost
from photoanimer_async.storage.object_store_host import ObjectStoreHost

__all__ = [
    "HOST_VARIABLE",
    "CountsFetches",
    "DefaultImageHost",
    "ImageHost",
    "LocalImageHost",
    "ObjectStoreHost",
    "chosen_host",
    "evidence_of",
    "published",
]
