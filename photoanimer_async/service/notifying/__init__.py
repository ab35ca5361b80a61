"""How the service tells an account's address that a task has ended."""
