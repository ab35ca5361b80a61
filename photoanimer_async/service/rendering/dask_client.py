"""A Dask client that reconnects to its scheduler.

A scheduler that goes away loses nothing, because it holds nothing that cannot be sent again:

* Dask fails every pending future when its connection is lost. Each `run` then asks for a
  connection; the first one reconnects, with growing delays, and each submits its function again.
* A key names the work. A scheduler that was running all the time knows the key, so the work is
  not done twice.
* A worker that goes away is the scheduler's business. It gives the work to another worker, and
  gives up on work that has killed too many workers: `distributed.scheduler.allowed-failures`.
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
_FIRST_DELAY: Final = 0.25
_LONGEST_DELAY: Final = 15.0
# Inputs travel in the task itself, so that it can run again wherever a worker dies: scattered
# data would die with its worker. Dask warns about tasks of more than 10 MB.
_LARGE_TASKS: Final = {"distributed.admin.large-graph-warning-threshold": "1GB"}
_OURS: Final = "photoanimer-async"
_COMPARED_PACKAGES: Final = ("dask", "distributed", _OURS)
# What Dask raises if there is no scheduler, if something else answers, and if its configuration
# of TLS is wrong.
_CONNECT_ERRORS: Final = (OSError, CancelledError, ImportError, TypeError, ValueError, RuntimeError)


class ReconnectingClient:
    """Runs functions on a Dask cluster. Use it as an async context manager.

    The scheduler must answer when the context is entered; afterwards it may go away and return.

        async with ReconnectingClient("tcp://scheduler:8786", check) as client:
            reply = await client.run("job-1", function, lambda: argument)

    Args:
        address: of the scheduler, for instance `tcp://scheduler:8786`. Certificates for `tls://`
            come from Dask's own configuration.
        check_worker: runs on every worker when a connection is made; returns why the worker
            cannot do its work, or `None` if it can.

    Raises, when entered:
        SetupError: no scheduler answers, the scheduler or a worker has another version than this
            process, or `check_worker` found a problem.
    """

    def __init__(self, address: str, check_worker: Callable[[], Awaitable[str | None]]) -> None:
        self._address = address
        self._check_worker = check_worker
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
        """Return whether the scheduler is connected and had a worker when last asked.

        Dask's client asks it every two seconds. Without a connection this starts to reconnect,
        because nothing else does while there is nothing to run.
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
        """Run a function on some worker and return its result, however long that takes.

        Args:
            key: names the work; the same work must have the same key.
            function: a coroutine function, called in the event loop of a Dask worker; it may be
                called more than once.
            load: returns the function's argument; called in a thread for each submission.

        Raises:
            distributed.KilledWorker: too many workers died while they ran this.
            Exception: what the function raised.
        """
        for delay in retry_delays():
            _ = await self._connected()  # so that no photo is in memory while there is no scheduler
            future = await self._submit(key, function, await asyncio.to_thread(load))
            try:
                reply: _Reply = await future
            except Exception as error:
                if not _is_connection_loss(error, future.client):
                    raise
                why = str(error).partition("\n")[0]
                _logger.warning("event=submitted_again key=%s why=%r", key, why)
            else:
                return reply
            finally:
                # After a cancellation, work that has not started never starts.
                future.release()
            await asyncio.sleep(delay)
        raise AssertionError  # retry_delays never ends

    async def _submit(self, key: str, function: Callable[[_Job], Any], job: _Job) -> "Future[Any]":
        """Submit a function; a method of its own, so that its caller does not keep the job."""
        client = await self._connected()
        with dask.config.set(_LARGE_TASKS):
            return client.submit(function, job, key=key)

    async def _connected(self) -> Client:
        """Return a connected client, reconnecting until it succeeds."""
        async with self._connecting:
            for delay in retry_delays():
                if self._client is not None and self._client.status == "running":
                    return self._client
                _logger.warning("event=connecting address=%s", self._address)
                await self._disconnect()
                try:
                    self._client = await self._connect()
                except SetupError as error:
                    _logger.warning("event=no_cluster pause=%.1f why=%r", delay, str(error))
                    await asyncio.sleep(delay)
            raise AssertionError  # retry_delays never ends

    async def _connect(self) -> Client:
        # The first call reads the packages' files, which would block the loop later.
        await asyncio.to_thread(get_versions, [_OURS])
        client = await self._open_client()
        try:
            await self._check(client)
        except (OSError, CancelledError) as error:
            await _close(client)
            raise self._unreachable(error) from error
        except BaseException:
            await _close(client)
            raise
        return client

    async def _open_client(self) -> Client:
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
        except _CONNECT_ERRORS as error:
            raise self._unreachable(error) from error
        return client

    async def _disconnect(self) -> None:
        if self._client is not None:
            await _close(self._client)
            self._client = None

    async def _check(self, client: Client) -> None:
        # Dask's annotations for an asynchronous client are those of a synchronous one.
        versions: Any = client.get_versions(packages=[_OURS])
        problems = version_differences(await versions)
        if not problems:
            found: dict[str, str | None] = await client.run(self._check_worker)
            problems = [f"the worker {name}: {what}" for name, what in found.items() if what]
        if problems:
            raise SetupError(
                f"the Dask cluster at {self._address} cannot render for this service: "
                + "; ".join(problems)
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


def retry_delays() -> Iterator[float]:
    """Yield the seconds between attempts, without end: they double, with random jitter."""
    longest = _FIRST_DELAY
    while True:
        yield longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        longest = min(2 * longest, _LONGEST_DELAY)


def version_differences(versions: Mapping[str, Any]) -> list[str]:
    """Describe the packages of a cluster whose version differs from the one in this process.

    Args:
        versions: the result of `distributed.Client.get_versions`.
    """
    here = _packages(versions["client"])
    there = {"the scheduler": versions["scheduler"]}
    there |= {f"the worker {name}": info for name, info in versions["workers"].items()}
    return [
        f"{node} has {name} {found}, here it is {here[name]}" if found else f"{node} has no {name}"
        for node, info in there.items()
        for name, found in _packages(info).items()
        if found != here[name]
    ]


def _packages(info: Mapping[str, Any]) -> dict[str, str | None]:
    packages: Mapping[str, str | None] = info["packages"]
    python = ".".join((packages["python"] or "").split(".")[:2])
    return {"Python": python} | {name: packages.get(name) for name in _COMPARED_PACKAGES}


def _is_connection_loss(error: Exception, client: Client) -> bool:
    """Return whether an error comes from a lost connection, for which Dask raises many types."""
    return isinstance(error, CancelledError | OSError) or client.status != "running"


async def _close(client: Client) -> None:
    """Close a client, which takes up to two seconds; a cancellation is raised after that.

    Dask would take a cancellation during `close` for its own, so `close` has its own task.
    """
    closing = asyncio.ensure_future(client.close())
    try:
        with suppress(OSError, CancelledError):
            await asyncio.shield(closing)
    finally:
        await asyncio.wait([closing])
