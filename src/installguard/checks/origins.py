"""Where a distribution comes from, and what that place says of it: `yanked`, `project-status`, `direct-origin`."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Artifact, Code, DirectUrl, Distribution, Evidence, Finding, Installed, LocalTree, VcsCheckout
from ..policy import Policy
from .subjects import subjects


def check_yanked(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find files that their index has yanked (PEP 592)."""
    for subject in subjects(evidence):
        match subject.origin:
            case Artifact(yanked=str() as reason):
                detail = f"was yanked: {reason}" if reason.strip() else "was yanked (no reason given)"
                yield Finding(code=Code.YANKED, subject=subject, detail=detail)


def check_status(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find projects that their index marks as quarantined, archived or deprecated (PEP 792)."""
    for subject in subjects(evidence):
        if subject.status not in (None, "active"):
            reason = f": {subject.status_reason.strip()}" if subject.status_reason.strip() else ""
            detail = f"is of a project that its index marks as {subject.status}{reason}"
            yield Finding(code=Code.PROJECT_STATUS, subject=subject, detail=detail)


def check_direct_origin(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find what comes from a URL, a version control system or a local path instead of an index."""
    for subject in subjects(evidence):
        if detail := _directly(subject):
            yield Finding(code=Code.DIRECT_ORIGIN, subject=subject, detail=detail)


def _directly(subject: Distribution) -> str | None:
    match subject.origin:
        case Artifact() | Installed():
            return None
        case DirectUrl(url=url) | VcsCheckout(url=url, editable=False):
            place = url
        case VcsCheckout(url=url):
            place = f"{url} (editable)"
        case LocalTree(path=path, editable=editable):
            place = f"the directory {path}{' (editable)' if editable else ''}"
    return "comes directly from " + place if subject.release is not None else "is not from an index"
