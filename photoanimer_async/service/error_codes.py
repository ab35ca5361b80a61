"""Every error the service answers with: one table of codes, and the two ways they are raised.

A code that has been seen from the vendor keeps the vendor's number where its meaning fits.
The page documents none, so the rest are this service's own; they have five digits, so that
they can not be taken for one of the vendor's, which have four.
"""

from enum import Enum, auto

from attrs import frozen


class Place(Enum):
    """Where a code is found in an answer."""

    ENVELOPE = "`code`"
    TASK = "`data.failCode`"
    BOTH = "`code`, `data.failCode`"


class Origin(Enum):
    """Whose code it is."""

    VENDOR = auto()
    OURS = auto()


@frozen
class ErrorCode:
    """One row of the table.

    Attributes:
        number: the value of `code` or `failCode`.
        name: a word to look for in logs.
        meaning: what is wrong and what would be right.
        place: where the code is found.
        origin: whose code it is.
        http_status: the status of the answer; business errors come with 200, as the vendor's.
    """

    number: int
    name: str
    meaning: str
    place: Place = Place.ENVELOPE
    origin: Origin = Origin.OURS
    http_status: int = 200


API_KEY = ErrorCode(
    4003,
    "API_KEY",
    "The header APIKEY is missing, empty, or holds a key that is not accepted.",
    origin=Origin.VENDOR,
)
INSUFFICIENT_CREDITS = ErrorCode(
    4001,
    "INSUFFICIENT_CREDITS",
    "The balance holds fewer video seconds than the task costs.",
    origin=Origin.VENDOR,
)
NO_FACE = ErrorCode(
    7001,
    "NO_FACE",
    "No person's face was found in the photo.",
    place=Place.TASK,
    origin=Origin.VENDOR,
)
IMAGE_UNPROCESSABLE = ErrorCode(
    7002,
    "IMAGE_UNPROCESSABLE",
    "The image is no PNG, JPEG, BMP or WEBP, or it is damaged.",
    place=Place.BOTH,
    origin=Origin.VENDOR,
)
PARAMETER_MISSING = ErrorCode(
    40001, "PARAMETER_MISSING", "A parameter that the interface needs is missing or empty."
)
PARAMETER_INVALID = ErrorCode(
    40002, "PARAMETER_INVALID", "A parameter has a value that is not allowed, or is given twice."
)
VOICE_NOT_ALLOWED = ErrorCode(40003, "VOICE_NOT_ALLOWED", "voiceUrl goes with templateId 0 only.")
TASK_UNKNOWN = ErrorCode(40004, "TASK_UNKNOWN", "There is no task with this taskId.")
IMAGE_UNREACHABLE = ErrorCode(
    40011, "IMAGE_UNREACHABLE", "imageUrl could not be fetched over http or https."
)
IMAGE_TOO_LARGE = ErrorCode(40012, "IMAGE_TOO_LARGE", "The image file is not under 15 MB.")
IMAGE_TOO_MANY_PIXELS = ErrorCode(
    40013, "IMAGE_TOO_MANY_PIXELS", "The image is wider or higher than 4096 pixels."
)
VOICE_UNREACHABLE = ErrorCode(
    40021, "VOICE_UNREACHABLE", "voiceUrl could not be fetched over http or https."
)
VOICE_TOO_LARGE = ErrorCode(40022, "VOICE_TOO_LARGE", "The sound file is not under 15 MB.")
VOICE_UNPROCESSABLE = ErrorCode(
    40023,
    "VOICE_UNPROCESSABLE",
    "The sound can not be decoded, is empty, or is too long.",
    place=Place.TASK,
)
NO_SUCH_PATH = ErrorCode(
    40404, "NO_SUCH_PATH", "There is no such interface or result.", http_status=404
)
NO_SUCH_METHOD = ErrorCode(
    40405, "NO_SUCH_METHOD", "The interface does not take this HTTP method.", http_status=405
)
QUEUE_FULL = ErrorCode(
    42901,
    "QUEUE_FULL",
    "Too many tasks are waiting; try again after the seconds of the header Retry-After.",
    http_status=429,
)
RATE_LIMITED = ErrorCode(
    42902,
    "RATE_LIMITED",
    "The key makes more requests a second than it may; see the header Retry-After.",
    http_status=429,
)
RENDERING_FAILED = ErrorCode(
    50001,
    "RENDERING_FAILED",
    "The renderer crashed, took too long, or has a fault; the service's log says more.",
    place=Place.TASK,
)
INTERNAL = ErrorCode(
    50000,
    "INTERNAL",
    "A fault of the service; its log says more.",
    http_status=500,
)

TABLE = (
    INSUFFICIENT_CREDITS,
    API_KEY,
    NO_FACE,
    IMAGE_UNPROCESSABLE,
    PARAMETER_MISSING,
    PARAMETER_INVALID,
    VOICE_NOT_ALLOWED,
    TASK_UNKNOWN,
    IMAGE_UNREACHABLE,
    IMAGE_TOO_LARGE,
    IMAGE_TOO_MANY_PIXELS,
    VOICE_UNREACHABLE,
    VOICE_TOO_LARGE,
    VOICE_UNPROCESSABLE,
    NO_SUCH_PATH,
    NO_SUCH_METHOD,
    QUEUE_FULL,
    RATE_LIMITED,
    INTERNAL,
    RENDERING_FAILED,
)
"""Every code there is, by number."""


def markdown_table() -> str:
    """The table of codes for a README."""
    lines = ["| code | name | found in | HTTP | meaning |", "|---|---|---|---|---|"]
    for code in TABLE:
        own = " (ours)" if code.origin is Origin.OURS else ""
        lines.append(
            f"| {code.number}{own} | `{code.name}` | {code.place.value} | {code.http_status} "
            f"| {code.meaning} |"
        )
    return "\n".join(lines)


class RequestRefusedError(Exception):
    """A request is answered with an error and changes nothing.

    Attributes:
        code: the row of the table.
        message: the envelope's `msg`: the parameter, what was found, what is allowed.
        retry_after: seconds after which it may go better; `None` if time changes nothing.
    """

    def __init__(self, code: ErrorCode, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after


class RenderFailedError(Exception):
    """A task ends with status 2.

    Attributes:
        code: the row of the table, for `failCode`.
        reason: `failReason`.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class SetupError(Exception):
    """The service can not start here; the text says what to do about it."""
