"""The write-ahead journal of a batch: what was intended, what was paid for, what came of it.

How data flows. A photo is *planned*: its digest and options find the entry that an earlier
run has left, or make a new one. From there every step on its way is one `record`:

    pipeline ──record(entry, state, event, facts)──▶ queue ──▶ writer thread ──▶ SQLite
        ▲                                                            │
        └───────── a future, resolved when it is on the disk ◀───────┘

The pipeline waits for that future before it does what the event announces: so the intent to
submit is on disk before the submit leaves, and nobody is told of a task, or of a saved file,
that a power cut could take back. What nobody waits for (a photo that is new, a task that has
ended) may wait some 40 ms for company; all that has gathered is handed over in its order when
the first of it has to go. The one writer thread takes whatever is waiting, writes it
in one transaction, and syncs once: the busier the batch, the more photos share a sync. An
event that finds its entry in another state fails alone; if the disk refuses, all of a
transaction fail together and none of them has happened.

A journal has one owner at a time (`lock`). Whoever opens it finds submits that were under way
when its predecessor died, and makes them ambiguous: they may have been charged, and nothing
on this side can tell.

The other design that was weighed kept each batch's photos by their place in it, which needs
no digests. But then a photo added to a folder shifts all that follow, and what was paid for
once is paid for twice: the content decides, and the place does not matter.
"""

from photoanimer_async.jobs.journal.entries import NOTHING, Entry, Facts, Record, Summary
from photoanimer_async.jobs.journal.journal import LEISURELY, Journal, read_journal

__all__ = [
    "LEISURELY",
    "NOTHING",
    "Entry",
    "Facts",
    "Journal",
    "Record",
    "Summary",
    "read_journal",
]
