"""Worker processes that decode photos and render previews; see `photo_worker`.

One process examines photos, one after the other: however many are uploaded at once, no more than
its memory is used.
"""

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import frozen

from photoanimer_async.service import RenderFailedError, RenderJob
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer
from photoanimer_async.studio import photo_worker

_log = logging.getLogger(__name__)

_ENGINE_MODULES = ("av", "cv2", "numpy", "onnxruntime", "PIL")
_TIMEOUT_SECONDS = 60.0
_EXAMINER_MEMORY = 768 * 2**20
_UNREADABLE = "it could not be decoded on this machine: it is damaged, or far too large"


class UnreadablePhotoError(Exception):
    """The photo cannot be used; the message says why, beginning with a verb or a clause."""


@frozen
class Examined:
    """An examined photo, whose files are in a folder until they are moved.

    Attributes:
        photo: the file to keep: the prepared one, or the photo itself.
        thumbnails: JPEGs by the names of `photo_worker.THUMBNAIL_SIDES`.
        faces: their number; `None` if they were not searched for.
    """

    photo: Path
    thumbnails: dict[str, Path]
    faces: int | None


def is_engine_installed() -> bool:
    """Return whether the engine's libraries (the extra `local`) are installed."""
    return all(find_spec(name) is not None for name in _ENGINE_MODULES)


class PhotoWorkers:
    """An async context manager with the worker processes.

    Args:
        use_engine: whether to search for faces and render previews.
    """

    def __init__(self, *, use_engine: bool) -> None:
        self.use_engine = use_engine
        self._examiner = _renderer(
            photo_worker.examine.__name__, _EXAMINER_MEMORY, find_faces=use_engine
        )
        self._previewer = _renderer(photo_worker.render_preview.__name__)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._examiner)
        await self._stack.enter_async_context(self._previewer)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def examine(self, photo: Path, kind: int) -> Examined:
        """Prepare a photo, make its thumbnails, and count its faces.

        Args:
            photo: the photo's file; new files are written beside it.
            kind: `photo_worker.LINKED` or `UPLOADED`.

        Raises:
            UnreadablePhotoError: it is no photo, or cannot be used.
        """
        report = photo.with_suffix(".report")
        try:
            await self._examiner.render(
                RenderJob(task_id=0, template=kind, photo=photo, mp4=report)
            )
            return await asyncio.to_thread(_read_report, report, photo)
        except RenderFailedError as error:
            _log.warning("a photo was not examined: %s", error)
            raise UnreadablePhotoError(_UNREADABLE) from error
        except RuntimeError:
            _log.exception("the examination of photos has a fault")
            raise UnreadablePhotoError(_UNREADABLE) from None

    async def preview(self, photo: Path, template: int, clip: Path) -> bool:
        """Write a small clip of the largest face, and return whether that succeeded.

        Args:
            photo: the photo's file.
            template: the expression, 0 to 5.
            clip: the MP4 to write.
        """
        job = RenderJob(task_id=0, template=template, photo=photo, mp4=clip)
        try:
            await self._previewer.render(job)
        except RenderFailedError:
            return False
        except RuntimeError:
            _log.exception("rendering a preview of template %d failed", template)
            return False
        return True


def _renderer(function: str, memory: int = 2 * 2**30, **options: object) -> ProcessRenderer:
    return ProcessRenderer(
        1,
        render_seconds=_TIMEOUT_SECONDS,
        animate=f"{photo_worker.__name__}:{function}",
        options=options,
        memory=memory,
    )


def _read_report(report: Path, photo: Path) -> Examined:
    found = json.loads(report.read_bytes())
    report.unlink()
    if "refusal" in found:
        raise UnreadablePhotoError(str(found["refusal"]))
    prepared = report.with_suffix(f".{photo_worker.PREPARED}")
    faces = found.get("faces")
    return Examined(
        prepared if prepared.exists() else photo,
        {name: report.with_suffix(f".{name}") for name in photo_worker.THUMBNAIL_SIDES},
        faces if isinstance(faces, int) else None,
    )
