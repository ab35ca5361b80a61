"""Rendering of photos to videos."""

import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from attrs import define, field, frozen
from numpy.typing import NDArray
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from photoanimer_async.engine import NoFaceError, PictureError, Rendering, RenderSettings, animate
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.engine_errors import VoiceError
from photoanimer_async.engine.engines import Engine, Portrait
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.samples import ASTRONAUT, GRACE_HOPPER

from .conftest import decode_video

PHOTO = GRACE_HOPPER.read_bytes()


@define
class MarkingEngine:
    """A third-party engine: it marks each frame with whether its motion is 0."""

    prepared: list[tuple[tuple[int, ...], Face]] = field(factory=list)
    motions: list[FaceMotion] = field(factory=list)

    def prepare(self, image: Picture, face: Face) -> "MarkingPortrait":
        self.prepared.append((image.shape, face))
        return MarkingPortrait(image, self)


@frozen(eq=False)
class MarkingPortrait:
    image: Picture
    engine: MarkingEngine

    def frame(self, motion: FaceMotion) -> Picture:
        self.engine.motions.append(motion)
        frame = self.image.copy()
        frame[:16, :16] = 255 if motion else 0
        return frame


@pytest.fixture
def marking() -> MarkingEngine:
    engine = MarkingEngine()
    assert_is_engine(engine)
    return engine


def assert_is_engine(engine: Engine) -> None:
    """Check, mainly by mypy, that the double implements `Engine`."""
    assert callable(engine.prepare)


def test_a_third_party_engine_renders_the_frames(marking: MarkingEngine, tmp_path: Path) -> None:
    mp4 = tmp_path / "out.mp4"
    rendering = animate(PHOTO, 2, mp4=mp4, engine=marking)
    assert rendering == Rendering(frames=51, width=512, height=600, seconds=2.125, faces=1)
    ((shape, face),) = marking.prepared
    assert shape == (600, 512, 3)
    assert face.centre == pytest.approx((261, 232), abs=6)
    assert marking.motions[0] == marking.motions[-1] == {}
    marks = [frame[4:12, 4:12].mean() for frame in decode_video(mp4)]
    assert len(marks) == 51
    assert marks[0] < 40
    assert min(marks[1:-1]) > 200
    assert marks[-1] < 40


def test_the_gif_has_the_same_frames_in_its_own_size(
    marking: MarkingEngine, tmp_path: Path
) -> None:
    gif = tmp_path / "out.gif"
    settings = RenderSettings(gif_longest_side=200)
    animate(PHOTO, 2, mp4=tmp_path / "out.mp4", gif=gif, settings=settings, engine=marking)
    with GifImageFile(gif) as image:
        assert image.size == (171, 200)
        assert image.n_frames == 51
        image.seek(25)
        assert np.asarray(image.convert("L"))[2:5, 2:5].mean() > 200


def test_an_invalid_frame_of_an_engine_is_reported(tmp_path: Path) -> None:
    class Wrong:
        def prepare(self, image: Picture, face: Face) -> "Wrong":
            return self

        def frame(self, motion: FaceMotion) -> Picture:
            return np.zeros((2, 2, 3), np.uint8)

    with pytest.raises(TypeError, match=r"shape \(2, 2, 3\) .* expected \(600, 512, 3\)"):
        animate(PHOTO, 2, mp4=tmp_path / "out.mp4", engine=Wrong())


@pytest.mark.parametrize(
    ("size", "settings", "expected"),
    [
        ((512, 600), RenderSettings(), (512, 600)),
        ((2048, 2400), RenderSettings(), (1092, 1280)),
        ((512, 600), RenderSettings(longest_side=300), (256, 300)),
        ((511, 599), RenderSettings(), (510, 598)),
    ],
)
def test_the_video_keeps_the_aspect_ratio_with_even_sides(
    size: tuple[int, int],
    settings: RenderSettings,
    expected: tuple[int, int],
    marking: MarkingEngine,
    tmp_path: Path,
) -> None:
    with GRACE_HOPPER.open("rb") as file, Image.open(file) as image:
        image.resize(size).save(tmp_path / "photo.bmp")
    photo = (tmp_path / "photo.bmp").read_bytes()
    rendering = animate(photo, 2, mp4=tmp_path / "out.mp4", settings=settings, engine=marking)
    assert (rendering.width, rendering.height) == expected
    ((_, face),) = marking.prepared
    scale = expected[1] / 600
    assert face.centre == pytest.approx((261 * scale, 232 * scale), abs=6 * scale)


def test_a_photo_without_a_face_is_rejected(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), "orange").save(tmp_path / "photo.png")
    with pytest.raises(NoFaceError, match="No person"):
        animate((tmp_path / "photo.png").read_bytes(), 0, mp4=tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_file_of_another_format_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(PictureError):
        animate(b"no photo", 0, mp4=tmp_path / "out.mp4")


@pytest.mark.parametrize("template", [-1, 6])
def test_an_unknown_template_is_rejected(template: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist; use 0 to 5"):
        animate(PHOTO, template, mp4=tmp_path / "out.mp4")


def test_a_voice_requires_the_talking_template(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a voice requires template 0, not 3"):
        animate(PHOTO, 3, mp4=tmp_path / "out.mp4", voice=b"")
    with pytest.raises(VoiceError):
        animate(PHOTO, 0, mp4=tmp_path / "out.mp4", voice=b"no sound")


Talk = Callable[[NDArray[np.float32], str, RenderSettings], Rendering]


@pytest.fixture
def talk(
    marking: MarkingEngine,
    sound_file: Callable[[NDArray[np.float32], str], bytes],
    tmp_path: Path,
) -> Talk:
    """Render a video, `out.mp4`, with sound samples as its voice, in a sound format."""

    def talk(sound: NDArray[np.float32], kind: str, settings: RenderSettings) -> Rendering:
        voice = sound_file(sound, kind)
        mp4 = tmp_path / "out.mp4"
        return animate(PHOTO, 0, mp4=mp4, voice=voice, engine=marking, settings=settings)

    return talk


def test_the_video_has_the_length_of_the_voice(
    talk: Talk, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    rendering = talk(speech, "flac", RenderSettings())
    assert rendering.frames == 60
    assert rendering.seconds == 2.5
    with av.open(tmp_path / "out.mp4") as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    with pytest.raises(VoiceError, match="at most 1 seconds"):
        talk(speech, "wav", RenderSettings(voice_limit=1))


def test_a_short_voice_is_followed_by_silence(
    talk: Talk, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    rendering = talk(speech[12_000:14_400], "wav", RenderSettings())  # 0.05 seconds
    assert (rendering.frames, rendering.seconds) == (12, 0.5)
    with av.open(tmp_path / "out.mp4") as container:
        sound = container.streams.audio[0]
        assert sound.duration is not None
        assert sound.time_base is not None
        assert sound.duration * sound.time_base == pytest.approx(0.5, abs=0.03)


def test_files_are_written_atomically(tmp_path: Path) -> None:
    class Failing(MarkingEngine):
        def prepare(self, image: Picture, face: Face) -> MarkingPortrait:
            return FailingPortrait(image, self)

    class FailingPortrait(MarkingPortrait):
        def frame(self, motion: FaceMotion) -> Picture:
            if len(self.engine.motions) > 20:
                raise RuntimeError("out of ink")
            return super().frame(motion)

    mp4, gif = tmp_path / "out.mp4", tmp_path / "out.gif"
    mp4.write_bytes(b"an earlier video")
    with pytest.raises(RuntimeError, match="out of ink"):
        animate(PHOTO, 2, mp4=mp4, gif=gif, engine=Failing())
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert mp4.read_bytes() == b"an earlier video"


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("yaw", [-15.0, 15.0])
def test_the_near_eye_of_a_turned_face_winks(
    marking: MarkingEngine, portrait: Portrait, yaw: float, mirrored: bool, tmp_path: Path
) -> None:
    turned = portrait.frame({"headYaw": yaw})
    photo = io.BytesIO()
    Image.fromarray(turned[:, ::-1] if mirrored else turned).save(photo, "PNG")
    animate(photo.getvalue(), 2, mp4=tmp_path / "out.mp4", engine=marking)
    shut = [
        max(motion.get(f"eyeBlink{side}", 0.0) for motion in marking.motions)
        for side in ("Left", "Right")
    ]
    is_left_near = (yaw > 0) != mirrored
    assert shut == ([1, 0] if is_left_near else [0, 1])


@pytest.fixture
def two_people() -> bytes:
    photo = Image.new("RGB", (1024, 600), "grey")
    for at, portrait in ((0, ASTRONAUT), (512, GRACE_HOPPER)):
        with portrait.open("rb") as file, Image.open(file) as image:
            photo.paste(image, (at, 0))
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.slow
def test_the_largest_face_or_all_faces_are_animated(
    two_people: bytes, marking: MarkingEngine, tmp_path: Path
) -> None:
    mp4 = tmp_path / "out.mp4"
    assert animate(two_people, 2, mp4=mp4, engine=marking).faces == 1
    ((_, face),) = marking.prepared
    assert face.centre[0] > 512
    marking.prepared.clear()
    settings = RenderSettings(all_faces=True)
    assert animate(two_people, 2, mp4=mp4, settings=settings, engine=marking).faces == 2
    first, other = marking.motions[-102::2], marking.motions[-101::2]
    assert first[0] == other[0] == {}
    nods = np.array([[moment.get("headPitch", 0) for moment in of] for of in (first, other)])
    assert np.abs(nods[0] - nods[1]).max() > 0.5  # each at a time of their own
    for shape, face in marking.prepared:
        assert 0 < face.centre[0] < shape[1] < 700
        assert 0 < face.centre[1] < shape[0]
