"""What polling has learned, kept from one run to the next."""

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.polling.policies import AdaptivePolling

_log = logging.getLogger(__name__)


@asynccontextmanager
async def persisted(policy: AdaptivePolling, path: Path) -> AsyncIterator[None]:
    """Loads what was learned before the block, and saves what has been learned after it.

    A file that is damaged, or can not be read or written, is a warning in the log and no more:
    without it polling begins cold.

    Args:
        policy: what learns.
        path: a JSON file; made if missing.
    """
    await asyncio.to_thread(_load, policy, path)
    try:
        yield
    finally:
        await asyncio.to_thread(_save, path, policy.to_dict())


def _load(policy: AdaptivePolling, path: Path) -> None:
    try:
        policy.learn_from(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError, InvalidRequestError) as error:
        _log.warning("%s: saved durations are ignored: %s", path, error)


def _save(path: Path, state: dict[str, Any]) -> None:
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(state, file)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        _log.warning("%s: durations are not saved: %s", path, error)
