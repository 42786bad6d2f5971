"""Code that runs by being installed: `needs-build`, `startup-code`."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Code, Evidence, Finding
from ..policy import Policy
from .packages import admits
from .subjects import subjects


def check_needs_build(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find sources whose build runs their code, save those that `builds.allow` names."""
    for subject in subjects(evidence):
        if subject.builds and not any(admits(match, subject, untold=False) for match in policy.builds.allow):
            detail = "comes as source: its build runs its code on this machine"
            yield Finding(code=Code.NEEDS_BUILD, subject=subject, detail=detail)


def check_startup_code(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find wheels that bring code which runs whenever the interpreter starts."""
    for subject in subjects(evidence):
        if subject.contents is not None and subject.contents.startup:
            detail = f"brings code that runs at every start of the interpreter: {', '.join(subject.contents.startup)}"
            yield Finding(code=Code.STARTUP_CODE, subject=subject, detail=detail)
