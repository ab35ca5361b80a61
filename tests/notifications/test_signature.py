"""Signatures of notifications."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import InvalidNotificationError
from photoanimer_async.notifications import verify_signature

# The example in the tests of the Standard Webhooks libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
SENT = 1614265330
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(SENT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


@pytest.mark.parametrize("now", [SENT - 300, SENT, SENT + 300])
def test_a_recent_notification_with_its_signature_is_accepted(now: int) -> None:
    verify_signature(SECRET, HEADERS, BODY, now=now)


def test_one_of_several_signatures_is_enough() -> None:
    several = f"v1,bm8= v1a,bm8= {HEADERS['webhook-signature']}"
    verify_signature(SECRET, HEADERS | {"webhook-signature": several}, BODY, now=SENT)


@pytest.mark.parametrize("now", [None, SENT - 301, SENT + 301])
def test_an_old_or_future_notification_is_refused(now: int | None) -> None:
    with pytest.raises(
        InvalidNotificationError, match=r"differs from now by .* s; 300 s are allowed"
    ):
        verify_signature(SECRET, HEADERS, BODY, now=now)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", "msg_other"),
        ("webhook-timestamp", str(SENT + 1)),
        ("webhook-signature", "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ("webhook-signature", "v1,ü"),
        ("webhook-signature", ""),
    ],
)
def test_a_changed_header_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidNotificationError, match="does not match this secret"):
        verify_signature(SECRET, HEADERS | {name: value}, BODY, now=SENT)


@given(body=st.binary(max_size=60).filter(lambda body: body != BODY))
def test_a_changed_body_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidNotificationError, match="does not match this secret"):
        verify_signature(SECRET, HEADERS, body, now=SENT)


@pytest.mark.parametrize("name", HEADERS)
def test_a_missing_header_is_named(name: str) -> None:
    some = {other: value for other, value in HEADERS.items() if other != name}
    with pytest.raises(InvalidNotificationError, match=f"the header {name} is missing"):
        verify_signature(SECRET, some, BODY, now=SENT)


def test_the_timestamp_must_be_a_number() -> None:
    with pytest.raises(InvalidNotificationError, match="is not a number of seconds"):
        verify_signature(SECRET, HEADERS | {"webhook-timestamp": "now"}, BODY, now=SENT)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!"])
def test_a_malformed_secret_is_a_value_error(secret: str) -> None:
    with pytest.raises(ValueError, match="a notification secret is whsec_ followed by base64"):
        verify_signature(secret, HEADERS, BODY, now=SENT)
