"""What the feeds say of a release: `malicious`, `malicious-project`, `vulnerable`, `indeterminate`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..dataclass import dataclass
from ..model import Advisory, Code, Distribution, Evidence, Finding, LegacyVersion, Level, Release
from ..names import NormalizedName
from ..osv import Affected, Indeterminate, Unaffected, affecting
from ..policy import Policy
from .exploited import exploited, marked
from .fixes import Fix, Fixes
from .indexes import privately_pinned
from .subjects import subjects

UNTOLD = LegacyVersion(raw="")
"""Stands for a version that is not known: only what affects every release affects it."""


def check_advisories(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Match every distribution with the advisories of its project."""
    listed = exploited(evidence)
    known = by_project(evidence.advisories)
    projects: dict[NormalizedName, _Project] = {}
    for subject in subjects(evidence):
        name = subject.release.name if subject.release is not None else subject.name
        if name is not None and name in known:
            if name not in projects:
                projects[name] = _Project(advisories=known[name], fixes=Fixes(name, known[name]), listed=listed)
            private = subject.private or privately_pinned(subject, evidence, policy)
            yield from _of_project(subject, projects[name], policy, private=private)


def by_project(advisories: Iterable[Advisory]) -> Mapping[NormalizedName, Sequence[Advisory]]:
    """Return *advisories* grouped by the project they are about."""
    grouped: dict[NormalizedName, list[Advisory]] = {}
    for advisory in advisories:
        grouped.setdefault(advisory.project, []).append(advisory)
    return grouped


@dataclass(frozen=True, slots=True, kw_only=True)
class _Project:
    """One project, as far as the feeds know it."""

    advisories: Sequence[Advisory]
    fixes: Fixes
    listed: frozenset[str]
    """The vulnerabilities that are known to be exploited."""


def _of_project(subject: Distribution, project: _Project, policy: Policy, *, private: bool) -> Iterator[Finding]:
    ask = affecting(subject.release or Release(name=project.advisories[0].project, version=UNTOLD))
    told = [(advisory, ask(advisory)) for advisory in project.advisories]
    hits = [advisory for advisory, found in told if isinstance(found, Affected)]
    fix = _fix(subject, hits, project.fixes, policy) if hits else None
    for advisory, found in told:
        if subject.release is None and advisory.kind == "vulnerability":
            continue  # `unknown-release` says that vulnerabilities could not be looked for
        match found:
            case Affected():
                yield _hit(subject, advisory, fix, project.listed, private=private)
            case Indeterminate(reason=reason):
                if subject.release is not None:
                    yield _unsure(subject, advisory, reason)
                yield from _near_miss(subject, advisory, private=private)
            case Unaffected() if advisory.kind == "malicious":
                yield from _near_miss(subject, advisory, private=private)


def _hit(
    subject: Distribution, advisory: Advisory, fix: Fix | None, listed: frozenset[str], *, private: bool
) -> Finding:
    pin = fix.pin if fix is not None and id(advisory) not in fix.leaves else None
    if advisory.kind == "malicious" and private:  # nothing public replaces a private release of the same name
        detail = "has the same name and version as known malware"
        return Finding(code=Code.MALICIOUS, subject=subject, detail=detail, advisory=advisory, namesake=True)
    if advisory.kind == "malicious":
        return Finding(code=Code.MALICIOUS, subject=subject, detail="is known malware", advisory=advisory, fix=pin)
    about = f": {advisory.summary}" if advisory.summary else ""
    return Finding(
        code=Code.VULNERABLE,
        subject=subject,
        detail=f"is affected by {advisory.id}{about}",
        advisory=marked(advisory, listed),
        fix=pin,
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


def _fix(subject: Distribution, hits: Sequence[Advisory], fixes: Fixes, policy: Policy) -> Fix | None:
    if subject.release is None:
        return None
    leaving = policy.vulnerabilities.no_fix < Level.DENY
    return fixes.nearest(subject.release, hits, leaving_unfixed=leaving, available=subject.available)
