"""What is valid in a policy but probably not meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from ..model import Level
from ..policy import PackageMatch, Policy, Waiver
from .globs import covers
from .keys import KEYS
from .kinds import match_text
from .showing import origin
from .toml import printable
from .waiving import release_text

SOON = timedelta(days=14)


def lint_policy(policy: Policy, *, today: date) -> tuple[str, ...]:
    """Return one line for each thing in a valid policy that deserves a second look."""
    return (
        *lint_emptiness(policy),
        *lint_packages(policy),
        *lint_thresholds(policy),
        *lint_waivers(policy, today),
        *policy.remarks,
    )


def lint_emptiness(policy: Policy) -> Iterator[str]:
    """Yield a line for a policy that says nothing."""
    if not policy.files:
        yield "no policy file is in force: the defaults apply (write one with 'guard policy init')"
    elif not policy.waivers and not policy.feed.sources and not any(is_written(policy, key.path) for key in KEYS):
        yield f"{printable(', '.join(policy.files))}: [tool.installguard] sets nothing: the defaults apply"


def is_written(policy: Policy, path: str) -> bool:
    """Say whether a key was set by a file or a preset that a file names."""
    return origin(policy, path) != "default"


def place(policy: Policy, path: str) -> str:
    """Return a key as messages name it, with its file."""
    return f"{printable(origin(policy, path))}: tool.installguard.{path}"


def lint_packages(policy: Policy) -> Iterator[str]:
    """Yield a line for each allowed entry that can have no effect."""
    for path, matches in (("packages.allow", policy.packages.allow), ("builds.allow", policy.builds.allow)):
        for match in matches:
            for denied in policy.packages.deny:
                if covers_match(denied.match, match):
                    yield f"{place(policy, path)}: '{match_text(match)}' is in packages.deny as well (denied wins)"
    if policy.builds.allow and policy.builds.level is Level.ALLOW:
        yield f'{place(policy, "builds.allow")}: has no effect while builds.level is "allow"'


def covers_match(wide: PackageMatch, narrow: PackageMatch) -> bool:
    """Say whether every release that *narrow* matches is one that *wide* matches, as far as can be told."""
    return covers(wide.pattern, narrow.pattern) and (not len(wide.specifier) or wide.specifier == narrow.specifier)


def lint_thresholds(policy: Policy) -> Iterator[str]:
    """Yield a line where a written warning threshold is never reached."""
    deny, warn = policy.vulnerabilities.deny, policy.vulnerabilities.warn
    where = origin(policy, "vulnerabilities.warn")
    if deny and warn and warn >= deny and where in policy.files:
        yield f'{place(policy, "vulnerabilities.warn")}: "{warn.word}" never warns: from "{deny.word}" on is denied'


def lint_waivers(policy: Policy, today: date) -> Iterator[str]:
    """Yield a line for each waiver that is over, soon over, too wide, or there twice."""
    seen: dict[tuple[str, str], Waiver] = {}
    for index, waiver in enumerate(policy.waivers):
        where = f"{printable(origin(policy, f'waivers[{index}]'))}: {waiver.where}"
        if waiver.expires < today:
            yield f"{where}: expired on {waiver.expires} (remove it, or renew it with a reason that still holds)"
        elif waiver.expires - today <= SOON:
            yield f"{where}: expires on {waiver.expires}, {in_days((waiver.expires - today).days)}"
        if not len(waiver.specifier):
            yield f"{where}: waives every release of {waiver.name} (name the versions: {waiver.name}<2)"
        twin = seen.setdefault((waiver.finding.lower(), release_text(waiver)), waiver)
        if twin is not waiver:
            yield f"{where}: waives the same as {twin.where}"


def in_days(count: int) -> str:
    """Return how far a day is ahead."""
    match count:
        case 0:
            return "today"
        case 1:
            return "tomorrow"
        case _:
            return f"in {count} days"
