"""What is kept open longer than the coroutine that opened it."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from types import TracebackType
from typing import Self, TypeVar

_T = TypeVar("_T")


class Holdings:
    """Asynchronous contexts, entered one by one and left together, the last one first.

    There is one of these for each photo of a batch, and most photos hold nothing, or little:
    what there is nothing to leave of is not kept.
    """

    __slots__ = ("_stack",)

    def __init__(self) -> None:
        self._stack: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        stack, self._stack = self._stack, None
        return None if stack is None else await stack.__aexit__(kind, error, trace)

    async def enter(self, context: AbstractAsyncContextManager[_T]) -> _T:
        """Enters a context; it is left when these holdings are."""
        if isinstance(context, nullcontext):
            entered: _T = context.enter_result
            return entered
        if self._stack is None:
            self._stack = AsyncExitStack()
        return await self._stack.enter_async_context(context)

    async def close(self) -> None:
        """Leaves all contexts."""
        await self.__aexit__(None, None, None)
