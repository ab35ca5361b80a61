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
from photoanimer_async.redaction import printable, shown_origin
from photoanimer_async.service import AccountBook, AccountError, SetupError
from photoanimer_async.service.storing.account_book import require_suitable

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
    notify_url: Annotated[
        str | None,
        Parameter(help="Where to post that a task has ended (API page, Interface 2)."),
    ] = None,
    data: Data = DATA,
) -> ExitStatus:
    """Make a key, and show it this once.

    A name whose key was revoked gets a new key to the same account.
    """
    with _account_book(data) as book:
        if notify_url is not None:
            require_suitable(notify_url)
        key = book.add(name, seconds=seconds, rate=rate)
        secret = None if notify_url is None else book.notify(name, notify_url)
    console = Output()
    console.print(Text.assemble(f"The key of {printable(name)}: ", (key, "bold")), soft_wrap=True)
    console.print("It is not kept, so that it can not be shown again.")
    if notify_url is not None and secret is not None:
        _print_secret(console, notify_url, secret)
    return ExitStatus.DONE


@app.command(usage="Usage: photoanimer serve keys notify NAME [URL] [OPTIONS]")
def notify(
    name: Annotated[str, Parameter(help="Whose account it is.")],
    url: Annotated[str | None, Parameter(help="Where to post that a task has ended.")] = None,
    /,
    *,
    off: Annotated[
        bool, Parameter(negative="", help="Post nothing any more, and drop what is pending.")
    ] = False,
    data: Data = DATA,
) -> ExitStatus:
    """Change where an account is told that its tasks have ended, and make a new secret.

    What is still to be delivered goes there too.
    """
    if off == (url is not None):
        raise WrongUseError("either give a URL, or --off for none")
    console = Output()
    with _account_book(data) as book:
        if url is None:
            book.stop_notifying(name)
            console.print(f"Nobody is told any more when tasks of {printable(name)} end.")
        else:
            _print_secret(console, url, book.notify(name, url))
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
    for heading in ("name", "video seconds", "requests/s", "key", "notified"):
        numeric = heading in {"video seconds", "requests/s"}
        table.add_column(heading, justify="right" if numeric else "left")
    for account in accounts:
        table.add_row(
            printable(account.name),
            "no limit" if account.balance is None else f"{account.balance:.2f}",
            "no limit" if account.rate is None else f"{account.rate:g}",
            "revoked" if account.digest is None else "valid",
            "nowhere" if account.notify_url is None else shown_origin(account.notify_url),
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


def _print_secret(console: Output, url: str, secret: str) -> None:
    origin = shown_origin(url)
    console.print(
        Text.assemble(f"What is posted to {origin} is signed with: ", (secret, "bold")),
        soft_wrap=True,
    )
    console.print("This secret is not shown again; `serve keys notify` makes a new one.")


@contextmanager
def _account_book(data: Data) -> Iterator[AccountBook]:
    try:
        yield AccountBook(data)
    except (AccountError, SetupError) as error:
        raise WrongUseError(str(error)) from error
