"""Blendshapes and coefficients."""

from photoanimer_async.engine.blendshapes import BODY, EYES, HEAD, NAMES, SKIN, skin_coefficients


def test_every_coefficient_is_described_and_belongs_to_one_group() -> None:
    assert set(NAMES) == set(SKIN) | set(EYES) | set(HEAD) | set(BODY)
    assert len(NAMES) == len(SKIN) + len(EYES) + len(HEAD) + len(BODY)
    assert all(NAMES.values())


def test_paired_coefficients_have_both_sides() -> None:
    for name in NAMES:
        if name.endswith("Left"):
            assert name.removesuffix("Left") + "Right" in NAMES


def test_missing_coefficients_are_zero() -> None:
    assert not skin_coefficients({}).any()
    assert skin_coefficients({"jawOpen": 0.5, "headYaw": 3}).sum() == 0.5
