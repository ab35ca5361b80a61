"""The tables of a journal.

`photos` has one row for each photo: `key` is what makes it the same in another run, `run` the
one that last had it in its batch; `voice_url` has a text if the sound has a URL, and bytes if
it is a file; money is in video seconds. `runs` has one row for each time
that the journal was opened by an owner.
"""

SCHEMA_VERSION = 1

APPLICATION_ID = 0x50414A4C
STATEMENTS = (
    """
    CREATE TABLE photos (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL,
        run INTEGER NOT NULL,
        kind TEXT NOT NULL,
        source BLOB,
        name TEXT,
        template INTEGER NOT NULL,
        output_format TEXT NOT NULL,
        voice_url TEXT,
        voice_seconds REAL,
        folder BLOB,
        state TEXT NOT NULL,
        cost REAL NOT NULL,
        spent REAL NOT NULL DEFAULT 0,
        at_risk REAL NOT NULL DEFAULT 0,
        task_id TEXT,
        image_url TEXT,
        submitted_at REAL,
        evidence TEXT NOT NULL DEFAULT 'nothing',
        seconds REAL,
        destination BLOB,
        path BLOB,
        error TEXT
    )
    """,
    "CREATE INDEX photos_by_key ON photos (key)",
    "CREATE TABLE runs (id INTEGER PRIMARY KEY, begun REAL NOT NULL, service TEXT NOT NULL)",
)
