"""The table of error codes, and the exceptions that carry them.

The API page documents no codes. Where a code seen from the vendor has the right meaning, the
service uses the vendor's number, which has four digits. All others are this service's own and have
five digits, so that they cannot be mistaken for the vendor's.
"""

from enum import Enum, auto

from attrs import frozen


class Place(Enum):
    """Where an answer has a code."""

    ENVELOPE = "`code`"
    TASK = "`data.failCode`"
    BOTH = "`code`, `data.failCode`"


class Origin(Enum):
    """Who defined a code."""

    VENDOR = auto()
    OURS = auto()


@frozen
class ErrorCode:
    """One row of the table.

    Attributes:
        number: the value of `code` or `failCode`.
        name: its name in logs and metrics.
        meaning: what is wrong, and what would be right.
        place: where an answer has the code.
        origin: the vendor's, or our own.
        http_status: the status of the answer; errors in a request have 200, as the vendor's do.
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
    "The image is not a PNG, JPEG, BMP or WEBP, or it is damaged.",
    place=Place.BOTH,
    origin=Origin.VENDOR,
)
PARAMETER_MISSING = ErrorCode(
    40001, "PARAMETER_MISSING", "A required parameter is missing or empty."
)
PARAMETER_INVALID = ErrorCode(
    40002,
    "PARAMETER_INVALID",
    "A parameter has a value that is not allowed, or two different values.",
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
    "The sound cannot be decoded, is empty, or is too long.",
    place=Place.TASK,
)
NO_SUCH_PATH = ErrorCode(
    40404, "NO_SUCH_PATH", "There is no such interface or result.", http_status=404
)
NO_SUCH_METHOD = ErrorCode(
    40405, "NO_SUCH_METHOD", "The interface does not support this HTTP method.", http_status=405
)
CANCELLED = ErrorCode(
    40901,
    "CANCELLED",
    "The task was cancelled with cancelTask; what it was charged was given back.",
    place=Place.TASK,
)
HOST_NOT_ALLOWED = ErrorCode(
    42101,
    "HOST_NOT_ALLOWED",
    "The service has no keys, and the header Host is not an address of this machine.",
    http_status=421,
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
    "The key makes too many requests a second; see the header Retry-After.",
    http_status=429,
)
ACCOUNTS_UNREADABLE = ErrorCode(
    50302,
    "ACCOUNTS_UNREADABLE",
    "The accounts cannot be read at the moment; try again later.",
    http_status=503,
)
RENDERING_FAILED = ErrorCode(
    50001,
    "RENDERING_FAILED",
    "The renderer crashed, took too long, or raised an error; see the service's log.",
    place=Place.TASK,
)
INTERNAL = ErrorCode(
    50000,
    "INTERNAL",
    "An internal error; see the service's log.",
    http_status=500,
)
NO_STORAGE = ErrorCode(
    50301,
    "NO_STORAGE",
    "Nothing can be stored now, or this machine is short of something else; nothing was charged. "
    "Try again after the seconds of the header Retry-After.",
    http_status=503,
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
    CANCELLED,
    HOST_NOT_ALLOWED,
    QUEUE_FULL,
    RATE_LIMITED,
    INTERNAL,
    RENDERING_FAILED,
    NO_STORAGE,
    ACCOUNTS_UNREADABLE,
)
"""Every code, in ascending order."""


def markdown_table() -> str:
    """Return the table of codes in Markdown."""
    lines = ["| code | name | found in | HTTP | meaning |", "|---|---|---|---|---|"]
    for code in TABLE:
        own = " (ours)" if code.origin is Origin.OURS else ""
        lines.append(
            f"| {code.number}{own} | `{code.name}` | {code.place.value} | {code.http_status} "
            f"| {code.meaning} |"
        )
    return "\n".join(lines)


class RequestRefusedError(Exception):
    """The request is answered with an error, and changes nothing.

    Attributes:
        code: the row of the table.
        message: the envelope's `msg`: the parameter, what was found, what is allowed.
        retry_after: seconds after which to try again; `None` if waiting does not help.
    """

    def __init__(self, code: ErrorCode, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after


class RenderFailedError(Exception):
    """The task ends with status 2.

    Attributes:
        code: the row of the table, for `failCode`.
        reason: `failReason`.
        processor_seconds: processor time that was spent for nothing; the account's rate pays it.
    """

    def __init__(self, code: ErrorCode, reason: str, *, processor_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.processor_seconds = processor_seconds


class SetupError(Exception):
    """The service cannot start; the message says what to do."""
