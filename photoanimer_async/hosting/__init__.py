"""Image hosts: what gives a local photo a URL that the service can fetch."""

from photoanimer_async.hosting.base import ImageHost, published
from photoanimer_async.hosting.default import HOST_VARIABLE, DefaultImageHost, chosen_host
from photoanimer_async.hosting.evidence import CountsFetches, evidence_of
from photoanimer_async.hosting.local import LocalImageHost
from photoanimer_async.hosting.object_store import ObjectStoreHost
from photoanimer_async.hosting.publisher import Publications, Publisher

__all__ = [
    "HOST_VARIABLE",
    "CountsFetches",
    "DefaultImageHost",
    "ImageHost",
    "LocalImageHost",
    "ObjectStoreHost",
    "Publications",
    "Publisher",
    "chosen_host",
    "evidence_of",
    "published",
]
