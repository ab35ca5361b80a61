"""Image hosts: what gives a local photo a URL that the service can fetch."""

from photoanimer_async.hosting.base import ImageHost, published
from photoanimer_async.hosting.default import DefaultImageHost
from photoanimer_async.hosting.evidence import CountsFetches, evidence_of
from photoanimer_async.hosting.local import LocalImageHost

__all__ = [
    "CountsFetches",
    "DefaultImageHost",
    "ImageHost",
    "LocalImageHost",
    "evidence_of",
    "published",
]
