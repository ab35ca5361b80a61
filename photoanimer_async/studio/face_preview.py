"""Face detection, thumbnails and previews of the expressions, made by the local engine.

Photos are decoded in worker processes, by the service's `ProcessRenderer`: the workers call
`detect_face` and `render_preview` below. A `ProcessRenderer` knows one kind of job, with one
output file called `mp4`; the output of `detect_face` is a JPEG.
"""

import asyncio
import functools
import io
import logging
import secrets
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from attrs import define, field

from photoanimer_async import Template
from photoanimer_async.engine.engine_errors import NoFaceError
from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.service import RenderFailedError, RenderJob
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer
from photoanimer_async.studio.album import Album
from photoanimer_async.studio.studio_folder import StudioFolder

if TYPE_CHECKING:
    from photoanimer_async.engine.face import Face, FaceFinder
    from photoanimer_async.engine.picture import Picture

_log = logging.getLogger(__name__)

SAMPLE = "sample"
"""The photo id of the portrait that is part of the package."""

_ENGINE_MODULES = ("av", "cv2", "numpy", "onnxruntime", "PIL")
_THUMBNAIL_SIDE = 720
_PREVIEW_SIDE = 320
_FACE_MARGIN = 0.8
"""Margin around a face in its preview, relative to the face's size."""
_TIMEOUT_SECONDS = 60.0


class UnreadablePhotoError(Exception):
    """The photo cannot be decoded; the message says why."""


def is_engine_installed() -> bool:
    """Return whether the engine's libraries (the extra `local`) are installed."""
    return all(find_spec(name) is not None for name in _ENGINE_MODULES)


class FaceWorkers:
    """An async context manager that runs the engine in worker processes."""

    def __init__(self) -> None:
        self._detector = _worker(detect_face.__name__)
        self._previewer = _worker(render_preview.__name__)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._detector)
        await self._stack.enter_async_context(self._previewer)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def has_face(self, photo: Path, thumbnail: Path) -> bool:
        """Return whether a photo shows a face, and write its thumbnail.

        If the detection itself breaks, the photo gets the benefit of the doubt.

        Args:
            photo: the photo's file.
            thumbnail: the JPEG to write.

        Raises:
            UnreadablePhotoError: the photo cannot be decoded.
        """
        try:
            await self._detector.render(
                RenderJob(task_id=0, template=0, photo=photo, mp4=thumbnail)
            )
        except RenderFailedError as error:
            if error.code is NO_FACE:
                return False
            raise UnreadablePhotoError(str(error)) from error
        except RuntimeError:
            _log.exception("face detection failed; the photo is accepted unchecked")
        return True

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


@define
class ExpressionPreviews:
    """Previews of all expressions on the first photo, or on a sample portrait.

    They are rendered on this machine, one after the other, at no cost. When the first photo
    changes, the preview in progress is finished and the remaining ones are skipped.

    Attributes:
        album: has the photos.
        folder: where previews are stored.
        workers: render them; `None` without the engine.
        photo_id: the photo that they show.
        ready: the expressions whose preview exists.
    """

    album: Album
    folder: StudioFolder
    workers: FaceWorkers | None
    photo_id: str = SAMPLE
    ready: set[Template] = field(factory=set)
    _photo_changed: asyncio.Event = field(factory=asyncio.Event)

    def refresh(self) -> None:
        """Start over if the album has another first photo."""
        first = self.album.first_with_face()
        photo_id = SAMPLE if first is None else first.id
        if photo_id != self.photo_id:
            self.photo_id = photo_id
            self.ready = set()
            self._photo_changed.set()
            self.album.feed.publish("previews")

    async def run(self) -> None:
        """Render missing previews until cancelled."""
        if self.workers is None:
            return
        await asyncio.to_thread(lambda: self._sample.write_bytes(ASTRONAUT.read_bytes()))
        self._photo_changed.set()
        while True:
            await self._photo_changed.wait()
            self._photo_changed.clear()
            await self._render_all(self.workers, self.photo_id)

    @property
    def _sample(self) -> Path:
        return self.folder.previews / f"{SAMPLE}.jpg"

    async def _render_all(self, workers: FaceWorkers, photo_id: str) -> None:
        photo = self._sample
        if photo_id != SAMPLE:
            photo = self.folder.photos / (self.album.photographs[photo_id].file or "")
        for template in Template:
            clip = self.folder.preview(photo_id, template)
            exists = await asyncio.to_thread(clip.is_file)
            exists = exists or await workers.preview(photo, template, clip)
            if self._photo_changed.is_set():
                return
            if exists:
                self.ready.add(template)
                self.album.feed.publish("previews")


def _worker(function: str) -> ProcessRenderer:
    return ProcessRenderer(1, render_seconds=_TIMEOUT_SECONDS, animate=f"{__name__}:{function}")


# --- called in a worker process ---


def detect_face(photo: bytes, _template: int, *, mp4: Path, **_: object) -> None:
    """Write the photo's thumbnail to `mp4` as a JPEG, with or without a face in it.

    Raises:
        PictureError: the photo cannot be decoded.
        NoFaceError: there is no face in it.
    """
    from photoanimer_async.engine.detection import SEARCHED_SIDE  # noqa: PLC0415 - slow to import
    from photoanimer_async.engine.picture import fit, load_picture  # noqa: PLC0415 - slow to import

    picture = load_picture(photo, SEARCHED_SIDE)
    _write(mp4, _encode(fit(picture, _THUMBNAIL_SIDE), "JPEG"))
    if not _face_finder().find(picture):
        raise NoFaceError("No face was found in the photo.")


def render_preview(photo: bytes, template: int, *, mp4: Path, **_: object) -> None:
    """Write a small clip of the largest face to `mp4`.

    Raises:
        EngineError: the photo cannot be decoded, or there is no face in it.
    """
    from photoanimer_async.engine import RenderSettings, animate  # noqa: PLC0415 - slow to import
    from photoanimer_async.engine.picture import load_picture  # noqa: PLC0415 - slow to import

    picture = load_picture(photo)
    faces = _face_finder().find(picture)
    if not faces:
        raise NoFaceError("No face was found in the photo.")
    face = _encode(_crop_around(picture, faces[0]), "BMP")
    animate(face, template, mp4=mp4, settings=RenderSettings(longest_side=_PREVIEW_SIDE))


@functools.cache
def _face_finder() -> "FaceFinder":
    from photoanimer_async.engine.face import FaceFinder  # noqa: PLC0415 - slow to import

    return FaceFinder(threads=1)


def _crop_around(picture: "Picture", face: "Face") -> "Picture":
    """Return a square around a face, limited to the picture."""
    left, top, right, bottom = face.box
    height, width = picture.shape[:2]
    reach = min(max(right - left, bottom - top) * (0.5 + _FACE_MARGIN), width / 2, height / 2)
    across, down = face.centre
    x = int(min(max(across - reach, 0), width - 2 * reach))
    y = int(min(max(down - reach, 0), height - 2 * reach))
    side = int(2 * reach)
    return picture[y : y + side, x : x + side]


def _encode(picture: "Picture", kind: str) -> bytes:
    from PIL import Image  # noqa: PLC0415 - an extra

    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, quality=88)
    return file.getvalue()


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    part.write_bytes(content)
    part.replace(path)
