import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from attrs import define, field, frozen
from numpy.typing import NDArray
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from photoanimer_async.engine import (
    Engine,
    Face,
    FaceMotion,
    NoFaceError,
    PictureError,
    Rendering,
    RenderSettings,
    VoiceError,
    animate,
)
from photoanimer_async.engine.engines import load_engine
from photoanimer_async.engine.group import rectangles
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.portrait import WarpEngine
from photoanimer_async.engine.samples import ASTRONAUT, GRACE_HOPPER

PHOTO = GRACE_HOPPER.read_bytes()


@define
class MarkingEngine:
    """An engine as a user may write one: it paints what it is asked for beside the face."""

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
    """What the type checker says of the double, said to the reader."""
    assert callable(engine.prepare)


def decoded(path: Path) -> list[Picture]:
    with av.open(path) as container:
        return [f.to_ndarray(format="rgb24").astype(np.uint8) for f in container.decode(video=0)]


def test_an_engine_from_outside_makes_the_frames(marking: MarkingEngine, tmp_path: Path) -> None:
    mp4 = tmp_path / "out.mp4"
    rendering = animate(PHOTO, 2, mp4=mp4, engine=marking)
    assert rendering == Rendering(frames=51, width=512, height=600, seconds=2.125, faces=1)
    ((shape, face),) = marking.prepared
    assert shape == (600, 512, 3)
    assert face.centre == pytest.approx((261, 232), abs=6)
    assert marking.motions[0] == marking.motions[-1] == {}
    marks = [frame[4:12, 4:12].mean() for frame in decoded(mp4)]
    assert len(marks) == 51
    assert marks[0] < 40
    assert min(marks[1:-1]) > 200
    assert marks[-1] < 40


def test_the_gif_shows_the_same_in_its_own_size(marking: MarkingEngine, tmp_path: Path) -> None:
    gif = tmp_path / "out.gif"
    settings = RenderSettings(gif_longest_side=200)
    animate(PHOTO, 2, mp4=tmp_path / "out.mp4", gif=gif, settings=settings, engine=marking)
    with GifImageFile(gif) as image:
        assert image.size == (171, 200)
        assert image.n_frames == 51
        image.seek(25)
        assert np.asarray(image.convert("L"))[2:5, 2:5].mean() > 200


def test_an_engine_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "someones_engine.py").write_text(
        "class StillEngine:\n"
        "    def prepare(self, image, face):\n"
        "        self.frame = lambda motion: image\n"
        "        return self\n"
        "class NoEngine:\n"
        "    pass\n"
    )
    metadata = tmp_path / "someones_engine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: someones-engine\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[photoanimer_async.engines]\nstill = someones_engine:StillEngine\n"
        "none = someones_engine:NoEngine\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = RenderSettings(engine="still")
    animate(PHOTO, 2, mp4=tmp_path / "out.mp4", settings=settings)
    frames = decoded(tmp_path / "out.mp4")
    assert np.abs(frames[0].astype(int) - frames[25]).mean() < 2
    with pytest.raises(TypeError, match=r"'none' made .* which has no prepare"):
        load_engine("none")
    with pytest.raises(ValueError, match="no engine 'other' is installed; there are: none, still"):
        load_engine("other")
    assert load_engine("warp") == WarpEngine()


def test_an_engine_that_gives_no_frame_is_named(tmp_path: Path) -> None:
    class Wrong:
        def prepare(self, image: Picture, face: Face) -> "Wrong":
            return self

        def frame(self, motion: FaceMotion) -> Picture:
            return np.zeros((2, 2, 3), np.uint8)

    with pytest.raises(TypeError, match=r"shape \(2, 2, 3\) .* must be \(600, 512, 3\)"):
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
def test_the_video_keeps_the_ratio_and_is_even(
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


def test_a_photo_without_a_person_is_never_animated(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), "orange").save(tmp_path / "photo.png")
    with pytest.raises(NoFaceError, match="No person"):
        animate((tmp_path / "photo.png").read_bytes(), 0, mp4=tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_file_that_is_no_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError):
        animate(b"no photo", 0, mp4=tmp_path / "out.mp4")


@pytest.mark.parametrize("template", [-1, 6])
def test_an_unknown_template_is_refused(template: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no template"):
        animate(PHOTO, template, mp4=tmp_path / "out.mp4")


def test_a_voice_goes_with_talking_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a voice goes with template 0, not with 3"):
        animate(PHOTO, 3, mp4=tmp_path / "out.mp4", voice=b"")
    with pytest.raises(VoiceError):
        animate(PHOTO, 0, mp4=tmp_path / "out.mp4", voice=b"no sound")


def test_a_voice_gives_the_video_its_length(
    marking: MarkingEngine,
    speech: NDArray[np.float32],
    sound_file: Callable[[NDArray[np.float32], str], bytes],
    tmp_path: Path,
) -> None:
    mp4 = tmp_path / "out.mp4"
    rendering = animate(PHOTO, 0, mp4=mp4, voice=sound_file(speech, "flac"), engine=marking)
    assert rendering.frames == 60
    assert rendering.seconds == 2.5
    with av.open(mp4) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    settings = RenderSettings(voice_limit=1)
    with pytest.raises(VoiceError, match="longer than the 1 seconds"):
        animate(PHOTO, 0, mp4=mp4, voice=sound_file(speech, "wav"), settings=settings)


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
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


@pytest.fixture
def two_people() -> bytes:
    photo = Image.new("RGB", (1024, 600), "grey")
    for at, portrait in ((0, ASTRONAUT), (512, GRACE_HOPPER)):
        with portrait.open("rb") as file, Image.open(file) as image:
            photo.paste(image, (at, 0))
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    return buffer.getvalue()


def test_of_two_people_the_larger_face_moves_or_both(
    two_people: bytes, marking: MarkingEngine, tmp_path: Path
) -> None:
    mp4 = tmp_path / "out.mp4"
    assert animate(two_people, 2, mp4=mp4, engine=marking).faces == 1
    ((_, face),) = marking.prepared
    assert face.centre[0] > 512
    marking.prepared.clear()
    settings = RenderSettings(all_faces=True)
    assert animate(two_people, 2, mp4=mp4, settings=settings, engine=marking).faces == 2
    for shape, face in marking.prepared:
        assert 0 < face.centre[0] < shape[1] < 700
        assert 0 < face.centre[1] < shape[0]


def test_everyone_gets_a_rectangle_of_their_own() -> None:
    def face(x: float, y: float, size: float) -> Face:
        landmarks = np.zeros((478, 3))
        landmarks[0, :2] = x, y
        landmarks[1:, :2] = x + size, y + size
        return Face(landmarks, 1)

    photo = np.zeros((400, 600, 3), np.uint8)
    left, right, below = face(50, 50, 100), face(250, 60, 100), face(60, 250, 80)
    areas = rectangles(photo, [left, right, below])
    covered = np.zeros((400, 600), int)
    for area in areas:
        covered[area.top : area.bottom, area.left : area.right] += 1
    assert covered.max() == 1
    assert (areas[0].left, areas[0].top, areas[0].right, areas[0].bottom) == (0, 0, 200, 200)


def test_errors_cost_no_import_of_numpy() -> None:
    code = (
        "import sys, photoanimer_async.engine.engine_errors; "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'cv2', 'av', 'onnxruntime')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
