"""Where a batch's journal is, and which service it belongs to."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter

from photoanimer_async.cli.clients import local_base_url
from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.options import FLAG, AccountOptions, SubmitOptions
from photoanimer_async.jobs.journal import read_journal
from photoanimer_async.redaction import printable, shown_url
from photoanimer_async.storage.result_store import parse_location

JOURNAL_NAME = "photoanimer.journal"
LOCAL_JOURNAL_NAME = "photoanimer-local.journal"
"""The name for photos that are animated on this machine: a journal belongs to one service."""


@Parameter(name="*")
@frozen(kw_only=True)
class JournalOptions:
    """Where the journal of a batch is kept."""

    journal: Annotated[
        Path | None,
        Parameter(
            help=f"File that records what was paid for; by default {JOURNAL_NAME} (with --local, "
            f"{LOCAL_JOURNAL_NAME}) in the folder for the results, or in the current one if they "
            "go to an object store.",
        ),
    ] = None
    no_journal: Annotated[bool, FLAG, Parameter(help="Keep no journal.")] = False

    def path(self, out: str, *, local: bool) -> Path | None:
        """Return where the journal is, or `None` for a batch without one.

        Args:
            out: where the results are saved.
            local: whether the photos are animated on this machine.

        Raises:
            UsageError: both options are given.
        """
        if self.no_journal and self.journal:
            raise UsageError("--journal and --no-journal exclude each other")
        if self.no_journal:
            return None
        location = parse_location(out, "--out")
        folder = location if isinstance(location, Path) else Path()
        return self.journal or folder / (LOCAL_JOURNAL_NAME if local else JOURNAL_NAME)


def journal_in(path: Path) -> Path:
    """Return the journal that is named, by its own name or by that of its folder.

    Raises:
        UsageError: there is none, or the folder has one for each of two services.
    """
    if not os.path.lexists(path):
        raise UsageError(
            f"{printable(str(path))}: there is no such journal; name the {JOURNAL_NAME} of a "
            "batch, or the folder that it is in"
        )
    if not path.is_dir():
        return path
    names = [name for name in (JOURNAL_NAME, LOCAL_JOURNAL_NAME) if (path / name).exists()]
    if not names:
        shown = printable(str(path))
        raise UsageError(f"{shown}: there is no {JOURNAL_NAME} in the folder")
    if len(names) > 1:
        shown = " or ".join(printable(str(path / name)) for name in names)
        raise UsageError(f"{printable(str(path))}: has two journals, name one of them: {shown}")
    return path / names[0]


def local_folder(journal: Path) -> Path:
    """Return the folder in which a batch on this machine keeps its tasks, beside its journal."""
    return journal.with_name(f".{journal.stem.removesuffix('-local')}-local")


def resume_arguments(
    journal: Path | None,
    submit: SubmitOptions,
    account: AccountOptions | None = None,
    *,
    all_faces: bool = False,
) -> Sequence[str] | None:
    """Return the arguments of `photoanimer resume` with the same options, if there is a journal."""
    if journal is None:
        return None
    service = [] if account is None else account.as_arguments()
    return [str(journal), *service, *submit.as_arguments(), *["--all-faces"] * all_faces]


def require_service(journal: Path | None, service: str | None) -> None:
    """Require that a journal, if it exists, belongs to a service or to none yet.

    Args:
        journal: the journal; it need not exist.
        service: the base URL; `None` for a service on this machine that has not run yet.

    Raises:
        UsageError: it belongs to another one.
        JournalError: it cannot be read.
    """
    if journal is None or not journal.exists():
        return
    with read_journal(journal) as store:
        owner = store.service()
    if owner in {None, service}:
        return
    here = local_base_url(local_folder(journal))
    if owner == here:
        belongs = "belongs to photos that are animated on this machine: continue it with --local"
    else:
        its_url = shown_url(owner or "")
        belongs = f"belongs to {its_url}: continue it with --base-url {its_url}"
    wanted = "this machine" if service in {None, here} else shown_url(service or "")
    raise UsageError(
        f"{printable(str(journal))}: {belongs}, or choose another folder for {wanted} with --out"
    )


def is_local(journal: Path, service: str | None) -> bool:
    """Return whether the service that a journal names is the one of this machine's batches."""
    return service is not None and service == local_base_url(local_folder(journal))
