"""The clients that animate clips: one for the largest face, and perhaps one for everyone.

Whether all faces are animated is a setting of a local service, not of a task. So everyone in a
photo is animated by a second service.
"""

from contextlib import AsyncExitStack

from attrs import frozen

from photoanimer_async import PhotoAnimerClient
from photoanimer_async.studio.album import Clip
from photoanimer_async.studio.task_cancelling import TaskCanceller


@frozen
class Animator:
    """A client, and what cancels its tasks.

    Attributes:
        client: an open client; it is not closed.
        canceller: stops clips that were submitted, if the service offers that; entered here.
    """

    client: PhotoAnimerClient
    canceller: TaskCanceller | None = None


@frozen
class Animators:
    """The animators of a studio.

    Attributes:
        one: animates the largest face of a photo.
        everyone: animates all faces; `None` if that is not possible.
    """

    one: Animator
    everyone: Animator | None = None

    async def enter(self, stack: AsyncExitStack) -> None:
        """Ask which services can cancel; the connections for that are closed with the stack."""
        for animator in (self.one, self.everyone):
            if animator is not None and animator.canceller is not None:
                await stack.enter_async_context(animator.canceller)

    @property
    def can_cancel(self) -> bool:
        """Whether clips that were submitted can be stopped."""
        return self.one.canceller is not None and self.one.canceller.is_offered

    def of(self, clip: Clip) -> Animator:
        """Return what animates a clip."""
        return self.everyone if clip.everyone and self.everyone is not None else self.one
