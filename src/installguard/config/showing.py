"""The effective policy as TOML, each value with its origin; and its digest."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from ..policy import Policy, SourcePolicy
from .keys import KEYS, SECTIONS, Key
from .kinds import match_text, write_denied
from .toml import printable, quote, quote_key
from .waiving import waiver_fields

IDLE = "not in force: "
"""In `Policy.origins`, what a waiver that does not hold is named under, followed by its file and table."""
COMMENT_COLUMN = 35


def value_of(policy: Policy, key: Key) -> Any:
    """Return what the policy holds for a key."""
    return attrgetter(key.path.replace("-", "_"))(policy)


def show_policy(policy: Policy) -> str:
    """Return the effective policy as TOML that reads back to the same values, each with its origin as a comment."""
    blocks = [list(show_section(policy, "")), *(list(show_section(policy, section)) for section in SECTIONS)]
    blocks[2:2] = [show_source(source, origin(policy, f"feed.sources.{source.name}")) for source in policy.feed.sources]
    blocks += [show_waiver(policy, index) for index in range(len(policy.waivers))]
    blocks += [
        [f"# {printable(key)} ({printable(why)})"] for key, why in policy.origins.items() if key.startswith(IDLE)
    ]
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
    return [*header, f"url = {quote(source.url)}", f"malicious = {'true' if source.malicious else 'false'}"]


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
        yield f"{key.path} = {canonical_value(key, value_of(policy, key))}"
    for source in sorted(policy.feed.sources, key=lambda source: source.name):
        yield f"source {quote(source.name)} {quote(source.url)} {source.malicious}"
    yield from sorted(f"waiver {waiver_fields(waiver)}" for waiver in policy.waivers)


def canonical_value(key: Key, value: Any) -> str:
    """Return a value's text, whatever the order of its items."""
    match key.path:
        case "packages.allow" | "builds.allow":
            return str(sorted(quote(match_text(item)) for item in value))
        case "packages.deny":
            return str(sorted(write_denied(item) for item in value))
        case _:
            return key.kind.write(value)
