"""Whether it is known what would be installed: `unknown-release`."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Code, Evidence, Finding
from ..policy import Policy
from .subjects import subjects


def check_identity(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find distributions whose name or version cannot be told, so that no advisory can be matched."""
    for subject in subjects(evidence):
        if subject.release is None:
            what = "has no name" if subject.name is None else f"is a release of {subject.name} without a version"
            detail = f"{what} that can be told: advisories cannot be matched with it"
            yield Finding(code=Code.UNKNOWN_RELEASE, subject=subject, detail=detail)
