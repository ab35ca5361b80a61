"""Fixtures of several rooms, and how a whole run is done."""

import gc
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

from photoanimer_async import PhotoAnimerClient

from .support import missing
from .support.clock import Clock
from .support.proxy_server import ProxyServer, running_proxy
from .support.redis_server import running_redis
from .support.s3_server import S3Server, running_s3
from .support.stub_service import API, StubService, quick_client, serving

MOST_WORKERS = 8

# Tests start two hundred Python processes, each of which would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Tests run on all cores already; the idle threads of OpenBLAS would only spin beside them.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


# Tests send these signals, and what a shell runs in the background or under nohup ignores them.
for _number, _action in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _action)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run folders in three processes for each two cores, and files that are named in this one.

    Tests wait for sockets, disks and other processes for a third of their time.
    """
    paths = [argument.partition("::")[0] for argument in config.args]
    if all(os.path.isfile(path) for path in paths):  # noqa: PTH113 - they are strings
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min((cores or 1) * 3 // 2, MOST_WORKERS)


def pytest_collection_finish() -> None:
    """Spare the garbage collector all tests and modules, which live until the end."""
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Print last, after the result, which tests were left out and how to run them too."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    reasons = [report.longrepr[2] for report in reporter.stats.get("skipped", [])]
    left_out = Counter(
        reason.partition(missing.PREFIX)[2] for reason in reasons if missing.PREFIX in reason
    )
    for what, tests in sorted(left_out.items()):
        reporter.write_line(f"Left out: {tests} tests. Missing: {what}", yellow=True)


@pytest.fixture(scope="session", autouse=True)
def loop_is_never_blocked() -> Iterator[BlockBuster]:
    """Fails a test in which our own code blocks the event loop."""
    with blockbuster_ctx("photoanimer_async") as blockbuster:
        yield blockbuster


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """A server with one empty bucket, and the way to it in the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3_server.reset()
    return s3_server


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_redis(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    with running_proxy(tmp_path_factory.mktemp("proxy")) as server:
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def stub() -> AsyncIterator[StubService]:
    service = StubService()
    async with serving(service.answer) as origin:
        service.base_url = origin + API
        yield service


@pytest.fixture
async def client(stub: StubService) -> AsyncIterator[PhotoAnimerClient]:
    async with quick_client(stub.base_url) as client:
        yield client
