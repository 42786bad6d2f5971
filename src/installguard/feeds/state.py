"""`current.json`: which snapshot file is in force, and what is known of each source.

It is small and replaced atomically, so that a refresh that finds nothing new, or fails, need not copy the snapshot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ..model import SourceInfo

SCHEMA: Final = 1
"""Of `current.json` and of the tables; another one is never read, and the next update rebuilds it."""

STATE_FILE: Final = "current.json"
GENERATION: Final = re.compile(r"snapshot-([0-9]{1,15})\.sqlite")


class StateError(Exception):
    """Why a snapshot that is there cannot be used; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One immutable snapshot file."""

    file: str
    size: int
    mtime_ns: int
    sha256: str
    digest: str
    """Hexadecimal, over all records whatever the order in which they were imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What is known of one source."""

    name: str
    url: str | None
    malicious: bool
    records: int
    unreadable: int
    taken_at: datetime | None
    """`None` while nothing of it has ever been read."""
    etag: str | None = None
    last_modified: str | None = None
    """The header as the server wrote it."""
    last_error: str | None = None

    @property
    def info(self) -> SourceInfo:
        """The source as the core knows it."""
        return SourceInfo(
            name=self.name,
            records=self.records,
            unreadable=self.unreadable,
            taken_at=self.taken_at,
            url=self.url,
            malicious=self.malicious,
            last_error=self.last_error,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that `current.json` says; empty where there is none."""

    generation: Generation | None = None
    sources: tuple[SourceState, ...] = ()

    def source(self, name: str) -> SourceState | None:
        """What is known of the source of that name."""
        return next((source for source in self.sources if source.name == name), None)

    def with_source(self, source: SourceState) -> tuple[SourceState, ...]:
        """The sources, by name, with this one in place of the one of its name."""
        others = [other for other in self.sources if other.name != source.name]
        return tuple(sorted([*others, source], key=lambda each: each.name))


def read_state(directory: Path) -> State:
    """Read `current.json`; an absent one is the empty state. Raises `StateError`."""
    try:
        text = (directory / STATE_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return State()
    except OSError as error:
        raise StateError(f"{STATE_FILE} cannot be read: {error.strerror or error}") from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError(f"{STATE_FILE} is damaged: not JSON") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if isinstance(schema, int) and schema != SCHEMA:
        raise StateError(f"the snapshot has schema {schema}, this version of guard reads {SCHEMA}")
    try:
        return _state(data)
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"{STATE_FILE} is damaged: it does not say what a snapshot says") from error


def _state(data: Any) -> State:
    generation = None if data["generation"] is None else Generation(**data["generation"])
    if generation is not None:
        _check(generation, {"file": str, "size": int, "mtime_ns": int, "sha256": str, "digest": str})
        if GENERATION.fullmatch(generation.file) is None:
            raise ValueError("no name of a snapshot")
    return State(generation=generation, sources=tuple(map(_source, data["sources"])))


def _source(data: Any) -> SourceState:
    taken_at = None if data["taken_at"] is None else datetime.fromisoformat(data["taken_at"])
    if taken_at is not None and taken_at.tzinfo is None:
        raise ValueError("a time without its zone")
    source = SourceState(**{**data, "taken_at": taken_at})
    _check(source, {"name": str, "malicious": bool, "records": int, "unreadable": int})
    _check(source, dict.fromkeys(("url", "etag", "last_modified", "last_error"), (str, type(None))))
    return source


def _check(value: object, types: dict[str, Any]) -> None:
    for name, kind in types.items():
        if not isinstance(getattr(value, name), kind):
            raise TypeError(name)


def render_state(state: State) -> bytes:
    """The text of `current.json`."""
    data = {
        "schema": SCHEMA,
        "generation": None if state.generation is None else asdict(state.generation),
        "sources": [_plain(source) for source in state.sources],
    }
    return json.dumps(data, indent=1).encode() + b"\n"


def _plain(source: SourceState) -> dict[str, object]:
    values = {field.name: getattr(source, field.name) for field in fields(source)}
    taken_at = source.taken_at
    return {**values, "taken_at": None if taken_at is None else taken_at.isoformat()}


def generation_files(directory: Path) -> Iterable[tuple[int, Path]]:
    """Every snapshot file of the directory with its number."""
    for path in directory.iterdir():
        if (match := GENERATION.fullmatch(path.name)) is not None:
            yield int(match[1]), path
