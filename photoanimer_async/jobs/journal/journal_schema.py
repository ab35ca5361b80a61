"""The tables of a journal.

`photos` has one row for each photo: `key` identifies it in another run (`entries.key_of`), `run`
is the last run that had it in its batch, `voice_url` is a text for a URL and bytes for a file,
and money is in video seconds. `runs` has one row for each time an owner opened the journal.
`sidecar` has one row: see `journal_file`. Journals of older versions get it from their next owner.
"""

SCHEMA_VERSION = 1

APPLICATION_ID = 0x50414A4C
SIDECAR = (
    "CREATE TABLE IF NOT EXISTS sidecar (id INTEGER PRIMARY KEY, expected INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO sidecar VALUES (1, 0)",
)
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
    *SIDECAR,
)
