"""What one policy file says, and where it says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..dataclass import dataclass
from ..policy import SourcePolicy, Waiver
from .files import PolicyFile
from .lines import line_of
from .toml import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The value of one key, and who says it."""

    value: Any
    origin: str
    """A file, `preset strict` or `default`; several where only together they say it."""
    file: PolicyFile | None = None
    """The file that says it, by writing the key or a preset; `None` where none does."""

    @property
    def written(self) -> bool:
        """Whether the file writes the key itself."""
        return self.file is not None and self.origin == str(self.file.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one file says, its preset filled in."""

    file: PolicyFile
    identity: str
    parents: frozenset[str]
    """`identity` of every file that it extends itself, and of the system-wide one."""
    said: Mapping[str, Said]
    """By path, for every key."""
    written: frozenset[str]
    """The keys that the file writes; all of them where it writes `preset`."""
    sources: Mapping[str, SourcePolicy]
    waivers: tuple[Waiver, ...]

    @property
    def name(self) -> str:
        """The file as messages and origins call it."""
        return str(self.file.path)

    @property
    def demands(self) -> dict[str, Said]:
        """What it demands of its children: the keys that it writes."""
        return {path: said for path, said in self.said.items() if path in self.written}


def place(file: PolicyFile, *path: str) -> str:
    """Return a file as messages name it, with the line of a key of ours where one is asked for."""
    name = printable(str(file.path))
    if not path:
        return name
    line = line_of(file.text, "tool", "installguard", *path)
    return f"{name}:{line}" if line else f"{name} (line unknown)"


def sayer(said: Said, path: str) -> str:
    """Return who says a value, with the line that does."""
    if said.file is None or "," in said.origin:
        return said.origin
    if said.written:
        return place(said.file, *path.split("."))
    return f"{place(said.file, 'preset')} ({said.origin})"
