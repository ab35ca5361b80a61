"""Errors whose message is shown to the user on the page."""


class RefusedError(Exception):
    """The request cannot be carried out in the current state.

    Attributes:
        status: the HTTP status of the response.
    """

    status = 409


class MissingError(RefusedError):
    """The photo, clip or file does not exist."""

    status = 404


class MalformedError(RefusedError):
    """The request's content is invalid."""

    status = 400


class TooLargeError(RefusedError):
    """The uploaded file exceeds the size limit."""

    status = 413
