"""A connection to a Dask scheduler that outlives the scheduler.

What has been submitted is wanted until its result is here, and the scheduler keeps nothing that
can not be sent again. So a scheduler that goes away loses nothing: Dask tells every future that
waits that its connection is gone, whoever waited comes back for a connection, the first of them
connects again, with growing pauses, and each submits again what has no result. Keys name the
work: a scheduler that was never away knows the key, and the work is not done twice.

A worker that goes away is the scheduler's business. It gives the work to another one, and gives
up on work under which too many workers died: `distributed.scheduler.allowed-failures`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import dask
from distributed import Client, Future
from distributed.versions import get_versions

from photoanimer_async.service.error_codes import SetupError

_logger = logging.getLogger(__name__)
_Job = TypeVar("_Job")
_Reply = TypeVar("_Reply")

_CONNECT_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 15.0
# Inputs travel in the task itself, so that it can be run again wherever a worker dies: data that
# is scattered would die with its worker. Dask warns of that from 10 MB on.
_LARGE: Final = {"distributed.admin.large-graph-warning-threshold": "1GB"}
_OURS: Final = "photoanimer-async"
_SAME: Final = ("dask", "distributed", _OURS)
# What Dask raises where there is no scheduler, where it speaks another language, and where its
# configuration for TLS does not do.
_NO_CONNECTION: Final = (OSError, CancelledError, ImportError, TypeError, ValueError, RuntimeError)


class DaskCluster:
    """Runs functions on a Dask cluster. Use as an async context manager.

    Entering needs the scheduler; from then on it may come and go.

    Args:
        address: the scheduler's, for instance `tcp://scheduler:8786`. What else there is to a
            connection, as certificates for `tls://`, is in Dask's own configuration.
        obstacle: asked on every worker that is there: what keeps it from doing its work, in words.

    Raises, when entered:
        SetupError: no scheduler answers, or it or a worker has another version, or lacks what
            rendering needs.
    """

    def __init__(self, address: str, obstacle: Callable[[], Awaitable[str | None]]) -> None:
        self._address = address
        self._obstacle = obstacle
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._reconnecting: asyncio.Task[Client] | None = None

    async def __aenter__(self) -> Self:
        self._client = await self._connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.wait([self._reconnecting])
        await self._disconnect()

    def has_workers(self) -> bool:
        """Whether there is a connection, and a worker as far as is known here.

        Dask's client asks its scheduler every two seconds. A connection that is lost is made
        again from here on: nobody else does that while there is nothing to run.
        """
        if self._client is not None and self._client.status == "running":
            workers: int = self._client.scheduler_info()["n_workers"]
            return workers > 0
        if self._reconnecting is None or self._reconnecting.done():
            self._reconnecting = asyncio.create_task(self._connected())
        return False

    async def run(
        self, key: str, function: Callable[[_Job], Awaitable[_Reply]], load: Callable[[], _Job]
    ) -> _Reply:
        """What a function returns somewhere on the cluster, however long that takes.

        Args:
            key: names the work; the same work has the same key.
            function: runs in a Dask worker's event loop; may run more than once.
            load: gives what the function is called with; runs in a thread, whenever it is sent.

        Raises:
            distributed.KilledWorker: too many workers died while they ran this.
            Exception: what the function raised.
        """
        for pause in pauses():
            _ = await self._connected()  # no photo is held while there is no scheduler
            future = await self._send(key, function, await asyncio.to_thread(load))
            try:
                reply: _Reply = await future
            except Exception as error:
                if not _is_loss(error, future.client):
                    raise
                why = str(error).partition("\n")[0]
                _logger.warning("event=submitted_again key=%s why=%r", key, why)
            else:
                return reply
            finally:
                # When nobody wants it any more, what has not begun never will.
                future.release()
            await asyncio.sleep(pause)
        raise AssertionError  # pauses never end

    async def _send(self, key: str, function: Callable[[_Job], Any], job: _Job) -> "Future[Any]":
        """The future alone: once it is sent, the job has no name here, and no place in memory."""
        client = await self._connected()
        with dask.config.set(_LARGE):
            return client.submit(function, job, key=key)

    async def _connected(self) -> Client:
        async with self._connecting:
            for pause in pauses():
                if self._client is not None and self._client.status == "running":
                    return self._client
                _logger.warning("event=connecting address=%s", self._address)
                await self._disconnect()
                try:
                    self._client = await self._connect()
                except SetupError as error:
                    _logger.warning("event=no_cluster pause=%.1f why=%r", pause, str(error))
                    await asyncio.sleep(pause)
            raise AssertionError  # pauses never end

    async def _connect(self) -> Client:
        # Dask looks its packages up in files, once, wherever it is when it needs them.
        await asyncio.to_thread(get_versions, [_OURS])
        client = await self._reached()
        try:
            await self._check(client)
        except (OSError, CancelledError) as error:
            await _close(client)
            raise self._unreachable(error) from error
        except BaseException:
            await _close(client)
            raise
        return client

    async def _reached(self) -> Client:
        try:
            client = Client(
                self._address,
                asynchronous=True,
                set_as_default=False,
                timeout=_CONNECT_SECONDS,
                name="photoanimer",
            )
            try:
                await client
            except BaseException:
                await _close(client)
                raise
        except _NO_CONNECTION as error:
            raise self._unreachable(error) from error
        return client

    async def _disconnect(self) -> None:
        if self._client is not None:
            await _close(self._client)
            self._client = None

    async def _check(self, client: Client) -> None:
        # Dask declares what an asynchronous client returns for a synchronous one too.
        versions: Any = client.get_versions(packages=[_OURS])
        wrong = differences(await versions)
        if not wrong:
            found: dict[str, str | None] = await client.run(self._obstacle)
            wrong = [f"the worker {name}: {what}" for name, what in found.items() if what]
        if wrong:
            raise SetupError(
                f"the Dask cluster at {self._address} can not render for this service: "
                + "; ".join(wrong)
            )
        threads: dict[str, int] = await client.nthreads()
        _logger.info(
            "event=cluster address=%s workers=%d threads=%d",
            self._address,
            len(threads),
            sum(threads.values()),
        )

    def _unreachable(self, error: BaseException) -> SetupError:
        return SetupError(
            f"no Dask scheduler can be reached at {self._address}: "
            f"{str(error).partition(chr(10))[0] or type(error).__name__}"
        )


def pauses() -> Iterator[float]:
    """Seconds between attempts: they double, and no two of a crowd are alike."""
    longest = _FIRST_PAUSE
    while True:
        yield longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        longest = min(2 * longest, _LONGEST_PAUSE)


def differences(versions: Mapping[str, Any]) -> list[str]:
    """Where a cluster differs from here in a way that matters, in words.

    Args:
        versions: as `distributed.Client.get_versions` returns them.
    """
    here = _packages(versions["client"])
    there = {"the scheduler": versions["scheduler"]}
    there |= {f"the worker {name}": info for name, info in versions["workers"].items()}
    return [
        f"{who} has {name} {found}, here it is {here[name]}" if found else f"{who} has no {name}"
        for who, info in there.items()
        for name, found in _packages(info).items()
        if found != here[name]
    ]


def _packages(info: Mapping[str, Any]) -> dict[str, str | None]:
    packages: Mapping[str, str | None] = info["packages"]
    python = ".".join((packages["python"] or "").split(".")[:2])
    return {"Python": python} | {name: packages.get(name) for name in _SAME}


def _is_loss(error: Exception, client: Client) -> bool:
    """Whether this is about the connection: where that ends, Dask fails in many ways."""
    return isinstance(error, CancelledError | OSError) or client.status != "running"


async def _close(client: Client) -> None:
    """Close a client, within some two seconds. A cancellation comes through when that is done.

    Dask takes one that meets it meanwhile for its own, so that it has a task to itself.
    """
    closing = asyncio.ensure_future(client.close())
    try:
        with suppress(OSError, CancelledError):
            await asyncio.shield(closing)
    finally:
        await asyncio.wait([closing])
