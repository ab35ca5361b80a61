"""What is said at the end; the whole of it, as it is read."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from photoanimer_async.cli.options import wait_options
from photoanimer_async.cli.summary import print_interruption, print_summary
from photoanimer_async.cli.tally import Ending, Ledger
from photoanimer_async.errors import AmbiguousSubmitError, DownloadError, InvalidPhotoError

WHAT_UNCLEAR_MEANS = (
    "Their submits left, but no answer came, so that they may have been accepted and charged. "
    "They were not sent again, since that could be charged twice."
)


def paper() -> Console:
    return Console(file=StringIO(), width=200, markup=False, highlight=False)


def written(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def mixed_ledger() -> Ledger:
    ledger = Ledger(total=7)
    ledger.ended(0, Ending("a.jpg", 10, Path("out/a.mp4"), 1.5))
    for index, name in ((1, "c.jpg"), (2, "b.jpg")):
        ledger.ended(index, Ending(name, error=InvalidPhotoError(f"{name}: is text", photo=name)))
    ledger.ended(3, Ending("d [red].jpg", 13, error=DownloadError("no space is left on the disk")))
    lost = AmbiguousSubmitError("e.jpg: no answer", photo="e.jpg", image_url="http://x", template=1)
    ledger.ended(4, Ending("e.jpg", error=lost))
    return ledger


def test_a_summary_groups_by_reason_and_tells_what_can_be_done() -> None:
    console, ledger = paper(), mixed_ledger()
    afterwards = wait_options("out", "http://127.0.0.1:1/api/v1", gif=True)
    print_summary(console, ledger, Path("out"), 75.0, wait_options=afterwards)
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
        "Their results can still be had:",
        "  photoanimer wait 13 --out out --base-url http://127.0.0.1:1/api/v1 --gif",
        "",
        "1 unclear:",
        WHAT_UNCLEAR_MEANS,
        "  e.jpg: no answer",
        "",
        "2 not tried",
    ]


def test_a_batch_that_is_stopped_names_what_is_paid_for_or_may_be() -> None:
    console, ledger = paper(), Ledger(total=4)
    ledger.ended(0, Ending("a.jpg", 10, Path("animated/a.mp4"), 1.5))
    ledger.accepted(1, "b.jpg", 11)
    ledger.submitting(2, "c.jpg")
    print_interruption(console, ledger, wait_options=[])
    assert written(console) == [
        "Stopped: 1 of 4 saved, 0 failed.",
        "",
        "1 submitted, and paid for; they go on at the service:",
        "  b.jpg (task 11)",
        "Their results can still be had:",
        "  photoanimer wait 11",
        "",
        "1 unclear:",
        WHAT_UNCLEAR_MEANS,
        "  c.jpg",
    ]


def test_tasks_that_end_with_the_command_can_not_be_waited_for() -> None:
    console, ledger = paper(), Ledger(total=1)
    ledger.accepted(0, "b.jpg", 11)
    print_interruption(console, ledger, wait_options=None)
    assert written(console) == ["Stopped: 0 of 1 saved, 0 failed."]
