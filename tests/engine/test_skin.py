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
