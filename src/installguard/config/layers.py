"""What policy files say, combined: the tightest of a file and its parents is in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import PolicyError, UsageError
from ..model import Code, Level
from ..policy import (
    BuildsPolicy,
    FeedPolicy,
    MaliciousPolicy,
    PackagesPolicy,
    Policy,
    ReleasePolicy,
    SourcePolicy,
    VulnerabilityPolicy,
    Waiver,
)
from .keys import BY_PATH, KEYS, preset_values
from .showing import IDLE, policy_digest
from .toml import printable
from .values import MistakesError
from .waiving import is_malware


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one file says, its preset filled in; or what several say together."""

    file: str
    values: Mapping[str, Any]
    """By path, for every key."""
    origins: Mapping[str, str]
    """Where each of `values` comes from."""
    written: frozenset[str]
    """The keys that the file writes; all of them where it writes `preset`."""
    sources: Mapping[str, tuple[SourcePolicy, str]]
    """By name, with the file that wrote it."""
    waivers: tuple[tuple[Waiver, str], ...]
    """Each with the file that wrote it."""
    idle: Mapping[str, str]
    """Waivers that do not hold, and why."""


# ---------------------------------------------------------------- with its parent


def combine(layers: list[Layer]) -> Policy:
    """Return the policy of all files, the nearest first; raises `PolicyError` where they exclude each other."""
    if not layers:
        return to_policy(nothing_written(), files=())
    effective = layers[-1]
    for child in reversed(layers[:-1]):
        effective = tighten(effective, child)
    return to_policy(effective, files=tuple(layer.file for layer in layers))


def nothing_written() -> Layer:
    """Return the defaults."""
    origins = {each.path: "default" for each in KEYS}
    values = preset_values("default")
    return Layer(file="", values=values, origins=origins, written=frozenset(), sources={}, waivers=(), idle={})


def tighten(parent: Layer, child: Layer) -> Layer:
    """Return the tightest of both; a child's waiver of what the parent wrote does not hold."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for each in KEYS:
        try:
            values[each.path] = tightest(each.path, parent, child)
        except MistakesError as error:
            raise PolicyError(
                [f"tool.installguard.{each.path}: {what}" for _, what in error.found], where=child.file
            ) from error
        origins[each.path] = combined_origin(values[each.path], each.path, parent, child)
    refused = {describe(waiver, file): why for waiver, file in child.waivers if (why := refusal(waiver, parent))}
    held = tuple((waiver, file) for waiver, file in child.waivers if describe(waiver, file) not in refused)
    return Layer(
        file=child.file,
        values=values,
        origins=origins,
        written=parent.written | child.written,
        sources={
            **child.sources,
            **{name: stricter(entry, child.sources.get(name)) for name, entry in parent.sources.items()},
        },
        waivers=(*held, *parent.waivers),
        idle={**parent.idle, **refused},
    )


def tightest(path: str, parent: Layer, child: Layer) -> Any:
    """Return what both together demand for one key."""
    if path == "builds.allow":  # a list of exemptions says nothing where there is nothing to be exempt from
        for one, other in ((parent, child), (child, parent)):
            if one.values["builds.level"] is Level.ALLOW:
                return other.values[path]
    return BY_PATH[path].kind.tightest(parent.values[path], child.values[path])


def combined_origin(value: Any, path: str, parent: Layer, child: Layer) -> str:
    """Return which of two files a value comes from; both where neither says it alone."""
    if value == child.values[path]:
        return child.origins[path]
    if value == parent.values[path]:
        return parent.origins[path]
    return ", ".join(dict.fromkeys((child.origins[path], parent.origins[path])))


def stricter(parent: tuple[SourcePolicy, str], child: tuple[SourcePolicy, str] | None) -> tuple[SourcePolicy, str]:
    """Return the parent's source, which is of malware where either says so."""
    source, file = parent
    return (replace(source, malicious=source.malicious or (child is not None and child[0].malicious)), file)


# ---------------------------------------------------------------- waivers of what a parent wrote

GOVERNING: Mapping[Code, tuple[str, ...]] = {
    Code.MALICIOUS: ("malicious.level",),
    Code.MALICIOUS_PROJECT: ("malicious.other-versions",),
    Code.VULNERABLE: tuple(path for path in BY_PATH if path.startswith("vulnerabilities.")),
    Code.YANKED: ("release.yanked",),
    Code.DENIED_PACKAGE: ("packages.deny",),
    Code.NOT_ALLOWED: ("packages.allow",),
    Code.DIRECT_ORIGIN: ("packages.direct",),
    Code.NEEDS_BUILD: ("builds.level", "builds.allow"),
    Code.STARTUP_CODE: ("builds.startup-code",),
    Code.UNKNOWN_RELEASE: ("preset",),
}
"""The keys that make the ruling of a code; other codes have a fixed level."""


def governing_keys(waiver: Waiver) -> tuple[str, ...]:
    """Return the keys that make the rulings a waiver is for."""
    if waiver.finding in [code.value for code in Code]:
        return GOVERNING.get(Code(waiver.finding), ())
    malware = (*GOVERNING[Code.MALICIOUS], *GOVERNING[Code.MALICIOUS_PROJECT])
    if is_malware(waiver.finding):
        return malware
    return GOVERNING[Code.VULNERABLE] + (malware if waiver.exact is not None else ())


def refusal(waiver: Waiver, parent: Layer) -> str | None:
    """Return why a child's waiver does not hold beside its parent, or nothing where it does."""
    written = [path for path in governing_keys(waiver) if path in parent.written]
    return f"'{written[0]}' is set by {parent.file}, where it would have to be waived" if written else None


def describe(waiver: Waiver, file: str) -> str:
    """Return what messages call a waiver: its file and table."""
    return f"{printable(file)}: {waiver.where}"


# ---------------------------------------------------------------- to Policy


def to_policy(layer: Layer, *, files: tuple[str, ...]) -> Policy:
    """Return the values as the policy that is judged by."""
    value = layer.values
    policy = Policy(
        preset=value["preset"],
        fail_on=value["fail-on"],
        feed=FeedPolicy(
            **section_values("feed", value), sources=tuple(layer.sources[name][0] for name in sorted(layer.sources))
        ),
        malicious=MaliciousPolicy(**section_values("malicious", value)),
        vulnerabilities=VulnerabilityPolicy(**section_values("vulnerabilities", value)),
        release=ReleasePolicy(**section_values("release", value)),
        packages=PackagesPolicy(**section_values("packages", value)),
        builds=BuildsPolicy(**section_values("builds", value)),
        waivers=tuple(waiver for waiver, _ in layer.waivers),
        files=files,
        origins=all_origins(layer),
    )
    return replace(policy, digest=policy_digest(policy))


def section_values(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a section by the names of its dataclass's fields."""
    return {each.name.replace("-", "_"): values[each.path] for each in KEYS if each.section == section}


def all_origins(layer: Layer) -> dict[str, str]:
    """Return where each key, source and waiver was set, and why some waivers do not hold."""
    origins = dict(layer.origins)
    origins |= {f"feed.sources.{name}": layer.sources[name][1] for name in sorted(layer.sources)}
    origins |= {f"waivers[{index}]": file for index, (_, file) in enumerate(layer.waivers)}
    return origins | {f"{IDLE}{waiver}": why for waiver, why in layer.idle.items()}


def tighten_fail_on(policy: Policy, level: Level, *, origin: str = "command line") -> Policy:
    """Return the policy with `fail-on` at *level* if that is tighter; raises `UsageError` for `ALLOW`."""
    if level is Level.ALLOW:
        raise UsageError("fail-on takes 'warn' or 'deny'", where=origin)
    if level >= policy.fail_on:
        return policy
    tighter = replace(policy, fail_on=level, origins={**policy.origins, "fail-on": origin})
    return replace(tighter, digest=policy_digest(tighter))
