"""The write-ahead journal of a batch: what was intended, what was paid for, and the results.

A photo is *planned*: its digest and options find the entry that an earlier run has left, or make
a new one. From there every step of its job is one `record`:

    job ──record(entry, state, event, facts)──▶ queue ──▶ writer thread ──▶ SQLite
     ▲                                                          │
     └────────── a future, done when it is on disk ◀────────────┘

The job awaits that future before it does what the event announces: the intent to submit is on
disk before the submit leaves, and a task or a saved file is reported only when no power cut can
take it back. Records that nobody waits for (a new photo, a task that has ended) are held back
for up to a second, and leave in order together with the next one that has to go. The writer thread
writes all that is queued in one transaction and syncs once: the busier the batch, the more
photos share a sync. A record that cannot be stored, or finds its entry in another state, fails
alone (`RefusedStepError`); if the disk refuses, all records of the transaction fail and none has
taken effect.

A journal has one owner at a time (`journal_lock`). A new owner finds submits that were under way
when the last one died, and marks them ambiguous: they may have been charged.

Photos are identified by content and options, not by their place in the batch: a photo that is
added to a folder shifts the places of all that follow, and would have them paid for twice.

SQLite is loaded with the first journal: clients without one need only the entries' types.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from photoanimer_async.jobs.journal.entries import (
    NOTHING,
    Entry,
    Facts,
    Record,
    RefusedStepError,
    Summary,
)

if TYPE_CHECKING:
    from photoanimer_async.jobs.journal.journal import Journal, read_journal

__all__ = [
    "NOTHING",
    "Entry",
    "Facts",
    "Journal",
    "Record",
    "RefusedStepError",
    "Summary",
    "read_journal",
]

_MODULE_OF = {"Journal": "journal", "read_journal": "journal"}

if not TYPE_CHECKING:  # a type checker would accept any name otherwise

    def __getattr__(name: str) -> object:
        if name in _MODULE_OF:
            return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
