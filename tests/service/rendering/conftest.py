"""Jobs for renderers, and a Dask cluster."""

import fcntl
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from photoanimer_async.service import RenderJob

if TYPE_CHECKING:
    from ...support.dask_processes import DaskProcesses

DOUBLES = Path(__file__).parents[1] / "doubles"

_numbers = itertools.count(1)


def render_job(folder: Path, photo: bytes = b"photo", template: int = 1, **more: Any) -> RenderJob:
    """A job with an id of its own, whose results go to the folder."""
    number = next(_numbers)
    path = folder / f"{number}.photo"
    path.write_bytes(photo)
    mp4 = folder / f"{number:032}.mp4"
    fields: dict[str, Any] = {"task_id": number, "template": template, "photo": path, "mp4": mp4}
    return RenderJob(**fields | more)


def is_free(lock: Path) -> bool:
    """Whether no process holds a lock on a file."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def unfinished_files(folder: Path) -> list[Path]:
    return list(folder.glob(".*"))


@pytest.fixture(autouse=True)
def importable_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module `renderers` can be imported here and in worker processes."""
    monkeypatch.setenv("PYTHONPATH", str(DOUBLES), prepend=os.pathsep)
    monkeypatch.setattr(sys, "path", [*sys.path, str(DOUBLES)])


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator["DaskProcesses"]:
    # Importing Dask takes a second, which the other tests of this folder need not wait for.
    from ...support.dask_processes import dask_processes  # noqa: PLC0415

    with dask_processes(tmp_path_factory.mktemp("dask"), DOUBLES) as processes:
        yield processes


@pytest.fixture
async def cluster(shared_cluster: "DaskProcesses") -> "DaskProcesses":
    """A running scheduler with two workers; tests may kill them."""
    await shared_cluster.start()
    return shared_cluster
