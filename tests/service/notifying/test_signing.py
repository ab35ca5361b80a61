"""Signatures of notifications."""

import pytest

from photoanimer_async.service import ServiceSettings
from photoanimer_async.service.notifying.signing import (
    new_secret,
    secret_bytes,
    signature_headers,
)


def test_the_signature_of_the_reference_example() -> None:
    # From the tests of the Standard Webhooks libraries.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signature_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', secret
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_there_is_no_signature_without_a_secret() -> None:
    assert "webhook-signature" not in signature_headers("task_1", 1, b"{}", None)


def test_secrets_differ() -> None:
    assert len({secret_bytes(new_secret()) for _ in range(20)}) == 20


@pytest.mark.parametrize("secret", ["", "hunter2", "whsec_c2hvcnQ=", "whsec_!", "x" * 60])
def test_an_invalid_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match=r"notify_secret: a secret .* is whsec_") as error:
        ServiceSettings(data_dir="d", notify_secret=secret)
    assert not secret or secret not in str(error.value)
