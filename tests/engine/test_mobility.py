"""Which parts of a region move."""

import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine.head_outline import HeadEllipse
from photoanimer_async.engine.mobility import Mobility
from photoanimer_async.engine.warp import Box

BOX = Box(0, 0, 400, 500)
HEAD = HeadEllipse(np.array([200.0, 150.0]), np.array([1.0, 0.0]), 100, 55, 70, -0.14)
NOBODY = np.zeros((0, 3))


def person() -> NDArray[np.float32]:
    """A head on shoulders."""
    y, x = np.indices((500, 400))
    head = np.hypot((x - 200) / 60, (y - 140) / 80) < 1
    body = (y > 250) & (np.abs(x - 200) < 120)
    neck = (y > 150) & (y < 260) & (np.abs(x - 200) < 30)
    return (head | body | neck).astype(np.float32)


def weights(
    probability: NDArray[np.float32],
    others: NDArray[np.float64] = NOBODY,
    picture: Box = BOX,
) -> NDArray[np.float32]:
    return Mobility.of(probability, BOX, picture, HEAD, others).at(BOX.pixels())


def test_the_person_moves_but_not_away_from_where_the_photo_cuts_it_off() -> None:
    weight = weights(person())
    assert weight[150, 200] == pytest.approx([1, 1])
    assert weight[300, 120] == pytest.approx([1, 1])
    assert weight[499, 100:300, 1].max() < 0.01
    assert weight[499, 200, 0] > 0.99  # along the border
    assert weight[499, 10].min() > 0.5  # background at the border holds nothing


def test_a_face_that_the_photo_cuts_in_half_moves_little_and_is_not_squeezed() -> None:
    half = Box(200, 0, 400, 500)
    weight = Mobility.of(person()[:, 200:], half, half, HEAD, NOBODY).at(half.pixels())[150]
    assert weight[0, 0] < 0.01
    assert 0.2 < weight[60, 0] < 0.3
    assert np.diff(weight[:, 0]).max() * HEAD.face_height < 0.8  # 5 with all of the motion
    assert weight[60, 1] > 0.99  # along the border


def test_where_only_the_region_ends_nothing_moves() -> None:
    weight = weights(person(), picture=Box(-50, -50, 450, 600))
    assert weight[499, 100:300].max() < 0.01
    assert weight[150, 200] == pytest.approx([1, 1])


def test_a_neighbour_with_a_face_stands_still() -> None:
    weight = weights(person(), np.array([[360.0, 150.0, 90.0]]))
    assert weight[150, 200] == pytest.approx([1, 1])
    assert weight[100:200, 320:].max() < 0.01
    assert np.abs(np.diff(weight[150], axis=0)).max() < 0.05  # nothing tears


def test_somebody_without_a_face_who_is_not_connected_stands_still() -> None:
    both = person()
    both[60:180, 320:390] = 1
    weight = weights(both)
    assert weight[100:160, 330:380].max() < 0.1
    assert weight[150, 200] == pytest.approx([1, 1])


def test_an_uncertain_area_does_not_move() -> None:
    unsure = person()
    unsure[300:420, 250:320] = 0.5
    weight = weights(unsure)
    assert weight[360, 285].max() < 0.2
    assert weight[150, 200] == pytest.approx([1, 1])
