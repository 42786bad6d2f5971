"""How the other releases of a project would fare: what `guard explain` compares a release with."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from ..dataclass import replace
from ..model import Advisory, Distribution, Release, Verdict, parse_version
from ..policy import Policy, fixed_versions, rule
from . import run_checks

NEAR = 20
"""Versions on each side of a release that are judged at most, beside those named as its fix."""


def judge_others(verdict: Verdict, policy: Policy) -> tuple[Verdict, ...]:
    """Return the verdict on each other release known of the one project judged in *verdict*, the lowest version first.

    Known are the versions that the index offered, else those that an advisory names as affected or as fixed. Each is
    judged as if it had been asked for instead, from the same place; empty where several projects were judged.
    """
    distributions = verdict.evidence.distributions
    if len(distributions) != 1 or distributions[0].release is None:
        return ()
    (subject,), release = distributions, distributions[0].release
    versions = sorted(_near(release, set(_known(subject, verdict.evidence.advisories)), _fixes(verdict)))
    return tuple(
        _judged(verdict, replace(subject, release=replace(release, version=each)), policy) for each in versions
    )


def _judged(verdict: Verdict, other: Distribution, policy: Policy) -> Verdict:
    evidence = replace(verdict.evidence, distributions=(other,))
    return rule(evidence, run_checks(evidence, policy), policy)


def _known(subject: Distribution, advisories: tuple[Advisory, ...]) -> Iterator[Version]:
    yield from (version for version in subject.available if isinstance(version, Version))
    for advisory in (each for each in advisories if each.project == subject.name and not subject.available):
        yield from fixed_versions(advisory)
        yield from (each for each in map(parse_version, advisory.affected.versions) if isinstance(each, Version))


def _fixes(verdict: Verdict) -> set[str]:
    return {ruling.finding.fix for ruling in verdict.rulings if ruling.finding.fix is not None}


def _near(release: Release, known: set[Version], fixes: set[str]) -> set[Version]:
    current = release.version
    if not isinstance(current, Version):
        return set()
    higher = sorted(each for each in known if each > current)[:NEAR]
    lower = sorted((each for each in known if each < current), reverse=True)[:NEAR]
    named = {each for each in known if replace(release, version=each).pin in fixes}
    return {*higher, *lower, *named}
