"""Detections: merging, rotation and tiles."""

import numpy as np
import pytest

from photoanimer_async.engine.detection import (
    SEARCHED_SIDE,
    BlazeFace,
    Detection,
    FaceDetector,
    merge,
    tiles,
)
from photoanimer_async.engine.picture import Picture


def detection(x: float, y: float, size: float, score: float) -> Detection:
    return Detection(score, np.array([x, y]), np.array([size, size]), np.full((6, 2), x))


def test_overlapping_detections_are_merged_by_their_scores() -> None:
    one, other, far = detection(10, 10, 8, 0.9), detection(12, 10, 8, 0.6), detection(50, 9, 8, 0.7)
    near, away = merge([other, far, one])
    assert near.score == 0.9
    assert near.centre[0] == pytest.approx((10 * 0.9 + 12 * 0.6) / 1.5)
    assert away.centre[0] == 50


@pytest.mark.parametrize("quarters", range(4))
def test_a_detection_in_a_rotated_picture_is_rotated_back(quarters: int) -> None:
    picture = np.zeros((30, 50, 3), np.uint8)
    picture[7, 12] = 255
    (y,), (x,), _ = np.nonzero(np.rot90(picture, quarters)[:, :, :1])
    found = Detection(1, np.array([x, y], float), np.array([4.0, 6]), np.array([[x, y]] * 6, float))
    back = found.rotated_back(quarters, picture)
    assert back.centre.tolist() == [12, 7]
    assert back.key_points[5].tolist() == [12, 7]
    assert back.size.tolist() == ([4, 6] if quarters % 2 == 0 else [6, 4])


def test_a_large_picture_is_shrunk_once_for_all_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def record(_: BlazeFace, picture: Picture, __: float) -> list[Detection]:
        shapes.append(picture.shape)
        return [detection(10, 20, 4, 0.9)]

    monkeypatch.setattr(BlazeFace, "detect", record)
    detector = FaceDetector()
    [first] = next(detector.searches(np.zeros((2560, 3840, 3), np.uint8)))
    assert shapes == [(853, SEARCHED_SIDE, 3)]
    assert first.centre[0] == pytest.approx(10.5 * 3 - 0.5)
    assert first.centre[1] == pytest.approx(20.5 * 2560 / 853 - 0.5)
    assert first.size[0] == pytest.approx(12)
    list(detector.searches(np.zeros((2560, 3840, 3), np.uint8)))
    assert max(map(max, shapes)) == SEARCHED_SIDE


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (100, 1000), (90, 90)])
def test_tiles_cover_the_picture(shape: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    for _, _, tile in tiles(picture, 100):
        tile[:] = 1
    assert picture.all()
