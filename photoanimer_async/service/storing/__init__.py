"""Store tasks, accounts and charges so that a crash loses nothing and charges nothing twice.

Everything that counts is in one SQLite database, `tasks.db` in the data folder:

* `task_store` writes a task, its photo and its charge in one transaction before the submit is
  answered. The end of a task, its refund and its notification are one transaction too, and only
  an open task can end (compare-and-set). So the database is consistent whenever the process
  dies, and the service continues from there at the next start.
* `ledger` records every movement of video seconds, `accounts` the API keys, `outbox` the
  notifications that are still to be sent. Their functions take a connection that is in a
  transaction, so that they can be combined.
* `database` runs all changes in one thread and commits them in groups: a sync of the disk costs
  the same for one change as for a hundred. `database_schema` has the tables and their migrations.

Files are next to it in the folder (`data_folder`): results under their links' names, and the
inputs of tasks that are being rendered. A file counts only if the database says so, so leftovers
are removed at the start. `expiry` removes old results and later their tasks.

`account_book` is for the operator: it adds accounts, keys and credit, also while the service
runs in another process.

To add a column or a table, append a migration to `database_schema`. `python -m
tests.service.kills --kills 500` kills a service at every step and compares tasks, files and
charges afterwards.
"""
