"""Judges what an installer asks about, always on everything asked so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from packaging.version import Version

from .checks import run_checks
from .dataclass import replace
from .model import (
    Advisory,
    AnyVersion,
    Artifact,
    Code,
    DirectUrl,
    Distribution,
    Evidence,
    HeldRelease,
    Installed,
    Level,
    LicenseAnswer,
    LocalTree,
    Release,
    SnapshotInfo,
    VcsCheckout,
    Verdict,
    parse_version,
    version_key,
)
from .names import NormalizedName
from .policy import Policy, rule

Stage: TypeAlias = Literal["source", "final", "contents", "install", "starved", "ping"]
Key: TypeAlias = tuple[str, str, str, str]


class Advisories(Protocol):
    """A snapshot, as far as judging needs it."""

    @property
    def info(self) -> SnapshotInfo: ...

    def lookup(self, names: Iterable[NormalizedName]) -> tuple[Advisory, ...]: ...

    def exploited(self) -> frozenset[str]: ...

    def popular(self) -> Mapping[NormalizedName, int]: ...


class Judge:
    """Remembers every distribution it was asked about, and says whether the installer may go on."""

    def __init__(self, policy: Policy, advisories: Advisories, clock: Callable[[], datetime]) -> None:
        self.policy = policy
        self.seconds = 0.0
        """Seconds spent on judging so far."""
        self._snapshot = advisories
        self._clock = clock
        self._public_indexes: tuple[str, ...] = ()
        self._exploited: frozenset[str] | None = None
        self._popular: Mapping[NormalizedName, int] | None = None
        self._known: dict[NormalizedName, tuple[Advisory, ...]] = {}
        self._distributions: dict[Key, Distribution] = {}
        self._built: set[Key] = set()
        self._offered: dict[str, tuple[AnyVersion, ...]] = {}
        self._exempt: dict[tuple[NormalizedName, str], tuple[str, ...]] = {}
        self._held_back: dict[tuple[NormalizedName, str], Distribution] = {}
        self._known_so_far = object()
        """Another one whenever more is known."""
        self._ruled: tuple[object, Verdict] | None = None
        """The verdict, and what stood for all that was known before it."""

    def __call__(self, stage: Stage, asked: Sequence[Distribution]) -> bool:
        """Take note of *asked*, and return whether nothing known so far stops the installer.

        Where there is nothing to judge, as where no requirement is for this interpreter, nothing stops it.
        """
        started = time.perf_counter()
        self._note(stage, asked)
        go = not self._distributions or not stops(self.verdict(), self.policy)
        self.seconds += time.perf_counter() - started
        return go

    def rules(self, public_indexes: Sequence[str]) -> Mapping[str, object]:
        """Return what the installer should look out for: from when on a file is young, and whether licences matter.

        *public_indexes* are those that the installer takes where none is configured.
        """
        self._public_indexes = tuple(public_indexes)
        self._known_so_far = object()
        licenses = self.policy.licenses
        young_after = self.young_after()
        return {
            "young_after": young_after.timestamp() if young_after else None,
            "licenses": bool(licenses.deny) or licenses.unknown is not Level.ALLOW,
        }

    def allow_young(self, young: Sequence[Distribution], older: Sequence[str]) -> tuple[str, ...]:
        """Return the versions of *young* releases of one project that the resolver may see beside the *older* ones.

        That are those exempt or waived, and of the others the nearest one that fixes what the newest older one has.
        """
        allowed = [each for each in young if each.release and not self._held(each)]
        fixing = None if allowed else self._fixing(young, older)
        if fixing is not None and fixing.release is not None:
            self._exempt[(fixing.release.name, version_key(fixing.release.version))] = fixing.fixes
            self._known_so_far = object()
            allowed = [fixing]
        versions = {str(each.release.version) for each in allowed if each.release}
        for each in young:
            if each.release and str(each.release.version) not in versions:
                self._held_back[(each.release.name, version_key(each.release.version))] = each
        return tuple(sorted(versions))

    def too_young(self) -> tuple[Distribution, ...]:
        """Return what the resolver was not to see, as its index offered it."""
        return tuple(self._held_back.values())

    def held_back(self) -> tuple[HeldRelease, ...]:
        """Return, of each project judged, the newest release that was held back and is newer than what is used."""
        newest: dict[NormalizedName, HeldRelease] = {}
        for each in sorted(self._held_back.values(), key=lambda each: sorting_key(each.release)):
            chosen = max(
                (d.release for d in self._distributions.values() if d.name == each.name), key=sorting_key, default=None
            )
            if (
                is_newer(each.release, chosen)
                and each.release
                and isinstance(each.origin, Artifact)
                and each.origin.uploaded_at
            ):
                newest[each.release.name] = HeldRelease(
                    name=each.release.name,
                    chosen=chosen.version if chosen else None,
                    version=each.release.version,
                    uploaded_at=each.origin.uploaded_at,
                    eligible_at=each.origin.uploaded_at + self.policy.release.min_age,
                )
        return tuple(newest[name] for name in sorted(newest))

    def _held(self, distribution: Distribution) -> bool:
        rulings = self._rule((distribution,)).rulings
        return any(each.finding.code is Code.TOO_YOUNG and each.level is Level.DENY for each in rulings)

    def _fixing(self, young: Sequence[Distribution], older: Sequence[str]) -> Distribution | None:
        """Return the lowest young release without what the newest older one is denied or warned about by a feed."""
        versions = sorted(version for version in map(parse_version, older) if isinstance(version, Version))
        if not versions or not young or young[0].release is None:
            return None
        otherwise = replace(young[0], release=replace(young[0].release, version=versions[-1]), origin=UNDATED)
        troubles = self._advisories_against(otherwise)
        for each in sorted(young, key=lambda each: sorting_key(each.release)):
            if is_newer(each.release, otherwise.release):
                left = self._advisories_against(replace(each, origin=UNDATED))
                if troubles and not left:
                    return replace(each, fixes=tuple(sorted(troubles)))
        return None

    def _advisories_against(self, distribution: Distribution) -> set[str]:
        rulings = [each for each in self._rule((distribution,)).rulings if each.level > Level.ALLOW]
        return {each.finding.advisory.id for each in rulings if each.finding.advisory and each.finding.code in HARMFUL}

    def unfixed(self) -> tuple[str, ...]:
        """Return the denied projects of an index whose other versions are not known yet."""
        denied = (ruling.finding.subject for ruling in self.verdict().rulings if ruling.level is Level.DENY)
        names = {each.name for each in denied if each and each.name and isinstance(each.origin, Artifact)}
        return tuple(sorted(names - self._offered.keys()))

    def offer(self, versions: Mapping[str, Sequence[str]]) -> None:
        """Take note of the versions that an index offers, by normalised project name."""
        for name, offered in versions.items():
            self._offered[name] = tuple(parse_version(version) for version in offered)
        self._known_so_far = object()

    def consider(self, distributions: Iterable[Distribution]) -> Verdict:
        """Return the verdict on *distributions* alone, which are not remembered: they might be chosen, or not."""
        return self._rule(tuple(map(self._completed, distributions)))

    def knows_of(self, name: NormalizedName) -> bool:
        """Tell whether any advisory is about the project."""
        self._advisories_on_names({name})
        return bool(self._known[name])

    def young_after(self) -> datetime | None:
        """Return from which upload time on a file is young; `None` where the policy holds none back."""
        age = self.policy.release.min_age
        return self._clock() - age if age else None

    def now(self) -> datetime:
        """Return the time, aware."""
        return self._clock()

    @property
    def snapshot(self) -> SnapshotInfo:
        """What is judged by."""
        return self._snapshot.info

    def verdict(self) -> Verdict:
        """Return the verdict on everything asked about so far."""
        known, ruled = self._known_so_far, self._ruled
        if ruled is None or ruled[0] is not known:
            verdict = self._rule(tuple(map(self._completed, self._distributions.values())))
            self._ruled = ruled = (known, verdict)
        return ruled[1]

    def _completed(self, distribution: Distribution) -> Distribution:
        """Return a distribution with what was learned about it since."""
        if distribution.name in self._offered:
            distribution = replace(distribution, available=self._offered[distribution.name])
        release = distribution.release
        if release is not None and self._exempt:
            fixes = self._exempt.get((release.name, version_key(release.version)))
            return distribution if fixes is None else replace(distribution, fixes=fixes)
        return distribution

    def _rule(self, distributions: tuple[Distribution, ...]) -> Verdict:
        evidence = Evidence(
            distributions=distributions,
            advisories=self._advisories_on(distributions),
            snapshot=self._snapshot.info,
            now=self._clock(),
            exploited=self._known_exploited(),
            public_indexes=self._public_indexes,
            popular=self._known_popular(distributions),
            licenses=self._answers_on_licenses(distributions),
        )
        return rule(evidence, run_checks(evidence, self.policy), self.policy)

    def _note(self, stage: Stage, asked: Sequence[Distribution]) -> None:
        for distribution in asked:
            own = key(distribution)
            nameless = (*own[:3], "")  # which it may have been when asked about before
            self._distributions.pop(nameless, None)
            self._built.discard(nameless)
            self._distributions[own] = distribution
        if stage == "source":
            self._built.update(key(distribution) for distribution in asked)
        if stage == "final" and not any(distribution.role == "build" for distribution in asked):
            self._demote_dropped({key(distribution) for distribution in asked})
        self._known_so_far = object()

    def _demote_dropped(self, final: set[Key]) -> None:
        """A candidate that was built to be looked at, and then dropped, has run its code but is not installed."""
        for dropped in (place for place in self._built if place[0] == "install" and place not in final):
            self._distributions[dropped] = replace(self._distributions[dropped], role="build")

    def _advisories_on(self, distributions: Iterable[Distribution]) -> tuple[Advisory, ...]:
        return self._advisories_on_names({each.name for each in distributions if each.name is not None})

    def _advisories_on_names(self, names: Set[NormalizedName]) -> tuple[Advisory, ...]:
        unknown = names - self._known.keys()
        if unknown:
            found: dict[NormalizedName, list[Advisory]] = {name: [] for name in unknown}
            for advisory in self._snapshot.lookup(sorted(unknown)):
                found.setdefault(advisory.project, []).append(advisory)
            self._known.update((name, tuple(advisories)) for name, advisories in found.items())
        return tuple(advisory for name in sorted(names) for advisory in self._known[name])

    def _known_exploited(self) -> frozenset[str]:
        if self._exploited is None:
            self._exploited = self._snapshot.exploited()
        return self._exploited

    def _known_popular(self, distributions: Iterable[Distribution]) -> Mapping[NormalizedName, int]:
        """Return the popular projects, where something newly asked for could have nearly the name of one."""
        if self.policy.packages.similar_name is Level.ALLOW or not any(each.requested for each in distributions):
            return {}
        if self._popular is None:
            self._popular = self._snapshot.popular()
        return self._popular

    def _answers_on_licenses(self, distributions: Iterable[Distribution]) -> Mapping[str, LicenseAnswer]:
        if not self.policy.licenses.deny and self.policy.licenses.unknown is Level.ALLOW:
            return {}
        from .licensing import answer_licenses

        expressions = {each.contents.license for each in distributions if each.contents and each.contents.license}
        return answer_licenses(expressions, self.policy.licenses.deny)


def stops(verdict: Verdict, policy: Policy) -> bool:
    """Tell whether a verdict stops an installer: a denial, or a warning where the policy fails on those."""
    return verdict.level >= max(policy.fail_on, Level.WARN)


UNDATED = Artifact(filename="", url="", kind="wheel")
"""Stands in for a file where only what the feeds say of a release is asked."""

HARMFUL = frozenset({Code.MALICIOUS, Code.VULNERABLE})


def is_newer(one: Release | None, other: Release | None) -> bool:
    """Tell whether one release has a higher version than another; what cannot be ordered is not newer."""
    return sorting_key(one) > sorting_key(other) if one is not None and other is not None else False


def sorting_key(release: Release | None) -> Version:
    """Return what orders releases of one project; what PEP 440 cannot read comes first."""
    return release.version if release is not None and isinstance(release.version, Version) else Version("0.dev0")


def key(distribution: Distribution) -> Key:
    """Return what tells one distribution from another within a run: whether it is for a build, where it is from, and
    its name, since one archive or checkout may hold several projects. Two lock files may say different things of a
    release, and need not say where it is.
    """
    role = "build" if distribution.role == "build" else "install"
    name = distribution.name or ""
    if distribution.lock is not None:
        origin, version = distribution.origin, distribution.release and str(distribution.release.version)
        return (role, type(origin).__name__, f"{distribution.lock}\n{version}\n{origin}", name)
    match distribution.origin:
        case Artifact(url=place) | DirectUrl(url=place) | VcsCheckout(url=place) | LocalTree(path=place):
            return (role, type(distribution.origin).__name__, place, name)
        case Installed(location=place):
            return (role, "Installed", place, name)
