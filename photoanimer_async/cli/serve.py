"""`photoanimer serve`. The commands below it are in `keys`."""

import asyncio
from collections.abc import Sequence

from cyclopts import App
from rich.text import Text

from photoanimer_async.cli.exit_status import ExitStatus, UsageError
from photoanimer_async.cli.logs import LogFormat, log_everything
from photoanimer_async.cli.open_files import raise_open_file_limit
from photoanimer_async.cli.options import listen_error
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.serve_options import (
    DEFAULT_DATA,
    AccessOptions,
    Data,
    LimitOptions,
    RenderOptions,
    ReportOptions,
    service_settings,
)
from photoanimer_async.cli.signals import run_async
from photoanimer_async.service import LocalService, ServiceSettings, SetupError
from photoanimer_async.service import serve as serve_until_stopped
from photoanimer_async.service.faults import FaultInjector, Rule
from photoanimer_async.service.fetching.addresses import LOOPBACK
from photoanimer_async.service.memory_tuning import (
    collect_garbage_less_often,
    return_large_blocks_to_system,
    share_one_heap,
)

app = App(
    name="serve",
    usage="Usage: photoanimer serve [COMMAND] [OPTIONS]",
    help_format="markdown",
)
app.command(
    "photoanimer_async.cli.keys:app",
    name="keys",
    help="""Create and revoke keys for a local service, and set the limits of their accounts.

The service may be running; it applies a change within a second.""",
)


@app.default
def serve(
    *,
    access: AccessOptions = AccessOptions(),
    data: Data = DEFAULT_DATA,
    render: RenderOptions = RenderOptions(),
    limits: LimitOptions = LimitOptions(),
    report: ReportOptions = ReportOptions(),
) -> ExitStatus:
    """Run a local service; see `photoanimer serve --help`."""
    settings = service_settings(data, access, render, limits, report)
    rules = report.fault_rules()
    log_everything(report.log_format)
    console = Output() if report.log_format is LogFormat.TEXT else None
    return run_async(_serve(settings, rules, console))


async def _serve(
    settings: ServiceSettings, rules: Sequence[Rule], console: Output | None
) -> ExitStatus:
    def announce(service: LocalService) -> None:
        collect_garbage_less_often()
        if console is not None:
            for line in announcement(settings, service, rules):
                console.print(line, soft_wrap=True)

    return_large_blocks_to_system()
    share_one_heap()
    raise_open_file_limit()
    faults = FaultInjector(rules) if rules else None
    try:
        await serve_until_stopped(settings, faults=faults, on_start=announce)
    except asyncio.CancelledError:
        pass  # Ctrl-C is the usual way to stop a service
    except SetupError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise listen_error(error, settings.host, settings.port) from error
    if console is not None:
        console.print("Stopped.")
    return ExitStatus.DONE


def announcement(
    settings: ServiceSettings, service: LocalService, rules: Sequence[Rule]
) -> Sequence[Text]:
    """Return what is printed when the service is ready: where it is, and how to use it."""
    base_url = service.base_url
    key = "any-key-will-do" if service.is_open else "YOUR-KEY"
    accepted = (
        "It is open: any API key is accepted. `photoanimer serve keys add NAME` changes that."
        if service.is_open
        else "It accepts only the keys that it knows."
    )
    lines = [
        Text.assemble("Photo Animer on this machine: ", (base_url, "bold")),
        Text(f"Tasks and results are kept in {settings.data_dir.resolve()}."),
        Text(accepted),
        Text(f"Videos are made {_renderer(settings)}."),
        Text(f"Photos are fetched from {fetched_from(settings)}."),
        Text(f"Its interfaces, parameters and error codes are at {service.docs_url}."),
    ]
    if service.operations_url is not None:
        lines.append(Text(f"Metrics are at {service.operations_url}/metrics."))
    submit = f"{base_url}/faceDriven/submitTaskByUrl"
    lines += [
        Text("\nTry it from another terminal:"),
        Text(f"  photoanimer animate me.jpg --base-url {base_url} --api-key {key}", "bold"),
        Text(
            f"  curl -H 'APIKEY: {key}' '{submit}?imageUrl=http://127.0.0.1:8000/me.jpg"
            "&templateId=1'",
            "bold",
        ),
        Text("\nCtrl-C stops it.\n"),
    ]
    if not settings.is_on_loopback:
        warning = "other machines can reach this service. Keys and photos are sent unencrypted."
        lines.append(Text(f"Warning: {warning}\n", "yellow"))
    return [*lines, *(Text(f"Fault: {rule}", "yellow") for rule in rules)]


def fetched_from(settings: ServiceSettings) -> str:
    """Return the networks that the service fetches photos from, in words."""
    networks = settings.fetch_rules.networks
    if networks == LOOPBACK:
        return "global addresses and this machine"
    return " and ".join(["global addresses", *map(str, networks)])


def _renderer(settings: ServiceSettings) -> str:
    if settings.dask is None:
        return f"on this machine, {settings.workers} at a time"
    return f"by the Dask cluster at {settings.dask}, at most {settings.workers} at a time"
