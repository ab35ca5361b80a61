"""Cancels tasks at a service that offers it: the local service does, the vendor's API does not."""

import logging
from types import TracebackType
from typing import Any, Self

import aiohttp

from photoanimer_async import TaskId

_log = logging.getLogger(__name__)

_PATH = "/faceDriven/cancelTask"
_API_PATH = "/api/v1"
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_FAILED = 2


class TaskCanceller:
    """Cancels tasks, if the service offers it. An async context manager.

        async with TaskCanceller(client.base_url, api_key) as canceller:
            if canceller.is_offered:
                await canceller.cancel(task_id)

    Whether it is offered is read from the service's `/openapi.json` when the block begins; that
    request has no key.

    Args:
        base_url: the service, with its path.
        api_key: the key that the tasks were submitted with.
        proxy: URL of a proxy for all requests.
    """

    def __init__(self, base_url: str, api_key: str, *, proxy: str | None = None) -> None:
        self.is_offered = False
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT, proxy=self._proxy, cookie_jar=aiohttp.DummyCookieJar()
        )
        self.is_offered = await self._find_offer(self._session)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def cancel(self, task_id: TaskId) -> bool:
        """Cancel a task; return whether it has ended without a video."""
        if self._session is None or not self.is_offered:
            return False
        try:
            async with self._session.post(
                f"{self._base_url}{_PATH}",
                params={"taskId": str(task_id)},
                headers={"APIKEY": self._api_key},
                allow_redirects=False,
            ) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _log.warning("task %s was not cancelled: %s", task_id, type(error).__name__)
            return False
        match answer:
            case {"code": 0, "data": {"status": status}}:
                return bool(status == _FAILED)
            case _:
                _log.warning("task %s was not cancelled: the service refused", task_id)
                return False

    async def _find_offer(self, session: aiohttp.ClientSession) -> bool:
        url = f"{self._base_url.removesuffix(_API_PATH)}/openapi.json"
        try:
            async with session.get(url, allow_redirects=False) as response:
                description: Any = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        match description:
            case {"paths": dict(paths)}:
                return any(str(path).endswith(_PATH) for path in paths)
            case _:
                return False
