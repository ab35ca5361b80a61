"""A dictionary of the latest entries."""

from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class LatestDict(dict[_K, _V]):
    """A dictionary that drops its oldest entry when it would exceed a size.

    Args:
        size: entries, at most.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, key: _K, value: _V) -> None:
        super().__setitem__(key, value)
        if len(self) > self._size:
            del self[next(iter(self))]
