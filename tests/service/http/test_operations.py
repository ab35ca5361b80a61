"""The operators' address: where it is, and what it needs."""

import socket
import sys
from pathlib import Path

import pytest

from photoanimer_async.service import (
    LocalService,
    ServiceSettings,
    SetupError,
)

from ..conftest import InstantRenderer, Running


async def test_metrics_are_not_at_the_address_of_the_interfaces(measured: Running) -> None:
    interfaces = measured.service.base_url.removesuffix("/api/v1")
    assert measured.service.operations_url != interfaces
    async with measured.session.get(f"{interfaces}/metrics") as answer:
        assert answer.status == 404


async def test_metrics_are_off_by_default(service: Running) -> None:
    assert service.service.operations_url is None


async def test_an_address_in_use_is_an_error_and_frees_the_folder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = ServiceSettings(data_dir=tmp_path, port=0, metrics_address=str(port))
        with pytest.raises(SetupError, match=f"metrics cannot be served .* port {port}"):
            await LocalService(settings, renderer=InstantRenderer()).__aenter__()
    again = ServiceSettings(data_dir=tmp_path, port=0)
    async with LocalService(again, renderer=InstantRenderer()):
        pass


def test_without_prometheus_client_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "photoanimer_async.service.http.metrics", raising=False)
    LocalService(ServiceSettings(data_dir=tmp_path))
    with pytest.raises(SetupError, match=r"pip install 'photoanimer-async\[local\]'"):
        LocalService(ServiceSettings(data_dir=tmp_path, metrics_address="0"))
