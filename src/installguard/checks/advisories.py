"""What the feeds say of a release: `malicious`, `malicious-project`, `vulnerable`, `indeterminate`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from packaging.utils import NormalizedName

from ..model import Advisory, Code, Distribution, Evidence, Finding, LegacyVersion, Level, Release
from ..osv import Affected, Applicability, Indeterminate, Unaffected, affecting, affects
from ..policy import Policy
from .exploited import exploited, marked
from .fixes import nearest_fix
from .indexes import privately_pinned
from .subjects import subjects

UNTOLD = LegacyVersion(raw="")
"""Stands for a version that is not known: only what affects every release affects it."""


def check_advisories(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Match every distribution with the advisories of its project."""
    known = by_project(evidence.advisories)
    listed = exploited(evidence)
    for subject in subjects(evidence):
        name = subject.release.name if subject.release is not None else subject.name
        if name is not None and (advisories := known.get(name)):
            private = subject.private or privately_pinned(subject, evidence, policy)
            for finding in _of_project(subject, advisories, policy, private=private):
                yield _told(finding, listed)


def by_project(advisories: Iterable[Advisory]) -> Mapping[NormalizedName, Sequence[Advisory]]:
    """Return *advisories* grouped by the project they are about."""
    grouped: dict[NormalizedName, list[Advisory]] = {}
    for advisory in advisories:
        grouped.setdefault(advisory.project, []).append(advisory)
    return grouped


def _of_project(
    subject: Distribution, advisories: Sequence[Advisory], policy: Policy, *, private: bool
) -> Iterator[Finding]:
    ask = affecting(subject.release or Release(name=advisories[0].project, version=UNTOLD))
    found = [finding for each in advisories for finding in _of_advisory(subject, each, ask(each), private=private)]
    hits = [finding.advisory for finding in found if finding.advisory and finding.code in _HITS]
    fix = _fix(subject, hits, advisories, policy) if hits else None
    for finding in found:
        yield replace(finding, fix=fix.pin) if fix and _fixed_by(fix, finding) else finding


def _told(finding: Finding, listed: frozenset[str]) -> Finding:
    """Return *finding* with its vulnerability marked where it is *listed* as exploited."""
    if finding.advisory is None or finding.code is not Code.VULNERABLE:
        return finding
    advisory = marked(finding.advisory, listed)
    return finding if advisory is finding.advisory else replace(finding, advisory=advisory)


_HITS = frozenset({Code.MALICIOUS, Code.VULNERABLE})


def _of_advisory(
    subject: Distribution, advisory: Advisory, applicability: Applicability, *, private: bool
) -> Iterable[Finding]:
    if subject.release is None and advisory.kind == "vulnerability":
        return ()  # `unknown-release` says that vulnerabilities could not be looked for
    match applicability:
        case Affected():
            return (_hit(subject, advisory, private=private),)
        case Indeterminate(reason=reason):
            doubt = (_unsure(subject, advisory, reason),) if subject.release is not None else ()
            return (*doubt, *_near_miss(subject, advisory, private=private))
        case Unaffected():
            return _near_miss(subject, advisory, private=private)


def _hit(subject: Distribution, advisory: Advisory, *, private: bool) -> Finding:
    if advisory.kind == "malicious":
        detail = "has the same name and version as known malware" if private else "is known malware"
        return Finding(code=Code.MALICIOUS, subject=subject, detail=detail, advisory=advisory, namesake=private)
    about = f": {advisory.summary}" if advisory.summary else ""
    return Finding(
        code=Code.VULNERABLE, subject=subject, detail=f"is affected by {advisory.id}{about}", advisory=advisory
    )


def _unsure(subject: Distribution, advisory: Advisory, reason: str) -> Finding:
    detail = f"may be affected by {advisory.id}, which cannot be told: {reason}"
    return Finding(code=Code.INDETERMINATE, subject=subject, detail=detail, advisory=advisory)


def _near_miss(subject: Distribution, advisory: Advisory, *, private: bool) -> Sequence[Finding]:
    if advisory.kind != "malicious" or advisory.withdrawn is not None:
        return ()
    if private:
        detail = "has the same name as a project with malicious releases"
    elif subject.release is None:
        detail = "is of a project with malicious releases, and its version cannot be told"
    else:
        detail = "is of a project with malicious releases, though not listed as one of them"
    return (Finding(code=Code.MALICIOUS_PROJECT, subject=subject, detail=detail, advisory=advisory, namesake=private),)


def _fix(subject: Distribution, hits: Sequence[Advisory], known: Sequence[Advisory], policy: Policy) -> Release | None:
    if subject.release is None:
        return None
    leaving = policy.vulnerabilities.no_fix < Level.DENY
    return nearest_fix(subject.release, hits, known, leaving_unfixed=leaving, available=subject.available)


def _fixed_by(fix: Release, finding: Finding) -> bool:
    """Return whether *fix* does away with *finding*; nothing public replaces a private release of the same name."""
    if finding.advisory is None or finding.subject is None or finding.code not in _HITS:
        return False
    if finding.namesake and finding.code is Code.MALICIOUS:
        return False
    return isinstance(affects(finding.advisory, fix), Unaffected)
