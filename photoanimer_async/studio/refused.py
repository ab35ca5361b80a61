"""What the studio refuses to do, and why."""


class RefusedError(Exception):
    """What was asked for can not be done; the text is for the person at the page."""

    status = 409


class MissingError(RefusedError):
    """There is no such photo, clip or file."""

    status = 404


class MalformedError(RefusedError):
    """The request means nothing."""

    status = 400


class TooLargeError(RefusedError):
    """More was sent than is taken."""

    status = 413
