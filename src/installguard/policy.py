"""The policy as values, and `rule`: the one function that judges (DESIGN: policy)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta, timezone
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, TypeAlias

from packaging.version import Version

from .dataclass import dataclass, field
from .model import (
    Advisory,
    Code,
    Distribution,
    Evidence,
    Finding,
    LegacyVersion,
    Level,
    Release,
    Severity,
    SourceKind,
    Verdict,
    parse_version,
)
from .names import NormalizedName

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

Preset: TypeAlias = Literal["relaxed", "default", "strict"]


def any_version() -> SpecifierSet:
    """Return what admits every version; few policies name versions, so `packaging.specifiers` is imported for those."""
    from packaging.specifiers import SpecifierSet

    return SpecifierSet()


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageMatch:
    """A glob over normalised names with an optional specifier: `acme-*`, `uwsgi==2.*`."""

    pattern: str
    specifier: SpecifierSet = field(default_factory=any_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeniedPackage:
    """One entry of `packages.deny`."""

    match: PackageMatch
    reason: str = ""
    use: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePolicy:
    """One `feed.sources` table."""

    name: str
    url: str
    """An https (or loopback http) base URL, or an absolute local path."""
    malicious: bool = False
    kind: SourceKind = "osv"
    mirrors: tuple[str, ...] = ()
    """Other places of the same export, tried in turn."""
    priority: int = 0
    """Of records of one id in several sources that of the highest priority counts."""
    max_age: timedelta | None = None
    """Its own limit, where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPolicy:
    max_age: timedelta = timedelta(hours=24)
    stale: Level = Level.WARN
    missing: Level = Level.WARN
    refresh: timedelta = timedelta(hours=2)
    """Older: an install refreshes it alongside; zero never does."""
    wait: timedelta = timedelta(seconds=3)
    """At most this long an install waits for that refresh."""
    keys: tuple[str, ...] = ()
    """Ed25519 public keys, one of which must have signed an imported or mirrored feed; empty: none is asked for."""
    sources: tuple[SourcePolicy, ...] = ()
    """Empty: the default sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaliciousPolicy:
    level: Level = Level.DENY
    other_versions: Level = Level.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilityPolicy:
    deny: Severity | None = None
    """At or above, deny; `None` never does."""
    warn: Severity | None = Severity.LOW
    unknown_severity: Severity = Severity.MEDIUM
    no_fix: Level = Level.WARN
    exploited: Level = Level.DENY


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    yanked: Level = Level.WARN
    min_age: timedelta = timedelta(days=3)
    """Younger releases are held back; zero holds none back."""
    min_age_exclude: tuple[PackageMatch, ...] = ()
    min_age_unknown: Level = Level.ALLOW
    quarantined: Level = Level.DENY
    archived: Level = Level.WARN
    deprecated: Level = Level.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPin:
    """One entry of `packages.index`: projects that may come from one index only; the first that matches holds."""

    match: PackageMatch
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagesPolicy:
    allow: tuple[PackageMatch, ...] = ()
    deny: tuple[DeniedPackage, ...] = ()
    index: tuple[IndexPin, ...] = ()
    ambiguous_index: Level = Level.WARN
    similar_name: Level = Level.WARN
    direct: Level = Level.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class LicensesPolicy:
    deny: tuple[str, ...] = ()
    """SPDX expressions."""
    unknown: Level = Level.ALLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildsPolicy:
    level: Level = Level.WARN
    allow: tuple[PackageMatch, ...] = ()
    startup_code: Level = Level.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """An accepted finding: which, for which releases, why, and until when."""

    finding: str
    """An advisory id or alias, or a finding code."""
    name: NormalizedName
    specifier: SpecifierSet
    exact: str | None = None
    """The version as written where the release was given as `name==version` or `name===version`."""
    reason: str
    owner: str | None = None
    expires: date
    """The last day on which it holds (UTC)."""
    where: str
    """The table it was read from, such as `tool.installguard.waivers[2]`."""
    barred: frozenset[str] = frozenset()
    """Keys whose rulings it cannot lift: another policy file wrote them, and lets no other waive what they rule."""

    @property
    def release(self) -> str:
        """The releases it is about, as a requirement: `werkzeug<3.0.6`."""
        if self.specifier or self.exact is None:
            return f"{self.name}{self.specifier}"
        return f"{self.name}==={self.exact}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The effective policy; the defaults here are those of `preset = "default"`."""

    preset: Preset = "default"
    fail_on: Level = Level.DENY
    """`DENY`, or `WARN`: warnings stop an install as denials do."""
    feed: FeedPolicy = FeedPolicy()
    malicious: MaliciousPolicy = MaliciousPolicy()
    vulnerabilities: VulnerabilityPolicy = VulnerabilityPolicy()
    release: ReleasePolicy = ReleasePolicy()
    packages: PackagesPolicy = PackagesPolicy()
    builds: BuildsPolicy = BuildsPolicy()
    licenses: LicensesPolicy = LicensesPolicy()
    waivers: tuple[Waiver, ...] = ()
    waivable: tuple[Code, ...] = ()
    """Codes that a child of this policy may waive, sorted; the policy itself is judged without them."""
    files: tuple[str, ...] = ()
    """The files it was read from, nearest first."""
    digest: str = ""
    """`sha256:…` over what it says."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each key of `guard policy show` was set: a file, `preset strict`, `default`."""
    remarks: Callable[[], tuple[str, ...]] = field(default=tuple, compare=False, repr=False)
    """Tells what its files say without effect beside a tighter parent: one line each, with file and line, which take
    a while to find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A judged finding."""

    finding: Finding
    level: Level
    waiver: Waiver | None = None
    """The waiver that lowered it to `ALLOW`, if one did."""


# ---------------------------------------------------------------- judging


def rule(evidence: Evidence, findings: Iterable[Finding], policy: Policy) -> Verdict:
    """Judge every finding by the policy: total, order-independent, no I/O.

    Rulings come highest level first, then by code, name and advisory; equal findings are ruled once. What the waivers
    themselves give cause to say (`waiver-expired`, `waiver-unused`) is ruled here too, since only matching tells it,
    and only where a waiver's project is among the distributions.
    """
    found = tuple(findings)
    today = evidence.now.astimezone(timezone.utc).date()
    rulings = [_ruling(finding, policy, today) for finding in found]
    rulings += [_ruling(finding, policy, today) for finding in _of_waivers(evidence, found, policy, today)]
    return Verdict(evidence=evidence, rulings=_sorted_once(rulings))


def _ruling(finding: Finding, policy: Policy, today: date) -> Ruling:
    level = _level(finding, policy)
    valid = [waiver for waiver in policy.waivers if today <= waiver.expires and _lifts(waiver, finding, policy)]
    if level is Level.ALLOW or not valid:
        return Ruling(finding=finding, level=level)
    longest = max(valid, key=lambda waiver: (waiver.expires, waiver.where, waiver.finding))
    return Ruling(finding=finding, level=Level.ALLOW, waiver=longest)


def _level(finding: Finding, policy: Policy) -> Level:
    private = finding.namesake or (finding.subject is not None and finding.subject.private)
    match finding.code:
        case Code.MALICIOUS:
            return min(policy.malicious.level, Level.WARN) if private else policy.malicious.level
        case Code.MALICIOUS_PROJECT:
            return min(policy.malicious.other_versions, Level.WARN) if private else policy.malicious.other_versions
        case Code.VULNERABLE:
            return _vulnerability_level(finding, policy.vulnerabilities)
        case Code.YANKED:
            return policy.release.yanked
        case Code.TOO_YOUNG:
            return _age_level(finding, policy)
        case Code.AGE_UNKNOWN:
            return policy.release.min_age_unknown
        case Code.PROJECT_STATUS:
            return _status_level(finding, policy.release)
        case Code.AMBIGUOUS_INDEX:
            return policy.packages.ambiguous_index
        case Code.SIMILAR_NAME:
            return policy.packages.similar_name
        case Code.LICENSE:
            return policy.licenses.unknown if finding.unknown else Level.DENY
        case Code.DIRECT_ORIGIN:
            return policy.packages.direct
        case Code.NEEDS_BUILD:
            return policy.builds.level
        case Code.STARTUP_CODE:
            return policy.builds.startup_code
        case Code.FEED_MISSING:
            return policy.feed.missing
        case Code.FEED_STALE:
            return policy.feed.stale
        case Code.UNKNOWN_RELEASE:
            return Level.DENY if policy.preset == "strict" else Level.WARN
        case code:
            return _FIXED_LEVELS[code]


_FIXED_LEVELS: Mapping[Code, Level] = {
    Code.WRONG_INDEX: Level.DENY,
    Code.NOT_ALLOWED: Level.DENY,
    Code.DENIED_PACKAGE: Level.DENY,
    Code.ARTIFACT_MISMATCH: Level.DENY,
    Code.UNJUDGED: Level.DENY,
    Code.INDETERMINATE: Level.WARN,
    Code.FEED_UNREADABLE: Level.WARN,
    Code.WAIVER_EXPIRED: Level.WARN,
    Code.WAIVER_UNUSED: Level.WARN,
}


def _age_level(finding: Finding, policy: Policy) -> Level:
    """Return the level of a release that is too young: where its very bytes were chosen before, a warning."""
    hashed = finding.subject is not None and finding.subject.hashed
    return Level.WARN if hashed and policy.preset != "strict" else Level.DENY


def _status_level(finding: Finding, policy: ReleasePolicy) -> Level:
    match finding.subject.status if finding.subject is not None else None:
        case "quarantined":
            return policy.quarantined
        case "archived":
            return policy.archived
        case "deprecated":
            return policy.deprecated
        case "active" | None:  # no check says so; should one, it is not passed over
            return Level.WARN


def _vulnerability_level(finding: Finding, policy: VulnerabilityPolicy) -> Level:
    advisory, subject = finding.advisory, finding.subject
    severity = advisory.severity if advisory is not None and advisory.severity is not None else policy.unknown_severity
    level = Level.ALLOW
    if _reaches(severity, policy.warn):
        level = Level.WARN
    if _reaches(severity, policy.deny):
        level = Level.DENY
    if advisory is not None and advisory.exploited:
        level = max(level, policy.exploited)
    unfixed = advisory is not None and not has_fix(advisory, subject.release if subject is not None else None)
    return min(level, policy.no_fix) if unfixed else level


def _reaches(severity: Severity, threshold: Severity | None) -> bool:
    """Return whether *severity* is at or above *threshold*; `none` never applies, on either side."""
    return threshold is not None and Severity.NONE not in (severity, threshold) and severity >= threshold


def has_fix(advisory: Advisory, release: Release | None) -> bool:
    """Return whether *advisory* names a fixed version above *release* (any, where versions cannot be ordered)."""
    if release is None or isinstance(release.version, LegacyVersion):
        return bool(advisory.fixed)
    versions = (parse_version(raw) for raw in reversed(advisory.fixed))  # the highest first
    return any(isinstance(version, Version) and version > release.version for version in versions)


def fixed_versions(advisory: Advisory) -> frozenset[Version]:
    """Return the fixed versions that *advisory* names, as far as PEP 440 can read them."""
    return frozenset(version for raw in advisory.fixed if isinstance(version := parse_version(raw), Version))


# ---------------------------------------------------------------- waivers

_NOT_WAIVABLE = frozenset({Code.UNJUDGED, Code.WAIVER_EXPIRED, Code.WAIVER_UNUSED})


RULED_BY: Mapping[Code, tuple[str, ...]] = {
    Code.MALICIOUS: ("malicious.level",),
    Code.MALICIOUS_PROJECT: ("malicious.other-versions",),
    Code.VULNERABLE: (
        "vulnerabilities.deny",
        "vulnerabilities.warn",
        "vulnerabilities.unknown-severity",
        "vulnerabilities.exploited",
        "vulnerabilities.no-fix",
    ),
    Code.YANKED: ("release.yanked",),
    Code.TOO_YOUNG: ("release.min-age",),
    Code.AGE_UNKNOWN: ("release.min-age-unknown",),
    Code.PROJECT_STATUS: ("release.status.quarantined", "release.status.archived", "release.status.deprecated"),
    Code.DENIED_PACKAGE: ("packages.deny",),
    Code.NOT_ALLOWED: ("packages.allow",),
    Code.WRONG_INDEX: ("packages.index",),
    Code.AMBIGUOUS_INDEX: ("packages.ambiguous-index",),
    Code.SIMILAR_NAME: ("packages.similar-name",),
    Code.DIRECT_ORIGIN: ("packages.direct",),
    Code.NEEDS_BUILD: ("builds.level",),
    Code.STARTUP_CODE: ("builds.startup-code",),
    Code.LICENSE: ("licenses.deny", "licenses.unknown"),
    Code.UNKNOWN_RELEASE: ("preset",),
}
"""The keys that can make the ruling of a code, no key that of two; other codes have a level of their own."""


def ruling_keys(finding: Finding, policy: Policy) -> tuple[str, ...]:
    """Return the keys that make the ruling of *finding*: of those of its code, the ones that this fact falls under."""
    match finding.code:
        case Code.VULNERABLE:
            return tuple(_vulnerability_keys(finding, policy.vulnerabilities))
        case Code.PROJECT_STATUS if finding.subject is not None and finding.subject.status is not None:
            return (f"release.status.{finding.subject.status}",)
        case Code.LICENSE:
            return ("licenses.unknown",) if finding.unknown else ("licenses.deny",)
        case code:
            return RULED_BY.get(code, ())


def _vulnerability_keys(finding: Finding, policy: VulnerabilityPolicy) -> Iterator[str]:
    advisory, subject = finding.advisory, finding.subject
    rated = advisory.severity if advisory is not None else None
    severity = policy.unknown_severity if rated is None else rated
    if rated is None:
        yield "vulnerabilities.unknown-severity"
    if _reaches(severity, policy.deny):
        yield "vulnerabilities.deny"
    if _reaches(severity, policy.warn):
        yield "vulnerabilities.warn"
    if advisory is None or advisory.exploited:
        yield "vulnerabilities.exploited"
    if advisory is not None and not has_fix(advisory, subject.release if subject is not None else None):
        yield "vulnerabilities.no-fix"


def _lifts(waiver: Waiver, finding: Finding, policy: Policy) -> bool:
    """Return whether *waiver* is about *finding* and may lift what rules it, whatever its date."""
    return _covers(waiver, finding) and waiver.barred.isdisjoint(ruling_keys(finding, policy))


def _covers(waiver: Waiver, finding: Finding) -> bool:
    """Return whether *waiver* is about *finding*, whatever its date."""
    if finding.subject is None or finding.code in _NOT_WAIVABLE:
        return False
    return _names(waiver, finding) and _admits(waiver, finding.subject, exactly=finding.code is Code.MALICIOUS)


def _names(waiver: Waiver, finding: Finding) -> bool:
    wanted = waiver.finding.lower()
    ids = finding.advisory.ids if finding.advisory is not None else ()
    return wanted == finding.code.value or any(wanted == each.lower() for each in ids)


def _admits(waiver: Waiver, subject: Distribution, *, exactly: bool) -> bool:
    """Return whether the waiver's release is that of *subject*; malware is waived by one exact release only."""
    if waiver.name != subject.name:
        return False
    if waiver.exact is not None:
        return subject.release is not None and subject.release.version == parse_version(waiver.exact)
    if exactly:
        return False
    if not len(waiver.specifier):
        return True
    if subject.release is None or isinstance(subject.release.version, LegacyVersion):
        return False
    return waiver.specifier.contains(subject.release.version, prereleases=True)


def _of_waivers(evidence: Evidence, findings: Sequence[Finding], policy: Policy, today: date) -> Iterator[Finding]:
    judged = {distribution.name for distribution in evidence.distributions} if policy.waivers else set()
    for waiver in policy.waivers:
        what = f"the waiver of {waiver.finding} for {waiver.release} ({waiver.where})"
        if waiver.name not in judged:
            continue
        if waiver.expires < today:
            detail = f"{what} expired on {waiver.expires}: renew it or remove it"
            yield Finding(code=Code.WAIVER_EXPIRED, subject=None, detail=detail)
            continue
        covered = [finding for finding in findings if _covers(waiver, finding)]
        if not covered:
            yield Finding(code=Code.WAIVER_UNUSED, subject=None, detail=f"{what} matches nothing: remove it")
        elif not any(_lifts(waiver, finding, policy) for finding in covered):
            ruling = {key for finding in covered for key in ruling_keys(finding, policy)}
            why = f"another policy file set '{min(ruling & waiver.barred)}', and lets no other waive what it rules"
            yield Finding(code=Code.WAIVER_UNUSED, subject=None, detail=f"{what} does not hold: {why}")


# ---------------------------------------------------------------- order


def _sorted_once(rulings: Sequence[Ruling]) -> tuple[Ruling, ...]:
    """Return *rulings* in an order of their own, equal ones once."""
    labels: dict[int, tuple[str, str]] = {}
    keyed = sorted((_order(ruling, labels), place) for place, ruling in enumerate(rulings))
    ordered: list[Ruling] = []
    for _, alike in groupby(keyed, key=itemgetter(0)):
        group = [rulings[place] for _, place in alike]
        ordered += group if len(group) == 1 else sorted(_distinct(group), key=repr)
    return tuple(ordered)


def _order(ruling: Ruling, labels: dict[int, tuple[str, str]]) -> tuple[int, str, str, str, str, str]:
    """Return what a ruling is ordered by; *labels* keeps name and label of each subject, by its `id`."""
    finding, subject = ruling.finding, ruling.finding.subject
    told = labels.get(id(subject))
    if told is None:
        told = labels[id(subject)] = (subject.name or "", subject.label) if subject is not None else ("", "")
    name, label = told
    advisory = finding.advisory.id if finding.advisory is not None else ""
    return (-ruling.level, finding.code.value, name, advisory, label, finding.detail)


def _distinct(rulings: Sequence[Ruling]) -> Sequence[Ruling]:
    return [ruling for place, ruling in enumerate(rulings) if ruling not in rulings[:place]]


__all__ = [
    "RULED_BY",
    "BuildsPolicy",
    "Code",
    "DeniedPackage",
    "FeedPolicy",
    "MaliciousPolicy",
    "PackageMatch",
    "PackagesPolicy",
    "Policy",
    "Preset",
    "ReleasePolicy",
    "Ruling",
    "SourcePolicy",
    "VulnerabilityPolicy",
    "Waiver",
    "fixed_versions",
    "has_fix",
    "rule",
    "ruling_keys",
]
