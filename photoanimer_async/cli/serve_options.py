"""What can be chosen about a local service beside where it listens."""

from pathlib import Path
from typing import Annotated, Final, TypeAlias

from attrs import evolve, frozen
from cyclopts import Parameter
from cyclopts.validators import Number

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.service import Charging, ServiceSettings

DATA: Final = Path("photoanimer-data")
Data: TypeAlias = Annotated[
    Path,
    Parameter(name="--data", help="Folder for tasks and results; they are still there next time."),
]

_DAY: Final = 24 * 3600.0
_POSITIVE: Final = Number(gt=0)


@frozen(kw_only=True)
class Limits:
    """What the service keeps and bears, and what it charges."""

    queue_limit: Annotated[
        int,
        Parameter(validator=Number(gte=1), help="Tasks that may wait; beyond, HTTP status 429."),
    ] = 10_000
    charging: Annotated[
        Charging,
        Parameter(
            help="When an account is charged: when a task is accepted, and given back or kept if "
            "it fails; or when it has finished.",
        ),
    ] = Charging.REFUND_FAILED
    result_days: Annotated[
        float, Parameter(validator=_POSITIVE, help="Days that results are kept.")
    ] = 7
    task_days: Annotated[
        float, Parameter(validator=_POSITIVE, help="Days that tasks are known; no fewer.")
    ] = 30
    drain: Annotated[
        float,
        Parameter(
            validator=Number(gte=0),
            help="Seconds that videos under way are waited for when it stops; others, and those "
            "that take longer, are made after the next start.",
        ),
    ] = 10

    def apply(self, settings: ServiceSettings) -> ServiceSettings:
        """The settings with these limits.

        Raises:
            WrongUseError: tasks would be known for a shorter time than their results are kept.
        """
        if self.task_days < self.result_days:
            raise WrongUseError(
                f"--task-days is {self.task_days:g}; it must not be less than --result-days, "
                f"which is {self.result_days:g}"
            )
        return evolve(
            settings,
            queue_limit=self.queue_limit,
            charging=self.charging,
            keep_results_seconds=self.result_days * _DAY,
            keep_tasks_seconds=self.task_days * _DAY,
            drain_seconds=self.drain,
        )
