"""The checks: each turns evidence into findings, facts without a level; `rule` judges them."""

from __future__ import annotations

from ..model import Check, Evidence, Finding
from ..policy import Policy
from .advisories import check_advisories
from .ages import check_release_age
from .builds import check_needs_build, check_startup_code
from .contents import check_contents
from .identity import check_identity
from .indexes import check_ambiguous_index, check_wrong_index
from .licenses import check_license
from .origins import check_direct_origin, check_status, check_yanked
from .packages import check_allowed, check_denied
from .similar import check_similar_name
from .snapshot import check_age, check_missing, check_unreadable

CHECKS: tuple[Check, ...] = (
    check_advisories,
    check_yanked,
    check_release_age,
    check_status,
    check_wrong_index,
    check_ambiguous_index,
    check_direct_origin,
    check_needs_build,
    check_startup_code,
    check_contents,
    check_license,
    check_denied,
    check_allowed,
    check_identity,
    check_similar_name,
    check_missing,
    check_age,
    check_unreadable,
)


def run_checks(evidence: Evidence, policy: Policy) -> tuple[Finding, ...]:
    """Return what every check finds in *evidence*."""
    return tuple(finding for check in CHECKS for finding in check(evidence, policy))


__all__ = ["CHECKS", "run_checks"]
