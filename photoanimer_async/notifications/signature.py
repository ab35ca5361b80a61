"""Signatures of notifications, as the local service makes them.

They are those of Standard Webhooks (version 1.0.0 of its text): HMAC-SHA256 of the message's
id, the time of the attempt and the body, with points between. The API page knows none.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final

from photoanimer_async.errors import InvalidNotificationError

_PREFIX: Final = "whsec_"
_VERSION: Final = "v1"


def verify_signature(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance: float = 300.0,
    now: float | None = None,
) -> None:
    """Check that a notification comes from whoever knows the secret, and is not an old one.

    It may still come more than once; `webhook-id` is the same then.

    Args:
        secret: `whsec_...`, as the service has shown it.
        headers: the request's; names in small letters, or in a mapping that does not care.
        body: what was posted, byte for byte.
        tolerance: seconds by which the sender's clock may differ, and the request be old.
        now: seconds since 1970; by default the time of the call.

    Raises:
        InvalidNotificationError: a header is missing, the signature is another's, or the time
            is too far off.
        ValueError: the secret is none.
    """
    key = _key(secret)
    message_id, timestamp, signatures = (
        _header(headers, name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    )
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    given = [signature.partition(",") for signature in signatures.split(" ")]
    if not any(
        version == _VERSION and hmac.compare_digest(expected, text.encode())
        for version, _, text in given
    ):
        raise InvalidNotificationError("webhook-signature is not that of this secret")
    off = abs((time.time() if now is None else now) - int(timestamp))
    if off > tolerance:
        raise InvalidNotificationError(
            f"webhook-timestamp is {off:.0f} s from now; {tolerance:g} s are allowed"
        )


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError(f"a secret for notifications is {_PREFIX} and base64")
    return key


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if value is None:
        raise InvalidNotificationError(f"the header {name} is missing")
    if name == "webhook-timestamp" and not (value.isascii() and value.isdigit()):
        raise InvalidNotificationError(f"the header {name} is no number of seconds")
    return value
