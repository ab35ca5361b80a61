"""What is printed at the end of a batch, in full."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from photoanimer_async.cli.batch_results import BatchResults, PhotoResult
from photoanimer_async.cli.options import AccountOptions, wait_arguments
from photoanimer_async.cli.summary import NextCommand, print_interruption, print_summary
from photoanimer_async.errors import (
    AmbiguousSubmitError,
    AuthenticationError,
    DownloadError,
    InvalidPhotoError,
    NotSentError,
)

UNCLEAR_EXPLAINED = (
    "Their submits were sent, but no answer says whether they were accepted, so they may have "
    "been charged. They were not sent again, because that could be charged twice."
)


def text_console() -> Console:
    return Console(file=StringIO(), width=200, markup=False, highlight=False)


def written(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def mixed_results() -> BatchResults:
    results = BatchResults(total=7)
    results.add_result(0, PhotoResult("a.jpg", 10, Path("out/a.mp4"), 1.5))
    for index, name in ((1, "c.jpg"), (2, "b.jpg")):
        results.add_result(
            index, PhotoResult(name, error=InvalidPhotoError(f"{name}: is text", photo=name))
        )
    results.add_result(
        3, PhotoResult("d [red].jpg", 13, error=DownloadError("no space is left on the disk"))
    )
    lost = AmbiguousSubmitError("e.jpg: no answer", photo="e.jpg", image_url="http://x", template=1)
    results.add_result(4, PhotoResult("e.jpg", error=lost))
    return results


def test_a_summary_groups_by_reason_and_names_the_next_command() -> None:
    console, results = text_console(), mixed_results()
    account = AccountOptions(base_url="http://127.0.0.1:1/api/v1", api_key="k")
    next_command = NextCommand(wait=wait_arguments("out", account, gif=True))
    print_summary(console, results, Path("out"), 75.0, next_command=next_command)
    assert written(console) == [
        "1 of 7 finished in 1:15, saved in out",
        "  a.mp4",
        "",
        "2 failed:",
        "  is text:",
        "    b.jpg",
        "    c.jpg",
        "",
        "1 accepted, but not saved:",
        "  d [red].jpg (task 13): no space is left on the disk",
        "To download their results:",
        "  photoanimer wait 13 --out out --base-url http://127.0.0.1:1/api/v1 --gif",
        "",
        "1 unclear:",
        UNCLEAR_EXPLAINED,
        "  e.jpg: no answer",
        "",
        "2 not tried",
    ]


def test_a_stopped_batch_lists_what_is_paid_for_or_may_be() -> None:
    console, results = text_console(), BatchResults(total=4)
    results.add_result(0, PhotoResult("a.jpg", 10, Path("animated/a.mp4"), 1.5))
    results.add_task(1, "b.jpg", 11)
    results.add_submit(2, "c.jpg")
    print_interruption(console, results, next_command=NextCommand(wait=[]))
    assert written(console) == [
        "Stopped: 1 of 4 saved, 0 failed.",
        "",
        "1 submitted and paid for; the service still works on them:",
        "  b.jpg (task 11)",
        "To download their results:",
        "  photoanimer wait 11",
        "",
        "1 unclear:",
        UNCLEAR_EXPLAINED,
        "  c.jpg",
    ]


def test_a_stopped_batch_with_a_journal_names_some_of_what_is_paid_for() -> None:
    console, results = text_console(), BatchResults(total=13)
    for index in range(12):
        results.add_task(index, f"{index:02}.jpg", 100 + index)
    print_interruption(console, results, next_command=NextCommand(resume=["a.journal"]))
    assert written(console)[2:] == [
        "12 submitted and paid for; the service still works on them:",
        *[f"  {index:02}.jpg (task {100 + index})" for index in range(10)],
        "  and 2 more",
        "",
        "To continue:",
        "  photoanimer resume a.journal",
    ]


def test_a_stopped_batch_whose_submits_are_all_unclear_is_not_merely_continued() -> None:
    console, results = text_console(), BatchResults(total=1)
    results.add_submit(0, "a.jpg")
    print_interruption(console, results, next_command=NextCommand(resume=["a.journal"]))
    assert written(console)[-4:] == [
        UNCLEAR_EXPLAINED,
        "  a.jpg",
        "To submit them again, with the most video seconds that may be paid for them twice:",
        "  photoanimer resume a.journal --resubmit-ambiguous SECONDS",
    ]


def test_photos_that_failed_alike_for_want_of_a_connection_are_not_all_named() -> None:
    console, results = text_console(), BatchResults(total=12)
    for index in range(12):
        unsent = NotSentError("no connection")
        results.add_result(index, PhotoResult(f"{index:02}.jpg", error=unsent))
    print_summary(
        console, results, Path("out"), 1.0, next_command=NextCommand(resume=["a.journal"])
    )
    assert written(console)[2:] == [
        "12 failed:",
        "  no connection:",
        *[f"    {index:02}.jpg" for index in range(10)],
        "    and 2 more",
        "",
        "To continue:",
        "  photoanimer resume a.journal",
    ]


def test_a_refused_key_stops_a_batch_and_says_where_it_is_set() -> None:
    console, results = text_console(), BatchResults(total=2)
    refused = AuthenticationError(
        operation="submitTaskByUrl", code=4003, message="the key is not accepted", http_status=200
    )
    print_summary(
        console, results, Path("out"), 1.0, next_command=NextCommand(), stopped_by=refused
    )
    [line] = [line for line in written(console) if "not tried" in line]
    assert line.startswith("2 not tried: ")
    assert line.endswith("the key is not accepted; check PHOTOANIMER_API_KEY or --api-key")


def test_a_stopped_batch_without_a_next_command_is_one_line() -> None:
    console, results = text_console(), BatchResults(total=1)
    results.add_task(0, "b.jpg", 11)
    print_interruption(console, results, next_command=NextCommand())
    assert written(console) == ["Stopped: 0 of 1 saved, 0 failed."]
