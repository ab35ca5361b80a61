"""Video seconds: what a request costs, and how many may be spent.

A submit's cost is reserved before it leaves and committed when it was accepted, or may have
been; it is released only where the service provably did not take it. So what submits under
way may yet cost is always counted, and the limit can not be passed however many there are.

When the service charges, and whether it gives back what a failed task cost, is not documented:
every accepted task is reckoned as charged.
"""

from collections.abc import Iterable

from attrs import define, frozen

from photoanimer_async.errors import BudgetExceededError, InvalidRequestError
from photoanimer_async.models import AnimationOptions, AnimationRequest, Photo

_ROUNDING = 1e-9


@frozen
class Estimate:
    """What photos will cost.

    Attributes:
        photos: how many there are.
        seconds: video seconds for all of them.
        assumed: how many of them have a voice. Their price is not documented, and is taken to
            be the sound's length.
        unknown: how many of those sounds have no `voice_seconds`; each stands in `seconds`
            with the template's own 3.13, and can cost more.
    """

    photos: int = 0
    seconds: float = 0.0
    assumed: int = 0
    unknown: int = 0


def price(options: AnimationOptions) -> float:
    """Video seconds that a submit with these options costs (API page, Price).

    With a voice: the sound's length if it is known, which is an assumption; else the template's
    own seconds, which is the least that can be expected.
    """
    if options.speaks and options.voice_seconds is not None:
        return options.voice_seconds
    return options.template.seconds


def estimate(
    photos: Iterable[Photo | AnimationRequest],
    template: int = 1,
    voice_url: str | None = None,
    *,
    voice_seconds: float | None = None,
) -> Estimate:
    """What it will cost to animate photos; nothing is read, checked or sent.

    Args:
        photos: what would be handed to `animate_many`.
        template: the expression, 0 to 5, for those that are no `AnimationRequest`.
        voice_url: likewise, URL of a sound.
        voice_seconds: how long that sound is.

    Raises:
        InvalidRequestError: a value that the API page does not allow.
    """
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
        limit: how many; `None` for no limit.
        spent: committed so far.
        reserved: may yet be committed.
    """

    limit: float | None = None
    spent: float = 0.0
    reserved: float = 0.0

    def __attrs_post_init__(self) -> None:
        if self.limit is not None and not self.limit >= 0:
            raise InvalidRequestError(f"a limit must be 0 or more seconds, not {self.limit!r}")

    def reserve(self, options: AnimationOptions) -> float:
        """Sets aside what one submit costs, and returns it.

        Raises:
            BudgetExceededError: it would pass the limit.
            InvalidRequestError: there is a limit, and the sound's length is not known.
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

    def commit(self, cost: float) -> None:
        """The submit was accepted, or may have been."""
        self.reserved -= cost
        self.spent += cost

    def release(self, cost: float) -> None:
        """The submit was provably not accepted."""
        self.reserved -= cost
