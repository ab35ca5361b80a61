"""The settings of a local service, and their defaults."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen
from attrs.converters import optional as optional_converter
from attrs.validators import and_, ge, gt, instance_of, le, optional

from photoanimer_async.photos.loopback import is_loopback
from photoanimer_async.redaction import shown_origin
from photoanimer_async.service.fetching.addresses import (
    LOOPBACK,
    AddressRules,
    Network,
    parse_networks,
)
from photoanimer_async.service.fetching.fetcher import UnsuitableUrlError, parse_url
from photoanimer_async.service.notifying.signing import secret_bytes
from photoanimer_async.service.rendering.resource_limits import available_cores
from photoanimer_async.service.storing.ledger import LARGEST_AMOUNT, Charging

MIB = 1024 * 1024
_HOUR: Final = 3600.0

RETRY_SCHEDULE: Final = (
    *(5.0, 300.0, 1800.0),
    *(hours * _HOUR for hours in (2, 5, 10, 14, 20, 24)),
)
"""Seconds between attempts to deliver a notification, as Standard Webhooks suggests."""

_WEEK: float | None = 7 * 24 * 3600.0
_MONTH: float | None = 30 * 24 * 3600.0
_CLUSTER_WORKERS: Final = 128
_SMALLEST_WEIGHT: Final = 0.001
_SHORTEST: Final = 0.001
_LONGEST: Final = 100 * 365 * 24 * _HOUR
_SECONDS: Final = and_(ge(_SHORTEST), le(_LONGEST))  # refuse NaN and infinity too


def _shown_keys(keys: frozenset[str] | None) -> str:
    return "None" if keys is None else f"<{len(keys)} keys>"


def _shown_optional_origin(url: str | None) -> str:
    return "None" if url is None else repr(shown_origin(url))


def _to_keys(keys: object) -> frozenset[str] | None:
    if keys is None:
        return None
    if isinstance(keys, str) or not isinstance(keys, set | frozenset | list | tuple):
        raise TypeError("keys must be a set of strings, or None to accept any key")
    return frozenset(keys)


def _to_networks(networks: Iterable[str | Network] | None) -> tuple[Network, ...] | None:
    return None if networks is None else parse_networks(networks)


def _to_schedule(seconds: Iterable[float]) -> tuple[float, ...]:
    schedule = tuple(seconds)
    if not all(0 <= pause <= _LONGEST for pause in schedule):
        raise ValueError(
            f"notify_schedule is {schedule}; a pause is between 0 and {_LONGEST:.0f} seconds"
        )
    return schedule


def _to_weights(weights: Mapping[str, float]) -> Mapping[str, float]:
    for name, weight in weights.items():
        if not _SMALLEST_WEIGHT <= weight <= 1 / _SMALLEST_WEIGHT:
            raise ValueError(
                f"weights has {weight:g} for {name!r}; a weight is between {_SMALLEST_WEIGHT:g} "
                f"and {1 / _SMALLEST_WEIGHT:g}"
            )
    return MappingProxyType(dict(weights))


def _to_address(address: str | tuple[str, int] | None) -> tuple[str, int] | None:
    """Parse `HOST:PORT`, `[HOST]:PORT`, or a port of this machine."""
    if address is None or isinstance(address, tuple):
        return address
    try:
        parts = urlsplit(f"//{f'127.0.0.1:{address}' if address.isdecimal() else address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.path or parts.username is not None:
        raise ValueError(f"metrics_address is {address!r}; it has to be a port or HOST:PORT")
    return host, port


def _to_public_url(url: str | None) -> str | None:
    if url is None:
        return None
    if not _is_origin(url, with_path=True):
        raise ValueError(f"public_url is {url!r}; it must be as https://animer.example")
    return url.rstrip("/")


def _to_origins(origins: Iterable[str]) -> frozenset[str]:
    found = frozenset(origin.removesuffix("/") for origin in origins)
    for origin in found:
        if not _is_origin(origin):
            raise ValueError(
                f"allow_origins has {origin!r}; an origin is a scheme and a host, as a browser "
                "sends them: https://app.example or http://localhost:5173"
            )
    return found


def _is_origin(url: str, *, with_path: bool = False) -> bool:
    """Return whether a URL has http or https, a host, and nothing else but, if allowed, a path."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return False
    host = parts.hostname or ""
    origin = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"
    return (
        bool(host)
        and parts.scheme in {"http", "https"}
        and url.isascii()
        and url.isprintable()
        and " " not in url
        and url == (f"{origin}{parts.path}" if with_path else origin)
    )


def _check_notification_address(url: str | None, secret: str | None) -> None:
    if url is not None:
        try:
            parse_url(url)
        except UnsuitableUrlError as error:
            raise ValueError(f"notify_url must be an http or https URL: {error}") from None
    if secret is not None:
        try:
            secret_bytes(secret)
        except ValueError as error:
            raise ValueError(f"notify_secret: {error}") from None


def _check_scheduler(_: object, __: object, address: str) -> None:
    if not re.fullmatch(r"[a-z]+://\S+", address):
        raise ValueError(
            f"dask is {address!r}; it must be a scheduler's address such as tcp://scheduler:8786"
        )


@frozen(kw_only=True)
class ServiceSettings:
    """The settings of a local service.

        ServiceSettings(data_dir="my-service", port=0, workers=2)

    Attributes:
        data_dir: folder for the database, the photos of open tasks, and the results; created if
            it does not exist. Only one service at a time can use it.
        host: address to listen on.
        port: port to listen on; 0 for any free port.
        dask: address of a Dask scheduler whose workers render, as `tcp://scheduler:8786`; `None`
            to render on this machine.
        dask_shared: a folder for the results of Dask workers, with the same path on every worker
            and here; `None` to send results through the scheduler.
        workers: how many photos are rendered at the same time, by default the number of cores;
            with `dask`, how many are submitted to the cluster at the same time, by default 128.
        connections: how many connections there may be at the same time, fewer if the process may
            not open twice as many files; half of them from one address other than loopback.
        request_seconds: how long a new connection may take to send a whole request.
        keys: API keys that are accepted in addition to those of the accounts in the data folder.
            They belong to the service's own account, which is never charged. `None` for no key:
            if there is no account either, every non-empty key is accepted, and the service
            listens on loopback only.
        open_to_network: whether it may listen on other addresses without any key.
        public_url: the URL under which others reach the service, as `https://animer.example`;
            result links start with it. `None` to use the Host of each request, and in
            notifications the address at which the submit arrived.
        allow_origins: origins of web apps, as `https://app.example`, whose pages may use the
            service from a browser (CORS).
        notify_url: address for notifications of the service's own account, which all callers
            share if there are no keys (API page, Interface 2). Other accounts have their own.
        notify_secret: the secret that signs those notifications, as `whsec_` and base64; `None`
            for no signature.
        metrics_address: where to serve `/metrics` and `/healthz`, as a port of this machine or
            `HOST:PORT`; `None` for nowhere. They need no key, and contain no key, account, task
            or URL.
        notify_schedule: seconds between the attempts to deliver a notification.
        video_balance: the video seconds that `mySubscription` returns for accounts without limit;
            a constant. A task that costs more is refused.
        charging: when a task is charged to its account.
        image_bytes: an image file must be smaller than this (API page: 15 MB).
        image_pixels: largest width and height of an image (API page: 4096).
        voice_bytes: a voice file must be smaller than this.
        fetch_seconds: longest time for fetching one file.
        fetch_redirects: how many redirects are followed for one file.
        fetches: how many submits have their files fetched at the same time; large files are
            written to disk as they arrive.
        weights: weights of accounts by name, for their shares of fetches, of places in the queue
            and of renders; an account that is not named has 1.
        allow_networks: networks that files may be fetched from in addition to global addresses,
            as `["192.168.0.0/16"]`; `[]` for global addresses only. `None`: loopback, if only
            this machine can reach the service (`host` is loopback and there is no `public_url`).
        queue_limit: how many accepted tasks may be unfinished; further submits are answered with
            HTTP status 429.
        keep_results_seconds: how long results are kept after the end of their task; `None` for
            ever.
        keep_tasks_seconds: how long tasks are kept after their end, not shorter than their
            results; `None` for ever.
        sweep_seconds: time between removals of expired results and tasks.
        drain_seconds: how long a stopping service waits for open requests and running renders. A
            render that takes longer runs again after the next start.
        render_seconds: longest time for rendering one task; then its worker is replaced.
        render_memory: bytes of memory for each worker; a photo of 4096x4096 pixels takes 600 MiB
            with the engine `warp`. macOS does not enforce it.
        engine: name of the engine: `warp`, or one that another package installs.
        all_faces: whether all faces in a photo are animated, or only the largest.
        longest_side: longest side of a video in pixels; smaller photos keep their size.
        gif_longest_side: longest side of a GIF in pixels.
        voice_seconds: longest voice that is accepted.

    Raises:
        ValueError: a value is out of its range. Numbers of seconds are between 0.001 and a
            hundred years.
    """

    data_dir: Path = field(converter=Path)
    host: str = "127.0.0.1"
    port: int = field(default=8765, validator=[ge(0), le(65535)])
    dask: str | None = field(default=None, validator=optional(_check_scheduler))
    dask_shared: Path | None = field(default=None, converter=optional_converter(Path))
    workers: int = field(validator=[instance_of(int), ge(1)])
    connections: int = field(default=1024, validator=[instance_of(int), ge(16)])
    request_seconds: float = field(default=10.0, validator=gt(0))
    keys: frozenset[str] | None = field(default=None, converter=_to_keys, repr=_shown_keys)
    open_to_network: bool = False
    public_url: str | None = field(default=None, converter=_to_public_url)
    allow_origins: frozenset[str] = field(default=(), converter=_to_origins)
    notify_url: str | None = field(
        default=None, validator=optional(instance_of(str)), repr=_shown_optional_origin
    )
    metrics_address: tuple[str, int] | None = field(default=None, converter=_to_address)
    notify_secret: str | None = field(default=None, repr=False)
    notify_schedule: tuple[float, ...] = field(default=RETRY_SCHEDULE, converter=_to_schedule)
    video_balance: float = field(default=36_000.0, validator=[ge(0), le(LARGEST_AMOUNT)])
    charging: Charging = field(default=Charging.REFUND_FAILED, converter=Charging)
    image_bytes: int = field(default=15 * MIB, validator=gt(0))
    image_pixels: int = field(default=4096, validator=gt(0))
    voice_bytes: int = field(default=15 * MIB, validator=gt(0))
    fetch_seconds: float = field(default=30.0, validator=_SECONDS)
    fetch_redirects: int = field(default=5, validator=ge(0))
    fetches: int = field(default=32, validator=ge(1))
    weights: Mapping[str, float] = field(factory=dict, converter=_to_weights)
    allow_networks: tuple[Network, ...] | None = field(default=None, converter=_to_networks)
    queue_limit: int = field(default=10_000, validator=ge(1))
    keep_results_seconds: float | None = field(default=_WEEK, validator=optional(_SECONDS))
    keep_tasks_seconds: float | None = field(default=_MONTH, validator=optional(_SECONDS))
    sweep_seconds: float = field(default=60.0, validator=_SECONDS)
    drain_seconds: float = field(default=10.0, validator=[ge(0), le(_LONGEST)])
    render_seconds: float = field(default=300.0, validator=_SECONDS)
    render_memory: int = field(default=2048 * MIB, validator=ge(256 * MIB))
    engine: str = field(default="warp", validator=instance_of(str))
    all_faces: bool = False
    longest_side: int = field(default=1280, validator=ge(64))
    gif_longest_side: int = field(default=480, validator=ge(64))
    voice_seconds: float = field(default=60.0, validator=_SECONDS)

    @workers.default
    def _default_workers(self) -> int:
        return available_cores() if self.dask is None else _CLUSTER_WORKERS

    def __attrs_post_init__(self) -> None:
        _check_notification_address(self.notify_url, self.notify_secret)
        if self.dask_shared is not None and self.dask is None:
            raise ValueError("dask_shared goes with dask")
        if self.keys is not None and not all(self.keys):
            raise ValueError("an API key must not be empty")
        results, tasks = self.keep_results_seconds, self.keep_tasks_seconds
        if tasks is not None and (results is None or results > tasks):
            raise ValueError(
                f"keep_tasks_seconds is {tasks:g}; it must not be less than keep_results_seconds, "
                f"which is {'without limit' if results is None else f'{results:g}'}"
            )

    @property
    def is_on_loopback(self) -> bool:
        """Whether the service listens on this machine's loopback only."""
        return is_loopback(self.host)

    @property
    def fetch_rules(self) -> AddressRules:
        """The addresses that files may be fetched from."""
        if self.allow_networks is not None:
            return AddressRules(self.allow_networks)
        is_private = self.is_on_loopback and self.public_url is None
        return AddressRules(LOOPBACK if is_private else ())

    @property
    def render_options(self) -> dict[str, object]:
        """The settings of the engine, by its own names."""
        return {
            "engine": self.engine,
            "all_faces": self.all_faces,
            "longest_side": self.longest_side,
            "gif_longest_side": self.gif_longest_side,
            "voice_limit": self.voice_seconds,
        }
