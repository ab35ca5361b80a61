"""Journals as tests make and read them."""

from pathlib import Path

from photoanimer_async import AnimationOptions, AnimationRequest, State
from photoanimer_async.jobs.journal import read_journal
from photoanimer_async.jobs.journal.journal_store import JournalStore

SERVICE = "http://127.0.0.1:1/api/v1"
URL = "http://photos.example/grandma.jpg?sig=s3cret"
REQUEST = AnimationRequest(URL, AnimationOptions(template=3))


def planned(store: JournalStore, digest: bytes = b"d", request: AnimationRequest = REQUEST) -> int:
    return store.plan(digest, request, Path("out")).id


def store_with_one(path: Path) -> tuple[JournalStore, int]:
    store = JournalStore(path)
    with store.transaction():
        store.begin_run(SERVICE)
        number = planned(store)
    return store, number


def reopened(store: JournalStore, path: Path) -> JournalStore:
    store.close()
    again = JournalStore(path)
    with again.transaction():
        again.begin_run(SERVICE)
    return again


def photo_count(path: Path) -> int:
    with read_journal(path) as store:
        return store.summary().photos


def states_in(path: Path) -> dict[int, State]:
    with read_journal(path) as store:
        return {entry.id: entry.state for entry in store.entries([*State])}
