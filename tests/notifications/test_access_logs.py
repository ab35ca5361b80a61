"""Access logs never show the token."""

import io
import logging

import aiohttp

from photoanimer_async import NotificationReceiver, PhotoAnimerClient
from photoanimer_async.notifications.access_logs import ACCESS_LOGGERS, hidden_in_access_logs

from ..support.notifications import PAGE_EXAMPLE
from ..support.receiver_servers import PREFIX


async def test_the_token_is_hidden_in_every_frameworks_log(
    listening: PhotoAnimerClient,
    receiver: NotificationReceiver,
    address: str,
    session: aiohttp.ClientSession,
) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    loggers = [logging.getLogger(name) for name in ("", *ACCESS_LOGGERS)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        for body in (PAGE_EXAMPLE, b"{"):
            async with session.post(address, data=body):
                pass
        async with session.get(address):
            pass
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
    log = written.getvalue()
    assert f"{PREFIX}/…" in log
    assert "123456" in log
    assert receiver.path[1:] not in log


def test_the_filters_are_removed_after_the_block() -> None:
    with hidden_in_access_logs("secret"):
        assert all(logging.getLogger(name).filters for name in ACCESS_LOGGERS)
    assert not any(logging.getLogger(name).filters for name in ACCESS_LOGGERS)
