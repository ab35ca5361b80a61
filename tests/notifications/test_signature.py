"""A notification's signature shows who has sent it, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import InvalidNotificationError
from photoanimer_async.notifications import verify_signature

# The example of the tests of Standard Webhooks' own libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
SENT = 1614265330
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(SENT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


@pytest.mark.parametrize("now", [SENT - 300, SENT, SENT + 300])
def test_what_is_signed_and_new_is_let_through(now: int) -> None:
    verify_signature(SECRET, HEADERS, BODY, now=now)


def test_one_of_several_signatures_is_enough() -> None:
    several = f"v1,bm8= v1a,bm8= {HEADERS['webhook-signature']}"
    verify_signature(SECRET, HEADERS | {"webhook-signature": several}, BODY, now=SENT)


@pytest.mark.parametrize("now", [None, SENT - 301, SENT + 301])
def test_what_is_old_is_refused(now: int | None) -> None:
    with pytest.raises(InvalidNotificationError, match="s from now; 300 s are allowed"):
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
def test_what_was_changed_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidNotificationError, match="is not that of this secret"):
        verify_signature(SECRET, HEADERS | {name: value}, BODY, now=SENT)


@given(body=st.binary(max_size=60).filter(lambda body: body != BODY))
def test_another_body_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidNotificationError, match="is not that of this secret"):
        verify_signature(SECRET, HEADERS, body, now=SENT)


@pytest.mark.parametrize("name", HEADERS)
def test_what_is_missing_is_named(name: str) -> None:
    some = {other: value for other, value in HEADERS.items() if other != name}
    with pytest.raises(InvalidNotificationError, match=f"the header {name} is missing"):
        verify_signature(SECRET, some, BODY, now=SENT)


def test_a_time_that_is_none_is_told() -> None:
    with pytest.raises(InvalidNotificationError, match="is no number of seconds"):
        verify_signature(SECRET, HEADERS | {"webhook-timestamp": "now"}, BODY, now=SENT)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!"])
def test_a_secret_that_is_none_is_the_callers_fault(secret: str) -> None:
    with pytest.raises(ValueError, match="a secret for notifications is whsec_ and base64"):
        verify_signature(secret, HEADERS, BODY, now=SENT)
