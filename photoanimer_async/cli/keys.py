"""`photoanimer serve keys`: the accounts of a local service and their keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeAlias

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from photoanimer_async.cli.exit_status import ExitStatus, UsageError
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.serve_options import DEFAULT_DATA, Data
from photoanimer_async.redaction import printable, shown_origin
from photoanimer_async.service import AccountBook, AccountError, SetupError
from photoanimer_async.service.storing.account_book import require_notify_url

app = App(
    name="keys",
    usage="Usage: photoanimer serve keys COMMAND [OPTIONS]",
    help_format="markdown",
)

_Name: TypeAlias = Annotated[str, Parameter(help="The name of the account.")]


@app.command(usage="Usage: photoanimer serve keys add NAME [OPTIONS]")
def add(
    name: _Name,
    /,
    *,
    seconds: Annotated[
        float | None,
        Parameter(
            help="Video seconds that the account may spend; by default without limit.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        Parameter(
            help="Requests a second that the account may make; by default without limit.",
        ),
    ] = None,
    notify_url: Annotated[
        str | None,
        Parameter(help="URL to notify when a task has ended (API page, Interface 2)."),
    ] = None,
    data: Data = DEFAULT_DATA,
) -> ExitStatus:
    """Create an account with a key, and show the key this once.

    An account whose key was revoked gets a new key.
    """
    with _account_book(data) as book:
        if notify_url is not None:
            require_notify_url(notify_url)
        key = book.add(name, seconds=seconds, rate=rate)
        secret = None if notify_url is None else book.notify(name, notify_url)
    console = Output()
    console.print(Text.assemble(f"The key of {printable(name)}: ", (key, "bold")), soft_wrap=True)
    console.print("It is not stored, and cannot be shown again.")
    if notify_url is not None and secret is not None:
        _print_secret(console, notify_url, secret)
    return ExitStatus.DONE


@app.command(usage="Usage: photoanimer serve keys notify NAME [URL] [OPTIONS]")
def notify(
    name: _Name,
    url: Annotated[str | None, Parameter(help="URL to notify when a task has ended.")] = None,
    /,
    *,
    off: Annotated[
        bool, Parameter(negative="", help="Send no more notifications, and drop pending ones.")
    ] = False,
    data: Data = DEFAULT_DATA,
) -> ExitStatus:
    """Change the URL that is notified of an account's tasks, and create a new secret.

    Pending notifications are sent to the new URL.
    """
    if off == (url is not None):
        raise UsageError("give either a URL, or --off for none")
    console = Output()
    with _account_book(data) as book:
        if url is None:
            book.stop_notifying(name)
            console.print(f"Notifications of {printable(name)} are off.")
        else:
            _print_secret(console, url, book.notify(name, url))
    return ExitStatus.DONE


@app.command(name="list", usage="Usage: photoanimer serve keys list [OPTIONS]")
def list_accounts(*, data: Data = DEFAULT_DATA) -> ExitStatus:
    """List the accounts, and the video seconds that they have left."""
    with _account_book(data) as book:
        accounts = book.accounts()
    console = Output()
    if not accounts:
        console.print("There are no keys; the service is open to everyone on this machine.")
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
            "no" if account.notify_url is None else shown_origin(account.notify_url),
        )
    console.print(table)
    return ExitStatus.DONE


@app.command(usage="Usage: photoanimer serve keys credit NAME SECONDS [OPTIONS]")
def credit(
    name: _Name,
    seconds: Annotated[float, Parameter(help="Video seconds to add.")],
    /,
    *,
    data: Data = DEFAULT_DATA,
) -> ExitStatus:
    """Add video seconds to an account; one without limit has these only from then on."""
    with _account_book(data) as book:
        balance = book.credit(name, seconds)
    Output().print(f"{printable(name)} has {balance:.2f} video seconds.")
    return ExitStatus.DONE


@app.command(usage="Usage: photoanimer serve keys revoke NAME [OPTIONS]")
def revoke(name: _Name, /, *, data: Data = DEFAULT_DATA) -> ExitStatus:
    """Revoke a key. Submitted tasks are still finished, and links to results still work."""
    with _account_book(data) as book:
        book.revoke(name)
    Output().print(f"The key of {printable(name)} is revoked.")
    return ExitStatus.DONE


def _print_secret(console: Output, url: str, secret: str) -> None:
    origin = shown_origin(url)
    console.print(
        Text.assemble(f"Notifications to {origin} are signed with: ", (secret, "bold")),
        soft_wrap=True,
    )
    console.print("This secret is not shown again; `serve keys notify` creates a new one.")


@contextmanager
def _account_book(data: Data) -> Iterator[AccountBook]:
    try:
        yield AccountBook(data)
    except (AccountError, SetupError) as error:
        raise UsageError(str(error)) from error
