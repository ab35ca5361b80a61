"""Where results go, made before money is spent."""

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.models import Location
from photoanimer_async.redaction import printable
from photoanimer_async.storage.result_store import parse_location


def made_place(place: str) -> Location:
    """The folder, which is there now, or the part of an object store.

    Raises:
        WrongUseError: the folder can not be made, or is something else.
        InvalidRequestError: a URL that is none of an object store.
    """
    out = parse_location(place)
    if isinstance(out, str):
        return out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise WrongUseError(f"--out: {printable(str(out))} is there and is no folder") from None
    except OSError as error:
        raise WrongUseError(
            f"--out: {printable(str(out))} can not be made: {error.strerror}"
        ) from None
    return out
