"""The effective policy as TOML, each value with its origin; and its digest."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from ..policy import Policy, SourcePolicy
from .keys import KEYS, SECTIONS, Key
from .kinds import write_duration
from .toml import printable, quote, quote_key
from .waiving import waiver_fields

COMMENT_COLUMN = 35


def value_of(policy: Policy, key: Key) -> Any:
    """Return what the policy holds for a key."""
    return attrgetter(key.field)(policy)


def show_policy(policy: Policy) -> str:
    """Return the effective policy as TOML that reads back to the same values, each with its origin as a comment."""
    blocks = [list(show_section(policy, "")), *(list(show_section(policy, section)) for section in SECTIONS)]
    after_feed = SECTIONS.index("feed") + 2
    blocks[after_feed:after_feed] = [
        show_source(source, origin(policy, f"feed.sources.{source.name}")) for source in policy.feed.sources
    ]
    blocks += [show_waiver(policy, index) for index in range(len(policy.waivers))]
    remarks = [f"# {printable(remark)}" for remark in policy.remarks()]
    blocks += [remarks] if remarks else []
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def show_section(policy: Policy, section: str) -> Iterator[str]:
    """Yield the lines of one table."""
    yield f"[tool.installguard{section and '.'}{section}]"
    for key in KEYS:
        if key.section == section:
            yield from commented(f"{key.name} = {key.kind.write(value_of(policy, key))}", origin(policy, key.path))
    if section == "feed" and not policy.feed.sources:
        yield "# sources: the default ones"


def commented(line: str, comment: str) -> list[str]:
    """Return the lines of a value, the first one ending in a comment."""
    first, *rest = line.splitlines()
    return [f"{first:<{COMMENT_COLUMN}} # {printable(comment)}", *rest]


def origin(policy: Policy, key: str) -> str:
    """Return where a key was set."""
    return policy.origins.get(key, "default")


def show_source(source: SourcePolicy, where: str) -> list[str]:
    """Return the lines of one source."""
    header = commented(f"[tool.installguard.feed.sources.{quote_key(source.name)}]", where)
    return [*header, *(f"{key} = {text}" for key, text in source_fields(source).items())]


def source_fields(source: SourcePolicy) -> dict[str, str]:
    """Return a source's keys with their values as TOML, those left out that say nothing."""
    fields = {"url": quote(source.url), "malicious": "true" if source.malicious else "false"}
    if source.kind != "osv":
        fields["kind"] = quote(source.kind)
    if source.mirrors:
        fields["mirrors"] = f"[{', '.join(map(quote, source.mirrors))}]"
    if source.priority:
        fields["priority"] = str(source.priority)
    if source.max_age is not None:
        fields["max-age"] = write_duration(source.max_age)
    return fields


def show_waiver(policy: Policy, index: int) -> list[str]:
    """Return the lines of one waiver."""
    waiver = policy.waivers[index]
    header = commented("[[tool.installguard.waivers]]", f"{origin(policy, f'waivers[{index}]')}: {waiver.where}")
    return [*header, *(f"{key} = {text}" for key, text in waiver_fields(waiver).items())]


# ---------------------------------------------------------------- digest


def policy_digest(policy: Policy) -> str:
    """Return `sha256:…` over what the policy says: the same for the same values, wherever and in what order written."""
    from hashlib import sha256

    return f"sha256:{sha256(chr(10).join(canonical_lines(policy)).encode()).hexdigest()}"


def canonical_lines(policy: Policy) -> Iterator[str]:
    """Yield one line a value, lists sorted."""
    for key in KEYS:
        yield f"{key.path} = {key.kind.digest(value_of(policy, key))}"
    for source in sorted(policy.feed.sources, key=lambda source: source.name):
        yield f"source {quote(source.name)} {source_fields(source)}"
    yield from sorted(f"waiver {waiver_fields(waiver)} {sorted(waiver.barred)}" for waiver in policy.waivers)
