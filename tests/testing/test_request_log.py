"""The log of a double's requests and charges."""

from pathlib import Path

import pytest
import requests

from photoanimer_async import AmbiguousSubmitError, InsufficientCreditsError, RefusedRequestError
from photoanimer_async.testing import Charge, Ledger, PhotoAnimerServer, RequestLog, Subject

PHOTO = "https://example.com/me.jpg?signature=s3cret"


async def test_charges_include_submits_whose_answer_was_lost(server: PhotoAnimerServer) -> None:
    server.script("submit 2: reset after", "submit 3: reset")
    async with server.client() as client:
        task_id = await client.submit(PHOTO, template=1)
        for _ in range(2):
            with pytest.raises(AmbiguousSubmitError):
                await client.submit("https://example.com/you.jpg", template=2)
    first, second = server.ledger.charges
    assert first == Charge(
        task_id=int(task_id), task=1, submit=1, image_url=PHOTO, template=1, seconds=7.13
    )
    assert (second.submit, second.seconds) == (2, 2.13)
    assert server.ledger.seconds == 9.26
    assert [request.fault for request in server.ledger.submits] == [
        None,
        "reset after",
        "reset",
    ]
    assert server.ledger.polls == server.ledger.downloads == []


async def test_the_text_has_a_line_per_request_and_no_signatures(
    server: PhotoAnimerServer, tmp_path: Path
) -> None:
    assert str(server.ledger) == "no requests"
    server.script("task 1: takes 3 polls; submit 2: refuse 4001; poll 1: status 503")
    async with server.client() as client:
        await client.animate(PHOTO, template=1, save_to=tmp_path)
        with pytest.raises(InsufficientCreditsError):
            await client.submit(PHOTO, template=1)
        with pytest.raises(RefusedRequestError):
            await client.get_task_info(1)
    assert str(server.ledger).splitlines() == [
        "submit 1 (task 1) https://example.com/me.jpg?…: accepted, 7.13 video seconds",
        "poll 1 (task 1): not acted on  [status 503]",
        "poll 2 to 4 (task 1): processing",
        "poll 5 (task 1): finished",
        "download 1 (task 1): HTTP status 200",
        "submit 2 https://example.com/me.jpg?…: not acted on  [refuse 4001]",
        "poll 6: code 40004, there is no task with taskId 1",
    ]
    assert "s3cret" not in str(server.ledger) + repr(server.ledger) + repr(server.ledger.charges)


def test_requests_have_a_subject(server: PhotoAnimerServer) -> None:
    requests.get(
        f"{server.base_url}/mySubscription", headers={"APIKEY": server.api_key}, timeout=10
    )
    [balance] = server.ledger.requests
    assert balance.subject is Subject.BALANCE
    assert (balance.number, balance.task, balance.status) == (1, None, 200)
    assert balance.envelope["data"]["videoBalance"] > 0


def test_the_earlier_name_of_the_class_still_works() -> None:
    assert Ledger is RequestLog
