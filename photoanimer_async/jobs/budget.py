"""Video seconds: what a request costs, and how many may be spent.

A submit's cost is reserved before it is sent and committed when it was accepted, or may have
been; it is released only if the service provably did not accept it. So the cost of open submits
always counts, and the limit cannot be passed however many there are. A photo for which there is
no room left waits for the open submits: those that are refused give their room back.

When the service charges, and whether it refunds failed tasks, is not documented: every accepted
task counts as charged.
"""

from collections.abc import Callable, Iterable

from attrs import define, field, frozen

from photoanimer_async.errors import BudgetExceededError, InvalidRequestError
from photoanimer_async.models import (
    AnimationOptions,
    AnimationRequest,
    Photo,
    Template,
    require_many,
)

_ROUNDING = 1e-9


@frozen
class Estimate:
    """What photos will cost.

    Attributes:
        photos: the number of photos.
        seconds: video seconds for all of them.
        assumed: photos with a voice. Their price is not documented; it is assumed to be the
            sound's length.
        unknown: photos with a voice whose `voice_seconds` are not given; each counts with the
            template's own 3.13 in `seconds`, and may cost more.
    """

    photos: int = 0
    seconds: float = 0.0
    assumed: int = 0
    unknown: int = 0


def price(options: AnimationOptions) -> float:
    """Return the video seconds that a submit with these options costs (API page, Price).

    `options.seconds` where given. With a voice it is assumed to be the sound's length if that
    is known, else the template's own seconds, which is the least to be expected.
    """
    if options.seconds is not None:
        return options.seconds
    if options.speaks and options.voice_seconds is not None:
        return options.voice_seconds
    template = options.template
    return (template if isinstance(template, Template) else Template(template)).seconds


def estimate(
    photos: Iterable[Photo | AnimationRequest],
    template: int = 1,
    voice_url: str | None = None,
    *,
    voice_seconds: float | None = None,
) -> Estimate:
    """Return what it will cost to animate photos; nothing is read, checked or sent.

        estimate(photos, template=1).seconds

    Args:
        photos: what would be passed to `animate_many`.
        template: the expression, 0 to 5, of photos that are not an `AnimationRequest`.
        voice_url: the URL of their sound.
        voice_seconds: the length of that sound.

    Raises:
        InvalidRequestError: a value that the API page does not allow.
    """
    require_many("photos", photos)
    options = AnimationOptions(template=template, voice_url=voice_url, voice_seconds=voice_seconds)
    count = assumed = unknown = 0
    seconds = 0.0
    for photo in photos:
        own = photo.options if isinstance(photo, AnimationRequest) else options
        count += 1
        seconds += price(own)
        if own.speaks:
            assumed += 1
            unknown += own.voice_seconds is None
    return Estimate(count, round(seconds, 6), assumed, unknown)


@define
class Budget:
    """Video seconds that may be spent.

    Attributes:
        limit: video seconds; `None` for no limit.
        spent: committed so far.
        reserved: of open submits, not committed yet.
        on_room: called once, when a reservation has been committed or released.
    """

    limit: float | None = None
    spent: float = 0.0
    reserved: float = 0.0
    on_room: list[Callable[[], None]] = field(factory=list, init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.limit is not None and not self.limit >= 0:
            raise InvalidRequestError(f"a limit must be 0 or more seconds, not {self.limit!r}")

    def reserve(self, options: AnimationOptions) -> float:
        """Reserve what one submit costs, and return it.

        Raises:
            BudgetExceededError: it would pass the limit.
            InvalidRequestError: there is a limit, and the sound's length is not given.
        """
        cost = price(options)
        if self.limit is not None:
            if options.speaks and options.voice_seconds is None:
                raise InvalidRequestError(
                    "with a limit on video seconds, voice_seconds must say how long the sound is"
                )
            used = self.spent + self.reserved
            if used + cost > self.limit + _ROUNDING:
                raise BudgetExceededError(limit=self.limit, used=round(used, 6), cost=cost)
        self.reserved += cost
        return cost

    @property
    def has_reservations(self) -> bool:
        """Whether submits are open, which may still give back what they have reserved."""
        return self.reserved > _ROUNDING

    def commit(self, cost: float) -> None:
        """Count a reserved cost as spent: the submit was accepted, or may have been."""
        self.spent += cost
        self.release(cost)

    def release(self, cost: float) -> None:
        """Release a reserved cost: the submit was provably not accepted."""
        self.reserved -= cost
        callbacks, self.on_room = self.on_room, []
        for callback in callbacks:
            callback()


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
