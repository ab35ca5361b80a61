"""A dictionary of the latest entries."""

from photoanimer_async.polling.latest import LatestDict


def test_the_oldest_entry_is_dropped() -> None:
    latest = LatestDict[str, int](2)
    for number, key in enumerate("abac"):
        latest[key] = number
    assert latest == {"b": 1, "c": 3}
