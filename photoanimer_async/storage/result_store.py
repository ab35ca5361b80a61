"""What a place for results can do."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from photoanimer_async.models import Location, Photo

_LocationT_co = TypeVar("_LocationT_co", bound=Location, covariant=True)


class Destination(Protocol[_LocationT_co]):
    """Where one download goes: at the end it is there as a whole, or it is not there."""

    @property
    def place(self) -> _LocationT_co:
        """Where the result is to be."""
        ...

    def with_suffix(self, suffix: str) -> "Destination[_LocationT_co]":
        """The same place with another suffix."""
        ...

    async def begin(self) -> None:
        """Makes room; to be called before the first `write` of a download.

        Raises:
            DownloadError: it can not be written to. So do the others.
        """
        ...

    async def write(self, offset: int, data: bytes | bytearray) -> None:
        """Takes data that follows on what is there, or begins again with offset 0."""
        ...

    async def commit(self) -> _LocationT_co:
        """Makes what was written the result.

        Returns:
            Where it is: `place`, or a numbered name beside it if that was taken by something
            else than the very same content.
        """
        ...

    async def discard(self) -> None:
        """Removes what was written and has not become the result."""
        ...


class ResultStore(Protocol):
    """A place in which every result gets a name of its own, after its photo."""

    def claim(
        self, photo: Photo, suffix: str, *, name: str | None = None, earlier: Location | None = None
    ) -> AbstractAsyncContextManager[Destination[Location]]:
        """A destination for a photo's result, nobody else's until the end of the block.

        Claimed before the submit, it also shows that there is a place to write to before
        money is spent.

        Args:
            photo: what the result is named after.
            suffix: `.mp4` or `.gif`.
            name: another name for it, without suffix.
            earlier: what a killed run of ours had claimed for it. If it is in this place it is
                claimed again, and what may be left half done there is removed.

        Raises:
            DownloadError: the place can not be written to.
        """
        ...
