"""The skin's fields."""

import numpy as np

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshape_fields import Lip
from photoanimer_async.engine.blendshapes import SKIN, Blendshapes
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.skin import Skin


def test_fields_fade_to_zero_at_the_lattices_border(
    astronaut_face: Face, coordinates: FaceCoordinates
) -> None:
    skin = Skin.of(astronaut_face.landmarks, coordinates, Blendshapes.of(coordinates.local))
    pose = skin.pose(np.ones(len(SKIN), np.float32))
    for lip in Lip:
        field = pose.sample(lip, skin.lattice.nodes())
        border = np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]])
        assert np.abs(border).max() < 1e-3
        steepest = max(np.abs(np.diff(field[:3], axis=0)).max(), np.abs(field[1]).max())
        assert steepest < 0.02 * coordinates.unit


def test_skin_under_glasses_moves_less(astronaut_face: Face) -> None:
    landmarks = astronaut_face.landmarks
    coordinates = FaceCoordinates.of(landmarks)
    raised = np.array([name.startswith("browUp") for name in SKIN], np.float32)
    brow = landmarks[lm.BROW_LEFT_UPPER[2], :2]
    bare, worn = (
        Skin.of(landmarks, coordinates, Blendshapes.of(coordinates.local), worn)
        .pose(raised)
        .displacement(brow)[1]
        for worn in (0.0, 1.0)
    )
    assert bare / 2 < worn < 0


def test_an_open_jaw_compresses_the_neck_evenly(
    astronaut_face: Face, coordinates: FaceCoordinates
) -> None:
    landmarks = astronaut_face.landmarks.copy()
    below = landmarks[:, :2] - landmarks[lm.NOSE_TIP, :2]
    landmarks[:, :2] += (
        0.3 * np.maximum(below @ coordinates.axes[:2, 1:2], 0) * (coordinates.axes[:2, 1])
    )  # a long chin
    longer = FaceCoordinates.of(landmarks)
    skin = Skin.of(landmarks, longer, Blendshapes.of(longer.local))
    opened = 0.6 * np.array([name == "jawOpen" for name in SKIN], np.float32)
    down = np.arange(0, 1, 0.02)[:, None] * longer.axes[:2, 1] * longer.unit
    neck = (landmarks[lm.CHIN, :2] + down)[None].astype(np.float32)
    moved = skin.pose(opened).sample(Lip.LOWER, neck)[0] @ longer.axes[:2, 1]
    assert moved.max() > 0.15 * longer.unit
    assert np.diff(moved).min() > -1.2 * 0.02 * longer.unit
