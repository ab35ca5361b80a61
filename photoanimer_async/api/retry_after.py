"""Read the `Retry-After` header (RFC 9110, 10.2.3)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MAX_SECONDS = 86_400.0


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds to wait, 0 to 86,400; `None` for an empty or invalid value.

    Args:
        value: the header: a number of seconds, or an HTTP date.
        now: when the answer arrived, in seconds since the epoch.
    """
    value = value.strip()
    if value.isdecimal() and value.isascii():
        return min(float(value), _MAX_SECONDS)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    seconds = (date - datetime.fromtimestamp(now, UTC)).total_seconds()
    return min(max(seconds, 0.0), _MAX_SECONDS)
