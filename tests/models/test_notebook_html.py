"""The HTML of a saved animation, with which notebooks show it."""

import os
from base64 import b64encode
from pathlib import Path

from photoanimer_async import Animation, TaskInfo, TaskStatus

from ..support.videos import gif, mp4


def animation(path: Path | None) -> Animation:
    info = TaskInfo(1, TaskStatus.FINISHED, result_url="https://x.example/a.mp4?sig=s3cret")
    return Animation(1, info, path, 1.0)


def test_it_is_the_saved_video_or_gif(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(mp4(b"a video"))
    html = animation(tmp_path / "a.mp4")._repr_html_()
    data = b64encode(mp4(b"a video")).decode()
    assert html == f'<video controls loop src="data:video/mp4;base64,{data}"></video>'
    (tmp_path / "a.gif").write_bytes(gif(b"a gif"))
    shown = animation(tmp_path / "a.gif")._repr_html_()
    data = b64encode(gif(b"a gif")).decode()
    assert shown == f'<img src="data:image/gif;base64,{data}">'


def test_it_is_left_out_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "large.mp4").touch()
    os.truncate(tmp_path / "large.mp4", 2**30)
    (tmp_path / "empty.mp4").touch()
    for path in (None, tmp_path / "gone.mp4", tmp_path / "large.mp4", tmp_path / "empty.mp4"):
        assert animation(path)._repr_html_() is None
