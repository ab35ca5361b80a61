"""A double of the Photo Animer API, in a thread of its own.

With its own thread and event loop it serves blocking tests and coroutines alike.
"""

import asyncio
import logging
import sqlite3
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from attrs import field, frozen

from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.photos.cancellation import ThreadStep
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
from photoanimer_async.testing.fakes import RecordingInjector, SampleRenderer
from photoanimer_async.testing.request_log import RequestLog

_ACCOUNT: Final = "tests"
# A task whose script says how many polls it takes occupies a worker until then.
_WORKERS: Final = 256
_NOTIFY_SCHEDULE: Final = (0.05, 0.1, 0.2, 0.4, 0.8)


class UnusedRulesError(AssertionError):
    """A fault script has rules that were never applied, so the test did not test them."""


@frozen
class _Running:
    api_key: str = field(repr=False)
    service: LocalService
    injector: RecordingInjector
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


class PhotoAnimerServer:
    """A real server on loopback that speaks the Photo Animer API and finishes tasks at once.

        with PhotoAnimerServer() as server:
            requests.get(f"{server.base_url}/mySubscription", headers={"APIKEY": server.api_key})

    `async with` works too and does not block the loop during the start.

    A photo on this machine is fetched and checked as the service does; every other URL is
    accepted without a fetch, so that nothing leaves the machine. A result is a valid video, or
    GIF, of a second. A task has ended by its first poll, unless the script says otherwise.

    There is one account with one key. A task is charged when it is accepted, and refunded if it
    fails. `mySubscription` returns the balance; a submit that exceeds it gets code 4001.

    Args:
        seconds: the initial balance in video seconds.

    Attributes:
        ledger: the `RequestLog` of all requests and charges.
    """

    def __init__(self, *, seconds: float = 36_000.0) -> None:
        self.ledger = RequestLog()
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
        try:
            return await ThreadStep(asyncio.to_thread(self.__enter__))
        except asyncio.CancelledError:
            await self.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await ThreadStep(asyncio.to_thread(self.__exit__, kind, error, trace))

    @property
    def base_url(self) -> str:
        """The URL of the interfaces, for instance `http://127.0.0.1:40123/api/v1`."""
        return self._running.service.base_url

    @property
    def api_key(self) -> str:
        """The only key that is accepted."""
        return self._running.api_key

    def client(self, **options: Any) -> PhotoAnimerClient:
        """Return a client for this server that polls every 10 ms and retries quickly.

        Args:
            options: options of `PhotoAnimerClient`, in place of these.
        """
        quick: dict[str, Any] = {
            "base_url": self.base_url,
            "poll": FixedInterval(0.01),
            "retry": RetryPolicy(first_wait=0.01, longest_wait=0.05),
        }
        return PhotoAnimerClient(self.api_key, **(quick | options))

    def script(self, *scripts: str, must_be_used: bool = True) -> None:
        """Add rules that make requests, tasks or notifications fail from now on.

        Args:
            scripts: texts of one or more rules, appended to the earlier ones. Where several
                rules match, the first applies.
            must_be_used: whether `check` raises if one of these rules was never applied.

        Raises:
            ScriptError: a syntax error; the message shows where, what was found, and what is
                allowed there. No rule is added.
        """
        parsed = [rule for script in scripts for rule in parse_script(script)]
        if not must_be_used:
            self._optional.update(parsed)
        self._running.injector.script.add(parsed)

    def notify(self, url: str) -> str:
        """Send notifications (API page, Interface 2) to a URL from now on.

        One that is not accepted is sent again, a few times within two seconds.

        Returns:
            The secret with which they are signed; see `notifications.verify_signature`.
        """
        running, secret = self._running, new_secret()

        def set_address(connection: sqlite3.Connection) -> None:
            number = account_number(connection, _ACCOUNT)
            assert number is not None  # noqa: S101 - it was added before the start
            outbox.set_address(connection, number, url, secret)

        # Written before any task that is submitted from now on can end.
        asyncio.run_coroutine_threadsafe(
            running.service.app[DATABASE].write(set_address), running.loop
        )
        return secret

    def check(self) -> None:
        """Check that the script was applied; the pytest fixture does so after each test.

        Raises:
            UnusedRulesError: a rule of the script was never applied.
            AssertionError: the server itself has a bug.
        """
        if self._errors.texts:
            raise AssertionError("the double has a bug: " + "; ".join(self._errors.texts))
        script = self._running.injector.script
        unused = [rule for rule in script.unused if rule not in self._optional]
        if unused:
            seen = ", ".join(f"{script.counted(subject)} of {subject}" for subject in Subject)
            listed = ", ".join(f"'{rule}'" for rule in unused)
            raise UnusedRulesError(
                f"never applied: {listed}. Counted: {seen}. "
                "If that is intended, use script(..., must_be_used=False)"
            )

    @property
    def _running(self) -> _Running:
        if not self._started.done():
            raise RuntimeError("the server has not been started: use it as a context manager")
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
        injector = RecordingInjector(self.ledger)
        settings = ServiceSettings(
            data_dir=folder,
            port=0,
            workers=_WORKERS,
            drain_seconds=0.0,
            notify_schedule=_NOTIFY_SCHEDULE,
        )
        async with LocalService(settings, renderer=SampleRenderer(), faults=injector) as service:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._started.set_result(_Running(key, service, injector, loop, stop))
            await stop.wait()


class _Errors(logging.Handler):
    """Collects the errors that the service logs: bugs of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.getMessage()} {(record.exc_info or ('', ''))[1]!r}")
