"""Reserve what a submit costs, and wait where open submits may still give theirs back."""

import asyncio

from attrs import define

from photoanimer_async.errors import BudgetExceededError
from photoanimer_async.jobs.budget import Budget
from photoanimer_async.models import AnimationOptions


@define
class Reservation:
    """What one submit costs, reserved until it is committed or released; only the first counts.

    Attributes:
        budget: where it is reserved.
        cost: video seconds.
    """

    budget: Budget
    cost: float
    _is_open: bool = True

    def commit(self) -> None:
        """Count it as spent; see `Budget.commit`."""
        if self._is_open:
            self._is_open = False
            self.budget.commit(self.cost)

    def release(self) -> None:
        """Give it back; see `Budget.release`."""
        if self._is_open:
            self._is_open = False
            self.budget.release(self.cost)


async def reserve(budget: Budget, options: AnimationOptions) -> Reservation:
    """Reserve what one submit costs; wait while reservations of others may be released.

    Raises:
        BudgetExceededError: it would pass the limit, and no other submit is open.
        InvalidRequestError: there is a limit, and the sound's length is not given.
    """
    while True:
        try:
            return Reservation(budget, budget.reserve(options))
        except BudgetExceededError:
            if not budget.has_reservations:
                raise
        settled = asyncio.Event()
        budget.on_room.append(settled.set)
        await settled.wait()
