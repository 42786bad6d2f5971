"""Keeps the memory within bounds that pages take while they are worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """Bounds how many bytes of pages are worked on at the same time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Wait until there is room for *size* bytes, and take it; what is larger than all has it alone."""
        size = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            self.give_back(size)

    def take(self, size: int) -> bool:
        """Take room for *size* bytes if it is free, and say so; it is to be given back."""
        with self._changed:
            free = self._free >= size
            self._free -= size if free else 0
        return free

    def give_back(self, size: int) -> None:
        """Leave room that was taken to others."""
        with self._changed:
            self._free += size
            self._changed.notify_all()
