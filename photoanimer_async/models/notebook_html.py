"""A saved result as HTML, with which notebooks show it."""

import base64
from pathlib import Path

_MAX_BYTES = 20 * 2**20


def html_of(path: Path) -> str | None:
    """Return a saved video or GIF as HTML that contains it. Blocking.

    Returns:
        `None` if there is no such file, or it is empty or larger than 20 MB.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= _MAX_BYTES else b""
    except OSError:
        return None
    if not content:
        return None
    data = base64.b64encode(content).decode()
    if path.suffix.lower() == ".gif":
        return f'<img src="data:image/gif;base64,{data}">'
    return f'<video controls loop src="data:video/mp4;base64,{data}"></video>'
