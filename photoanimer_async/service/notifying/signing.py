"""Signatures of notifications, in the form of Standard Webhooks (version 1.0.0 of its text).

What is signed is the message's id, the time of the attempt and the body, with points between;
the signature is HMAC-SHA256 with a secret that the receiver knows too, in base64 after `v1,`.
Any library for Standard Webhooks verifies it. The API page knows no signature: this is ours.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

_PREFIX: Final = "whsec_"
_BYTES: Final = 32
_FEWEST: Final = 24
_MOST: Final = 64


def new_secret() -> str:
    """A secret of 256 random bits, as it is told to the receiver."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes of a secret.

    Raises:
        ValueError: it is not `whsec_` and the base64 of 24 to 64 bytes. The text holds nothing
            of it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not (secret.startswith(_PREFIX) and _FEWEST <= len(key) <= _MOST):
        raise ValueError(
            f"a secret for notifications is {_PREFIX} and the base64 of {_FEWEST} to {_MOST} bytes"
        )
    return key


def signature_headers(
    message_id: str, timestamp: int, body: bytes, secret: str | None
) -> dict[str, str]:
    """The headers of one attempt.

    Args:
        message_id: the same at every attempt; without a point.
        timestamp: of the attempt, in seconds since 1970.
        body: what is posted.
        secret: what signs it; with `None` there is no signature.
    """
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secret is not None:
        signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
        digest = hmac.digest(key_of(secret), signed, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers
