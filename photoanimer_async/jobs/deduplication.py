"""The same photo twice in one batch, paid for once."""

from collections.abc import Awaitable, Callable

from attrs import define, evolve, field

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.jobs.batch import Begin, OnEnd, UnderWay
from photoanimer_async.jobs.journal.entries import key_of
from photoanimer_async.models import AnimationRequest, Outcome, Photo
from photoanimer_async.photos.check import photo_digest


class Deduplicated:
    """Begins the first of all requests that are the same; the others share its outcome.

    Requests are the same if the photo's content and the options are. What ended is kept, some
    hundred bytes for each different photo, until the batch is over.

    Args:
        begin: begins one request.
        digest: what makes two photos the same.
    """

    def __init__(
        self,
        begin: Begin[AnimationRequest],
        digest: Callable[[Photo], Awaitable[bytes]] = photo_digest,
    ) -> None:
        self._begin = begin
        self._digest = digest
        self._firsts: dict[bytes, _First] = {}

    async def __call__(self, index: int, request: AnimationRequest) -> Outcome | UnderWay:
        """One photo, on its own way or waiting for an equal one."""
        try:
            key = key_of(await self._digest(request.photo), request.options)
        except InvalidPhotoError as error:
            return Outcome(index, request, error=error)
        first = self._firsts.get(key)
        if first is not None:
            return _Follower(index, request, first)
        first = self._firsts[key] = _First()
        begun = await self._begin(index, request)
        if isinstance(begun, Outcome):
            return first.ends(begun)
        first.under_way = begun
        return first


@define(eq=False)
class _First:
    """The first of equal photos, and those that wait for its outcome."""

    under_way: UnderWay | None = None
    outcome: Outcome | None = None
    _followers: list[Callable[[], None]] = field(factory=list)

    def watch(self, on_end: OnEnd) -> None:
        assert self.under_way is not None  # noqa: S101 - it was begun
        self.under_way.watch(lambda _: on_end(self))

    async def finish(self) -> Outcome:
        assert self.under_way is not None  # noqa: S101 - likewise
        return self.ends(await self.under_way.finish())

    async def abandon(self) -> None:
        if self.under_way is not None:
            await self.under_way.abandon()

    def ends(self, outcome: Outcome) -> Outcome:
        # Without the photo, which may be its content.
        self.outcome = evolve(outcome, request=AnimationRequest("", outcome.request.options))
        self.under_way = None
        followers, self._followers = self._followers, []
        for tell in followers:
            tell()
        return outcome

    def is_followed(self, tell: Callable[[], None]) -> None:
        """Has `tell` called when there is an outcome."""
        if self.outcome is None:
            self._followers.append(tell)
        else:
            tell()


@define(eq=False)
class _Follower:
    """A photo that is the same as one before it."""

    index: int
    request: AnimationRequest
    first: _First

    def watch(self, on_end: OnEnd) -> None:
        self.first.is_followed(lambda: on_end(self))

    async def finish(self) -> Outcome:
        assert self.first.outcome is not None  # noqa: S101 - it has been told
        return evolve(self.first.outcome, index=self.index, request=self.request)

    async def abandon(self) -> None:
        """There is nothing that it holds."""
