"""Keeping a token out of access logs.

Servers write the path of every request down, and the path is where the token stands. A filter
on their loggers blots it out, in the message and in whatever a formatter may still put together.
"""

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

ACCESS_LOGGERS = (
    "aiohttp.access",
    "daphne.access",
    "django.request",
    "django.server",
    "granian.access",
    "gunicorn.access",
    "hypercorn.access",
    "uvicorn.access",
)
"""The loggers of servers and frameworks that write down paths of requests."""

_BLOT = "…"


class TokenFilter(logging.Filter):
    """Lets every record pass, with the token blotted out.

    Args:
        token: what must not be seen.
    """

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        self._blot_out(record.__dict__)
        match record.args:
            case tuple():
                record.args = tuple(map(self._blotted, record.args))
            case MutableMapping():
                self._blot_out(record.args)
            case _:
                pass
        return True

    def _blot_out(self, values: MutableMapping[str, object]) -> None:
        for name, value in list(values.items()):
            if isinstance(value, str):
                values[name] = self._blotted(value)

    def _blotted(self, value: object) -> object:
        return value.replace(self._token, _BLOT) if isinstance(value, str) else value


@contextmanager
def hidden_in_access_logs(token: str) -> Iterator[None]:
    """The token does not show in any of `ACCESS_LOGGERS` inside."""
    blotting = TokenFilter(token)
    loggers = [logging.getLogger(name) for name in ACCESS_LOGGERS]
    for logger in loggers:
        logger.addFilter(blotting)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(blotting)
