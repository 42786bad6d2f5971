"""A verdict in one word, and in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from ..dataclass import dataclass
from ..model import Code, Distribution, Level, Run, Verdict

Outcome: TypeAlias = Literal["allow", "warn", "deny", "unjudged"]

NOT_JUDGED = frozenset({Code.FEED_MISSING, Code.FEED_STALE, Code.UNJUDGED})
"""Codes whose denial means that there was nothing to judge by, not that something was found."""


def outcome(verdict: Verdict, run: Run) -> Outcome:
    """Return the verdict's word; what was found and denied goes before what could not be judged."""
    denials = [ruling for ruling in verdict.rulings if ruling.level is Level.DENY]
    if any(ruling.finding.code not in NOT_JUDGED for ruling in denials):
        return "deny"
    if denials or run.problem is not None:
        return "unjudged"
    return "warn" if verdict.level is Level.WARN else "allow"


def levels(verdict: Verdict) -> Mapping[Distribution, Level]:
    """Return the highest level ruled for each distribution that any ruling is about."""
    found: dict[Distribution, Level] = {}
    for ruling in verdict.rulings:
        subject = ruling.finding.subject
        if subject is not None:
            found[subject] = max(found.get(subject, Level.ALLOW), ruling.level)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many distributions were judged, denied and warned of, and how many rulings were waived."""

    judged: int
    denied: int
    warned: int
    waived: int


def counts(verdict: Verdict) -> Counts:
    """Return the numbers of *verdict*."""
    of = list(levels(verdict).values())
    return Counts(
        judged=verdict.judged,
        denied=of.count(Level.DENY),
        warned=of.count(Level.WARN),
        waived=sum(ruling.waiver is not None for ruling in verdict.rulings),
    )
