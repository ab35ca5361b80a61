"""Engines by name."""

from pathlib import Path

import numpy as np
import pytest

from photoanimer_async.engine import RenderSettings, animate
from photoanimer_async.engine.engines import load_engine
from photoanimer_async.engine.samples import GRACE_HOPPER
from photoanimer_async.engine.warp_engine import WarpEngine

from .conftest import decode_video


def test_an_engine_is_loaded_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "third_party_engine.py").write_text(
        "class StillEngine:\n"
        "    def prepare(self, image, face):\n"
        "        self.frame = lambda motion: image\n"
        "        return self\n"
        "class NoEngine:\n"
        "    pass\n"
    )
    metadata = tmp_path / "third_party_engine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: third-party-engine\nVersion: 1\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[photoanimer_async.engines]\nstill = third_party_engine:StillEngine\n"
        "none = third_party_engine:NoEngine\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = RenderSettings(engine="still")
    animate(GRACE_HOPPER.read_bytes(), 2, mp4=tmp_path / "out.mp4", settings=settings)
    frames = decode_video(tmp_path / "out.mp4")
    assert np.abs(frames[0].astype(int) - frames[25]).mean() < 2
    with pytest.raises(TypeError, match=r"'none' returned .* which has no prepare"):
        load_engine("none")
    with pytest.raises(
        ValueError, match="engine 'other' is not installed; installed engines: none, still"
    ):
        load_engine("other")
    assert load_engine("warp") == WarpEngine()
