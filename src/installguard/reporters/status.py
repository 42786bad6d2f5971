"""What the snapshot holds, as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ..model import SnapshotInfo, SourceInfo, SourceKind
from .plain import plain, redacted
from .text import span


def status_report(info: SnapshotInfo, now: datetime, max_age: timedelta) -> str:
    """Return a line for each source: its records, its age, where it is from, its last trouble."""
    return "".join(f"{line}\n" for line in _lines(info, now, max_age))


def age(taken_at: datetime, now: datetime) -> str:
    """Return how old something is: `2 h old`."""
    return "from the future" if taken_at > now else f"{span(now - taken_at)} old"


def _lines(info: SnapshotInfo, now: datetime, max_age: timedelta) -> Iterator[str]:
    if info.problem is not None:
        yield plain(f"the snapshot cannot be used: {info.problem}")
    for source in info.sources:
        yield from _source(source, now, max_age)
    for name in info.missing:
        yield plain(f"{name}: no snapshot, the built-in baseline serves: run 'guard feed update'")
    yield f"{info.records:,} records in all, {info.unreadable:,} unreadable; digest {info.digest}"


_UNITS: dict[SourceKind, str] = {"osv": "records", "exploited": "exploited CVE ids", "popular": "popular projects"}


def _source(source: SourceInfo, now: datetime, max_age: timedelta) -> Iterator[str]:
    if source.taken_at is None and source.kind != "osv":
        parts = ["not fetched"]
    else:
        parts = [f"{source.records:,} {_UNITS[source.kind]}"]
    max_age = max_age if source.max_age is None else source.max_age
    if source.unreadable:
        parts.append(f"{source.unreadable:,} unreadable")
    if source.taken_at is not None:
        stale = not timedelta(0) <= now - source.taken_at <= max_age
        parts.append(
            age(source.taken_at, now) + (f" (limit {span(max_age)}): run 'guard feed update'" if stale else "")
        )
    if source.malicious:
        parts.append("all malware")
    if source.url is not None:
        parts.append(f"from {redacted(source.url)}")
    yield plain(f"{source.name}: {', '.join(parts)}")
    if source.last_error is not None:
        yield plain(f"  last update failed: {source.last_error}")
