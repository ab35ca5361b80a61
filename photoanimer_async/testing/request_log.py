"""What a double was asked, and what it charged."""

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
        task_id: the id that was answered, or would have been.
        task: its number, counted from 1 in the order of acceptance.
        submit: the number of the submit.
        image_url: the photo.
        template: the expression, 0 to 5.
        seconds: video seconds, by the API page's table of prices.
    """

    task_id: int
    task: int
    submit: int
    image_url: str = field(repr=shown_url)
    template: int
    seconds: float


@define
class Ledger:
    """Every request that came; its `str` has a line for each.

    Attributes:
        requests: in the order in which the double was done with them. A request is in here
            before it is answered.
    """

    requests: list[Exchange] = field(factory=list)

    @property
    def submits(self) -> list[Exchange]:
        """The requests to submitTaskByUrl, whether they were accepted or not."""
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
        """The tasks that were accepted, also those whose submit got no answer."""
        return [charge for request in self.submits if (charge := _charge(request)) is not None]

    @property
    def seconds(self) -> float:
        """The video seconds of all charges, also of what was given back since."""
        return round(sum(charge.seconds for charge in self.charges), 2)

    def __str__(self) -> str:
        runs = [list(run) for _, run in groupby(self.requests, _sameness)]
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


def _sameness(request: Exchange) -> tuple[object, ...]:
    """What polls that come one after the other have in common; all else is by itself."""
    if request.subject is not Subject.POLL:
        return (request.subject, request.number)
    return (request.subject, request.task, _answered(request), request.fault)


def _line(run: Sequence[Exchange]) -> str:
    """Requests that are the same in words, without what must not be shown."""
    request, last = run[0], run[-1]
    numbers = str(request.number) if len(run) == 1 else f"{request.number} to {last.number}"
    what = f"{request.subject} {numbers}"
    if request.task is not None:
        what += f" (task {request.task})"
    if "imageUrl" in request.query:
        what += f" {shown_url(request.query['imageUrl'])}"
    fault = "" if request.fault is None else f"  [{request.fault}]"
    return f"{what}: {_answered(request)}{fault}"


def _answered(request: Exchange) -> str:
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
