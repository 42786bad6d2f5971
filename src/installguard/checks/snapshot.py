"""Whether the feeds themselves can be relied on: `feed-missing`, `feed-stale`, `feed-unreadable`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ..model import Code, Evidence, Finding, SnapshotInfo
from ..policy import Policy

UPDATE = "run 'guard feed update'"


def check_missing(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find sources of which there is no snapshot, and a snapshot that cannot be used."""
    info = evidence.snapshot
    if info.problem is not None:
        detail = f"the advisory snapshot cannot be used: {info.problem}; {_judged_by(info)}: {UPDATE}"
    elif info.missing:
        detail = f"there is no advisory snapshot of {', '.join(info.missing)}; {_judged_by(info)}: {UPDATE}"
    elif info.taken_at is None:
        detail = f"there is no advisory snapshot; {_judged_by(info)}: {UPDATE}"
    else:
        return
    yield Finding(code=Code.FEED_MISSING, subject=None, detail=detail)


def _judged_by(info: SnapshotInfo) -> str:
    if info.taken_at is None or info.problem is not None:
        return "judged by the built-in baseline of a few known takeovers only"
    return f"judged by the {info.records} records of the other sources"


def check_age(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find sources that are older than `feed.max-age`, or that lie in the future."""
    limit = policy.feed.max_age
    problems = [
        f"{name} {problem}" if own is None else f"{name} {problem} (its own limit {_hours(own)})"
        for name, taken_at, own in _times(evidence.snapshot)
        if (problem := _staleness(taken_at, evidence.now, limit if own is None else own)) is not None
    ]
    if problems:
        detail = f"the advisory snapshot is stale ({', '.join(problems)}; limit {_hours(limit)}): {UPDATE}"
        yield Finding(code=Code.FEED_STALE, subject=None, detail=detail)


def _times(info: SnapshotInfo) -> tuple[tuple[str, datetime, timedelta | None], ...]:
    """Return when each source was taken, and its own limit; what is popular changes slowly, and has no other."""
    dated = (source for source in info.sources if source.kind != "popular" or source.max_age is not None)
    times = ((source.name, source.taken_at, source.max_age) for source in dated)
    known = tuple((name, taken_at, own) for name, taken_at, own in times if taken_at is not None)
    return known or ((("snapshot", info.taken_at, None),) if info.taken_at is not None else ())


def _staleness(taken_at: datetime, now: datetime, limit: timedelta) -> str | None:
    if taken_at > now:
        return "lies in the future: check the clock"
    if now - taken_at > limit:
        return f"is {_hours(now - taken_at)} old"
    return None


def _hours(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    if hours >= 72:
        return f"{int(hours // 24)} days"
    return f"{int(hours)} h" if hours >= 1 else f"{int(span.total_seconds() // 60)} min"


def check_unreadable(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find records that no advisory could be made of."""
    unreadable = evidence.snapshot.unreadable
    if unreadable > 0:
        what = "1 record" if unreadable == 1 else f"{unreadable} records"
        detail = f"{what} of the advisory snapshot cannot be read: 'guard feed status' lists them"
        yield Finding(code=Code.FEED_UNREADABLE, subject=None, detail=detail)
