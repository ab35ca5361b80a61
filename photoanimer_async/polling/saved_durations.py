"""Save the durations that a policy has observed, for the next run."""

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
from photoanimer_async.photos.cancellation import ThreadStep
from photoanimer_async.polling.adaptive import AdaptivePolling

_log = logging.getLogger(__name__)


@asynccontextmanager
async def persisted(policy: AdaptivePolling, path: Path) -> AsyncIterator[None]:
    """Load a policy's durations before the block, and save them after it.

    A file that is damaged, or cannot be read or written, only causes a warning in the log: the
    policy then starts cold. A cancellation waits until the file is read or written.

    Args:
        policy: the policy.
        path: a JSON file; created if missing, replaced in one step.
    """
    await ThreadStep(asyncio.to_thread(_load, policy, path))
    try:
        yield
    finally:
        await ThreadStep(asyncio.to_thread(_save, path, policy.to_dict()))


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
