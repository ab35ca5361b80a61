"""Access logs without the token.

Servers log the path of every request, and the token is a part of the path. A filter on their
loggers replaces it, in the message and in whatever a formatter may use.
"""

import logging
from collections.abc import Callable, MutableMapping

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
"""The loggers of servers and frameworks that log paths of requests."""

_REPLACEMENT = "…"


class TokenFilter(logging.Filter):
    """Replaces a token in every log record; no record is dropped.

    Args:
        token: the secret to replace.
    """

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the token in the record, and return true."""
        self._redact_values(record.__dict__)
        match record.args:
            case tuple():
                record.args = tuple(map(self._redacted, record.args))
            case MutableMapping():
                self._redact_values(record.args)
            case _:
                pass
        return True

    def _redact_values(self, values: MutableMapping[str, object]) -> None:
        for name, value in list(values.items()):
            if isinstance(value, str):
                values[name] = self._redacted(value)

    def _redacted(self, value: object) -> object:
        return value.replace(self._token, _REPLACEMENT) if isinstance(value, str) else value


def hide_in_access_logs(token: str) -> Callable[[], None]:
    """Replace a token in the records of all `ACCESS_LOGGERS`; return what ends that."""
    token_filter = TokenFilter(token)
    loggers = [logging.getLogger(name) for name in ACCESS_LOGGERS]
    for logger in loggers:
        logger.addFilter(token_filter)

    def show() -> None:
        for logger in loggers:
            logger.removeFilter(token_filter)

    return show
