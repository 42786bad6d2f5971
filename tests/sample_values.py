"""Values that the tests of checks, rule and reporters are made of: short ways to write them, no behaviour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta, timezone

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from installguard.model import (
    Advisory,
    AdvisoryKind,
    Affects,
    Artifact,
    Code,
    Distribution,
    Event,
    Evidence,
    Finding,
    Level,
    Origin,
    ProjectStatus,
    Role,
    Severity,
    SnapshotInfo,
    SourceInfo,
    Verdict,
    WheelContents,
    parse_release,
    parse_version,
    version_key,
)
from installguard.policy import PackageMatch, Policy, Waiver, rule

NOW = datetime(2026, 11, 21, 20, 40, tzinfo=timezone.utc)
TAKEN = datetime(2026, 11, 21, 18, 40, tzinfo=timezone.utc)
INDEX = "https://index.example.org/simple/"


def artifact(
    name: str,
    version: str,
    *,
    sdist: bool = False,
    yanked: str | None = None,
    uploaded_at: datetime | None = TAKEN - timedelta(days=30),
    index: str | None = INDEX,
) -> Artifact:
    filename = f"{name}-{version}.tar.gz" if sdist else f"{name}-{version}-py3-none-any.whl"
    return Artifact(
        filename=filename,
        url=f"https://files.example.org/{filename}",
        hashes=(("sha256", "4f0d" * 16),),
        kind="sdist" if sdist else "wheel",
        index=index,
        uploaded_at=uploaded_at,
        yanked=yanked,
    )


def distribution(
    name: str,
    version: str | None,
    *,
    origin: Origin | None = None,
    role: Role = "install",
    requested: bool = False,
    required_by: Sequence[str] = (),
    requirement: str | None = None,
    builds: bool = False,
    contents: WheelContents | None = None,
    hashed: bool = False,
    status: ProjectStatus | None = None,
    indexes: Sequence[str] = (),
    fixes: Sequence[str] = (),
) -> Distribution:
    return Distribution(
        name=canonicalize_name(name),
        release=None if version is None else parse_release(name, version),
        origin=origin or artifact(name, version or "0"),
        role=role,
        requested=requested,
        required_by=tuple(sorted(canonicalize_name(each) for each in required_by)),
        requirement=requirement,
        builds=builds,
        contents=contents,
        hashed=hashed,
        status=status,
        indexes=tuple(indexes),
        fixes=tuple(fixes),
    )


def advisory(
    name: str,
    *,
    id: str = "GHSA-aaaa-bbbb-cccc",
    aliases: Sequence[str] = (),
    kind: AdvisoryKind = "vulnerability",
    versions: Iterable[str] = (),
    introduced: str | None = None,
    fixed: Sequence[str] = (),
    severity: Severity | None = None,
    score: float | None = None,
    summary: str = "",
    feed: str = "osv",
) -> Advisory:
    events = () if introduced is None else (Event(kind="introduced", version=introduced),)
    ends = tuple(Event(kind="fixed", version=each) for each in fixed)
    return Advisory(
        id=id,
        aliases=tuple(aliases),
        kind=kind,
        project=canonicalize_name(name),
        affected=Affects(
            versions=frozenset(version_key(parse_version(each)) for each in versions),
            ranges=(events + ends,) if events else (),
        ),
        severity=severity,
        score=score,
        fixed=tuple(fixed),
        summary=summary,
        published=datetime(2026, 3, 24, tzinfo=timezone.utc),
        feed=feed,
    )


def malware(name: str, *versions: str, id: str = "MAL-2026-2144", fixed: Sequence[str] = ()) -> Advisory:
    return advisory(name, id=id, kind="malicious", versions=versions, fixed=fixed, aliases=("PYSEC-2026-2",))


def source(name: str = "osv", *, taken_at: datetime | None = TAKEN, records: int = 7116) -> SourceInfo:
    return SourceInfo(name=name, records=records, unreadable=0, taken_at=taken_at)


def snapshot(
    *,
    sources: Sequence[SourceInfo] | None = None,
    taken_at: datetime | None = TAKEN,
    unreadable: int = 0,
    missing: Sequence[str] = (),
    problem: str | None = None,
) -> SnapshotInfo:
    return SnapshotInfo(
        sources=tuple(sources) if sources is not None else (source(taken_at=taken_at),),
        taken_at=taken_at,
        digest="sha256:" + "ab" * 32,
        records=7116,
        unreadable=unreadable,
        missing=tuple(missing),
        problem=problem,
    )


def evidence(
    *distributions: Distribution,
    advisories: Iterable[Advisory] = (),
    info: SnapshotInfo | None = None,
    now: datetime = NOW,
) -> Evidence:
    return Evidence(distributions=distributions, advisories=tuple(advisories), snapshot=info or snapshot(), now=now)


def finding(
    code: Code, subject: Distribution | None, *, advisory: Advisory | None = None, detail: str = "was found"
) -> Finding:
    return Finding(code=code, subject=subject, detail=detail, advisory=advisory)


def waiver(
    finding: str,
    name: str,
    specifier: str = "",
    *,
    expires: date | None = None,
    where: str = "tool.installguard.waivers[0]",
) -> Waiver:
    exact = specifier.lstrip("=") if specifier.startswith("==") and "," not in specifier else None
    return Waiver(
        finding=finding,
        name=canonicalize_name(name),
        specifier=SpecifierSet(specifier),
        exact=exact,
        reason="not reachable from our code",
        expires=expires or NOW.date() + timedelta(days=30),
        where=where,
    )


def match(text: str) -> PackageMatch:
    for at, char in enumerate(text):
        if char in "<>=!~":
            return PackageMatch(pattern=text[:at], specifier=SpecifierSet(text[at:]))
    return PackageMatch(pattern=text)


def level_of(found: Finding, policy: Policy) -> Level:
    """Return the level that *policy* rules for one finding alone."""
    subjects = (found.subject,) if found.subject is not None else ()
    verdict: Verdict = rule(evidence(*subjects), [found], policy)
    return next(ruling.level for ruling in verdict.rulings if ruling.finding == found)
