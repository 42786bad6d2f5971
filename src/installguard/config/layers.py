"""What policy files say, combined: the tightest of a file and its parents is in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

from ..dataclass import replace
from ..errors import PolicyError, UsageError
from ..model import Level
from ..policy import (
    BuildsPolicy,
    FeedPolicy,
    LicensesPolicy,
    MaliciousPolicy,
    PackagesPolicy,
    Policy,
    ReleasePolicy,
    SourcePolicy,
    VulnerabilityPolicy,
    Waiver,
)
from .keys import BY_PATH, KEYS, preset_values
from .saying import Layer, Said, place, sayer
from .showing import policy_digest
from .standing import ancestors, barred_by, objection, standing
from .toml import quote_key
from .values import MistakesError

Sources: TypeAlias = Mapping[str, tuple[SourcePolicy, Layer]]
"""By name, each with the file that wrote it."""

# ---------------------------------------------------------------- with its parents


def combine(layers: list[Layer]) -> Policy:
    """Return the policy of all files, the nearest first; raises `PolicyError` where they exclude each other."""
    if not layers:
        return to_policy(nothing_said(), {}, (), files=())
    nearest, *further = layers
    said, sources = together(further)
    policy = to_policy(
        {**tighten(said, nearest, nearest.said), "waivable": all_waivable(layers)},
        {name: (source, layer.name) for name, (source, layer) in all_sources(sources, nearest).items()},
        all_waivers(layers),
        files=tuple(layer.name for layer in layers),
    )
    return replace(policy, remarks=partial(all_remarks, layers))


def together(layers: list[Layer]) -> tuple[Mapping[str, Said], Sources]:
    """Return what several parents, the nearest first, demand of their children, and their sources."""
    said: Mapping[str, Said] = {}
    sources: Sources = {}
    for layer in reversed(layers):
        said = tighten(said, layer, layer.demands)
        sources = all_sources(sources, layer)
    return said, sources


def nothing_said() -> dict[str, Said]:
    """Return the defaults."""
    values = preset_values("default")
    return {each.path: Said(value=values[each.path], origin="default") for each in KEYS}


def tighten(parent: Mapping[str, Said], child: Layer, own: Mapping[str, Said]) -> dict[str, Said]:
    """Return what both demand, key by key; *own* is what the child says, or as a parent itself demands."""
    combined: dict[str, Said] = {}
    for each in KEYS:
        if each.path in parent or each.path in own:
            try:
                combined[each.path] = tightest(each.path, parent, own)
            except MistakesError as error:
                problems = [f"tool.installguard.{each.path}: {what}" for _, what in error.found]
                raise PolicyError(problems, where=child.name) from error
    return combined


def tightest(path: str, parent: Mapping[str, Said], child: Mapping[str, Said]) -> Said:
    """Return what both together demand for one key; raises `MistakesError` where they exclude each other."""
    if path in EXEMPT_FROM:
        return exempt(path, parent, child)
    if path not in parent or path not in child:
        return child[path] if path in child else parent[path]
    if path == "feed.wait":  # neither is tighter: whoever writes it, the child before the parent
        return parent[path] if parent[path].written and not child[path].written else child[path]
    return either(BY_PATH[path].kind.tightest(parent[path].value, child[path].value), parent[path], child[path])


EXEMPT_FROM = {"builds.allow": "builds.level", "release.min-age-exclude": "release.min-age"}
"""Lists of exemptions, and the key from which they exempt: there is nothing to be exempt from where it is zero."""


def exempt(path: str, parent: Mapping[str, Said], child: Mapping[str, Said]) -> Said:
    """Return what both exempt; who exempts from nothing, having no say or no rule, leaves it to the other."""
    one, other = exemptions(path, parent), exemptions(path, child)
    if one is None or other is None:
        return one or other or child.get(path) or parent[path]
    return either(BY_PATH[path].kind.tightest(one.value, other.value), one, other)


def exemptions(path: str, said: Mapping[str, Said]) -> Said | None:
    """Return a list of exemptions, empty where only the rule is written; `None` where it exempts from nothing."""
    rule = said.get(EXEMPT_FROM[path])
    if rule is not None and not rule.value:
        return None
    return said.get(path) or (replace(rule, value=()) if rule is not None else None)


def either(value: Any, parent: Said, child: Said) -> Said:
    """Return the value with the file that it comes from; both where neither says it alone."""
    if value == child.value:
        return child
    if value == parent.value:
        return parent
    return Said(value=value, origin=", ".join(dict.fromkeys((child.origin, parent.origin))), file=parent.file)


# ---------------------------------------------------------------- waivers


def all_waivers(layers: list[Layer]) -> tuple[tuple[Waiver, str], ...]:
    """Return the waivers as far as they hold, each with its file."""
    held = ((standing(waiver, layer, layers), layer.name) for layer in layers for waiver in layer.waivers)
    return tuple((waiver, name) for waiver, name in held if waiver is not None)


def all_waivable(layers: list[Layer]) -> Said:
    """Return the codes that a child of all these files may waive: those listed, where no file is against it."""
    listed = {code for layer in layers for code in layer.said["waivable"].value}
    agreed = sorted(code for code in listed if not any(barred_by(layer, code) for layer in layers))
    origins = dict.fromkeys(layer.said["waivable"].origin for layer in layers if layer.said["waivable"].value)
    return Said(value=tuple(agreed), origin=", ".join(origins) or layers[0].said["waivable"].origin)


# ---------------------------------------------------------------- sources


def all_sources(parent: Sources, child: Layer) -> dict[str, tuple[SourcePolicy, Layer]]:
    """Return the sources of both: the parent's tightened by the child, the child's own ranked no higher than those."""
    lowest = min((source.priority for source, _ in parent.values()), default=None)
    own = {
        name: (source if lowest is None else replace(source, priority=min(source.priority, lowest)), child)
        for name, source in child.sources.items()
    }
    kept = {name: (stricter(source, child.sources.get(name)), layer) for name, (source, layer) in parent.items()}
    return {**own, **kept}


def stricter(parent: SourcePolicy, child: SourcePolicy | None) -> SourcePolicy:
    """Return the parent's source: of malware where either says so, stale after the shorter time."""
    if child is None:
        return parent
    ages = [age for age in (parent.max_age, child.max_age) if age is not None]
    return replace(parent, malicious=parent.malicious or child.malicious, max_age=min(ages, default=None))


# ---------------------------------------------------------------- what has no effect


def all_remarks(layers: list[Layer]) -> tuple[str, ...]:
    """Return what is to be said of all files, the nearest first, and of waivers that do not hold, or not wholly."""
    of_keys = [remark for layer in layers for remark in layer_remarks(layer, layers)]
    return (*of_keys, *(remark for layer in layers for remark in waiver_remarks(layer, layers)))


def waiver_remarks(layer: Layer, layers: list[Layer]) -> Iterator[str]:
    """Yield a line for each waiver of a file that does not hold, or not wholly."""
    for waiver in layer.waivers:
        remark = objection(waiver, layer, layers)
        if remark:
            yield f"{place(layer.file)}: {waiver.where}: {remark}"


def layer_remarks(layer: Layer, layers: list[Layer]) -> Iterator[str]:
    """Yield a line for what a file says without effect beside its own parents."""
    above = ancestors(layer, {each.identity: each for each in layers})
    said, sources = together([each for each in layers if each is not layer and each.identity in above])
    yield from key_remarks(said, layer)
    yield from source_remarks(sources, layer)


def key_remarks(parent: Mapping[str, Said], child: Layer) -> Iterator[str]:
    """Yield a line for each key that the child writes looser than its parent."""
    for each in KEYS:
        if child.said[each.path].written and (why := ineffective(each.path, parent, child.said)):
            where = place(child.file, *each.path.split("."))
            yield f"{where}: tool.installguard.{each.path}: {why}"


def ineffective(path: str, parent: Mapping[str, Said], child: Mapping[str, Said]) -> str:
    """Return what is to be said of a key that the child writes beside a tighter parent; nothing where it holds."""
    kind, own = BY_PATH[path].kind, child[path].value
    ruler = parent.get(path) or parent.get(EXEMPT_FROM.get(path, ""))
    if ruler is None:
        return ""
    if path == "packages.index":
        others = [f"'{pin.match.pattern}'" for pin in own if pin not in kind.tightest(ruler.value, own)]
        return f"{', '.join(others)} has no effect beside the pins of {sayer(ruler, path)}" if others else ""
    try:
        value = own if kind.adds else tightest(path, parent, child).value
    except MistakesError:
        return ""  # complained about where they are combined
    if kind.digest(value) == kind.digest(own):
        return ""
    by = sayer(ruler, path if path in parent else EXEMPT_FROM[path])
    if isinstance(own, tuple):
        return f"has no effect beyond what {by} says"
    return f"{kind.write(own)} has no effect beside the tighter {kind.write(value)} of {by}"


def source_remarks(parent: Sources, child: Layer) -> Iterator[str]:
    """Yield a line for each source that the child writes otherwise than its parent, or ranks above it."""
    combined = all_sources(parent, child)
    for name, source in child.sources.items():
        held, layer = combined[name]
        table = f"tool.installguard.feed.sources.{quote_key(name)}"
        if layer is not child and replace(source, malicious=held.malicious, max_age=held.max_age) != held:
            by = place(layer.file, "feed", "sources", name)
            yield f"{place(child.file, 'feed', 'sources', name)}: {table}: has no effect beside that of {by}"
        if layer is child and held.priority < source.priority:
            at = place(child.file, "feed", "sources", name, "priority")
            most = f"{source.priority} counts as {held.priority}, the lowest of a parent's sources"
            yield f"{at}: {table}.priority: {most}"


# ---------------------------------------------------------------- to Policy


def to_policy(
    said: Mapping[str, Said],
    sources: Mapping[str, tuple[SourcePolicy, str]],
    waivers: tuple[tuple[Waiver, str], ...],
    *,
    files: tuple[str, ...],
) -> Policy:
    """Return the values as the policy that is judged by."""
    policy = Policy(
        **fields(said, ""),
        feed=FeedPolicy(**fields(said, "feed"), sources=tuple(sources[name][0] for name in sorted(sources))),
        malicious=MaliciousPolicy(**fields(said, "malicious")),
        vulnerabilities=VulnerabilityPolicy(**fields(said, "vulnerabilities")),
        release=ReleasePolicy(**fields(said, "release")),
        packages=PackagesPolicy(**fields(said, "packages")),
        builds=BuildsPolicy(**fields(said, "builds")),
        licenses=LicensesPolicy(**fields(said, "licenses")),
        waivers=tuple(waiver for waiver, _ in waivers),
        files=files,
        origins=all_origins(said, sources, waivers, files),
    )
    return replace(policy, digest=policy_digest(policy))


def fields(said: Mapping[str, Said], section: str) -> dict[str, Any]:
    """Return the values of a section by the names of its dataclass's fields."""
    found = {}
    for each in KEYS:
        where, _, name = each.field.rpartition(".")
        if where == section:
            found[name] = said[each.path].value
    return found


def all_origins(
    said: Mapping[str, Said],
    sources: Mapping[str, tuple[SourcePolicy, str]],
    waivers: tuple[tuple[Waiver, str], ...],
    files: tuple[str, ...],
) -> dict[str, str]:
    """Return where each key, source and waiver was set."""
    origins = {path: each.origin for path, each in said.items()}
    if len(files) > 1:
        origins |= {path: whole_origin(each) for path, each in said.items()}
    origins |= {f"feed.sources.{name}": sources[name][1] for name in sorted(sources)}
    return origins | {f"waivers[{index}]": file for index, (_, file) in enumerate(waivers)}


def whole_origin(said: Said) -> str:
    """Return where a key was set, a preset with the file that writes it."""
    named = said.file is not None and said.origin.startswith("preset ") and "," not in said.origin
    return f"{said.origin} of {said.file.path}" if named and said.file is not None else said.origin


def tighten_fail_on(policy: Policy, level: Level, *, origin: str = "command line") -> Policy:
    """Return the policy with `fail-on` at *level* if that is tighter; raises `UsageError` for `ALLOW`."""
    if level is Level.ALLOW:
        raise UsageError("fail-on takes 'warn' or 'deny'", where=origin)
    if level >= policy.fail_on:
        return policy
    tighter = replace(policy, fail_on=level, origins={**policy.origins, "fail-on": origin})
    return replace(tighter, digest=policy_digest(tighter))
