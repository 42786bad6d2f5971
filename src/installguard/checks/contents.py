"""Whether a wheel is what it was said to be: `artifact-mismatch`."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Code, Distribution, Evidence, Finding
from ..policy import Policy
from .subjects import subjects


def check_contents(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find wheels whose METADATA differs from the release they were offered as, or cannot be read."""
    for subject in subjects(evidence):
        if detail := _mismatch(subject):
            yield Finding(code=Code.ARTIFACT_MISMATCH, subject=subject, detail=detail)


def _mismatch(subject: Distribution) -> str | None:
    contents = subject.contents
    if contents is None:
        return None
    if contents.problem is not None:
        return f"holds a wheel that cannot be read: {contents.problem}"
    if contents.release is None:
        return "holds a wheel without a name and version that can be read"
    if subject.release is not None and contents.release != subject.release:
        return f"holds a wheel whose METADATA says {contents.release}"
    if subject.release is None and subject.name is not None and contents.release.name != subject.name:
        return f"holds a wheel whose METADATA says {contents.release}, not {subject.name}"
    return None
