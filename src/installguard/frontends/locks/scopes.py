"""For whom a package is locked, in words; and, where the lock tells it only by who asks for whom, found out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...dataclass import replace
from .entries import Dependency, LockedPackage, Scope
from .graph import Key, key_of, wanted

_SHOWN = 3
"""Groups, extras or markers that are spelled out."""
_ENTRANCES = 50
"""Groups and extras that are followed one by one: more than that are told apart no more."""
MAIN = frozenset({"main", "default"})
"""What formats call the group of what everybody gets."""


def scope_words(scope: Scope) -> str | None:
    """Return a scope in words: `only for group dev, where sys_platform == 'win32'`; `None` for everybody."""
    parts = [*_kind("group", scope.groups), *_kind("extra", scope.extras)]
    words = f"only for {' or '.join(parts)}" if parts else ""
    where = f"where {_some(scope.markers, ' or ')}" if scope.markers else ""
    if not parts and where:
        words, where = f"only {where}", ""
    return ", ".join(part for part in (words, where) if part) or None


def _kind(noun: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"{noun if len(names) == 1 else noun + 's'} {_some(names, ', ')}"


def _some(names: Sequence[str], between: str) -> str:
    more = len(names) - _SHOWN
    return between.join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def group_scope(groups: Iterable[str], *markers: str | None) -> Scope:
    """Return the scope of what is in *groups*, that of all being nothing, where a marker holds."""
    named = tuple(sorted(set(groups)))
    told = tuple(marker for marker in markers if marker)
    return Scope(groups=() if MAIN.intersection(named) else named, markers=told)


def widest(one: Scope, other: Scope) -> Scope:
    """Return the scope of what is locked twice."""
    everybody = not (one.groups or one.extras) or not (other.groups or other.extras)
    return Scope(
        groups=() if everybody else tuple(sorted({*one.groups, *other.groups})),
        extras=() if everybody else tuple(sorted({*one.extras, *other.extras})),
        markers=tuple(sorted({*one.markers, *other.markers})) if one.markers and other.markers else (),
    )


# ---------------------------------------------------------------- found out

_EVERYBODY = Scope()
_Node = tuple[Key, str | None]
"""A release, or every one of a project, with an extra or without."""


def with_scopes(packages: Sequence[LockedPackage], asked: Mapping[str, Sequence[Dependency]]) -> list[LockedPackage]:
    """Return *packages* with what is found of their scopes, and of whether the project asks for them.

    *asked* is what the lock says that the project asks for besides what its root packages do; by group, `""` for all.
    """
    web = _Web(packages, asked)
    if not web.entrances:
        return list(packages)
    plain = web.reach(web.entrances.get(("", ""), ()))
    only: dict[_Node, list[tuple[str, str]]] = {}
    for entrance, begun in web.named_entrances():
        for node in web.reach(begun, without=plain):
            only.setdefault(node, []).append(entrance)
    marks = web.marks() if web.marked else {}
    return [package if package.root else web.scoped(package, only, marks) for package in packages]


class _Web:
    """Who asks for whom, with extras as places of their own."""

    def __init__(self, packages: Sequence[LockedPackage], asked: Mapping[str, Sequence[Dependency]]) -> None:
        self.edges: dict[_Node, list[tuple[_Node, str | None]]] = {}
        self.entrances: dict[tuple[str, str], list[tuple[_Node, str | None]]] = {}
        for group, dependencies in asked.items():
            self.enter(("group" if group else "", group), dependencies)
        for package in packages:
            key = key_of(package)
            self.edges.setdefault(((package.name, None), None), []).append(((key, None), None))
            for extra, dependencies in package.by_extra.items():
                self.edges.setdefault(((package.name, None), extra), []).append(((key, extra), None))
                if package.root:
                    self.enter(("extra", extra), dependencies)
                self.link((key, extra), dependencies)
            self.link((key, None), package.dependencies)
            if package.root:
                self.enter(("", ""), package.dependencies)
                for group, dependencies in package.by_group.items():
                    self.enter(("group", group), dependencies)
        self.marked = any(marker for edges in (*self.edges.values(), *self.entrances.values()) for _, marker in edges)
        self.direct = {node[0] for begun in self.entrances.values() for node, _ in begun}

    def enter(self, entrance: tuple[str, str], dependencies: Iterable[Dependency]) -> None:
        """Let the project ask for *dependencies* by way of *entrance*."""
        self.entrances.setdefault(entrance, []).extend(_targets(dependencies))

    def link(self, node: _Node, dependencies: Iterable[Dependency]) -> None:
        """Let *node* ask for *dependencies*."""
        self.edges.setdefault(node, []).extend(_targets(dependencies))

    def named_entrances(self) -> Iterator[tuple[tuple[str, str], Sequence[tuple[_Node, str | None]]]]:
        """Yield groups and extras with what they begin with, the last ones together where there are very many."""
        named = [(entrance, begun) for entrance, begun in self.entrances.items() if entrance[0]]
        yield from named[:_ENTRANCES]
        if rest := [target for _, begun in named[_ENTRANCES:] for target in begun]:
            yield ("group", "others"), rest

    def reach(
        self, begun: Iterable[tuple[_Node, str | None]], *, without: frozenset[_Node] = frozenset(), bare: bool = False
    ) -> frozenset[_Node]:
        """Return every place that *begun* leads to, *bare* by no marker; what is in *without* is not gone through."""
        left = [node for node, marker in begun if not (bare and marker) and node not in without]
        seen = set(left)
        while left:
            for child, marker in self.edges.get(left.pop(), ()):
                if child not in seen and child not in without and not (bare and marker):
                    seen.add(child)
                    left.append(child)
        return frozenset(seen)

    def marks(self) -> Mapping[_Node, set[str]]:
        """Return the markers under which places are reached that are reached under markers only."""
        every = [target for begun in self.entrances.values() for target in begun]
        free = self.reach(every, bare=True)
        marks: dict[_Node, set[str]] = {}
        layer: list[tuple[_Node, str | None, _Node | None]] = [(node, marker, None) for node, marker in every]
        layer += [(child, marker, node) for node in free for child, marker in self.edges.get(node, ())]
        done: set[_Node] = set()
        while layer:
            following: list[tuple[_Node, str | None, _Node | None]] = []
            for node, marker, parent in layer:
                if node in free:
                    continue
                known = marks.setdefault(node, set())
                if len(known) <= _SHOWN:
                    known |= {marker} if marker else marks.get(parent, set()) if parent is not None else set()
                if node not in done:
                    done.add(node)
                    following += [(child, mark, node) for child, mark in self.edges.get(node, ())]
            layer = following
        return marks

    def scoped(
        self,
        package: LockedPackage,
        only: Mapping[_Node, Sequence[tuple[str, str]]],
        marks: Mapping[_Node, set[str]],
    ) -> LockedPackage:
        """Return *package* with its scope."""
        key = key_of(package)
        ways = only.get((key, None), ())
        found = Scope(
            groups=tuple(sorted(name for kind, name in ways if kind == "group")),
            extras=tuple(sorted(name for kind, name in ways if kind == "extra")),
            markers=tuple(sorted(marks.get((key, None), ()))) or package.scope.markers,
        )
        if key in self.direct or (package.name, None) in self.direct:
            return replace(package, scope=found, requested=True)
        return package if found == _EVERYBODY else replace(package, scope=found)


def _targets(dependencies: Iterable[Dependency]) -> Iterator[tuple[_Node, str | None]]:
    for dependency in dependencies:
        key = wanted(dependency)
        yield (key, None), dependency.marker
        for extra in dependency.extras:
            yield (key, extra), dependency.marker
