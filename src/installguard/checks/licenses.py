"""Under which licence a wheel comes: `license`."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Code, Distribution, Evidence, Finding, Level
from ..policy import Policy
from .subjects import subjects


def check_license(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find wheels whose licence is denied by `licenses.deny`, or cannot be told; sources show theirs once built."""
    if not policy.licenses.deny and policy.licenses.unknown is Level.ALLOW:
        return
    for subject in subjects(evidence):
        contents = subject.contents
        if contents is not None and contents.problem is None and (contents.built or not subject.builds):
            yield from _of_license(subject, contents.license, evidence)


def _of_license(subject: Distribution, license: str | None, evidence: Evidence) -> Iterator[Finding]:
    if not (license or "").strip():
        yield _unknown(subject, "tells no licence that a program can read")
    elif (answer := evidence.licenses.get(license or "")) is None:
        yield _unknown(subject, f"is under a licence that was not looked up: {license}")
    elif answer.denied:
        named = "" if answer.denied == (license,) else f" ({license})"
        detail = f"is under a licence that the policy denies: {', '.join(answer.denied)}{named}"
        yield Finding(code=Code.LICENSE, subject=subject, detail=detail)
    elif answer.problem is not None:
        yield _unknown(subject, f"is under a licence that cannot be told: {answer.problem}")


def _unknown(subject: Distribution, detail: str) -> Finding:
    return Finding(code=Code.LICENSE, subject=subject, detail=detail, unknown=True)
