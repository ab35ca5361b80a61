"""The interface between the service and what makes the videos."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from attrs import frozen


@frozen(kw_only=True)
class RenderJob:
    """One photo to render.

    Attributes:
        task_id: the task, for logs.
        template: the expression, 0 to 5.
        photo: path of the photo.
        voice: path of the voice that the mouth follows, if there is one.
        mp4: path of the video to write.
        gif: path of the GIF to write, if one is wanted.
    """

    task_id: int
    template: int
    photo: Path
    voice: Path | None = None
    mp4: Path
    gif: Path | None = None


class RendererFaultError(RuntimeError):
    """The renderer has a fault; the task fails.

    Attributes:
        processor_seconds: processor time that was spent for nothing.
    """

    def __init__(self, what: str, processor_seconds: float = 0.0) -> None:
        super().__init__(what)
        self.processor_seconds = processor_seconds


class Renderer(Protocol):
    """Makes the video of a task.

    The service never closes a renderer that it was given; its owner does. The default is
    `ProcessRenderer`.

        class Copying:
            async def render(self, job: RenderJob) -> None:
                await asyncio.to_thread(shutil.copyfile, "sample.mp4", job.mp4)
    """

    async def render(self, job: RenderJob) -> float | None:
        """Write `job.mp4`, and `job.gif` if it is not `None`.

        Each file appears under its name only when it is complete; until then it has a dot before
        its name and more behind it. The same job may come again after a restart of the service.
        When the call is cancelled, nothing continues to run on this machine.

        Returns:
            The length of the video in seconds, by which a task with a voice is charged; `None`
            for the price of its template.

        Raises:
            RenderFailedError: the task ends with status 2 and this code and reason.
            ShortageError, or an `OSError` such as "No space left on device": the task waits and
                is rendered again. Any other exception, such as a RendererFaultError, ends it
                with the code RENDERING_FAILED, and is logged as a fault.
        """
        ...


@runtime_checkable
class SupportsReadiness(Protocol):
    """A renderer that `/healthz` can ask whether it works."""

    async def is_ready(self) -> bool:
        """Return whether a worker runs or can be started."""
        ...
