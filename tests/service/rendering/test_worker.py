"""The replies of the worker's program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from photoanimer_async.engine import Rendering, RenderSettings
from photoanimer_async.service import ServiceSettings
from photoanimer_async.service.rendering.worker import render


@pytest.fixture
def job(tmp_path: Path) -> dict[str, object]:
    for name in ("photo", "voice"):
        (tmp_path / name).write_text(name)
    fields = {
        "template": 0,
        "photo": str(tmp_path / "photo"),
        "voice": None,
        "mp4": str(tmp_path / "a.mp4"),
        "gif": None,
        "options": {},
    }
    sent: dict[str, object] = json.loads(json.dumps(fields))
    return sent


def test_success_is_code_0(job: dict[str, object], tmp_path: Path) -> None:
    more = {"voice": str(tmp_path / "voice"), "gif": str(tmp_path / "a.gif")}
    assert render(job | more, "renderers", "copy") == {"code": 0}
    assert (tmp_path / "a.mp4").read_bytes() == b"0:photo:voice"
    assert (tmp_path / "a.gif").exists()


def test_the_engine_gets_the_services_settings(
    job: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    received: dict[str, object] = {}

    def animate(photo: bytes, template: int, **options: object) -> Rendering:
        received.update(options)
        return Rendering(frames=51, width=64, height=64, seconds=2.125, faces=1)

    monkeypatch.setattr("photoanimer_async.engine.animate", animate, raising=False)
    settings = ServiceSettings(
        data_dir="data", all_faces=True, longest_side=640, gif_longest_side=240, voice_seconds=5
    )
    options = {"options": settings.render_options}
    program = "photoanimer_async.service.rendering.worker"
    assert render(job | options, program, "animate") == {"code": 0, "seconds": 2.125}
    expected = RenderSettings(
        all_faces=True, longest_side=640, gif_longest_side=240, voice_limit=5, engine="warp"
    )
    assert received["settings"] == expected


def test_an_error_of_the_engine_is_a_code_with_a_reason(job: dict[str, object]) -> None:
    replies = [
        render(job | {"template": number}, "renderers", "raise_engine_error") for number in range(4)
    ]
    assert replies == [
        {"code": 7001, "reason": "reason 0"},
        {"code": 7002, "reason": "reason 1"},
        {"code": 40023, "reason": "reason 2"},
        {"code": 50001, "reason": "reason 3"},
    ]


def test_any_other_error_is_a_fault_with_its_traceback(job: dict[str, object]) -> None:
    for reply in (
        render(job, "renderers", "raise_other_error"),
        render(job, "no_such_module", "animate"),
        render(job | {"photo": "no such file"}, "renderers", "copy"),
    ):
        assert list(reply) == ["fault"]
        assert "Error" in str(reply["fault"])


@pytest.mark.parametrize(
    "function", ["service.rendering.worker", "studio.photo_worker"], ids=["render", "examine"]
)
def test_a_worker_starts_without_the_service(function: str) -> None:
    """Each photo that kills a worker pays for the start of another."""
    program = f"import sys, photoanimer_async.{function}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert f"photoanimer_async.{function}" in imported
    assert not imported & {"aiohttp", "asyncio", "numpy", "photoanimer_async.service.app"}
