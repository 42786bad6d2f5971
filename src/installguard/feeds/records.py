"""Many small files fetched at the same time, within one bound of time for all of them."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Mapping

from ..dataclass import dataclass, field
from .fetching import Connection, TooLargeError
from .imports import Raw, RawRecord
from .sources import Bounds
from .store import Unreadable


def fetch_records(connection: Connection, urls: Mapping[str, str], bounds: Bounds) -> Mapping[str, RawRecord]:
    """Fetch one record from each URL, by id; the first failure ends it and is raised, whatever kind of error it is."""
    work = _Work(connection=connection, bounds=bounds, waiting=deque(urls.items()))
    # Threads of our own: those of an executor would hold the process at its end until they are done.
    threads = [threading.Thread(target=work.run, daemon=True) for _ in range(min(bounds.at_once, len(urls)))]
    with connection.patience.waiting(bounds.together):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if work.failures:
        raise work.failures[0]
    return work.found


@dataclass(slots=True, kw_only=True)
class _Work:
    """What is still to be fetched, and what is here; `deque`, `list` and `dict` take one item atomically."""

    connection: Connection
    bounds: Bounds
    waiting: deque[tuple[str, str]]
    found: dict[str, RawRecord] = field(default_factory=dict)
    failures: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        """Fetch one after the other until there is none left, or one failed."""
        try:
            while not self.failures:
                record_id, url = self.waiting.popleft()
                self.found[record_id] = self._fetch(f"{record_id}.json", url)
        except IndexError:
            return
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            self.failures.append(error)

    def _fetch(self, name: str, url: str) -> RawRecord:
        buffer = io.BytesIO()
        try:
            self.connection.fetch_at_once(url, buffer, most=self.bounds.record)
        except TooLargeError:
            return Unreadable(source="", name=name, reason=f"is larger than {self.bounds.record / 1e6:g} MB")
        return Raw(name=name, data=buffer.getvalue())
