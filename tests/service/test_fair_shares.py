"""Shares of places: what an account may take, and what nobody can take from it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from photoanimer_async.service.fair_shares import (
    AccountWeights,
    FairShares,
    FairSlots,
    FairTurns,
)

from .conftest import until

ANNA, BOB, CARL = 1, 2, 3
NAMES = {ANNA: "anna", BOB: "bob", CARL: "carl"}


def weights_of(*accounts: int, **weights: float) -> AccountWeights:
    found = AccountWeights(weights)
    found.update({account: NAMES[account] for account in accounts})
    return found


def taken(places: FairShares, account: int, wanted: int = 100) -> int:
    return sum(places.try_take(account) for _ in range(wanted))


class TestFairShares:
    @pytest.mark.parametrize("limit", [1, 2, 3, 10])
    def test_an_account_that_is_alone_can_take_every_place(self, limit: int) -> None:
        places = FairShares(limit, weights_of(ANNA))
        assert taken(places, ANNA) == limit
        assert places.is_full

    def test_a_flood_leaves_the_shares_of_others(self) -> None:
        places = FairShares(24, weights_of(ANNA, BOB, CARL))
        assert taken(places, ANNA) == 12 + 4
        assert taken(places, BOB) == 4
        assert taken(places, CARL) == 4
        assert places.taken == 24

    def test_shares_are_by_weight(self) -> None:
        places = FairShares(40, weights_of(ANNA, BOB, CARL, bob=3))
        assert taken(places, ANNA) == 20 + 4
        assert taken(places, BOB) == 12
        assert taken(places, CARL) == 4

    def test_places_can_be_taken_again(self) -> None:
        places = FairShares(4, weights_of(ANNA, BOB))
        for _ in range(3):
            assert (taken(places, ANNA), taken(places, BOB)) == (3, 1)
            for account in (ANNA, ANNA, ANNA, BOB):
                places.give_back(account)
            assert (places.taken, places.taken_by(ANNA)) == (0, 0)

    def test_with_more_accounts_than_places_each_has_a_first_place(self) -> None:
        weights = AccountWeights()
        weights.update({number: str(number) for number in range(100)})
        places = FairShares(8, weights)
        assert taken(places, 0) == 5
        assert [taken(places, number) for number in range(1, 5)] == [1, 1, 1, 0]
        assert places.taken == 8

    def test_an_account_without_a_key_has_a_place(self) -> None:
        places = FairShares(8, weights_of(ANNA))
        assert taken(places, BOB) == 5
        assert taken(places, ANNA) == 3


@asynccontextmanager
async def holding(slots: FairSlots, account: int) -> AsyncIterator[None]:
    await slots.take(account)
    try:
        yield
    finally:
        slots.give_back(account)


class TestFairSlots:
    async def test_who_finds_no_place_waits_for_one(self) -> None:
        slots = FairSlots(2, weights_of(ANNA))
        order: list[str] = []

        async def hold(name: str, gate: asyncio.Event) -> None:
            async with holding(slots, ANNA):
                order.append(name)
                await gate.wait()

        gates = [asyncio.Event() for _ in range(4)]
        async with asyncio.TaskGroup() as group:
            for number, gate in enumerate(gates):
                group.create_task(hold(str(number), gate))
            await until(lambda: order == ["0", "1"])
            gates[1].set()
            await until(lambda: order == ["0", "1", "2"])
            for gate in gates:
                gate.set()
        assert order == ["0", "1", "2", "3"]

    async def test_a_newcomer_does_not_wait_behind_a_flood(self) -> None:
        slots = FairSlots(8, weights_of(ANNA, BOB))
        holders: list[int] = []

        async def hold(account: int) -> None:
            async with holding(slots, account):
                holders.append(account)
                await asyncio.Event().wait()

        flood = [asyncio.create_task(hold(ANNA)) for _ in range(50)]
        await until(lambda: len(holders) == 6)
        async with holding(slots, BOB), holding(slots, BOB):
            assert holders == [ANNA] * 6
        for task in flood:
            task.cancel()
        await asyncio.wait(flood)
        async with AsyncExitStack() as stack:  # every place is free again
            for _ in range(6):
                await stack.enter_async_context(holding(slots, ANNA))

    async def test_free_places_go_to_the_accounts_in_turn(self) -> None:
        slots = FairSlots(2, weights_of(ANNA, BOB, CARL))
        order: list[int] = []

        async def pass_through(account: int) -> None:
            async with holding(slots, account):
                order.append(account)

        async with AsyncExitStack() as stack:
            await stack.enter_async_context(holding(slots, ANNA))
            await stack.enter_async_context(holding(slots, ANNA))
            waiting = [ANNA] * 3 + [BOB] * 2 + [CARL]
            tasks = [asyncio.create_task(pass_through(account)) for account in waiting]
            await asyncio.sleep(0)
            assert order == []
        await asyncio.wait(tasks)
        assert order == [ANNA, BOB, CARL, ANNA, BOB, ANNA]

    async def test_a_cancelled_wait_takes_no_place(self) -> None:
        slots = FairSlots(1, weights_of(ANNA))

        async def pass_through() -> None:
            async with holding(slots, ANNA):
                pass

        async with holding(slots, ANNA):
            waiting = [asyncio.create_task(pass_through()) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.wait(waiting[:1])
        waiting[1].cancel()  # in the iteration of the loop in which it was granted a place
        await asyncio.wait(waiting)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        async with asyncio.timeout(60), holding(slots, ANNA):
            pass


class TestFairTurns:
    async def test_an_account_that_is_alone_need_not_wait(self) -> None:
        turns = FairTurns()
        async with asyncio.timeout(60):
            for _ in range(100):
                await turns.take(ANNA)

    async def test_of_several_accounts_each_has_few_turns_at_the_same_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("photoanimer_async.service.fair_shares._LONGEST_TURN", 3600.0)
        turns = FairTurns()
        for account in (ANNA, BOB):
            (await turns.take(account)).end()
        begun: list[int] = []
        gate = asyncio.Event()

        async def submit(account: int) -> None:
            turn = await turns.take(account)
            try:
                begun.append(account)
                await gate.wait()
            finally:
                turn.end()
                turn.end()  # has no effect

        async with asyncio.TaskGroup() as group:
            flood = [group.create_task(submit(ANNA)) for _ in range(20)]
            await until(lambda: begun == [ANNA, ANNA])
            group.create_task(submit(BOB))
            await until(lambda: begun == [ANNA, ANNA, BOB])
            flood[0].cancel()
            flood[5].cancel()
            await until(lambda: begun == [ANNA, ANNA, BOB, ANNA])
            gate.set()
        assert begun.count(ANNA) == 19

    async def test_a_turn_that_takes_long_lets_the_next_begin(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("photoanimer_async.service.fair_shares._LONGEST_TURN", 0.01)
        turns = FairTurns()
        await turns.take(ANNA)
        async with asyncio.timeout(60):
            for _ in range(10):
                await turns.take(BOB)

    async def test_an_account_is_bounded_for_a_minute_after_another_has_submitted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turns = FairTurns()
        now = 1000.0
        monkeypatch.setattr(turns, "_time", lambda: now)
        free = await turns.take(ANNA)
        await turns.take(BOB)
        assert await turns.take(BOB) is not free
        now += 61
        assert await turns.take(BOB) is free
