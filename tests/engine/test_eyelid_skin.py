"""The skin of a closed lid, drawn around synthetic eyes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine.eyelid_skin import closed_eyelid
from photoanimer_async.engine.photo_texture import LUMINANCE

Floats = NDArray[np.float32]

WIDTH = 100.0
SKIN = np.array([190, 140, 115], np.float32)
DEEP_SKIN = np.array([75, 50, 40], np.float32)
SHADOW = np.array([110, 130, 190], np.float32)
"""Eye shadow: on deep skin, it is lighter than the skin."""

y, x = (part.astype(np.float32) for part in np.mgrid[-60:60, -80:80])
ARCH = np.clip(1 - (x / (WIDTH / 2)) ** 2, 0, 1)
UPPER, LOWER = -20 * ARCH, 14 * ARCH
EYE = (y > UPPER) & (y < LOWER)


def photo(skin: Floats) -> Floats:
    """Return an open eye with its iris."""
    picture = np.broadcast_to(skin, (*x.shape, 3)).copy()
    picture[EYE] = (225, 222, 220)
    picture[EYE & (np.hypot(x, y) < 17)] = (40, 25, 20)
    return picture


def closed(picture: Floats) -> Floats:
    return closed_eyelid(
        picture, x, y, upper=UPPER, lower=LOWER, brow=-45.0, width=WIDTH,
        grain=np.zeros_like(picture),
    )  # fmt: skip


@pytest.mark.parametrize("skin", [SKIN, DEEP_SKIN], ids=["light", "deep"])
def test_eye_shadow_goes_on_over_the_closed_lid(skin: Floats) -> None:
    picture = photo(skin)
    made_up = (y < UPPER) & (y > UPPER - 22) & (np.abs(x) < 50)
    picture[made_up] = SHADOW
    upper_half = EYE & (y < (UPPER + LOWER) / 2) & (np.abs(x) < 30)
    lid = closed(picture)[upper_half].mean(axis=0)
    assert np.linalg.norm(lid - SHADOW) < np.linalg.norm(lid - skin)


def test_a_shadow_above_the_eye_does_not_end_at_the_lid() -> None:
    picture = photo(SKIN)
    shaded = (y < UPPER) & (y > UPPER - 16)
    picture[shaded] *= 0.55
    light = closed(picture) @ LUMINANCE
    above, lid = light[30:36, 70:90].mean(), light[44:50, 70:90].mean()
    assert lid < 1.3 * above


def test_the_lid_of_an_eye_in_a_dark_socket_is_dark() -> None:
    picture = photo(SKIN)
    picture[(np.hypot(x / 65, y / 36) < 1) & (y < LOWER + 10)] *= 0.25
    light = closed(picture) @ LUMINANCE
    assert light[44:54, 70:90].mean() < 0.75 * (SKIN @ LUMINANCE)


def test_what_is_covered_fades_at_the_sides() -> None:
    picture = photo(SKIN)
    liner = (np.abs(y) < 4) & (x > 45)  # reaches the hair
    picture[liner] = (25, 18, 15)
    change = np.abs(closed(picture) - picture).max(axis=2)
    assert change[:, -1].max() < 12


def test_lashes_and_liner_of_the_open_eye_do_not_remain() -> None:
    picture = photo(SKIN)
    liner = (np.abs(y - UPPER + 1.5) < 2) & (np.abs(x) < 52)
    wing = (np.abs(y + (x - 44) * 0.8) < 3) & (x > 40) & (x < 66)
    picture[liner | wing] = (25, 18, 15)
    light = closed(picture) @ LUMINANCE
    assert light[liner | wing].min() > 0.7 * (SKIN @ LUMINANCE)


def test_the_brow_stays() -> None:
    picture = photo(SKIN)
    brow = (y < -44) & (y > -52) & (np.abs(x) < 60)
    picture[brow] = (30, 22, 18)
    drawn = closed(picture)
    assert np.abs(drawn - picture)[brow].max() < 12
