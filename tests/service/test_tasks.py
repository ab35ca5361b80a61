"""Ids and tokens of new tasks."""

from itertools import islice, pairwise

from photoanimer_async.service.tasks import new_task_ids, new_tokens


def test_task_ids_have_15_digits_and_are_not_consecutive() -> None:
    ids = list(islice(new_task_ids(), 2500))
    assert all(len(str(task_id)) == 15 for task_id in ids)
    assert len(set(ids)) == len(ids)
    assert sum(second == first + 1 for first, second in pairwise(ids)) < 100


def test_task_ids_of_two_services_differ() -> None:
    assert next(new_task_ids()) // 1000 != next(new_task_ids()) // 1000


def test_tokens_have_32_characters_and_differ() -> None:
    tokens = set(islice(new_tokens(), 100))
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {32}
