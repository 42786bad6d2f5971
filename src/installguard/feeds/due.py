"""Tells which sources a refresh would ask, and loads nothing of what asking takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ..policy import SourcePolicy
from .sources import chosen_sources
from .state import State, StateError, read_state

_LIST_INTERVAL: Final = timedelta(days=1)
"""How old a list is at least before it is asked for again: they change slowly."""
_RETRY: Final = timedelta(minutes=10)
"""How long a source that was tried in vain is left alone, so that not every install waits for it, or fetches a part."""


def due_sources(
    directory: Path, sources: Sequence[SourcePolicy], *, now: datetime, older_than: timedelta
) -> tuple[SourcePolicy, ...]:
    """The sources that a refresh would ask: fetched once, old by now or from the future, not tried a moment ago."""
    if older_than <= timedelta(0):
        return ()
    try:
        state = read_state(directory)
    except StateError:
        state = State()  # 'guard feed update' rebuilds it
    return tuple(source for source in chosen_sources(tuple(sources)) if _is_due(state, source, now, older_than))


def _is_due(state: State, source: SourcePolicy, now: datetime, older_than: timedelta) -> bool:
    held = state.source(source.name)
    if held is None or held.taken_at is None:
        return False  # a whole export takes longer than an install may be held: `guard feed update` is for that
    if held.tried_at is not None and timedelta(0) <= now - held.tried_at < _RETRY:
        return False
    interval = older_than if source.kind == "osv" else max(older_than, _LIST_INTERVAL)
    return not timedelta(0) <= now - held.taken_at < interval
