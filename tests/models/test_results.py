"""Results as callers read them."""

import pytest

from photoanimer_async import AnimationRequest, Outcome, PhotoAnimerError


def test_unwrap_raises_without_an_animation() -> None:
    with pytest.raises(PhotoAnimerError):
        Outcome(0, AnimationRequest("a.jpg")).unwrap()
