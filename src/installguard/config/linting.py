"""What is valid in a policy but probably not meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from ..model import Code, Level
from ..policy import PackageMatch, Policy, Waiver
from .globs import covers
from .keys import KEYS
from .kinds import match_text
from .showing import origin
from .toml import printable, quote, quote_key
from .values import is_loopback
from .waiving import release_text

SOON = timedelta(days=14)


def lint_policy(policy: Policy, *, today: date) -> tuple[str, ...]:
    """Return one line for each thing in a valid policy that deserves a second look."""
    return (
        *lint_emptiness(policy),
        *lint_feed(policy),
        *lint_packages(policy),
        *lint_age(policy),
        *lint_pins(policy),
        *lint_licenses(policy),
        *lint_thresholds(policy),
        *lint_waivers(policy, today),
        *policy.remarks(),
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


def in_file(policy: Policy, path: str) -> bool:
    """Say whether a file writes a key, rather than a preset or the default."""
    return origin(policy, path) in policy.files


def lint_feed(policy: Policy) -> Iterator[str]:
    """Yield a line for each rule about feeds that works against itself."""
    feed = policy.feed
    if not feed.max_age:
        yield f'{place(policy, "feed.max-age")}: "0" makes every snapshot stale'
    elif feed.refresh > feed.max_age and (in_file(policy, "feed.refresh") or in_file(policy, "feed.max-age")):
        at = place(policy, "feed.refresh" if in_file(policy, "feed.refresh") else "feed.max-age")
        yield f"{at}: a snapshot is stale (feed.max-age) before it is refreshed (feed.refresh)"
    if feed.keys and not feed.sources:
        default = "the default sources are not signed by them (name mirrors that are, in feed.sources)"
        yield f"{place(policy, 'feed.keys')}: {default}"
    for source in feed.sources:
        if source.malicious and source.kind != "osv":
            at = f"{place(policy, f'feed.sources.{source.name}')}.malicious"
            yield f'{at}: has no effect on a source of kind "{source.kind}"'


def lint_age(policy: Policy) -> Iterator[str]:
    """Yield a line where the cooldown holds nothing back."""
    release = policy.release
    if release.min_age:
        for match in release.min_age_exclude:
            if covers(match.pattern, "*") and not len(match.specifier):
                at = place(policy, "release.min-age-exclude")
                yield f"{at}: '{match_text(match)}' exempts every project from release.min-age"
        return
    for path in ("release.min-age-exclude", "release.min-age-unknown"):
        if in_file(policy, path):
            yield f'{place(policy, path)}: has no effect while release.min-age is "0"'


def lint_pins(policy: Policy) -> Iterator[str]:
    """Yield a line for each index that is not reached, or reached in the clear."""
    pins = policy.packages.index
    for index, pin in enumerate(pins):
        at = f"{place(policy, 'packages.index')}.{quote_key(pin.match.pattern)}"
        earlier = next((each for each in pins[:index] if covers(each.match.pattern, pin.match.pattern)), None)
        if earlier is not None:
            yield f"{at}: is never reached: '{earlier.match.pattern}' before it matches the same (put it before that)"
        if is_in_the_clear(pin.url):
            yield f"{at}: {printable(pin.url)} is not encrypted: anyone on the way can replace packages (use https)"


def is_in_the_clear(url: str) -> bool:
    """Say whether an index is fetched over the network without encryption."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def lint_licenses(policy: Policy) -> Iterator[str]:
    """Yield a line for each denied expression that names a licence unknown to SPDX, as far as that can be told."""
    if not policy.licenses.deny:
        return
    try:
        from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
    except ImportError:  # packaging before 24.2
        return
    for expression in policy.licenses.deny:
        try:
            canonicalize_license_expression(expression)
        except InvalidLicenseExpression as error:
            why = printable(str(error)[:1].lower() + str(error)[1:])
            yield f"{place(policy, 'licenses.deny')}: {quote(expression)} is never found: {why}"


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
        elif waiver.finding == Code.VULNERABLE.value and waiver.exact is None:
            yield f"{where}: waives every vulnerability of {waiver.release}, those yet unknown too (name the advisory)"
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
