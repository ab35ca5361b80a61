"""`photoanimer balance`."""

import attrs

from photoanimer_async.cli.clients import account_client
from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.json_report import BalanceEvent, print_event
from photoanimer_async.cli.options import AccountOptions, Json
from photoanimer_async.cli.output import Output, format_seconds
from photoanimer_async.cli.signals import run_async
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.models import Balance


def balance(*, json: Json = False, account: AccountOptions = AccountOptions()) -> ExitStatus:
    """Show the account's balance."""
    return run_async(_show(account_client(account, concurrency=1), json=json))


async def _show(client: PhotoAnimerClient, *, json: bool) -> ExitStatus:
    async with client:
        left = await client.get_balance()
    if json:
        print_event(BalanceEvent(**attrs.asdict(left)))
    else:
        _print(left)
    return ExitStatus.DONE


def _print(left: Balance) -> None:
    console = Output()
    for name, value in (
        ("video seconds", left.video),
        ("monthly credits", left.month),
        ("image credits", left.image),
        ("month began", left.month_start),
        ("month ends", left.month_expire),
    ):
        shown = format_seconds(value) if isinstance(value, float | int) else value
        console.print(f"{name:<17}{'not given' if shown is None else shown}")
