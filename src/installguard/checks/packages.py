"""Which projects the policy lets in: `denied-package`, `not-allowed`."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ..model import AnyVersion, Code, Distribution, Evidence, Finding, LegacyVersion
from ..names import canonicalize_name
from ..policy import DeniedPackage, PackageMatch, Policy
from .subjects import subjects

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet


def check_denied(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find what `packages.deny` names; a release whose version cannot be told counts as named."""
    for subject in subjects(evidence) if policy.packages.deny else ():
        for denied in policy.packages.deny:
            if admits(denied.match, subject, untold=True):
                yield Finding(
                    code=Code.DENIED_PACKAGE, subject=subject, detail=_denial(denied), fix=_replacement(denied)
                )


def check_allowed(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find what a `packages.allow` that is not empty does not name."""
    if not policy.packages.allow:
        return
    for subject in subjects(evidence):
        if not any(admits(match, subject, untold=False) for match in policy.packages.allow):
            yield Finding(code=Code.NOT_ALLOWED, subject=subject, detail="is not among those of packages.allow")


def admits(match: PackageMatch, subject: Distribution, *, untold: bool) -> bool:
    """Return whether *match* names *subject*; *untold* where that depends on a name or version that is not known."""
    if subject.name is None:
        return untold
    if not fnmatchcase(subject.name, match.pattern):
        return False
    if not len(match.specifier):
        return True
    return untold if subject.release is None else _within(match.specifier, subject.release.version, untold=untold)


def _within(specifier: SpecifierSet, version: AnyVersion, *, untold: bool) -> bool:
    if not isinstance(version, LegacyVersion):
        return specifier.contains(version, prereleases=True)
    if all(clause.operator == "===" for clause in specifier):
        return all(clause.version == version.raw for clause in specifier)
    return untold


def _denial(denied: DeniedPackage) -> str:
    named = f"{denied.match.pattern}{denied.match.specifier}"
    return f"is denied by packages.deny ({named})" + (f": {denied.reason}" if denied.reason else "")


def _replacement(denied: DeniedPackage) -> str | None:
    """Return `use` as a requirement, `None` where it is free text."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(denied.use or "")
    except InvalidRequirement:
        return None
    return f"{canonicalize_name(requirement.name)}{requirement.specifier}"
