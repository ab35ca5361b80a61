"""How the service is set up."""

import os
import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen
from attrs.converters import optional as optional_converter
from attrs.validators import ge, gt, instance_of, le, optional

from photoanimer_async.redaction import shown_origin
from photoanimer_async.service.fetching.addresses import (
    LOOPBACK,
    AddressRules,
    Network,
    parse_networks,
)
from photoanimer_async.service.fetching.fetcher import UnsuitableUrlError, parse_url
from photoanimer_async.service.notifying.signing import key_of
from photoanimer_async.service.storing.ledger import Charging

MIB = 1024 * 1024
_HOUR: Final = 3600.0

RETRY_SCHEDULE: Final = (
    *(5.0, 300.0, 1800.0),
    *(hours * _HOUR for hours in (2, 5, 10, 14, 20, 24)),
)
"""Seconds between attempts to deliver a notification: the example of Standard Webhooks."""

_WEEK: float | None = 7 * 24 * 3600.0
_MONTH: float | None = 30 * 24 * 3600.0


_AT_THE_CLUSTER = 128


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1


def _shown_keys(keys: frozenset[str] | None) -> str:
    return "None" if keys is None else f"<{len(keys)} keys>"


def _shown_optional_origin(url: str | None) -> str:
    return "None" if url is None else repr(shown_origin(url))


def _to_keys(keys: object) -> frozenset[str] | None:
    if keys is None:
        return None
    if isinstance(keys, str) or not isinstance(keys, set | frozenset | list | tuple):
        raise TypeError("keys is a set of strings, or None for any key")
    return frozenset(keys)


def _to_networks(networks: Iterable[str | Network] | None) -> tuple[Network, ...] | None:
    return None if networks is None else parse_networks(networks)


def _to_schedule(seconds: Iterable[float]) -> tuple[float, ...]:
    schedule = tuple(seconds)
    if any(pause < 0 for pause in schedule):
        raise ValueError("notify_schedule has a pause of less than 0 seconds")
    return schedule


def _to_address(address: str | tuple[str, int] | None) -> tuple[str, int] | None:
    """Host and port, of `HOST:PORT`, `[HOST]:PORT` or a port of this machine."""
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


def _without_slash(url: str | None) -> str | None:
    return None if url is None else url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _require_address(url: str | None, secret: str | None) -> None:
    if url is not None:
        try:
            parse_url(url)
        except UnsuitableUrlError as error:
            raise ValueError(f"notify_url must be an http or https URL: {error}") from None
    if secret is not None:
        try:
            key_of(secret)
        except ValueError as error:
            raise ValueError(f"notify_secret: {error}") from None


def _is_scheduler(_: object, __: object, address: str) -> None:
    if not re.fullmatch(r"[a-z]+://\S+", address):
        raise ValueError(
            f"dask is {address!r}; it must be a scheduler's address such as tcp://scheduler:8786"
        )


@frozen(kw_only=True)
class ServiceSettings:
    """Everything about a local service that can be chosen.

    Attributes:
        data_dir: folder for the tasks' database, the photos of open tasks, and the results;
            made if it is not there. One service at a time uses it.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        dask: address of a Dask scheduler, for instance `tcp://scheduler:8786`, whose workers
            render; `None`: this machine does.
        dask_shared: a folder of this service's own, under the same path on every Dask worker
            and here, that results travel by; `None`: they travel through the scheduler.
        workers: how many photos are rendered at the same time, by default the number of cores;
            with `dask`, how many are at the cluster, rendered or waiting there: by default 128.
        keys: API keys that are accepted beside those of the accounts in the data folder. They
            share the service's own account, which nothing is charged to. `None`: none. Where
            there is no account either, any key that is not empty is accepted, and the service
            listens on loopback only.
        open_to_network: whether it may listen elsewhere without any key, open to everybody.
        public_url: how the service is reached from outside, for instance
            `https://animer.example`; result links start with it. `None`: with the request's Host.
        notify_url: where the service's own account, which everybody uses where there are no
            keys, is told that a task has ended (API page, Interface 2). Other accounts have
            addresses of their own.
        notify_secret: what signs those notifications, as `whsec_` and base64; `None`: nothing.
        metrics_address: where `/metrics` and `/healthz` are served to those who run the service,
            as a port of this machine or `HOST:PORT`; `None`: nowhere. There are no keys to it,
            and it tells of no key, account, task or URL.
        notify_schedule: seconds between the attempts to deliver a notification.
        video_balance: video seconds that `mySubscription` tells an account without limit. It
            is a constant; a task that costs more than this is refused.
        charging: when a task is charged to its account.
        image_bytes: an image file must be smaller than this (API page: 15 MB).
        image_pixels: the largest width and height of an image (API page: 4096).
        voice_bytes: a sound file must be smaller than this.
        fetch_seconds: the longest that fetching one file may take.
        fetch_redirects: how many redirects are followed for one file.
        fetches: how many files are fetched at the same time; each is held in memory.
        allow_networks: where files are fetched from besides global addresses, for instance
            `["192.168.0.0/16"]`; exactly these, so that `[]` allows global addresses only.
            `None`: this machine itself where the service is for this machine alone, that is
            with a loopback `host` and no `public_url`; otherwise nothing.
        queue_limit: how many accepted tasks may be open; a submit beyond that is answered with
            HTTP status 429.
        keep_results_seconds: how long after its end a task's results are there; `None`: for ever.
        keep_tasks_seconds: how long after its end a task is known; no shorter. `None`: for ever.
        sweep_seconds: how often what has expired is removed.
        drain_seconds: how long a service that stops waits for requests and renders under way.
            A render that takes longer is done again after the next start.
        render_seconds: the longest that one task may render before its worker is replaced.
        render_memory: bytes of memory that one worker may have; a photo of 4096x4096 pixels
            takes 600 MiB with the engine `warp`. Not every system holds it to that.
        engine: name of the engine: `warp`, or one that another package installs.
        all_faces: whether everyone in a photo is animated, or the largest face alone.
        longest_side: of a video, in pixels; smaller photos keep their size.
        gif_longest_side: of a GIF, in pixels.
        voice_seconds: the longest voice that is taken.

    Raises:
        ValueError: a value out of its range.
    """

    data_dir: Path = field(converter=Path)
    host: str = "127.0.0.1"
    port: int = field(default=8765, validator=[ge(0), le(65535)])
    dask: str | None = field(default=None, validator=optional(_is_scheduler))
    dask_shared: Path | None = field(default=None, converter=optional_converter(Path))
    workers: int = field(validator=[instance_of(int), ge(1)])
    keys: frozenset[str] | None = field(default=None, converter=_to_keys, repr=_shown_keys)
    open_to_network: bool = False
    public_url: str | None = field(
        default=None, converter=_without_slash, validator=optional(instance_of(str))
    )
    notify_url: str | None = field(
        default=None, validator=optional(instance_of(str)), repr=_shown_optional_origin
    )
    metrics_address: tuple[str, int] | None = field(default=None, converter=_to_address)
    notify_secret: str | None = field(default=None, repr=False)
    notify_schedule: tuple[float, ...] = field(default=RETRY_SCHEDULE, converter=_to_schedule)
    video_balance: float = field(default=36_000.0, validator=ge(0))
    charging: Charging = field(default=Charging.REFUND_FAILED, converter=Charging)
    image_bytes: int = field(default=15 * MIB, validator=gt(0))
    image_pixels: int = field(default=4096, validator=gt(0))
    voice_bytes: int = field(default=15 * MIB, validator=gt(0))
    fetch_seconds: float = field(default=30.0, validator=gt(0))
    fetch_redirects: int = field(default=5, validator=ge(0))
    fetches: int = field(default=32, validator=ge(1))
    allow_networks: tuple[Network, ...] | None = field(default=None, converter=_to_networks)
    queue_limit: int = field(default=10_000, validator=ge(1))
    keep_results_seconds: float | None = field(default=_WEEK, validator=optional(gt(0.0)))
    keep_tasks_seconds: float | None = field(default=_MONTH, validator=optional(gt(0.0)))
    sweep_seconds: float = field(default=60.0, validator=gt(0))
    drain_seconds: float = field(default=10.0, validator=ge(0))
    render_seconds: float = field(default=300.0, validator=gt(0))
    render_memory: int = field(default=2048 * MIB, validator=ge(256 * MIB))
    engine: str = field(default="warp", validator=instance_of(str))
    all_faces: bool = False
    longest_side: int = field(default=1280, validator=ge(64))
    gif_longest_side: int = field(default=480, validator=ge(64))
    voice_seconds: float = field(default=60.0, validator=gt(0))

    @workers.default
    def _usual_workers(self) -> int:
        return _cores() if self.dask is None else _AT_THE_CLUSTER

    def __attrs_post_init__(self) -> None:
        _require_address(self.notify_url, self.notify_secret)
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
        """Whether only this machine can reach the service."""
        return _is_loopback(self.host)

    @property
    def fetch_rules(self) -> AddressRules:
        """Where files may be fetched from."""
        if self.allow_networks is not None:
            return AddressRules(self.allow_networks)
        of_this_machine = self.is_on_loopback and self.public_url is None
        return AddressRules(LOOPBACK if of_this_machine else ())

    @property
    def render_options(self) -> dict[str, object]:
        """What of this the engine is told, by the names of its own settings."""
        return {
            "engine": self.engine,
            "all_faces": self.all_faces,
            "longest_side": self.longest_side,
            "gif_longest_side": self.gif_longest_side,
            "voice_limit": self.voice_seconds,
        }
