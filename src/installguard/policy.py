"""The policy as values, and `rule`: the one function that judges (DESIGN: policy)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from .model import Code, Evidence, Finding, Level, Severity, Verdict

Preset: TypeAlias = Literal["relaxed", "default", "strict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageMatch:
    """A glob over normalised names with an optional specifier: `acme-*`, `uwsgi==2.*`."""

    pattern: str
    specifier: SpecifierSet = field(default_factory=SpecifierSet)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPolicy:
    max_age: timedelta = timedelta(hours=24)
    stale: Level = Level.WARN
    missing: Level = Level.WARN
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    yanked: Level = Level.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagesPolicy:
    allow: tuple[PackageMatch, ...] = ()
    deny: tuple[DeniedPackage, ...] = ()
    direct: Level = Level.WARN


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
    waivers: tuple[Waiver, ...] = ()
    files: tuple[str, ...] = ()
    """The files it was read from, nearest first."""
    digest: str = ""
    """`sha256:…` over what it says."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each key of `guard policy show` was set: a file, `preset strict`, `default`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A judged finding."""

    finding: Finding
    level: Level
    waiver: Waiver | None = None
    """The waiver that lowered it to `ALLOW`, if one did."""


def rule(evidence: Evidence, findings: Iterable[Finding], policy: Policy) -> Verdict:
    """Judge every finding by the policy: total, order-independent, no I/O."""
    raise NotImplementedError


__all__ = [
    "BuildsPolicy", "Code", "DeniedPackage", "FeedPolicy", "MaliciousPolicy", "PackageMatch", "PackagesPolicy",
    "Policy", "Preset", "ReleasePolicy", "Ruling", "SourcePolicy", "VulnerabilityPolicy", "Waiver", "rule",
]
