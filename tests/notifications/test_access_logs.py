"""Access logs never show the token."""

import gc
import io
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from photoanimer_async import NotificationReceiver
from photoanimer_async.notifications.access_logs import ACCESS_LOGGERS

from ..support.notifications import PAGE_EXAMPLE
from ..support.receiver_servers import PREFIX
from ..support.stub_service import StubService, quick_client


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """What all loggers of servers write meanwhile."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    loggers = [logging.getLogger(name) for name in ("", *ACCESS_LOGGERS)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


async def post_all(session: aiohttp.ClientSession, address: str) -> None:
    for body in (PAGE_EXAMPLE, b"{"):
        async with session.post(address, data=body):
            pass
    async with session.get(address):
        pass


async def test_the_token_is_hidden_in_every_frameworks_log_whether_a_client_listens_or_not(
    stub: StubService,
    receiver: NotificationReceiver,
    address: str,
    session: aiohttp.ClientSession,
) -> None:
    with everything_logged() as written:
        await post_all(session, address)
        async with quick_client(stub.base_url, receiver=receiver):
            await post_all(session, address)
        await post_all(session, address)  # late notifications, after the client was closed
    log = written.getvalue()
    assert f"{PREFIX}/…" in log
    assert "123456" in log
    assert receiver.path[1:] not in log


def test_a_token_is_hidden_as_long_as_its_receiver_or_a_mount_of_it_exists() -> None:
    def shown() -> str:
        with everything_logged() as written:
            logging.getLogger(ACCESS_LOGGERS[0]).info("POST /%s", token)
        return written.getvalue()

    token = secrets.token_urlsafe(32)
    receiver = NotificationReceiver(token)
    app = receiver.asgi
    del receiver
    gc.collect()
    assert token not in shown()
    del app
    gc.collect()
    assert token in shown()
