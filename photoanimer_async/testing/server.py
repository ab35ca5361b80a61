"""A double of the Photo Animer, in a thread of its own.

With its own thread and event loop it serves tests of every kind alike: plain functions that
block, and coroutines on whichever loop the test has.
"""

import asyncio
import logging
import sqlite3
import tempfile
import threading
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from attrs import field, frozen

from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.polling.policies import FixedInterval
from photoanimer_async.service.app_keys import DATABASE
from photoanimer_async.service.faults import parse_script
from photoanimer_async.service.faults.script import Rule, Subject
from photoanimer_async.service.local_service import LocalService
from photoanimer_async.service.notifying.signing import new_secret
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.storing import outbox
from photoanimer_async.service.storing.account_book import AccountBook
from photoanimer_async.service.storing.accounts import account_number
from photoanimer_async.testing.request_log import Ledger
from photoanimer_async.testing.stand_ins import DoubleInjector, SampleRenderer

_ACCOUNT: Final = "tests"
# A task that waits for its polls keeps a place; so many may wait at once.
_PLACES: Final = 256
_NOTIFY_SCHEDULE: Final = (0.05, 0.1, 0.2, 0.4, 0.8)


class UnusedRulesError(AssertionError):
    """A script has rules that nothing came of, so that the test does not test what it says."""


@frozen
class _Running:
    api_key: str = field(repr=False)
    service: LocalService
    injector: DoubleInjector
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


class PhotoAnimerServer:
    """A real server on loopback that speaks the Photo Animer API and is done at once.

        with PhotoAnimerServer() as server:
            requests.get(f"{server.base_url}/mySubscription", headers={"APIKEY": server.api_key})

    Or `async with`, which does not block the loop while it starts.

    Every photo is accepted: one on this machine is fetched and its header checked, as the
    service does, and any other is taken for granted, so that nothing leaves the machine. A
    result is a valid video of a second, or a GIF. A task has ended by its first poll, unless
    the script says otherwise.

    One account has a key. A task is charged to it when it is accepted, and given back if it
    fails; `mySubscription` tells what is left, and without enough there is code 4001.

    Args:
        seconds: the video seconds that the account has at first.

    Attributes:
        ledger: what it was asked, and what it charged.
    """

    def __init__(self, *, seconds: float = 36_000.0) -> None:
        self.ledger = Ledger()
        self._seconds = seconds
        self._started: Future[_Running] = Future()
        self._thread = threading.Thread(target=self._run, name="photo-animer", daemon=True)
        self._optional: set[Rule] = set()
        self._errors = _Errors()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        running = self._running
        running.loop.call_soon_threadsafe(running.stop.set)
        self._thread.join()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    @property
    def base_url(self) -> str:
        """Where the interfaces are, for instance `http://127.0.0.1:40123/api/v1`."""
        return self._running.service.base_url

    @property
    def api_key(self) -> str:
        """The one key that is accepted."""
        return self._running.api_key

    def client(self, **options: Any) -> PhotoAnimerClient:
        """A client for this server that looks often and waits briefly.

        Args:
            options: those of `PhotoAnimerClient`, to have it otherwise.
        """
        brief: dict[str, Any] = {
            "base_url": self.base_url,
            "poll": FixedInterval(0.01),
            "retry": RetryPolicy(first_wait=0.01, longest_wait=0.05),
        }
        return PhotoAnimerClient(self.api_key, **(brief | options))

    def script(self, *scripts: str, must_be_used: bool = True) -> None:
        """Say what is to go wrong, from now on.

        Args:
            scripts: texts of one rule or several. They come after those that are there; of
                several for the same thing, the first counts.
            must_be_used: whether `check` objects to a rule that nothing came of.

        Raises:
            ScriptError: a text is no script; it says where, what was found, what is allowed.
        """
        parsed = [rule for script in scripts for rule in parse_script(script)]
        if not must_be_used:
            self._optional.update(parsed)
        self._running.injector.script.add(parsed)

    def notify(self, url: str) -> str:
        """Send notifications (API page, Interface 2) to this address, from now on.

        One that is not taken comes again, a few times within two seconds.

        Returns:
            The secret that signs them, as the service's own do.
        """
        running, secret = self._running, new_secret()

        def set_address(connection: sqlite3.Connection) -> None:
            number = account_number(connection, _ACCOUNT)
            assert number is not None  # noqa: S101 - it was added before the start
            outbox.set_address(connection, number, url, secret)

        # It is in the database before any task that is submitted from now on has ended.
        asyncio.run_coroutine_threadsafe(
            running.service.app[DATABASE].write(set_address), running.loop
        )
        return secret

    def check(self) -> None:
        """Object to a test that did not test what it says.

        Raises:
            UnusedRulesError: nothing came of a rule of the script.
            AssertionError: the server has a fault of its own.
        """
        if self._errors.texts:
            raise AssertionError("the double has a fault: " + "; ".join(self._errors.texts))
        script = self._running.injector.script
        unused = [rule for rule in script.unused if rule not in self._optional]
        if unused:
            seen = ", ".join(f"{script.counted(subject)} of {subject}" for subject in Subject)
            raise UnusedRulesError(
                f"nothing came of {_listed(unused)}: there were {seen}. "
                "If that is as it should be: script(..., must_be_used=False)"
            )

    @property
    def _running(self) -> _Running:
        if not self._started.done():
            raise RuntimeError("the server does not run yet: use it as a context manager")
        return self._started.result()

    def _run(self) -> None:
        logger = logging.getLogger("photoanimer_async.service")
        logger.addHandler(self._errors)
        try:
            with tempfile.TemporaryDirectory(prefix="photo-animer-") as folder:
                key = AccountBook(Path(folder)).add(_ACCOUNT, seconds=self._seconds)
                asyncio.run(self._serve(Path(folder), key))
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)
        finally:
            logger.removeHandler(self._errors)

    async def _serve(self, folder: Path, key: str) -> None:
        async with AsyncExitStack() as stack:
            injector = DoubleInjector(self.ledger)
            settings = ServiceSettings(
                data_dir=folder,
                port=0,
                workers=_PLACES,
                drain_seconds=0.0,
                notify_schedule=_NOTIFY_SCHEDULE,
            )
            service = await stack.enter_async_context(
                LocalService(settings, renderer=SampleRenderer(), faults=injector)
            )
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._started.set_result(_Running(key, service, injector, loop, stop))
            await stop.wait()


class _Errors(logging.Handler):
    """Keeps what the service reports as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.getMessage()} {(record.exc_info or ('', ''))[1]!r}")


def _listed(rules: list[Rule]) -> str:
    return ", ".join(f"'{rule}'" for rule in rules)
