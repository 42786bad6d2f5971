"""What a page of an index says, and who decides about its entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from ..dataclass import dataclass
from ..errors import GuardError
from ..model import Artifact, ProjectStatus
from ..names import NormalizedName
from .upstream import Upstream


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What an index offers for one project, or a flat index for all."""

    upstream: Upstream
    project: NormalizedName | None
    """`None` for the one page of a flat index."""
    entries: tuple[Entry, ...]
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
