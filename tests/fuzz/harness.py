"""Mutated files on their way through a running service, and what becomes of each.

The files are published on loopback, submitted by URL, fetched, looked at and decoded as anybody's
would be. Between them a photo and a voice that are well are sent: as long as those come out as
a video, the service is alive.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from attrs import define, field, frozen

from .mutations import mutated
from .seeds import SEEDS, portrait, voice

_ROOT: Final = Path(__file__).parents[2]
_AT_ONCE: Final = 12
_CHECK_SECONDS: Final = 0.02
_PATIENCE: Final = 400.0
_PROOF_OF_LIFE_EVERY: Final = 500
_FAILED: Final = 2
_RENDERING_FAILED: Final = 50001


@define
class Report:
    """What came of all files.

    Attributes:
        outcomes: by kind of file, how many ended how.
        suspects: files that showed a fault of ours, or were never done with, by their number.
        deaths: how worker processes died, as the service's log has it.
        faults: what else the log has.
        proofs: how often a photo that is well became a video in between.
        exit_status: of the service, when it was told to stop.
    """

    outcomes: dict[str, Counter[str]] = field(factory=dict)
    suspects: list[tuple[str, int, str]] = field(factory=list)
    deaths: list[str] = field(factory=list)
    faults: list[str] = field(factory=list)
    proofs: int = 0
    exit_status: int | None = None

    @property
    def well(self) -> bool:
        """Whether the service was never harmed: it lived, and every file came to an end."""
        return not self.suspects and not self.faults and self.exit_status == 0

    def lines(self) -> list[str]:
        """The report for a person."""
        lines = []
        for kind, counts in self.outcomes.items():
            lines.append(f"{counts.total()} mutated {kind}s:")
            lines += [f"    {count:6} {outcome}" for outcome, count in counts.most_common()]
        lines.append(f"workers that died: {len(self.deaths)}")
        lines += [f"    {death}" for death in self.deaths[:20]]
        lines.append(f"faults in the log: {len(self.faults)}")
        lines += [f"    {fault}" for fault in self.faults[:20]]
        lines += [f"suspect: {kind} {number}: {why}" for kind, number, why in self.suspects[:20]]
        lines.append(f"photos that were well in between, all animated: {self.proofs}")
        lines.append(f"the service's exit status: {self.exit_status}")
        return lines


@frozen
class _Service:
    """A running service and where it finds the files."""

    session: aiohttp.ClientSession
    base_url: str
    files_url: str

    async def outcome(self, photo: str, sound: str | None) -> tuple[str, str]:
        """How a task ends, and its reason."""
        query = {"imageUrl": f"{self.files_url}/{photo}", "templateId": "2"}
        if sound is not None:
            query |= {"templateId": "0", "voiceUrl": f"{self.files_url}/{sound}"}
        accepted = await self._call("faceDriven/submitTaskByUrl", **query)
        if accepted["code"] != 0:
            return f"refused at the submit, code {accepted['code']}", accepted["msg"]
        while True:
            info = (await self._call("faceDriven/getTaskInfo", taskId=str(accepted["data"])))[
                "data"
            ]
            if info["status"] == 1:
                return "finished", ""
            if info["status"] == _FAILED:
                return f"failed, code {info['failCode']}", info["failReason"]
            await asyncio.sleep(_CHECK_SECONDS)

    async def _call(self, path: str, **query: str) -> Any:
        async with self.session.get(f"{self.base_url}/{path}", params=query) as answer:
            answer.raise_for_status()
            return await answer.json()


class Harness:
    """A run of so many files of each kind.

    Args:
        folder: for the service.
        counts: how many mutated files, by kind.
        seed: of all choices.
        on_progress: called with how many files are done with.
    """

    def __init__(
        self,
        folder: Path,
        counts: dict[str, int],
        seed: int,
        on_progress: Callable[[int], object] = lambda done: None,
    ) -> None:
        self._folder = folder
        self._counts = counts
        self._seed = seed
        self._on_progress = on_progress
        self._seeds = {kind: make() for kind, make in SEEDS.items()}
        self._whole_files = {"portrait": portrait(), "voice": voice()}
        self._report = Report(outcomes={kind: Counter() for kind in counts})
        self._done = 0

    async def run(self) -> Report:
        """Send all files; the report of it."""
        async with self._files() as files_url, self._service(files_url) as service:
            cases = (
                (kind, number) for kind, count in self._counts.items() for number in range(count)
            )
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(self._work_off(cases, service))
            await self._prove_life(service)
        return self._report

    async def _work_off(self, cases: Iterator[tuple[str, int]], service: _Service) -> None:
        for kind, number in cases:
            await self._try(kind, number, service)
            self._done += 1
            self._on_progress(self._done)
            if self._done % _PROOF_OF_LIFE_EVERY == 0:
                await self._prove_life(service)

    async def _try(self, kind: str, number: int, service: _Service) -> None:
        name = f"{kind}/{number}"
        photo, sound = (name, None) if kind == "picture" else ("portrait", name)
        outcome, reason = await self._outcome(service, photo, sound)
        if str(_RENDERING_FAILED) in outcome:
            outcome += f": {reason}"
        if outcome.startswith("no end") or "has a fault" in outcome:
            self._report.suspects.append((kind, number, outcome))
        self._report.outcomes[kind][outcome] += 1

    async def _prove_life(self, service: _Service) -> None:
        for sound in (None, "voice"):
            outcome, reason = await self._outcome(service, "portrait", sound)
            if outcome != "finished":
                self._report.faults.append(f"a photo that is well: {outcome}: {reason}")
            self._report.proofs += 1

    async def _outcome(self, service: _Service, photo: str, sound: str | None) -> tuple[str, str]:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await service.outcome(photo, sound)
        except (TimeoutError, aiohttp.ClientError) as error:
            return f"no end: {type(error).__name__}", str(error)

    @asynccontextmanager
    async def _files(self) -> AsyncIterator[str]:
        """Serves the mutated files by their numbers; gives the origin."""

        async def answer(request: web.Request) -> web.Response:
            kind, _, number = request.path[1:].partition("/")
            if not number:
                return web.Response(body=self._whole_files[kind])
            return web.Response(body=mutated(self._seeds[kind], self._seed, int(number)))

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def _service(self, files_url: str) -> AsyncIterator[_Service]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.fuzz.service",
            str(self._folder),
            cwd=_ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), *_python_path()])},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        listening = asyncio.create_task(self._listen(process))
        try:
            base_url = (await process.stdout.readline()).decode().strip()
            headers = {"APIKEY": "any"}
            async with aiohttp.ClientSession(headers=headers) as session:
                yield _Service(session, base_url, files_url)
        finally:
            if process.returncode is None:
                process.terminate()
            self._report.exit_status = await process.wait()
            await listening

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            if "event=worker_died" in text:
                self._report.deaths.append(text)
            elif text.startswith("ERROR"):
                self._report.faults.append(text)


def _python_path() -> list[str]:
    return [path for path in [os.environ.get("PYTHONPATH")] if path]
