"""Errors that a part of the package logs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def no_errors_logged(name: str) -> Iterator[list[logging.LogRecord]]:
    """Fail if errors are logged below this name, and not cleared from the list."""
    collector, logger = _Collector(), logging.getLogger(name)
    logger.addHandler(collector)
    yield collector.records
    logger.removeHandler(collector)
    assert [record.getMessage() + str(record.exc_info) for record in collector.records] == []
