"""Why there is no connection, in words."""

import os
import ssl

import aiohttp


def connection_failure(error: aiohttp.ClientConnectorError) -> str:
    """Return why a connection failed, such as `connection refused`.

    asyncio's own text is `Connect call failed ('127.0.0.1', 80)`.
    """
    cause = error.os_error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "unknown host name"
    if not isinstance(cause, ssl.SSLError) and isinstance(cause.errno, int) and cause.errno > 0:
        return os.strerror(cause.errno).lower()
    return cause.strerror or "connection failed"
