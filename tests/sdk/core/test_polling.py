"""When the next look is."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.core.polling import GrowingInterval


@given(st.floats(0, 1e6), st.randoms(use_true_random=False))
def test_intervals_stay_within_their_bounds(age: float, rng: Random) -> None:
    policy = GrowingInterval(first=2, shortest=0.5, longest=15)
    assert 0.45 <= policy.delay(age, rng) <= 16.5


def test_a_task_of_ten_minutes_is_looked_at_less_than_sixty_times() -> None:
    policy, rng, age, looks = GrowingInterval(), Random(1), 0.0, 0
    while age < 600:
        age += policy.delay(age, rng)
        looks += 1
    assert looks < 60
