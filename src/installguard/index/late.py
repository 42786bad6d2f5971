"""Puts pages on the shelf when nobody waits for it, and has them at hand before."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from ..dataclass import dataclass
from .keeping import Kept, Shelf

MOST_UNWRITTEN = 16 << 20
"""Bytes of pages that are yet to be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwritten:
    """What is to be put on the shelf."""

    kept: Kept
    body: bytes | None
    """`None` where that is there already."""


class LateShelf:
    """A shelf on which pages are put later than they are kept; used in many threads at once."""

    def __init__(self, shelf: Shelf) -> None:
        """*shelf* is where they are put in the end."""
        self._shelf = shelf
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        """Held while anything is written, so that nothing older takes the place of what is newer."""
        self._unwritten: dict[tuple[str, str | None], Unwritten] = {}

    def look(self, key: str, project: str | None) -> Kept | None:
        """Return what is known of a page, or `None` where nothing is."""
        unwritten = self._unwritten.get((key, project))
        return unwritten.kept if unwritten is not None else self._shelf.look(key, project)

    def body(self, key: str, project: str | None, kept: Kept, *, verify: bool = True) -> bytes | None:
        """Return a page's body, or `None` where it is gone, or damaged as far as that is looked at (*verify*)."""
        unwritten = self._unwritten.get((key, project))
        if unwritten is not None and unwritten.body is not None and unwritten.kept.digest == kept.digest:
            return unwritten.body
        return self._shelf.body(key, project, kept, verify=verify)

    def keep(self, key: str, project: str | None, kept: Kept, body: bytes | Path | None) -> None:
        """Keep what is now known of a page, with the new *body* if there is one; a file is moved to the shelf at once.

        Raises `OSError` where it can neither be written nor be held in memory.
        """
        if isinstance(body, Path):
            with self._settling:
                self._forget(key, project)
                self._shelf.put(key, project, kept, body, before=self._shelf.look(key, project))
            return
        with self._lock:
            old = self._unwritten.get((key, project))
            if body is None and old is not None and old.kept.digest == kept.digest:
                self._unwritten[key, project] = Unwritten(kept=kept, body=old.body)
            else:
                self._unwritten[key, project] = Unwritten(kept=kept, body=body)
        if self._is_full():
            self.settle()
            if body is not None and self._is_full():
                raise OSError("there is no room for more that cannot be written")

    def settle(self) -> None:
        """Put on the shelf what is yet to be; what cannot be written stays in memory."""
        with self._settling:
            with self._lock:
                unwritten = tuple(self._unwritten.items())
            for (key, project), each in unwritten:
                if self._unwritten.get((key, project)) is each:
                    with suppress(OSError):
                        self._put(key, project, each)

    def drop(self, key: str, project: str | None) -> None:
        """Forget a page."""
        self._forget(key, project)
        self._shelf.drop(key, project)

    def _put(self, key: str, project: str | None, unwritten: Unwritten) -> None:
        before, kept = self._shelf.look(key, project), unwritten.kept
        if unwritten.body is not None or (before is not None and before.digest == kept.digest):
            self._shelf.put(key, project, kept, unwritten.body, before=before)
        with self._lock:
            if self._unwritten.get((key, project)) is unwritten:
                del self._unwritten[key, project]

    def _forget(self, key: str, project: str | None) -> None:
        with self._lock:
            self._unwritten.pop((key, project), None)

    def _is_full(self) -> bool:
        with self._lock:
            return sum(len(each.body or b"") for each in self._unwritten.values()) > MOST_UNWRITTEN
