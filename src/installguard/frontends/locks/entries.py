"""What a lock file says, whatever its format: packages, their files, and what they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from ...dataclass import dataclass, field
from ...model import AnyVersion, ArtifactKind, DirectUrl, Distribution, Hashes, LocalTree, VcsCheckout
from ...names import NormalizedName

LockFormat: TypeAlias = Literal["uv", "pylock", "poetry", "pdm", "pipfile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One file by which a lock pins a release."""

    filename: str = ""
    """Empty where the lock gives hashes only."""
    url: str | None = None
    """A URL or a path as written; `None` where it is not told."""
    hashes: Hashes = ()
    size: int | None = None
    """Bytes."""
    uploaded_at: datetime | None = None
    kind: ArtifactKind | None = None
    """`None` where there is no name to tell it by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Some index, as the source of a package."""

    url: str | None = None
    """As written; `None` where the lock does not tell it."""


Source: TypeAlias = Registry | DirectUrl | VcsCheckout | LocalTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """That a package, or the project itself, asks for another."""

    name: NormalizedName
    version: str | None = None
    """As written, where one of several locked releases is meant."""
    extras: tuple[str, ...] = ()
    marker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """For whom a package is locked: nothing in it means for everybody."""

    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    """One of them must hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One entry of a lock."""

    place: str
    """Where it stands, such as `package[12]`."""
    name: NormalizedName
    version: AnyVersion | None = None
    """`None` where the entry pins none: a source tree, or an entry without an exact version."""
    written: str | None = None
    """That version as the lock writes it."""
    source: Source = field(default_factory=Registry)
    files: tuple[LockedFile, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    by_extra: Mapping[str, tuple[Dependency, ...]] = field(default_factory=dict)
    """What it asks for beside, with an extra."""
    by_group: Mapping[str, tuple[Dependency, ...]] = field(default_factory=dict)
    """What its dependency groups ask for."""
    root: bool = False
    """Whether it is the project that is locked, or a member of its workspace."""
    requested: bool | None = None
    """Whether the project asks for it itself; `None` where the lock does not say."""
    scope: Scope = field(default_factory=Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock file that was read."""

    path: Path
    format: LockFormat
    packages: tuple[LockedPackage, ...]
    """Every entry, in the order of the file, the project itself included."""
    distributions: tuple[Distribution, ...]
    """What there is to judge: one for each release and source."""
    notes: tuple[str, ...] = ()
    """What the format, or this file, leaves open: one line each."""
