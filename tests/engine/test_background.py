"""The two layers of a photo."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from photoanimer_async.engine.background import Layers
from photoanimer_async.engine.picture import Picture


def put_together(layers: Layers) -> NDArray[np.float64]:
    colour, alpha = layers.person[..., :3].astype(float), layers.person[..., 3:].astype(float)
    return np.asarray(colour + layers.background * (1 - alpha / 255))


def disc(side: int, radius: float, soft: float) -> NDArray[np.float32]:
    y, x = np.indices((side, side)) - side / 2
    return np.asarray(np.clip((radius - np.hypot(x, y)) / soft + 0.5, 0, 1), np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5, 20))
def test_both_layers_together_are_the_photo(seed: int, soft: float) -> None:
    part = np.random.default_rng(seed).integers(0, 256, (90, 90, 3), np.uint8)
    layers = Layers.of(part, disc(90, 22, soft), unit=40)
    assert np.abs(put_together(layers) - part).max() <= 1


def test_the_layers_are_possible_colours() -> None:
    part = np.random.default_rng(2).integers(0, 256, (90, 90, 3), np.uint8)
    person = Layers.of(part, disc(90, 22, 6), unit=40).person
    assert (person[..., :3] <= person[..., 3:]).all()


def striped(height: int, width: int, period: int) -> Picture:
    row = np.where(np.arange(width) // (period // 2) % 2, 170, 80).astype(np.uint8)
    return np.repeat(np.tile(row, (height, 1))[..., None], 3, axis=2)


def test_stripes_go_on_behind_the_person_and_far_from_it_nothing_changes() -> None:
    part = striped(240, 240, 8)
    opacity = disc(240, 50, 2)
    behind = part.copy()
    part = np.round(part * (1 - opacity[..., None]) + 30 * opacity[..., None]).astype(np.uint8)
    layers = Layers.of(part, opacity, unit=80)
    far = opacity == 0
    assert np.array_equal(
        layers.background[~disc(240, 62, 1).astype(bool)], part[~disc(240, 62, 1).astype(bool)]
    )
    assert np.abs(layers.background[far].astype(int) - behind[far]).mean() < 3
    rim = (disc(240, 52, 1) > 0) & (disc(240, 40, 1) < 1)
    error = np.abs(layers.background[rim].astype(int) - behind[rim]).mean()
    assert error < 12  # a smooth fill has 45


def test_a_hair_beside_the_mask_becomes_part_of_the_person() -> None:
    part = np.full((240, 240, 3), 180, np.uint8)
    opacity = disc(240, 50, 2)
    part[opacity > 0] = 40
    part[120, 170:175] = 40  # sticks out of the mask
    layers = Layers.of(part, opacity, unit=80)
    assert layers.person[120, 170:174, 3].min() > 150
    assert layers.background[120, 170:174].min() > 150


def written_on(height: int, width: int) -> Picture:
    picture = np.full((height, width, 3), 90, np.uint8)
    for line, text in enumerate(("SCREEN", "ACTORS", "GUILD*", "AWARDS", "WINNER")):
        at = (12, 55 + 42 * line)
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.7, (240, 240, 235), 5)
    return picture


def test_letters_beside_the_person_stay_in_the_background() -> None:
    behind = written_on(240, 240)
    opacity = disc(240, 50, 2)
    skin = np.array([205, 150, 120])
    part = np.round(behind + (skin - behind) * opacity[..., None]).astype(np.uint8)
    layers = Layers.of(part, opacity, unit=120)
    beside = (disc(240, 54, 1) == 0) & (disc(240, 58, 1) > 0)
    assert layers.person[beside, 3].mean() < 2
    assert np.abs(layers.background[beside].astype(int) - behind[beside]).mean() < 3


def test_a_bright_rim_beside_letters_is_the_persons() -> None:
    behind = written_on(240, 240)
    skin, light = np.array([120, 70, 50]), np.array([250, 250, 255])
    lit = np.where(disc(240, 50, 1)[..., None] > 0, skin, light)
    whole = disc(240, 52, 1)[..., None]
    part = np.round(behind + (lit - behind) * whole).astype(np.uint8)
    filled = Layers.of(part, disc(240, 50, 1), unit=80).background
    rim = (disc(240, 51.5, 1) > 0) & (disc(240, 50, 1) == 0) & (behind[..., 0] == 90)
    assert np.abs(filled[rim].astype(int) - light).max(axis=-1).mean() > 80


def test_letters_are_not_scrambled_where_the_person_hides_them() -> None:
    behind = written_on(240, 240)
    opacity = disc(240, 50, 2)
    part = np.round(behind + (30 - behind.astype(int)) * opacity[..., None]).astype(np.uint8)
    filled = Layers.of(part, opacity, unit=80).background
    rim = (disc(240, 46, 1) > 0.5) & (disc(240, 34, 1) < 0.5)
    edges = cv2.Laplacian(cv2.cvtColor(filled, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    drawn = cv2.Laplacian(cv2.cvtColor(behind, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    assert np.abs(edges[rim]).mean() < 0.5 * np.abs(drawn[rim]).mean()


def out_of_focus(side: int, blur: float) -> Picture:
    noise = np.random.default_rng(0).standard_normal((side, side, 3))
    blurred = np.asarray(cv2.GaussianBlur(noise, (0, 0), blur), np.float64)
    scene = 128 + 45 * (blurred - blurred.mean()) / blurred.std()
    return np.asarray(np.clip(np.round(scene), 0, 255), np.uint8)


@pytest.mark.parametrize("blur", [8, 12, 16])
def test_a_background_out_of_focus_is_no_outline_of_the_person(blur: float) -> None:
    behind, opacity = out_of_focus(240, blur), disc(240, 50, 2)
    hair = np.zeros((240, 240), np.float32)
    for angle in np.linspace(0, 2 * np.pi, 24):
        to_tip = np.array([np.cos(angle), np.sin(angle)])
        ends = [np.round(120 + to_tip * length).astype(int).tolist() for length in (40, 58)]
        cv2.line(hair, ends[0], ends[1], 1.0)
    shown = np.maximum(opacity, hair)[..., None]
    part = np.round(behind * (1 - shown) + np.array([40, 25, 20]) * shown).astype(np.uint8)
    layers = Layers.of(part, opacity, unit=80)
    beside = (disc(240, 53, 1) == 0) & (disc(240, 58, 1) > 0)
    bare = beside & (cv2.dilate(hair, np.ones((5, 5), np.uint8)) == 0)
    assert layers.person[bare, 3].mean() < 8  # 11 to 22 if the fill's error is the person's
    assert np.abs(layers.background[bare].astype(int) - behind[bare]).mean() < 2
    assert layers.person[beside & (hair > 0), 3].mean() > 100
