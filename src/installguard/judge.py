"""Judges what an installer asks about, always on everything asked so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from packaging.utils import NormalizedName

from .checks import run_checks
from .model import (
    Advisory,
    AnyVersion,
    Artifact,
    DirectUrl,
    Distribution,
    Evidence,
    Installed,
    Level,
    LocalTree,
    SnapshotInfo,
    VcsCheckout,
    Verdict,
    parse_version,
)
from .policy import Policy, rule

Stage: TypeAlias = Literal["source", "final", "contents", "install", "ping"]
Key: TypeAlias = tuple[str, str, str]


class Advisories(Protocol):
    """A snapshot, as far as judging needs it."""

    @property
    def info(self) -> SnapshotInfo: ...

    def lookup(self, names: Iterable[NormalizedName]) -> tuple[Advisory, ...]: ...


class Judge:
    """Remembers every distribution it was asked about, and says whether the installer may go on."""

    def __init__(self, policy: Policy, advisories: Advisories, clock: Callable[[], datetime]) -> None:
        self.policy = policy
        self.seconds = 0.0
        """Seconds spent on judging so far."""
        self._snapshot = advisories
        self._clock = clock
        self._known: dict[NormalizedName, tuple[Advisory, ...]] = {}
        self._distributions: dict[Key, Distribution] = {}
        self._built: set[Key] = set()
        self._offered: dict[str, tuple[AnyVersion, ...]] = {}

    def __call__(self, stage: Stage, asked: Sequence[Distribution]) -> bool:
        """Take note of *asked*, and return whether nothing known so far stops the installer."""
        started = time.perf_counter()
        self._note(stage, asked)
        go = not stops(self.verdict(), self.policy)
        self.seconds += time.perf_counter() - started
        return go

    def unfixed(self) -> tuple[str, ...]:
        """Return the denied projects of an index whose other versions are not known yet."""
        denied = (ruling.finding.subject for ruling in self.verdict().rulings if ruling.level is Level.DENY)
        names = {each.name for each in denied if each and each.name and isinstance(each.origin, Artifact)}
        return tuple(sorted(names - self._offered.keys()))

    def offer(self, versions: Mapping[str, Sequence[str]]) -> None:
        """Take note of the versions that an index offers, by normalised project name."""
        for name, offered in versions.items():
            self._offered[name] = tuple(parse_version(version) for version in offered)

    def verdict(self) -> Verdict:
        """Return the verdict on everything asked about so far."""
        distributions = tuple(
            replace(each, available=self._offered[each.name]) if each.name in self._offered else each
            for each in self._distributions.values()
        )
        evidence = Evidence(
            distributions=distributions,
            advisories=self._advisories_on(distributions),
            snapshot=self._snapshot.info,
            now=self._clock(),
        )
        return rule(evidence, run_checks(evidence, self.policy), self.policy)

    def _note(self, stage: Stage, asked: Sequence[Distribution]) -> None:
        for distribution in asked:
            self._distributions[key(distribution)] = distribution
        if stage == "source":
            self._built.update(key(distribution) for distribution in asked)
        if stage == "final" and not any(distribution.role == "build" for distribution in asked):
            self._demote_dropped({key(distribution) for distribution in asked})

    def _demote_dropped(self, final: set[Key]) -> None:
        """A candidate that was built to be looked at, and then dropped, has run its code but is not installed."""
        for dropped in (place for place in self._built if place[0] == "install" and place not in final):
            self._distributions[dropped] = replace(self._distributions[dropped], role="build")

    def _advisories_on(self, distributions: Iterable[Distribution]) -> tuple[Advisory, ...]:
        names = {distribution.name for distribution in distributions if distribution.name is not None}
        unknown = names - self._known.keys()
        if unknown:
            found: dict[NormalizedName, list[Advisory]] = {name: [] for name in unknown}
            for advisory in self._snapshot.lookup(sorted(unknown)):
                found.setdefault(advisory.project, []).append(advisory)
            self._known.update((name, tuple(advisories)) for name, advisories in found.items())
        return tuple(advisory for name in sorted(names) for advisory in self._known[name])


def stops(verdict: Verdict, policy: Policy) -> bool:
    """Tell whether a verdict stops an installer: a denial, or a warning where the policy fails on those."""
    return verdict.level >= max(policy.fail_on, Level.WARN)


def key(distribution: Distribution) -> Key:
    """Return what tells one distribution from another within a run: whether it is for a build, and where it is from."""
    role = "build" if distribution.role == "build" else "install"
    match distribution.origin:
        case Artifact(url=place) | DirectUrl(url=place) | VcsCheckout(url=place) | LocalTree(path=place):
            return (role, type(distribution.origin).__name__, place)
        case Installed(location=place):
            return (role, str(distribution.name), place)
