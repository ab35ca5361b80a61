"""`photoanimer serve`, and the commands below it."""

import asyncio
import errno
from pathlib import Path
from typing import Annotated, Final

from attrs import evolve
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.text import Text

from photoanimer_async.cli.exits import ExitStatus, WrongUseError
from photoanimer_async.cli.interrupts import run_until_done
from photoanimer_async.cli.logs import LogFormat, show_everything
from photoanimer_async.cli.loopback import is_loopback
from photoanimer_async.cli.malloc_tuning import return_large_blocks_to_system
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.serve_options import DATA, Data, Limits
from photoanimer_async.service import LocalService, ServiceSettings, SetupError
from photoanimer_async.service import serve as serve_until_stopped
from photoanimer_async.service.faults import FaultInjector, Rule, ScriptError, parse_script
from photoanimer_async.service.fetching.addresses import LOOPBACK, Network, parse_networks

app = App(name="serve", usage="Usage: photoanimer serve [COMMAND] [OPTIONS]")
app.command(
    "photoanimer_async.cli.keys:app",
    name="keys",
    help="""Give people keys to a local service, and take them away.

It makes no difference whether the service runs meanwhile; it takes a change in within a second.""",
)

_LIMITS: Final = Limits()


@app.default
def serve(
    *,
    host: Annotated[
        str, Parameter(help="Address to listen on; beyond this machine only with keys.")
    ] = "127.0.0.1",
    port: Annotated[
        int, Parameter(validator=Number(gte=0, lte=65535), help="Port; 0 for any free one.")
    ] = 8765,
    data: Data = DATA,
    workers: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=1, lte=4096),
            help="Photos animated at the same time; by default one for each core. With --dask, "
            "photos at the cluster at the same time; by default 128.",
        ),
    ] = None,
    dask: Annotated[
        str | None,
        Parameter(help="Animate on the Dask cluster of this scheduler, as tcp://scheduler:8786."),
    ] = None,
    dask_shared: Annotated[
        Path | None,
        Parameter(
            help="A folder that results travel by, under the same path on every Dask worker and "
            "here; by default they travel through the scheduler.",
        ),
    ] = None,
    all_faces: Annotated[
        bool,
        Parameter(negative="", help="Animate everyone in a photo, not the largest face alone."),
    ] = False,
    engine: Annotated[
        str, Parameter(help="What animates; other packages can install engines.")
    ] = "warp",
    allow_network: Annotated[
        list[str] | None,
        Parameter(
            negative="--global-only",
            help="Fetch photos from this network too, as 192.168.0.0/16; can be given more than "
            "once. By default from global addresses, and from this machine if it listens on "
            "this machine only.",
        ),
    ] = None,
    notify_url: Annotated[
        str | None,
        Parameter(
            env_var="PHOTOANIMER_SERVICE_NOTIFY_URL",
            help="Where to post that a task has ended (API page, Interface 2), for those who have "
            "no account; `serve keys` gives accounts addresses of their own.",
        ),
    ] = None,
    notify_secret: Annotated[
        str | None,
        Parameter(
            env_var="PHOTOANIMER_SERVICE_NOTIFY_SECRET",
            help="What signs that, as `whsec_...`. Better set in the environment.",
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        Parameter(
            env_var="PHOTOANIMER_SERVICE_KEYS",
            negative="",
            help="An API key to accept beside those of `serve keys`, without limit; can be given "
            "more than once. Better set in the environment, keys separated by spaces.",
        ),
    ] = None,
    open_to_network: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Listen beyond this machine without any key: everybody who can reach it may "
            "use it.",
        ),
    ] = False,
    fault: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="What is to go wrong, for tests, for instance 'submit 3: reset after'; can be "
            "given more than once.",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        Parameter(
            help="Where to serve /metrics, for Prometheus, and /healthz: a port of this machine, "
            "or HOST:PORT. They need no key, and tell none.",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat,
        Parameter(help="How to log, on standard error; with `json`, nothing else is printed."),
    ] = LogFormat.TEXT,
    limits: Annotated[Limits, Parameter(name="*")] = _LIMITS,
) -> ExitStatus:
    """Run a local service; see `photoanimer serve --help`."""
    try:
        settings = ServiceSettings(
            data_dir=data,
            host=host,
            port=port,
            keys=frozenset(key) if key else None,
            dask=dask,
            dask_shared=dask_shared,
            all_faces=all_faces,
            engine=engine,
            allow_networks=_networks(allow_network),
            open_to_network=open_to_network,
            notify_url=notify_url,
            notify_secret=notify_secret,
            metrics_address=metrics,
        )
        settings = limits.apply(settings)
        if workers is not None:
            settings = evolve(settings, workers=workers)
    except ValueError as error:
        raise WrongUseError(str(error)) from error
    rules = _rules(fault or [])
    show_everything(log_format)
    console = Output() if log_format is LogFormat.TEXT else None
    return run_until_done(_serve(settings, rules, console))


def _networks(texts: list[str] | None) -> tuple[Network, ...] | None:
    try:
        return None if texts is None else parse_networks(texts)
    except ValueError as error:
        raise WrongUseError(f"--allow-network: {error}") from error


def _rules(scripts: list[str]) -> list[Rule]:
    try:
        return [rule for script in scripts for rule in parse_script(script)]
    except ScriptError as error:
        raise WrongUseError(str(error)) from error


async def _serve(
    settings: ServiceSettings, rules: list[Rule], console: Output | None
) -> ExitStatus:
    def announce(service: LocalService) -> None:
        if console is None:
            return
        _announce(console, settings, service)
        for rule in rules:
            console.print(Text(f"Fault: {rule}", "yellow"), soft_wrap=True)

    return_large_blocks_to_system()
    try:
        await serve_until_stopped(
            settings, faults=FaultInjector(rules) if rules else None, on_start=announce
        )
    except asyncio.CancelledError:
        pass  # Ctrl-C is how a service is stopped
    except SetupError as error:
        raise WrongUseError(str(error)) from error
    except OSError as error:
        raise WrongUseError(_why_not(error, settings)) from error
    if console is not None:
        console.print("Stopped.")
    return ExitStatus.DONE


def _why_not(error: OSError, settings: ServiceSettings) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {settings.port} of {settings.host} is in use; choose another with --port, "
            "or let one be found with --port 0"
        )
    return f"can not listen on port {settings.port} of {settings.host}: {error.strerror or error}"


def _sources(settings: ServiceSettings) -> str:
    networks = settings.fetch_rules.networks
    if networks == LOOPBACK:
        return "global addresses and this machine"
    return " and ".join(["global addresses", *map(str, networks)])


def _metrics(service: LocalService) -> list[Text]:
    url = service.operations_url
    return [] if url is None else [Text(f"Metrics are at {url}/metrics.")]


def _where(settings: ServiceSettings) -> str:
    if settings.dask is None:
        return f"on this machine, {settings.workers} at a time"
    return f"by the Dask cluster at {settings.dask}, at most {settings.workers} at a time"


def _announce(console: Output, settings: ServiceSettings, service: LocalService) -> None:
    base_url = service.base_url
    key = "any-key-will-do" if service.is_open else "YOUR-KEY"
    submit = f"{base_url}/faceDriven/submitTaskByUrl"
    accepted = (
        "It is open: any API key is accepted. `photoanimer serve keys add NAME` changes that."
        if service.is_open
        else "It is open to those who have a key."
    )
    for line in (
        Text.assemble("Photo Animer on this machine: ", (base_url, "bold")),
        Text(f"Tasks and results are kept in {settings.data_dir.resolve()}."),
        Text(accepted),
        Text(f"Videos are made {_where(settings)}."),
        Text(f"Photos are fetched from {_sources(settings)}."),
        *_metrics(service),
        Text("\nTry it from another terminal:"),
        Text(f"  photoanimer animate me.jpg --base-url {base_url} --api-key {key}", "bold"),
        Text(
            f"  curl -H 'APIKEY: {key}' '{submit}?imageUrl=http://127.0.0.1:8000/me.jpg"
            "&templateId=1'",
            "bold",
        ),
        Text("\nCtrl-C stops it.\n"),
    ):
        console.print(line, soft_wrap=True)
    if not is_loopback(settings.host):
        console.print(
            Text(
                "Warning: other machines can reach this service. Keys and photos travel "
                "unencrypted.\n",
                "yellow",
            )
        )
