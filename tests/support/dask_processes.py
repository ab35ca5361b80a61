"""A Dask scheduler and its workers, as processes of Dask's own commands."""

import asyncio
import itertools
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field
from distributed.core import rpc

from .ports import free_port

NO_DASHBOARD = "127.0.0.1:0"
"""Dask serves HTTP also without a dashboard; by default all schedulers would use one port."""

_DASK = str(Path(sysconfig.get_path("scripts"), "dask"))


@define
class DaskProcesses:
    """A scheduler and two workers, which tests may kill.

    Attributes:
        folder: for logs and temporary files.
        port: where the scheduler listens, also after a restart.
        modules: folder of modules that the workers can import.
        scheduler: its process.
        workers: processes by name.
    """

    folder: Path
    port: int
    modules: Path
    scheduler: subprocess.Popen[bytes] | None = None
    workers: dict[str, subprocess.Popen[bytes]] = field(factory=dict)
    _names: Iterator[str] = field(factory=lambda: map("worker-{}".format, itertools.count()))

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start what is missing, and wait until both workers are registered at the scheduler."""
        while True:
            self._start_missing()
            if await self._registered() == set(self.workers):
                return
            await asyncio.sleep(0.05)

    def kill_scheduler(self) -> None:
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()

    def kill_worker(self) -> None:
        _, worker = self.workers.popitem()
        worker.kill()
        worker.wait()

    def kill_workers(self) -> None:
        while self.workers:
            self.kill_worker()

    def _start_missing(self) -> None:
        if self.scheduler is None or self.scheduler.poll() is not None:
            # Workers of the previous scheduler run for a moment longer than the scheduler.
            self.kill_workers()
            self.scheduler = self._run(
                "scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-show"
            )
        for name in [name for name, worker in self.workers.items() if worker.poll() is not None]:
            del self.workers[name]
        while len(self.workers) < 2:
            name = next(self._names)
            self.workers[name] = self._run(
                "worker", self.address, "--name", name, "--nthreads", "1", "--no-nanny"
            )

    async def _registered(self) -> set[str]:
        """The names of the scheduler's workers; none while it does not answer."""
        try:
            async with rpc(self.address, timeout=5) as scheduler:
                identity = await scheduler.identity()
        except OSError:
            return set()
        return {worker["id"] for worker in identity["workers"].values()}

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        path = [str(self.modules), *filter(None, [os.environ.get("PYTHONPATH")])]
        with (self.folder / f"{arguments[0]}.log").open("a") as log:
            return subprocess.Popen(
                [_DASK, *arguments, "--no-dashboard", "--dashboard-address", NO_DASHBOARD],
                cwd=self.folder,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(path),
                    "DASK_TEMPORARY_DIRECTORY": str(self.folder),
                    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
                },
                stdout=log,
                stderr=log,
            )


@contextmanager
def dask_processes(folder: Path, modules: Path) -> Iterator[DaskProcesses]:
    """Processes to be started, which are killed at the end of the block."""
    processes = DaskProcesses(folder, free_port(), modules)
    try:
        yield processes
    finally:
        processes.kill_workers()
        if processes.scheduler is not None:
            processes.kill_scheduler()
