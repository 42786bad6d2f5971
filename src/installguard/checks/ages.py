"""The cooldown: `too-young`, `age-unknown`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

from ..model import Advisory, Artifact, Code, Distribution, Evidence, Finding, Level
from ..osv import Unaffected, affects
from ..policy import Policy
from .packages import admits
from .subjects import names_file, subjects


def check_release_age(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find files of an index that are younger than `release.min-age`, or whose age it does not tell."""
    if policy.release.min_age <= timedelta(0):
        return
    untold = policy.release.min_age_unknown is not Level.ALLOW
    for subject in subjects(evidence):
        origin = subject.origin
        if not isinstance(origin, Artifact) or not names_file(subject) or subject.role == "installed":
            continue
        if origin.uploaded_at is None and not untold:
            continue  # else a large installation from an index without times would carry a finding each for nothing
        found = _of_age(subject, origin.uploaded_at, evidence.now, policy.release.min_age)
        if found is not None and not _excused(subject, found, evidence, policy):
            yield found


def _of_age(subject: Distribution, uploaded_at: datetime | None, now: datetime, least: timedelta) -> Finding | None:
    if uploaded_at is None:
        detail = "is of unknown age: its index gives no upload time"
        return Finding(code=Code.AGE_UNKNOWN, subject=subject, detail=detail)
    if now - uploaded_at >= least:
        return None
    detail = f"was uploaded {_moment(uploaded_at)}, and is held back until {_moment(uploaded_at + least)}"
    return Finding(code=Code.TOO_YOUNG, subject=subject, detail=detail)


def _moment(time: datetime) -> str:
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _excused(subject: Distribution, found: Finding, evidence: Evidence, policy: Policy) -> bool:
    if any(admits(match, subject, untold=False) for match in policy.release.min_age_exclude):
        return True
    return found.code is Code.TOO_YOUNG and fixes_something(subject, evidence.advisories)


def fixes_something(subject: Distribution, advisories: Iterable[Advisory]) -> bool:
    """Return whether one of the advisories that *subject* is said to fix is known, and does not affect it."""
    release, wanted = subject.release, frozenset(subject.fixes)
    if release is None or not wanted:
        return False
    named = (each for each in advisories if each.project == release.name and not wanted.isdisjoint(each.ids))
    return any(isinstance(affects(each, release), Unaffected) for each in named)
