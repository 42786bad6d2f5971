"""Who asks for whom within a lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...dataclass import dataclass
from ...names import NormalizedName
from .entries import Dependency, LockedPackage

Key = tuple[NormalizedName, str | None]
"""A project with one of its versions as the lock writes it, or with `None` for all of them."""


def key_of(package: LockedPackage) -> Key:
    """Return what a locked release is known by within its lock."""
    return (package.name, package.written)


def wanted(dependency: Dependency) -> Key:
    """Return what a dependency asks for."""
    return (dependency.name, dependency.version)


def all_dependencies(package: LockedPackage) -> Iterator[Dependency]:
    """Yield what a package asks for, with and without its extras and groups."""
    yield from package.dependencies
    for asked in (*package.by_extra.values(), *package.by_group.values()):
        yield from asked


@dataclass(frozen=True, slots=True)
class Parents:
    """The projects that ask for each release."""

    found: Mapping[Key, Sequence[NormalizedName]]

    def of(self, package: LockedPackage) -> tuple[NormalizedName, ...]:
        """Return the direct parents of *package*, sorted."""
        every = self.found.get((package.name, None), ())
        one = self.found.get(key_of(package), ()) if package.written is not None else ()
        return tuple(sorted({*every, *one})) if every or one else ()


def parents_of(packages: Iterable[LockedPackage]) -> Parents:
    """Return who asks for whom; the project itself is no parent, and nothing is its own."""
    found: dict[Key, set[NormalizedName]] = {}
    for package in packages:
        for dependency in () if package.root else all_dependencies(package):
            if dependency.name != package.name:
                found.setdefault(wanted(dependency), set()).add(package.name)
    return Parents({key: sorted(names) for key, names in found.items()})
