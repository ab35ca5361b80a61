"""Signatures of notifications, as Standard Webhooks 1.0.0 specifies them.

The signed text is the message's id, the time of the attempt and the body, joined by dots. The
signature is HMAC-SHA256 with a secret that the receiver has too, in base64 after `v1,`. Every
library for Standard Webhooks can verify it. The API page has no signatures.
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
    """Return a secret of 256 random bits, in the form that the receiver gets."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def secret_bytes(secret: str) -> bytes:
    """Decode a secret.

    Raises:
        ValueError: it is not `whsec_` and the base64 of 24 to 64 bytes. The message does not
            contain the secret.
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
    """Return the headers of one attempt: id, time and signature.

    Args:
        message_id: the same for all attempts of a notification; without dots.
        timestamp: time of the attempt, in seconds since 1970.
        body: the body of the request.
        secret: the key, as `whsec_...`; with `None` there is no signature.
    """
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secret is not None:
        signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
        digest = hmac.digest(secret_bytes(secret), signed, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers
