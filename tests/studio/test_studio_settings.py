"""The studio's settings."""

from pathlib import Path

import pytest

from photoanimer_async.studio import StudioSettings


def test_an_address_beyond_loopback_requires_a_token(tmp_path: Path) -> None:
    token = "tok-9f8e7d6c5b"
    with pytest.raises(ValueError, match="without a token anybody could open the studio"):
        StudioSettings(data_dir=tmp_path, host="0.0.0.0")
    settings = StudioSettings(data_dir=tmp_path, host="0.0.0.0", token=token)
    assert token not in repr(settings)
