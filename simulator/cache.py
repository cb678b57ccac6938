"""A cache with a limit: what was not used for the longest time goes first."""

from collections import OrderedDict
from typing import Any


class Cache:
    """Values by key, up to `limit` bytes in all as their sizes were given."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._held: OrderedDict[object, tuple[Any, int]] = OrderedDict()

    def get(self, key: object) -> Any:
        """The value of a key; None if it is not held."""
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key][0]

    def put(self, key: object, value: Any, size: int) -> None:
        """Hold a value of this many bytes, if there is ever room for it."""
        _, before = self._held.pop(key, (None, 0))
        self._held[key] = value, size
        self._size += size - before
        while self._size > self._limit:
            _, (_, gone) = self._held.popitem(last=False)
            self._size -= gone
