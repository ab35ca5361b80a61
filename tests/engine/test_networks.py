"""The networks that come with the package."""

import subprocess
import sys
from pathlib import Path

import pytest

from photoanimer_async.engine.face import FaceFinder
from photoanimer_async.engine.networks import FACES, LANDMARKS, load_all, load_network


def test_a_network_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    load_all()
    monkeypatch.setattr("onnxruntime.InferenceSession", None)
    FaceFinder()
    assert load_network(FACES) is load_network(FACES)
    assert load_network(FACES) is not load_network(LANDMARKS)


def test_loading_a_network_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    # Without the variable CI, with which onnxruntime would be silent by itself.
    environment = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    code = "from photoanimer_async.engine.networks import FACES, load_network; load_network(FACES)"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
