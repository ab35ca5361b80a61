"""`photoanimer balance`."""

from photoanimer_async.cli.clients import account_client
from photoanimer_async.cli.exits import ExitStatus
from photoanimer_async.cli.interrupts import run_until_done
from photoanimer_async.cli.options import ApiKey, BaseUrl
from photoanimer_async.cli.output import Output
from photoanimer_async.client import PhotoAnimerClient


def balance(*, base_url: BaseUrl = None, api_key: ApiKey = None) -> ExitStatus:
    """Show what is left on the account."""
    return run_until_done(_show(account_client(api_key, base_url, concurrency=1)))


async def _show(client: PhotoAnimerClient) -> ExitStatus:
    console = Output()
    async with client:
        left = await client.get_balance()
    for name, value in (
        ("video seconds", left.video),
        ("monthly credits", left.month),
        ("image credits", left.image),
        ("month began", left.month_start),
        ("month ends", left.month_expire),
    ):
        shown = f"{value:g}" if isinstance(value, float | int) else value
        console.print(f"{name:<17}{'not given' if shown is None else shown}")
    return ExitStatus.DONE
