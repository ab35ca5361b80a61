"""Read the `Retry-After` header (RFC 9110, 10.2.3)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MAX_SECONDS = 86_400.0
_SECONDS = r"\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)"


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds to wait, 0 to 86,400; `None` for an empty or invalid value.

    Args:
        value: the header: a number of seconds, also with a fraction, or an HTTP date.
        now: when the answer arrived, in seconds since the epoch.
    """
    value = value.strip()
    if re.fullmatch(_SECONDS, value):
        return min(float(value), _MAX_SECONDS)
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - datetime.fromtimestamp(now, UTC)).total_seconds()
    except (ValueError, OverflowError):  # OverflowError: a time zone or a year without a limit
        return None
    return min(max(seconds, 0.0), _MAX_SECONDS)
