"""Polls against delay: the quality of poll schedules, in a simulation.

    python benchmarks/polling.py [--repeats 8] [--quick]

A task takes a random time. The delay is from its end to the first poll after it. Each rule has a
parameter (an interval, or the cost of a poll) that trades polls for delay, so rules are compared
at equal polls per task, interpolated between parameters:

- **optimum**: knows the distribution; a dynamic program over 700 ages.
- **fixed**: the interval that gives this number of polls.
- **backoff**: doubling to 10 times its first interval, with full jitter.
- **cold**: `AdaptivePolling` without earlier durations, 500 tasks submitted at once.
- **stream**: the same with 50 in flight, the next submitted as one ends.
- **warm**: 500 at once, with the durations of an earlier run with 100 tasks.

All rules get the same tasks. `bimodal by template` has the same tasks as `bimodal`, with
templates that distinguish the modes, which only `AdaptivePolling` makes use of.

The second table is a queue that builds up: 500 tasks at once, each of which ends later than the
one before. It shows the number of polls for each second that a task waits, beside the same
without a queue.
"""

import argparse
import heapq
import math
from collections.abc import Callable, Sequence
from random import Random

import numpy as np
from attrs import frozen
from machine import figures, table
from numpy.typing import NDArray

from photoanimer_async import AdaptivePolling

Array = NDArray[np.float64]

TASKS = 500
_QUICK = 0.6
_NOBODY = 1e-9
AT_POLLS = (2.0, 3.0, 4.0, 6.0)
COSTS = (0.002, 0.004, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.2)
"""The cost of a poll, as a share of the mean duration."""
RULES = {
    "warm": "`AdaptivePolling`, warm",
    "cold": "cold, 500 at once",
    "stream": "cold, 50 in flight",
    "fixed": "fixed interval, best choice",
    "backoff": "backoff with full jitter",
}


@frozen
class Tasks:
    """Durations in seconds, and the kind of each task, which is known beforehand."""

    seconds: Array
    kinds: Sequence[str]


def _lognormal(mean: float, sigma: float, rng: np.random.Generator, count: int) -> Array:
    return rng.lognormal(math.log(mean) - sigma**2 / 2, sigma, count)


def short(rng: np.random.Generator, count: int) -> Tasks:
    """Draw from a lognormal distribution with a mean of 2 s, between 0.8 and 6 s."""
    return Tasks(np.clip(_lognormal(2, 0.45, rng, count), 0.8, 6), [""] * count)


def long(rng: np.random.Generator, count: int) -> Tasks:
    """Draw from a lognormal distribution with a mean of 30 s."""
    return Tasks(_lognormal(30, 0.5, rng, count), [""] * count)


def bimodal_by_template(rng: np.random.Generator, count: int) -> Tasks:
    """Draw 60 % of about 3 s and 40 % of about 25 s, distinguished by template."""
    is_quick = rng.random(count) < _QUICK
    seconds = np.where(is_quick, 3, 25) * rng.lognormal(0, 0.25, count)
    return Tasks(seconds, ["2 mp4" if quick else "1 mp4" for quick in is_quick])


def bimodal(rng: np.random.Generator, count: int) -> Tasks:
    """Draw the same durations with one template."""
    return Tasks(bimodal_by_template(rng, count).seconds, [""] * count)


def heavy_tail(rng: np.random.Generator, count: int) -> Tasks:
    """Draw at least 2 s, a mean of 7, and a Pareto tail (exponent 1.6) up to 10 minutes."""
    return Tasks(2 + 3 * np.clip(rng.pareto(1.6, count), 0, 200), [""] * count)


Draw = Callable[[np.random.Generator, int], Tasks]
DISTRIBUTIONS: dict[str, Draw] = {
    "lognormal, 2 s": short,
    "lognormal, 30 s": long,
    "bimodal": bimodal,
    "bimodal by template": bimodal_by_template,
    "heavy tail": heavy_tail,
}


@frozen
class Point:
    """Means over tasks."""

    polls: float
    delay: float


# --- rules that do not learn ---


def follow(ages: Array, seconds: Array) -> Point:
    """Poll all tasks at these ages."""
    last = np.searchsorted(ages, seconds)
    return Point(float(np.mean(last + 1)), float(np.mean(ages[last] - seconds)))


def optimum(known: Array, seconds: Array, cost: float) -> Point:
    """Poll at the best ages for the distribution of `known`."""
    edges = np.concatenate([[0], np.geomspace(known.min() / 2, known.max() * 1.05, 700)])
    ended = np.searchsorted(np.sort(known), edges, side="right") / len(known)
    ended[-1] = 1.0
    middle = (edges[1:] + edges[:-1]) / 2
    time_ended = np.concatenate([[0], np.cumsum(np.diff(ended) * middle)])
    last = len(edges) - 1
    value, following = np.zeros(last + 1), np.full(last + 1, last)
    for i in range(last - 1, -1, -1):
        alive = 1 - ended[i]
        if alive < _NOBODY:
            following[i], value[i] = i + 1, cost
            continue
        later = slice(i + 1, None)
        delay = edges[later] * (ended[later] - ended[i]) - (time_ended[later] - time_ended[i])
        costs = cost + (delay + (1 - ended[later]) * value[later]) / alive
        best = int(np.argmin(costs))
        following[i], value[i] = i + 1 + best, costs[best]
    ages, i = [], 0
    while i < last:
        i = int(following[i])
        ages.append(edges[i])
    return follow(np.array(ages), seconds)


def fixed(interval: float, seconds: Array) -> Point:
    """Poll at a fixed interval."""
    polls = np.ceil(seconds / interval)
    return Point(float(np.mean(polls)), float(np.mean(polls * interval - seconds)))


def backoff(first: float, seconds: Array, rng: np.random.Generator) -> Point:
    """Poll with full jitter: each wait is anything up to an interval that doubles."""
    ages, polls = np.zeros(len(seconds)), np.zeros(len(seconds))
    interval = first
    while (waiting := ages < seconds).any():
        ages[waiting] += np.maximum(rng.uniform(0, interval, int(waiting.sum())), 1e-3)
        polls[waiting] += 1
        interval = min(2 * interval, 10 * first)
    return Point(float(np.mean(polls)), float(np.mean(ages - seconds)))


# --- the one that learns ---


class Simulation:
    """Tasks and a policy, connected as the scheduler does it."""

    def __init__(self, policy: AdaptivePolling, tasks: Tasks, in_flight: int, seed: int) -> None:
        self._policy = policy
        self._tasks = tasks
        self._rng = Random(seed)  # noqa: S311 - a simulation
        self._began = [0.0] * len(tasks.kinds)
        self._after = [0.0] * len(tasks.kinds)
        self._due = [0.0] * len(tasks.kinds)
        self._live: set[int] = set()
        self._queue: list[tuple[float, int]] = []
        self._submitted = 0
        self.polls = 0
        self.delays: list[float] = []
        self.waited = 0.0
        for _ in range(min(in_flight, len(tasks.kinds))):
            self._submit(0.0)

    def run(self) -> Point:
        """Run until all tasks have ended."""
        while self._queue:
            now, task = heapq.heappop(self._queue)
            if task in self._live and self._due[task] == now:
                self._poll(task, now)
        return Point(self.polls / len(self.delays), float(np.mean(self.delays)))

    def _poll(self, task: int, now: float) -> None:
        self.polls += 1
        age, after, kind = now - self._began[task], self._after[task], self._tasks.kinds[task]
        if age >= self._tasks.seconds[task]:
            self._live.discard(task)
            self.delays.append(age - self._tasks.seconds[task])
            self.waited += age
            changed = self._policy.task_ended(kind, after, age)
            if self._submitted < len(self._began):
                self._submit(now)
        else:
            changed = self._policy.task_processing(kind, after, age)
            self._after[task] = age
            self._plan(task, now + self._policy.delay(kind, age, self._rng))
        if changed:
            self._replan(kind, now)

    def _replan(self, kind: str, now: float) -> None:
        for task in list(self._live):
            if self._tasks.kinds[task] == kind:
                began, after = self._began[task], self._after[task]
                due = began + after + self._policy.delay(kind, after, self._rng)
                self._plan(task, max(due, now + 0.05 * self._rng.random() * (now - began)))

    def _submit(self, now: float) -> None:
        task = self._submitted
        self._submitted += 1
        self._began[task] = now
        self._live.add(task)
        self._policy.task_added(self._tasks.kinds[task])
        self._plan(task, now + self._policy.delay(self._tasks.kinds[task], 0.0, self._rng))

    def _plan(self, task: int, due: float) -> None:
        self._due[task] = due
        heapq.heappush(self._queue, (due, task))


def policy(cost: float, *, past: Tasks | None = None, seed: int = 0) -> AdaptivePolling:
    """Return a policy, cold or with the durations of a run with past tasks."""
    cold = AdaptivePolling(cost, shortest=0.02, longest=600)
    if past is None:
        return cold
    Simulation(cold, past, len(past.kinds), seed).run()
    warm = AdaptivePolling(cost, shortest=0.02, longest=600)
    warm.learn_from(cold.to_dict())
    return warm


# --- comparison ---


def delay_at(points: Sequence[Point], polls: float) -> float:
    """Interpolate between parameters; not a number where there are none on both sides."""
    ordered = sorted(points, key=lambda point: point.polls)
    found = [point.polls for point in ordered]
    delays = [point.delay for point in ordered]
    return float(np.interp(polls, found, delays, left=np.nan, right=np.nan))


def _mean(points: Sequence[Point]) -> Point:
    return Point(
        float(np.mean([point.polls for point in points])),
        float(np.mean([point.delay for point in points])),
    )


def compare(draw: Draw, repeats: int) -> dict[str, list[Point]]:
    """Return for each rule its points for all parameters."""
    known = draw(np.random.default_rng(11), 40_000).seconds
    mean = float(known.mean())
    repeated = [draw(np.random.default_rng(100 + seed), TASKS) for seed in range(repeats)]
    past = [draw(np.random.default_rng(900 + seed), 100) for seed in range(repeats)]
    seconds = np.concatenate([tasks.seconds for tasks in repeated])
    upto = np.append(known, seconds)
    rng = np.random.default_rng(5)
    points = {
        "optimum": [optimum(upto, seconds, mean * c) for c in np.geomspace(1e-3, 4, 26)],
        "fixed": [fixed(mean * share, seconds) for share in np.geomspace(0.01, 6, 80)],
        "backoff": [backoff(mean * share, seconds, rng) for share in np.geomspace(0.01, 4, 30)],
    }
    learned: dict[str, Callable[[float, int], Simulation]] = {
        "cold": lambda cost, i: Simulation(policy(cost), repeated[i], TASKS, i),
        "stream": lambda cost, i: Simulation(policy(cost), repeated[i], 50, i),
        "warm": lambda cost, i: Simulation(
            policy(cost, past=past[i], seed=i), repeated[i], TASKS, i
        ),
    }
    for name, simulation in learned.items():
        points[name] = [
            _mean([simulation(mean * share, i).run() for i in range(repeats)]) for share in COSTS
        ]
    return points


def row_of(name: str, points: dict[str, list[Point]]) -> list[str]:
    """Return a row: each rule's delay as a multiple of the optimum's, at each number of polls."""
    best = {polls: delay_at(points["optimum"], polls) for polls in AT_POLLS}
    return [
        name,
        *(
            ", ".join(f"{delay_at(points[rule], polls) / best[polls]:.2f}" for polls in AT_POLLS)
            for rule in RULES
        ),
    ]


def queue_rows(repeats: int) -> list[list[str]]:
    """Return rows for a queue that builds up: each of 500 tasks ends later than the one before."""
    rows = []
    for later in (0.0, 0.02, 0.1, 0.5):
        polls, waited, delays = 0, 0.0, []
        for seed in range(repeats):
            usual = short(np.random.default_rng(100 + seed), TASKS)
            queued = Tasks(usual.seconds + later * np.arange(TASKS), usual.kinds)
            past = short(np.random.default_rng(900 + seed), 100)
            simulation = Simulation(policy(0.3, past=past, seed=seed), queued, TASKS, seed)
            delays.append(simulation.run().delay)
            polls, waited = polls + simulation.polls, waited + simulation.waited
        rows.append(
            [
                f"{later:.2f}",
                f"{waited / repeats / TASKS:.1f}",
                f"{polls / waited:.3f}",
                f"{polls / repeats / TASKS:.2f}",
                f"{np.mean(delays):.2f}",
            ]
        )
    return rows


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description="Polls against delay, in a simulation.")
    arguments.add_argument("--repeats", type=int, default=8)
    arguments.add_argument("--quick", action="store_true", help="one distribution, once")
    chosen = arguments.parse_args()
    repeats = 1 if chosen.quick else chosen.repeats
    names = ["bimodal"] if chosen.quick else list(DISTRIBUTIONS)
    rows = []
    for name in names:
        found = compare(DISTRIBUTIONS[name], repeats)
        rows.append(row_of(name, found))
        for polls in AT_POLLS:
            # The same tasks and the same chance each time: this is no matter of luck.
            assert delay_at(found["warm"], polls) < delay_at(found["fixed"], polls)
            assert delay_at(found["cold"], polls) < 0.6 * delay_at(found["backoff"], polls)
    at = ", ".join(f"{polls:g}" for polls in AT_POLLS)
    figures(
        "polling",
        f"Delay in shares of the optimum's at {at} polls a task; {TASKS} tasks, {repeats} times:",
        table(("durations", *RULES.values()), rows),
        packages=["numpy"],
    )
    head = ("later each, s", "mean age, s", "polls a second of waiting", "polls a task", "delay, s")
    figures(
        "polling-queue",
        f"{TASKS} tasks at once, each of which ends later than the one before by so much:",
        table(head, queue_rows(repeats)),
        packages=["numpy"],
    )


if __name__ == "__main__":
    main()
