"""The options of `photoanimer serve`, in groups, and the service settings they stand for."""

from pathlib import Path
from typing import Annotated, Final, TypeAlias

from attrs import evolve, field, frozen
from cyclopts import Parameter
from cyclopts.validators import Number

from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.logs import LogFormat
from photoanimer_async.cli.options import FLAG, Port
from photoanimer_async.service import Charging, ServiceSettings
from photoanimer_async.service.faults import Rule, ScriptError, parse_script
from photoanimer_async.service.fetching.addresses import Network, parse_networks

DEFAULT_DATA: Final = Path("photoanimer-data")
Data: TypeAlias = Annotated[
    Path, Parameter(name="--data", help="Folder for tasks and results, kept between runs.")
]

_DAY: Final = 24 * 3600.0
_FEWEST_DAYS: Final = 0.001
_MOST_DAYS: Final = 36_500
_NO_NEGATIVE: Final = Parameter(negative="")


@Parameter(name="*")
@frozen(kw_only=True)
class AccessOptions:
    """Where the service listens, and who may use it."""

    host: Annotated[
        str, Parameter(help="Address to listen on; beyond this machine only with keys.")
    ] = "127.0.0.1"
    port: Port = 8765
    key: Annotated[
        list[str] | None,
        _NO_NEGATIVE,
        Parameter(
            env_var="PHOTOANIMER_SERVICE_KEYS",
            help="An API key to accept besides those of `serve keys`, without limit; can be given "
            "more than once. Better set in the environment, keys separated by spaces.",
        ),
    ] = field(default=None, repr=False)
    open_to_network: Annotated[
        bool,
        FLAG,
        Parameter(
            help="Listen beyond this machine without any key: everyone who can reach it may use "
            "it.",
        ),
    ] = False
    public_url: Annotated[
        str | None,
        Parameter(
            help="The URL under which others reach the service, through a reverse proxy, such as "
            "https://animer.example; links to results start with it.",
        ),
    ] = None
    allow_origin: Annotated[
        list[str] | None,
        _NO_NEGATIVE,
        Parameter(
            help="Let web pages of this origin, such as https://app.example, use the service from "
            "a browser (CORS); can be given more than once.",
        ),
    ] = None
    allow_network: Annotated[
        list[str] | None,
        Parameter(
            negative="--global-only",
            help="Also fetch photos from this network, such as 192.168.0.0/16; can be given more "
            "than once. By default photos are fetched from global addresses, and from this "
            "machine if the service listens on this machine only.",
        ),
    ] = None

    def networks(self) -> tuple[Network, ...] | None:
        """Return the networks that photos may be fetched from.

        Raises:
            UsageError: one of them is not a network.
        """
        try:
            return None if self.allow_network is None else parse_networks(self.allow_network)
        except ValueError as error:
            raise UsageError(f"--allow-network: {error}") from error


@Parameter(name="*")
@frozen(kw_only=True)
class RenderOptions:
    """What makes the videos."""

    workers: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=1, lte=4096),
            help="Photos animated at the same time; by default one for each core. With --dask, "
            "photos at the cluster at the same time; by default 128.",
        ),
    ] = None
    dask: Annotated[
        str | None,
        Parameter(
            help="Animate on the Dask cluster of this scheduler, such as tcp://scheduler:8786."
        ),
    ] = None
    dask_shared: Annotated[
        Path | None,
        Parameter(
            help="A folder for results, with the same path on every Dask worker and here; by "
            "default results are sent through the scheduler.",
        ),
    ] = None
    all_faces: Annotated[
        bool,
        _NO_NEGATIVE,
        Parameter(help="Animate everyone in a photo, not only the largest face."),
    ] = False
    engine: Annotated[
        str, Parameter(help="The engine that animates; other packages can install engines.")
    ] = "warp"


@Parameter(name="*")
@frozen(kw_only=True)
class LimitOptions:
    """What the service keeps, how much it accepts, and what it charges."""

    queue_limit: Annotated[
        int,
        Parameter(
            validator=Number(gte=1),
            help="Most tasks that may wait; further submits get HTTP status 429.",
        ),
    ] = 10_000
    connections: Annotated[
        int,
        Parameter(
            validator=Number(gte=16),
            help="Most connections at the same time; half of them from one address other than "
            "this machine.",
        ),
    ] = 1024
    weight: Annotated[
        list[str] | None,
        _NO_NEGATIVE,
        Parameter(
            help="The weight of an account, as NAME=2, for its shares of downloads, of places in "
            "the queue and of videos; by default 1. Can be given more than once.",
        ),
    ] = None
    charging: Annotated[
        Charging,
        Parameter(
            help="When an account is charged: when a task is accepted, and refunded or not if it "
            "fails; or when it has finished.",
        ),
    ] = Charging.REFUND_FAILED
    result_days: Annotated[
        float,
        Parameter(
            validator=Number(gte=_FEWEST_DAYS, lte=_MOST_DAYS), help="Days that results are kept."
        ),
    ] = 7
    task_days: Annotated[
        float,
        Parameter(
            validator=Number(gte=_FEWEST_DAYS, lte=_MOST_DAYS),
            help="Days that tasks are kept; not less than --result-days.",
        ),
    ] = 30
    drain: Annotated[
        float,
        Parameter(
            validator=Number(gte=0, lte=_MOST_DAYS * _DAY),
            help="Seconds to wait for running renders when the service stops; other videos are "
            "made after the next start.",
        ),
    ] = 10

    def apply(self, settings: ServiceSettings) -> ServiceSettings:
        """Return the settings with these limits.

        Raises:
            UsageError: tasks would be deleted before their results, or a weight is not allowed.
        """
        if self.task_days < self.result_days:
            raise UsageError(
                f"--task-days is {self.task_days:g}; it must not be less than --result-days, "
                f"which is {self.result_days:g}"
            )
        return evolve(
            settings,
            queue_limit=self.queue_limit,
            connections=self.connections,
            weights=dict(map(_parse_weight, self.weight or ())),
            charging=self.charging,
            keep_results_seconds=self.result_days * _DAY,
            keep_tasks_seconds=self.task_days * _DAY,
            drain_seconds=self.drain,
        )


def _parse_weight(text: str) -> tuple[str, float]:
    name, _, weight = text.rpartition("=")
    try:
        return name, float(weight)
    except ValueError:
        raise UsageError(f"--weight is {text!r}; write it as NAME=2") from None


@Parameter(name="*")
@frozen(kw_only=True)
class ReportOptions:
    """How the service reports: notifications, metrics, logs; and faults to inject."""

    notify_url: Annotated[
        str | None,
        Parameter(
            env_var="PHOTOANIMER_SERVICE_NOTIFY_URL",
            help="URL to notify when a task has ended (API page, Interface 2), for users without "
            "an account; `serve keys` sets the URLs of accounts.",
        ),
    ] = field(default=None, repr=False)
    notify_secret: Annotated[
        str | None,
        Parameter(
            env_var="PHOTOANIMER_SERVICE_NOTIFY_SECRET",
            help="Secret that signs these notifications, as `whsec_...`. Better set in the "
            "environment.",
        ),
    ] = field(default=None, repr=False)
    metrics: Annotated[
        str | None,
        Parameter(
            help="Serve /metrics, for Prometheus, and /healthz on a port of this machine, or "
            "HOST:PORT. They need no key, and show none.",
        ),
    ] = None
    log_format: Annotated[
        LogFormat,
        Parameter(
            help="Format of the log on standard error; with `json`, nothing else is printed."
        ),
    ] = LogFormat.TEXT
    fault: Annotated[
        list[str] | None,
        _NO_NEGATIVE,
        Parameter(
            help="A fault to inject, for tests, such as 'submit 3: reset after'; can be given more "
            "than once.",
        ),
    ] = None

    def fault_rules(self) -> list[Rule]:
        """Return the rules of the fault scripts.

        Raises:
            UsageError: a script has an error.
        """
        try:
            return [rule for script in self.fault or [] for rule in parse_script(script)]
        except ScriptError as error:
            raise UsageError(str(error)) from error


def service_settings(
    data: Path,
    access: AccessOptions,
    render: RenderOptions,
    limits: LimitOptions,
    report: ReportOptions,
) -> ServiceSettings:
    """Return the settings that all options together stand for.

    Raises:
        UsageError: a value that is not allowed.
    """
    networks = access.networks()
    try:
        settings = ServiceSettings(
            data_dir=data,
            host=access.host,
            port=access.port,
            keys=frozenset(access.key) if access.key else None,
            open_to_network=access.open_to_network,
            public_url=access.public_url,
            allow_origins=access.allow_origin or (),
            allow_networks=networks,
            dask=render.dask,
            dask_shared=render.dask_shared,
            all_faces=render.all_faces,
            engine=render.engine,
            notify_url=report.notify_url,
            notify_secret=report.notify_secret,
            metrics_address=report.metrics,
        )
        if render.workers is not None:
            settings = evolve(settings, workers=render.workers)
        return limits.apply(settings)
    except ValueError as error:
        raise UsageError(str(error)) from error
