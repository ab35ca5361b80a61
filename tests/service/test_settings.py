"""Settings: ranges, conversions, and what is not shown."""

from typing import Any

import pytest

from photoanimer_async.service import ServiceSettings

from .conftest import KEY

NO_NUMBERS = (float("nan"), float("inf"), 1e300)
SECONDS = (
    "drain_seconds",
    "fetch_seconds",
    "keep_results_seconds",
    "keep_tasks_seconds",
    "render_seconds",
    "sweep_seconds",
    "voice_seconds",
)
NO_PUBLIC_URLS = (
    "animer.example",
    "ftp://animer.example",
    "https://",
    "https://animer.example?x",
    "https://user@animer.example",
    "https://animer.example/ x",
    "https://animer.example:port",
    "null",
)


def test_keys_are_a_set_of_non_empty_strings() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        ServiceSettings(data_dir="d", keys={""})
    with pytest.raises(TypeError, match="a set of strings"):
        ServiceSettings(data_dir="d", keys="abc")


def test_values_out_of_range_are_refused() -> None:
    wrong: list[dict[str, Any]] = [
        {"port": 65536},
        {"workers": 0},
        {"image_bytes": 0},
        {"fetch_seconds": 0},
        {"notify_url": "example.com/hook"},
        *({name: number} for name in SECONDS for number in (*NO_NUMBERS, -1.0)),
        *({name: number} for name in SECONDS[1:] for number in (1e-300,)),
        {"notify_schedule": (5, float("nan"))},
        {"notify_schedule": (5, float("inf"))},
        *({"public_url": url} for url in NO_PUBLIC_URLS),
        *({"allow_origins": [url]} for url in (*NO_PUBLIC_URLS, "https://app.example/path", "*")),
    ]
    for settings in wrong:
        with pytest.raises(ValueError, match=next(iter(settings))):
            ServiceSettings(data_dir="d", **settings)


def test_keys_and_secrets_of_urls_are_not_shown() -> None:
    shown = repr(
        ServiceSettings(data_dir="d", keys={KEY}, notify_url="http://h:80/s3cret?t=s3cret")
    )
    assert "<1 keys>" in shown
    assert "notify_url='http://h:80'" in shown
    assert KEY not in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("[::1]:9464", ("::1", 9464)),
        (None, None),
    ],
)
def test_the_metrics_address_is_a_port_or_host_and_port(
    given: str | None, address: tuple[str, int] | None
) -> None:
    assert ServiceSettings(data_dir="d", metrics_address=given).metrics_address == address


@pytest.mark.parametrize("given", ["", "localhost", "h:x", "h:70000", "u@h:1", "h:1/metrics"])
def test_other_metrics_addresses_are_refused(given: str) -> None:
    with pytest.raises(ValueError, match="it has to be a port or HOST:PORT"):
        ServiceSettings(data_dir="d", metrics_address=given)


@pytest.mark.parametrize("results", [None, 300.0])
def test_tasks_are_kept_as_long_as_their_results(results: float | None) -> None:
    with pytest.raises(ValueError, match="keep_tasks_seconds is 200; it must not be less"):
        ServiceSettings(data_dir="d", keep_results_seconds=results, keep_tasks_seconds=200)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_hosts(host: str) -> None:
    assert ServiceSettings(data_dir="d", host=host).is_on_loopback
