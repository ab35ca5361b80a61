"""What the engine does for a studio: looking for faces, small photos, small clips.

Photos from anywhere are decoded in worker processes, as the local service does it, and by the
same machinery: `look` and `preview` below are what the workers call. They know one kind of job,
whose result is a file called `mp4`; the result of `look` is a JPEG.
"""

import functools
import io
import logging
import secrets
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from photoanimer_async.engine.engine_errors import NoFaceError
from photoanimer_async.service import RenderFailedError, RenderJob
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer

if TYPE_CHECKING:
    from photoanimer_async.engine.face import Face, FaceFinder
    from photoanimer_async.engine.picture import Picture

_log = logging.getLogger(__name__)

_ENGINE_NEEDS = ("av", "cv2", "numpy", "onnxruntime", "PIL")
_SMALL_SIDE = 720
_PREVIEW_SIDE = 320
_AROUND_FACE = 0.8
"""How much is seen around a face in its preview, in sizes of the face."""
_SECONDS = 60.0


class UnreadablePhotoError(Exception):
    """The photo can not be decoded; the text says why."""


def is_installed() -> bool:
    """Whether there is an engine: the extra `local`."""
    return all(find_spec(name) is not None for name in _ENGINE_NEEDS)


class Darkroom:
    """The engine in worker processes, to be entered."""

    def __init__(self) -> None:
        self._looker = _workers("look")
        self._previewer = _workers("preview")
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self._looker)
        await self._open.enter_async_context(self._previewer)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    async def has_face(self, photo: Path, small: Path) -> bool:
        """Looks for a face, and writes the photo small.

        Args:
            photo: the photo's file.
            small: where the small photo goes, a JPEG.

        Raises:
            UnreadablePhotoError: the photo can not be decoded.
        """
        try:
            await self._looker.render(RenderJob(task_id=0, template=0, photo=photo, mp4=small))
        except RenderFailedError as error:
            if error.code is NO_FACE:
                return False
            raise UnreadablePhotoError(str(error)) from error
        except RuntimeError:
            _log.exception("looking for a face failed")
        return True

    async def preview(self, photo: Path, template: int, clip: Path) -> bool:
        """Writes a small clip of the largest face; gives whether there is one.

        Args:
            photo: the photo's file.
            template: the expression, 0 to 5.
            clip: where it goes.
        """
        try:
            await self._previewer.render(
                RenderJob(task_id=0, template=template, photo=photo, mp4=clip)
            )
        except RenderFailedError:
            return False
        except RuntimeError:
            _log.exception("a preview failed")
            return False
        return True


def _workers(function: str) -> ProcessRenderer:
    return ProcessRenderer(1, render_seconds=_SECONDS, animate=f"{__name__}:{function}")


# --- in a worker process ---


def look(photo: bytes, _template: int, *, mp4: Path, **_: object) -> None:
    """Writes a small JPEG of the photo, whether there is a face in it or not.

    Raises:
        PictureError: the photo can not be decoded.
        NoFaceError: nobody was found in it.
    """
    from photoanimer_async.engine.picture import fit, load_picture  # noqa: PLC0415 - is heavy

    picture = load_picture(photo)
    _write(mp4, _encoded(fit(picture, _SMALL_SIDE), "JPEG"))
    if not _finder().find(picture):
        raise NoFaceError("No face was found in the photo.")


def preview(photo: bytes, template: int, *, mp4: Path, **_: object) -> None:
    """Animates the surroundings of the largest face, small.

    Raises:
        EngineError: the photo can not be decoded, or there is nobody in it.
    """
    from photoanimer_async.engine import RenderSettings, animate  # noqa: PLC0415 - likewise
    from photoanimer_async.engine.picture import load_picture  # noqa: PLC0415 - likewise

    picture = load_picture(photo)
    faces = _finder().find(picture)
    if not faces:
        raise NoFaceError("No face was found in the photo.")
    face = _encoded(_surroundings(picture, faces[0]), "BMP")
    animate(face, template, mp4=mp4, settings=RenderSettings(longest_side=_PREVIEW_SIDE))


@functools.cache
def _finder() -> "FaceFinder":
    from photoanimer_async.engine.face import FaceFinder  # noqa: PLC0415 - likewise

    return FaceFinder(threads=1)


def _surroundings(picture: "Picture", face: "Face") -> "Picture":
    """The square around a face, as far as it lies in the picture."""
    left, top, right, bottom = face.box
    height, width = picture.shape[:2]
    reach = min(max(right - left, bottom - top) * (0.5 + _AROUND_FACE), width / 2, height / 2)
    across, down = face.centre
    x = int(min(max(across - reach, 0), width - 2 * reach))
    y = int(min(max(down - reach, 0), height - 2 * reach))
    side = int(2 * reach)
    return picture[y : y + side, x : x + side]


def _encoded(picture: "Picture", kind: str) -> bytes:
    from PIL import Image  # noqa: PLC0415 - likewise

    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, quality=88)
    return file.getvalue()


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    part.write_bytes(content)
    part.replace(path)
