"""Signatures of notifications from the local service.

They follow Standard Webhooks 1.0.0: HMAC-SHA256 of the message id, the time of the attempt and
the body, joined by dots. The vendor's notifications are not signed.
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
    """Check that a notification was sent recently by someone who knows the secret.

    A notification may be delivered more than once, with the same `webhook-id`.

    Args:
        secret: `whsec_...`, as the service has shown it.
        headers: the request's headers, in a case-insensitive mapping or with lowercase names.
        body: the posted bytes.
        tolerance: seconds that the request's time may differ from `now`.
        now: seconds since 1970; by default the time of the call.

    Raises:
        InvalidNotificationError: a header is missing, the signature does not match, or the
            time differs too much.
        ValueError: the secret is malformed.
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
        raise InvalidNotificationError("webhook-signature does not match this secret")
    difference = abs((time.time() if now is None else now) - int(timestamp))
    if difference > tolerance:
        raise InvalidNotificationError(
            f"webhook-timestamp differs from now by {difference:.0f} s; {tolerance:g} s are allowed"
        )


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError(f"a notification secret is {_PREFIX} followed by base64")
    return key


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if value is None:
        raise InvalidNotificationError(f"the header {name} is missing")
    if name == "webhook-timestamp" and not (value.isascii() and value.isdigit()):
        raise InvalidNotificationError(f"the header {name} is not a number of seconds")
    return value
