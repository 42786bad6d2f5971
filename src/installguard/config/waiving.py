"""Waivers as the policy writes them: `[[tool.installguard.waivers]]` → `Waiver`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import PolicyError
from ..model import Code
from ..names import NormalizedName, canonicalize_name
from ..policy import Waiver
from .toml import quote
from .values import (
    NAME,
    Context,
    MistakesError,
    did_you_mean,
    mistake,
    parse_date,
    parse_list,
    parse_specifier,
    parse_table,
    parse_text,
    shown,
)

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

LONGEST_WAIVER = timedelta(days=180)
SHORTEST_REASON = 10
DAYS = r"([0-9]{1,4})d"

UNWAIVABLE = frozenset(
    {
        Code.FEED_MISSING,
        Code.FEED_STALE,
        Code.FEED_UNREADABLE,
        Code.WAIVER_EXPIRED,
        Code.WAIVER_UNUSED,
        Code.UNJUDGED,
    }
)
"""Findings about the feed, the policy or the run, which no release can be waived from."""

HINTS: Mapping[str, str] = {
    "finding": "an advisory id or a finding code",
    "release": "a project, with the versions meant: werkzeug<3.0.6",
    "reason": "say why this is acceptable",
    "expires": "the last day on which it holds, at most 180 days ahead",
}


def parse_code(value: object, context: Context) -> Code:
    """Return the code of a finding that can be waived."""
    codes = [code.value for code in Code if code not in UNWAIVABLE]
    text = parse_text(value, context).strip()
    if text in {code.value for code in UNWAIVABLE}:
        mistake(f"'{text}' cannot be waived (it is not about a release)")
    if text not in codes:
        mistake(f"{shown(text)} is not a finding code{did_you_mean(text, codes)}")
    return Code(text)


def parse_codes(value: object, context: Context) -> tuple[Code, ...]:
    """Return the codes of `waivable`, sorted, each once."""
    return tuple(sorted(set(parse_list(value, context, parse_code))))


def parse_finding(value: object, context: Context) -> str:
    """Return a finding code or an advisory id."""
    finding = parse_text(value, context).strip()
    codes = [code.value for code in Code]
    if finding in codes:
        if Code(finding) in UNWAIVABLE:
            mistake(f"'{finding}' cannot be waived (it is not about a release)")
        return finding
    meant = did_you_mean(finding, codes, cutoff=0.85) if is_wordy(finding) else ""
    if meant or ("-" not in finding and "/" not in finding):
        neither = f"{shown(finding)} is neither a finding code nor an advisory id"
        mistake(f"{neither}{meant or ' (such as GHSA-… or CVE-…)'}")
    return finding


def is_wordy(finding: str) -> bool:
    """Say whether a finding looks like a misspelt code: no advisory id is without capitals and digits."""
    return finding.islower() and not any(character.isdigit() for character in finding)


def parse_waived_release(value: object, context: Context) -> tuple[NormalizedName, SpecifierSet]:
    """Return a project and the versions meant: `name`, `name<2`, `name==1.0`."""
    text = parse_text(value, context).strip()
    name = re.match(NAME, text)
    rest = text[name.end() :] if name else text
    if name is None or (rest and rest.lstrip()[0] not in "<>=!~"):
        mistake(f"{shown(text)} is not a project name with a specifier (write name==1.2 or name<2)")
    return canonicalize_name(name[0]), parse_specifier(rest)


def exact_version(specifier: SpecifierSet) -> str | None:
    """Return the one version, as written, that a specifier of the form `==version` or `===version` admits."""
    match list(specifier):
        case [only] if only.operator == "===" or (only.operator == "==" and not only.version.endswith(".*")):
            return only.version
        case _:
            return None


def parse_reason(value: object, context: Context) -> str:
    """Return a reason that says something."""
    reason = parse_text(value, context)
    if len(reason.strip()) < SHORTEST_REASON:
        mistake(f"{shown(reason)} is too short (at least {SHORTEST_REASON} characters: say why this is acceptable)")
    return reason


def parse_expiry(value: object, context: Context) -> date:
    """Return a waiver's last day, which may be past but not more than 180 days ahead."""
    expires = parse_date(value, context)
    if expires - context.today > LONGEST_WAIVER:
        latest = context.today + LONGEST_WAIVER
        mistake(f"{expires} is more than {LONGEST_WAIVER.days} days ahead (at the latest {latest})")
    return expires


FIELDS = {
    "finding": parse_finding,
    "release": parse_waived_release,
    "reason": parse_reason,
    "owner": parse_text,
    "expires": parse_expiry,
}


def parse_waiver(value: object, context: Context, *, where: str) -> Waiver:
    """Return the waiver that a table is; raises `MistakesError` with all that is wrong."""
    found = malware_mistakes(value, context)
    try:
        written = parse_table(value, context, FIELDS, required=HINTS)
    except MistakesError as error:
        raise MistakesError(*error.found, *found) from error
    if found:
        raise MistakesError(*found)
    name, specifier = written["release"]
    return Waiver(
        finding=written["finding"],
        name=name,
        specifier=specifier,
        exact=exact_version(specifier),
        reason=written["reason"],
        owner=written.get("owner"),
        expires=written["expires"],
        where=where,
    )


def malware_mistakes(table: object, context: Context) -> list[tuple[str, str]]:
    """Return the complaint about a waiver that would let in more malware than one exact release."""
    if not isinstance(table, dict):
        return []
    try:
        finding = parse_finding(table.get("finding"), context)
        _, specifier = parse_waived_release(table.get("release"), context)
    except MistakesError:
        return []  # complained about where the table is parsed
    if exact_version(specifier) is not None or not is_malware(finding):
        return []
    return [(".release", f"{shown(finding)} is malware: waivable for one exact release only (write name==version)")]


def is_malware(finding: str) -> bool:
    """Say whether a waiver of this finding lets malware in."""
    return finding == Code.MALICIOUS.value or finding.upper().startswith("MAL-")


def parse_waivers(value: object, context: Context) -> tuple[Waiver, ...]:
    """Return the waivers of `[[tool.installguard.waivers]]` in their order."""
    if not isinstance(value, list):
        mistake("expected an array of tables (write [[tool.installguard.waivers]])")
    waivers: list[Waiver] = []
    found: list[tuple[str, str]] = []
    for index, table in enumerate(value):
        try:
            waivers.append(parse_waiver(table, context, where=waiver_table(index)))
        except MistakesError as error:
            found += [(f"[{index}]{below}", what) for below, what in error.found]
    if found:
        raise MistakesError(*found)
    return tuple(waivers)


def waiver_table(index: int) -> str:
    """Return how messages call a waiver of a policy file, counted from 0."""
    return f"tool.installguard.waivers[{index}]"


def parse_expires(text: str, today: date) -> date:
    """Return the day that `30d` or `2026-12-31` means: after today, at most 180 days ahead; raises `PolicyError`."""
    days = re.fullmatch(DAYS, text.strip())
    try:
        expires = today + timedelta(days=int(days[1])) if days else parse_date(text.strip(), Context.nowhere(today))
    except MistakesError as error:
        raise PolicyError([f"expires: {shown(text)} is not a date (write 2026-12-31 or 30d)"]) from error
    check_ahead(expires, today)
    return expires


def check_ahead(expires: date, today: date) -> None:
    """Raise `PolicyError` unless a new waiver may end on that day."""
    if not timedelta() < expires - today <= LONGEST_WAIVER:
        latest = today + LONGEST_WAIVER
        raise PolicyError([f"expires: {expires} must be after today and at most 180 days ahead (by {latest})"])


# ---------------------------------------------------------------- writing


def release_text(waiver: Waiver) -> str:
    """Return the releases of a waiver as the policy writes them."""
    return waiver.name + ",".join(sorted(str(part) for part in waiver.specifier))


def waiver_fields(waiver: Waiver) -> dict[str, str]:
    """Return a waiver's keys with their values as TOML."""
    owner = {} if waiver.owner is None else {"owner": quote(waiver.owner)}
    return {
        "finding": quote(waiver.finding),
        "release": quote(release_text(waiver)),
        "reason": quote(waiver.reason),
        **owner,
        "expires": waiver.expires.isoformat(),
    }


def waiver_value(fields: Mapping[str, Any]) -> str:
    """Return TOML fields as an inline table."""
    return "{ " + ", ".join(f"{key} = {text}" for key, text in fields.items()) + " }"
