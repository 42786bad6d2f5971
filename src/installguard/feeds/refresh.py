"""A refresh that rides along with an install: as much as fits into its time, and no word if there is trouble."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from ..dataclass import dataclass, field
from ..policy import SourcePolicy
from .due import due_sources
from .locking import BusyError, try_lock
from .sources import Bounds
from .update import Failed, UpdateResult, note_attempt, update

Outcome: TypeAlias = Literal["fresh", "done", "failed", "busy", "late"]
"""Nothing was old enough; all is up to date now; something could not be fetched; another guard is at it; time is up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What came of a refresh."""

    outcome: Outcome
    results: tuple[UpdateResult, ...] = ()
    """Of the sources that were asked, as far as they are known."""


def refresh(
    directory: Path,
    sources: Sequence[SourcePolicy],
    *,
    now: datetime,
    older_than: timedelta,
    deadline_seconds: float,
    keys: Sequence[str] = (),
    bounds: Bounds | None = None,
) -> Refreshed:
    """Bring the sources that are older than *older_than* up to date, and return after *deadline_seconds* at most.

    Zero *older_than* never refreshes. Nothing is raised. What is not done in time goes on in a thread that ends with
    the process, and leaves a snapshot that is either the old one or the new one.
    """
    due = due_sources(directory, sources, now=now, older_than=older_than)
    if not due:
        return Refreshed(outcome="fresh")
    work = _Work(directory=directory, sources=due, now=now, keys=tuple(keys), bounds=bounds or Bounds(lock=1.0))
    thread = threading.Thread(target=work.run, name="feed refresh", daemon=True)
    thread.start()
    thread.join(deadline_seconds)
    return Refreshed(outcome=work.outcome, results=tuple(work.results))


@dataclass(slots=True, kw_only=True)
class _Work:
    """One refresh, as far as it is."""

    directory: Path
    sources: tuple[SourcePolicy, ...]
    now: datetime
    keys: tuple[str, ...]
    bounds: Bounds
    outcome: Outcome = "late"
    results: list[UpdateResult] = field(default_factory=list)

    def run(self) -> None:
        """Update source by source, unless another guard does."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self.directory / "refreshing").open("ab") as lock:
                if not try_lock(lock):
                    self.outcome = "busy"
                    return
                for source in self.sources:
                    note_attempt(self.directory, source, now=self.now, bounds=self.bounds)
                    self.results += update(self.directory, [source], now=self.now, keys=self.keys, bounds=self.bounds)
                self.outcome = self._reached()
        except Exception:  # noqa: BLE001  what is there is judged by, and its age is told; an install is not stopped
            self.outcome = "failed"

    def _reached(self) -> Outcome:
        failures = [result.error for result in self.results if isinstance(result, Failed)]
        if failures and all(isinstance(error, BusyError) for error in failures):
            return "busy"
        return "failed" if failures else "done"
