"""The requests that a double received, and what it charged for them."""

from collections.abc import Sequence
from itertools import groupby

from attrs import define, field, frozen

from photoanimer_async.redaction import shown_url
from photoanimer_async.service.faults.injection import Exchange
from photoanimer_async.service.faults.script import Subject
from photoanimer_async.service.http.parameters import VIDEO_SECONDS

_STATUS = {0: "processing", 1: "finished", 2: "failed"}


@frozen(kw_only=True)
class Charge:
    """An accepted task.

    Attributes:
        task_id: the task's id, also if its answer was lost by a scripted fault.
        task: the task's number, counted from 1 in the order of acceptance.
        submit: the number of the submit request, counted from 1.
        image_url: the photo.
        template: the expression, 0 to 5.
        seconds: the price in video seconds, by the API page's table.
    """

    task_id: int
    task: int
    submit: int
    image_url: str = field(repr=shown_url)
    template: int
    seconds: float


@define
class RequestLog:
    """All requests and charges; `str(log)` has a line for each.

        assert server.ledger.seconds == 7.13
        assert len(server.ledger.submits) == 1

    Attributes:
        requests: all requests, in the order of their answers. A request is recorded just before
            its answer is sent.
    """

    requests: list[Exchange] = field(factory=list)

    @property
    def submits(self) -> list[Exchange]:
        """The requests to submitTaskByUrl, accepted or not."""
        return self._about(Subject.SUBMIT)

    @property
    def polls(self) -> list[Exchange]:
        """The requests to getTaskInfo."""
        return self._about(Subject.POLL)

    @property
    def downloads(self) -> list[Exchange]:
        """The requests for results."""
        return self._about(Subject.DOWNLOAD)

    @property
    def charges(self) -> list[Charge]:
        """The accepted tasks, also those whose submit got no answer."""
        return [charge for request in self.submits if (charge := _charge(request)) is not None]

    @property
    def seconds(self) -> float:
        """The video seconds of all charges, refunded ones included."""
        return round(sum(charge.seconds for charge in self.charges), 2)

    def __str__(self) -> str:
        runs = [list(run) for _, run in groupby(self.requests, _group)]
        return "\n".join(map(_line, runs)) or "no requests"

    def _about(self, subject: Subject) -> list[Exchange]:
        return [request for request in self.requests if request.subject is subject]


def _charge(request: Exchange) -> Charge | None:
    task_id = request.envelope.get("data")
    if request.task is None or not isinstance(task_id, int):
        return None
    template = int(request.query["templateId"])
    return Charge(
        task_id=task_id,
        task=request.task,
        submit=request.number,
        image_url=request.query["imageUrl"],
        template=template,
        seconds=VIDEO_SECONDS[template],
    )


def _group(request: Exchange) -> tuple[object, ...]:
    """Return the same value for consecutive polls that share a line."""
    if request.subject is not Subject.POLL:
        return (request.subject, request.number)
    return (request.subject, request.task, _outcome(request), request.fault)


def _line(run: Sequence[Exchange]) -> str:
    """Return the line of a group of requests, without the queries of URLs."""
    request, last = run[0], run[-1]
    numbers = str(request.number) if len(run) == 1 else f"{request.number} to {last.number}"
    what = f"{request.subject} {numbers}"
    if request.task is not None:
        what += f" (task {request.task})"
    if "imageUrl" in request.query:
        what += f" {shown_url(request.query['imageUrl'])}"
    fault = "" if request.fault is None else f"  [{request.fault}]"
    return f"{what}: {_outcome(request)}{fault}"


def _outcome(request: Exchange) -> str:
    if request.status is None:
        return "not acted on"
    charge = _charge(request)
    if charge is not None:
        return f"accepted, {charge.seconds:g} video seconds"
    if request.envelope.get("code"):
        return f"code {request.envelope['code']}, {request.envelope.get('msg')}"
    data = request.envelope.get("data")
    if request.subject is Subject.POLL and isinstance(data, dict):
        return _STATUS.get(data["status"], str(data["status"]))
    return f"HTTP status {request.status}"
