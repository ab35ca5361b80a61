"""Due items, and which of them is next."""

from random import Random

from photoanimer_async.polling.ready_queue import ReadyQueue


def by_itself(chance: float, _: float) -> float:
    return chance


def test_within_patience_the_queue_is_first_in_first_out() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=1.0)
    for chance in (0.1, 0.9, 0.5):
        queue.add(chance, 0.0)
    assert [queue.pop(0.9, by_itself, Random(1)) for _ in range(3)] == [0.1, 0.9, 0.5]


def test_an_item_that_is_added_again_keeps_its_place() -> None:
    queue: ReadyQueue[str] = ReadyQueue(patience=1.0)
    for item in "aba":
        queue.add(item, 0.0)
    assert len(queue) == 2
    assert queue.pop(0.0, lambda *_: 0.0, Random(1)) == "a"


def test_an_empty_queue_returns_none() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=0.0)
    assert queue.pop(0.0, by_itself, Random(1)) is None


def test_the_most_likely_item_is_popped_first() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=0.0)
    for chance in (0.1, 0.9, 0.5):
        queue.add(chance, 0.0)
    assert [queue.pop(0.0, by_itself, Random(1)) for _ in range(3)] == [0.9, 0.5, 0.1]


def test_add_first_precedes_all_others() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=0.0)
    queue.add(0.9, 0.0)
    queue.add_first(0.1)
    assert len(queue) == 2
    assert queue.pop(0.0, by_itself, Random(1)) == 0.1
    assert queue.pop(0.0, by_itself, Random(1)) == 0.9


def test_likely_items_are_preferred_among_many() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=0.0)
    rng = Random(5)
    for _ in range(1000):
        queue.add(rng.random(), 0.0)
    popped = [queue.pop(0.0, by_itself, rng) or 0.0 for _ in range(200)]
    assert sum(popped) / len(popped) > 0.75


def test_no_item_starves() -> None:
    queue: ReadyQueue[tuple[int, float]] = ReadyQueue(patience=0.0)
    rng = Random(5)
    hopeless = (-1, 0.0)
    queue.add(hopeless, 0.0)
    for number in range(50):
        queue.add((number, 0.5), 0.0)
    for number in range(50, 1000):
        popped = queue.pop(0.0, lambda item, _: item[1], rng)
        if popped is hopeless:
            break
        queue.add((number, 0.9), 0.0)
    assert popped is hopeless
