"""What there is to judge in a lock: one distribution for each release and source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import reduce

from ...dataclass import replace
from ...model import Artifact, DirectUrl, Distribution, LocalTree, Origin, Release, VcsCheckout
from .entries import LockedFile, LockedPackage, Registry
from .files import best, without_credentials
from .graph import Parents, parents_of
from .scopes import scope_words, widest


def distributions_of(packages: Sequence[LockedPackage], lock: str) -> tuple[Distribution, ...]:
    """Return what to judge of *packages*, in their order; the project itself is not.

    A release is judged once, however many files pin it, by the one that `best` names. Its age is that of its youngest
    file, since one that is added to an old release is as new as any; where the upload of one file is not told, its age
    is not. It counts as hashed where every file has a hash. Entries of the same release and source, such as one with an
    extra, are one.
    """
    parents = parents_of(packages)
    judged = [package for package in packages if not package.root]
    distributions = [_distribution(package, parents, lock) for package in judged]
    if len({package.name for package in judged}) == len(judged):
        return tuple(distributions)
    return tuple(_merged(judged, distributions))


def _merged(packages: Sequence[LockedPackage], distributions: Sequence[Distribution]) -> Iterator[Distribution]:
    """Yield *distributions*, those of one release and source as one, for whom any of them is."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, each in enumerate(distributions):
        alike.setdefault((each.name, each.release, each.origin, each.hashed), []).append(number)
    for numbers in alike.values():
        first = distributions[numbers[0]]
        scope = reduce(widest, (packages[number].scope for number in numbers))
        requested = any(distributions[number].requested for number in numbers)
        yield replace(first, requested=requested, scope=scope_words(scope)) if len(numbers) > 1 else first


def _distribution(package: LockedPackage, parents: Parents, lock: str) -> Distribution:
    required_by = parents.of(package)
    release = None if package.version is None else Release(name=package.name, version=package.version)
    return Distribution(
        name=package.name,
        release=release,
        origin=_origin(package),
        requested=not required_by if package.requested is None else package.requested,
        required_by=required_by,
        builds=_builds(package),
        pinned=release is not None,
        hashed=bool(package.files) and all(file.hashes for file in package.files),
        lock=lock,
        scope=scope_words(package.scope),
    )


def _origin(package: LockedPackage) -> Origin:
    match package.source:
        case Registry(url=url):
            return _artifact(package.files, None if url is None else without_credentials(url))
        case DirectUrl() | VcsCheckout() | LocalTree() as direct:
            return direct


def _artifact(files: Sequence[LockedFile], index: str | None) -> Artifact:
    file = best(files) or LockedFile()
    return Artifact(
        filename=file.filename,
        url=without_credentials(file.url or ""),
        hashes=file.hashes,
        kind=file.kind or "wheel",
        index=index,
        uploaded_at=_youngest(files),
    )


def _youngest(files: Iterable[LockedFile]) -> datetime | None:
    times = [file.uploaded_at for file in files]
    told = [time for time in times if time is not None]
    return max(told) if told and len(told) == len(times) else None


def _builds(package: LockedPackage) -> bool:
    match package.source:
        case Registry():
            kinds = {file.kind for file in package.files}
            return kinds == {"sdist"}
        case DirectUrl(kind=kind):
            return kind == "sdist"
        case VcsCheckout() | LocalTree():
            return True
