"""The seam between the service and whatever makes the videos."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from attrs import frozen


@frozen(kw_only=True)
class RenderJob:
    """What there is to render.

    Attributes:
        task_id: the task, for logs.
        template: the expression, 0 to 5.
        photo: the photo's file.
        voice: the sound's file, if the mouth is to follow one.
        mp4: where the video goes.
        gif: where the GIF goes, if one is wanted.
    """

    task_id: int
    template: int
    photo: Path
    voice: Path | None = None
    mp4: Path
    gif: Path | None = None


class Renderer(Protocol):
    """Makes the results of a task.

    A renderer that is handed to the service belongs to whoever made it. The default is
    `ProcessRenderer`.
    """

    async def render(self, job: RenderJob) -> None:
        """Write `job.mp4`, and `job.gif` if it is not `None`.

        A file is there under its name complete, or not at all; what is not finished is beside
        it, under its name with a dot before and more behind. The same job may come again
        after a restart of the service. When this is cancelled, nothing of it goes on here.

        Raises:
            RenderFailedError: the task ends with status 2 and this code and reason. Any other
                exception is a fault, and the task ends with the code for one.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """What a renderer may be besides, so that `/healthz` tells of it."""

    async def is_ready(self) -> bool:
        """Whether something that renders runs, or can be started."""
        ...
