"""What a page of an index says, and who decides about its entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias, overload

from ..dataclass import dataclass
from ..errors import GuardError
from ..model import Artifact, ArtifactKind, ProjectStatus
from ..names import NormalizedName
from .upstream import Upstream

Named: TypeAlias = "tuple[ArtifactKind, NormalizedName | None, str | None]"
"""What a file name says: kind, project and version; what cannot be told is `None`."""


class PageError(GuardError):
    """A page that cannot be given; says with which HTTP status the installer is told so."""

    def __init__(
        self, what: str, *, status: int, where: str | None = None, now: str | None = None, challenge: str | None = None
    ) -> None:
        super().__init__(what, where=where, now=now)
        self.status = status
        self.challenge = challenge
        """The index's `WWW-Authenticate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file that a page offers."""

    artifact: Artifact
    project: NormalizedName | None
    """By the file name; `None` where it cannot be told."""
    version: str | None
    """By the file name, as written there."""
    href: str
    """The absolute URL as it is written again, with whatever fragment and credentials it came with."""
    problem: str | None = None
    """Why it is denied whatever the screen says: another scheme, or a URL that names another file."""


Facts: TypeAlias = "tuple[Sequence[Named], Sequence[bool], Sequence[datetime | None]]"
"""All by which a policy tells files of a project apart: what their names say, whether yanked, when uploaded."""

Kind: TypeAlias = "tuple[ArtifactKind, NormalizedName | None, str | None, bool, bool | None]"
"""What files have in common: what their names say, whether yanked, whether young (`None` where nobody knows)."""


class LazyEntries(Sequence[Entry]):
    """Entries without problems that are made when they are looked at: large pages have thousands."""

    def __init__(self, facts: Facts, make: Callable[[int], Entry]):
        """*facts* are those of all, *make* makes one."""
        self.facts = facts
        self._make = make

    def __len__(self) -> int:
        return len(self.named)

    @overload
    def __getitem__(self, number: int) -> Entry: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[Entry]: ...

    def __getitem__(self, number: int | slice) -> Entry | Sequence[Entry]:
        numbers = range(len(self.named))[number]
        return self._make(numbers) if isinstance(numbers, int) else tuple(map(self._make, numbers))

    @property
    def newest(self) -> datetime | None:
        """The latest time of upload; `None` where none is told."""
        return _latest(self.facts[2])

    @property
    def named(self) -> Sequence[Named]:
        """Kind, project and version of each."""
        return self.facts[0]


def alike(entries: Sequence[Entry], young_after: datetime | None) -> dict[Kind, list[int]]:
    """Return the numbers of entries by what they have in common; where nothing is young for its age, none is."""
    told, yanked, moments = entries.facts if isinstance(entries, LazyEntries) else _facts(entries)
    newest = _latest(moments)
    if young_after is None or newest is None or newest <= young_after:
        young = [None if at is None else False for at in moments]
    else:
        young = [None if at is None else at > young_after for at in moments]
    groups: dict[tuple[Named, bool, bool | None], list[int]] = {}
    for number, key in enumerate(zip(told, yanked, young, strict=True)):
        if key in groups:
            groups[key].append(number)
        else:
            groups[key] = [number]
    return {(*key[0], *key[1:]): numbers for key, numbers in groups.items()}


def named(entries: Sequence[Entry]) -> Sequence[Named]:
    """Return kind, project and version of each entry."""
    if isinstance(entries, LazyEntries):
        return entries.named
    return [(each.artifact.kind, each.project, each.version) for each in entries]


def _facts(entries: Sequence[Entry]) -> Facts:
    yanked = [each.artifact.yanked is not None for each in entries]
    return named(entries), yanked, [each.artifact.uploaded_at for each in entries]


def _latest(moments: Sequence[datetime | None]) -> datetime | None:
    return max([at for at in moments if at is not None], default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What an index offers for one project, or a flat index for all."""

    upstream: Upstream
    project: NormalizedName | None
    """`None` for the one page of a flat index."""
    entries: Sequence[Entry]
    status: ProjectStatus | None = None
    """What the index says of the project (PEP 792); `None` where it says nothing."""
    status_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """The file keeps its place, and asking for it is answered with the reason."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """The file is left out, as if the index did not have it."""


Decision: TypeAlias = Denied | Hidden


class Screen(Protocol):
    """Decides about the entries of pages; called in many threads at once."""

    def digest(self) -> str:
        """Return what changes whenever an answer may change: snapshot, policy, day."""
        ...

    def __call__(self, page: Page) -> Mapping[str, Decision]:
        """Return decisions by file name; what is not in there is allowed. A `GuardError` refuses the whole page."""
        ...
