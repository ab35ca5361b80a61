"""`photoanimer serve keys`: who may use a local service."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.table import Table
from rich.text import Text

from photoanimer_async.cli.exits import ExitStatus, WrongUseError
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.serve_options import DATA, Data
from photoanimer_async.redaction import printable
from photoanimer_async.service import AccountBook, AccountError, SetupError

app = App(
    name="keys",
    usage="Usage: photoanimer serve keys COMMAND [OPTIONS]",
)


@app.command(usage="Usage: photoanimer serve keys add NAME [OPTIONS]")
def add(
    name: Annotated[str, Parameter(help="Whose key it is.")],
    /,
    *,
    seconds: Annotated[
        float | None,
        Parameter(
            validator=Number(gte=0),
            help="Video seconds that may be spent; by default any number.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        Parameter(
            validator=Number(gt=0),
            help="Requests a second that may be made; by default any number.",
        ),
    ] = None,
    data: Data = DATA,
) -> ExitStatus:
    """Make a key, and show it this once.

    A name whose key was revoked gets a new key to the same account.
    """
    with _account_book(data) as book:
        key = book.add(name, seconds=seconds, rate=rate)
    console = Output()
    console.print(Text.assemble(f"The key of {printable(name)}: ", (key, "bold")), soft_wrap=True)
    console.print("It is not kept, so that it can not be shown again.")
    return ExitStatus.DONE


@app.command(name="list", usage="Usage: photoanimer serve keys list [OPTIONS]")
def list_accounts(*, data: Data = DATA) -> ExitStatus:
    """Show who has a key, and what is left of their video seconds."""
    with _account_book(data) as book:
        accounts = book.accounts()
    console = Output()
    if not accounts:
        console.print("Nobody has a key; the service is open to everybody on this machine.")
        return ExitStatus.DONE
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "video seconds", "requests/s", "key"):
        table.add_column(heading, justify="left" if heading in {"name", "key"} else "right")
    for account in accounts:
        table.add_row(
            printable(account.name),
            "no limit" if account.balance is None else f"{account.balance:.2f}",
            "no limit" if account.rate is None else f"{account.rate:g}",
            "revoked" if account.digest is None else "valid",
        )
    console.print(table)
    return ExitStatus.DONE


@app.command(usage="Usage: photoanimer serve keys credit NAME SECONDS [OPTIONS]")
def credit(
    name: Annotated[str, Parameter(help="Whose account it is.")],
    seconds: Annotated[
        float, Parameter(validator=Number(gt=0), help="Video seconds that are added.")
    ],
    /,
    *,
    data: Data = DATA,
) -> ExitStatus:
    """Give an account more video seconds; one without limit has one from then on."""
    with _account_book(data) as book:
        balance = book.credit(name, seconds)
    Output().print(f"{printable(name)} has {balance:.2f} video seconds.")
    return ExitStatus.DONE


@app.command(usage="Usage: photoanimer serve keys revoke NAME [OPTIONS]")
def revoke(
    name: Annotated[str, Parameter(help="Whose key it is.")], /, *, data: Data = DATA
) -> ExitStatus:
    """Take a key away. Tasks under way go on, and links to results still work."""
    with _account_book(data) as book:
        book.revoke(name)
    Output().print(f"The key of {printable(name)} is not accepted any more.")
    return ExitStatus.DONE


@contextmanager
def _account_book(data: Data) -> Iterator[AccountBook]:
    try:
        yield AccountBook(data)
    except (AccountError, SetupError) as error:
        raise WrongUseError(str(error)) from error
