"""The folder for results, made before money is spent."""

from pathlib import Path

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.redaction import printable


def made_folder(out: Path) -> Path:
    """The folder, which is there now.

    Raises:
        WrongUseError: it can not be made, or is something else.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise WrongUseError(f"--out: {printable(str(out))} is there and is no folder") from None
    except OSError as error:
        raise WrongUseError(
            f"--out: {printable(str(out))} can not be made: {error.strerror}"
        ) from None
    return out
