"""`current.json`: which snapshot file is in force, and what is known of each source.

It is small and replaced atomically, so that a refresh that finds nothing new, or fails, need not copy the snapshot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from ..dataclass import asdict, dataclass
from ..model import SourceInfo, SourceKind

SCHEMA: Final = 3
"""Of `current.json` and of the tables; another one is never read, and the next update rebuilds it."""

STATE_FILE: Final = "current.json"
GENERATION: Final = re.compile(r"(?:snapshot|changes)-([0-9]{1,15})\.sqlite")


class StateError(Exception):
    """Why a snapshot that is there cannot be used; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One immutable file of the snapshot, as it was published."""

    file: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The files that together are the snapshot in force."""

    base: StoredFile
    """All records, as they were when it was last written whole."""
    changes: StoredFile | None = None
    """What changed since: records that came, the numbers of those that went, and every small table whole."""


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
    place: str | None = None
    """The URL, without credentials, from which the etags are: the source's own or a mirror's."""
    signed: str | None = None
    """The public key by which it was verified."""
    listing_etag: str | None = None
    """Of `modified_id.csv`, only where what we hold agrees with it."""
    listing_last_modified: str | None = None
    last_error: str | None = None
    kind: SourceKind = "osv"
    total: str = "0"
    """Hexadecimal: the sum of its records' weights, which does not depend on their order (see `weights`)."""
    newest: datetime | None = None
    """The latest `modified` of its records, those from the future left out."""
    tried_at: datetime | None = None
    """When it was last tried in vain."""

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
            kind=self.kind,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that `current.json` says; empty where there is none."""

    generation: Generation | None = None
    sources: tuple[SourceState, ...] = ()

    def source(self, name: str) -> SourceState | None:
        """What is known of the source of that name."""
        return next((source for source in self.sources if source.name == name), None)

    @property
    def digest(self) -> str:
        """Hexadecimal, over what all sources hold, whatever the order in which it came."""
        held = sorted((source.name, source.total) for source in self.sources if source.taken_at is not None)
        return sha256("".join(f"{name}\0{total}\n" for name, total in held).encode()).hexdigest()

    def with_sources(self, sources: Iterable[SourceState]) -> tuple[SourceState, ...]:
        """All sources, by name, these in place of those of their names."""
        held = {source.name: source for source in self.sources} | {source.name: source for source in sources}
        return tuple(held[name] for name in sorted(held))


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
    generation = None
    if data["generation"] is not None:
        base, changes = data["generation"]["base"], data["generation"]["changes"]
        generation = Generation(base=_file(base), changes=None if changes is None else _file(changes))
    return State(generation=generation, sources=tuple(map(read_source, data["sources"])))


def _file(data: Any) -> StoredFile:
    stored = StoredFile(**data)
    _check(stored, {"file": str, "size": int, "mtime_ns": int, "sha256": str})
    if GENERATION.fullmatch(stored.file) is None:
        raise ValueError("no name of a snapshot")
    return stored


_TIMES: Final = ("taken_at", "newest", "tried_at")


def read_source(data: Any) -> SourceState:
    """One source from its JSON; raises `ValueError`, `TypeError` or `KeyError`."""
    source = SourceState(**{**data, **{name: _moment(data[name]) for name in _TIMES}})
    _check(source, {"name": str, "malicious": bool, "records": int, "unreadable": int, "total": str})
    texts = ("url", "place", "signed", "etag", "last_modified", "listing_etag", "listing_last_modified", "last_error")
    _check(source, dict.fromkeys(texts, (str, type(None))))
    if source.kind not in ("osv", "exploited", "popular"):
        raise ValueError("no kind of a source")
    int(source.total, 16)
    return source


def _moment(text: Any) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


def _check(value: object, types: dict[str, Any]) -> None:
    for name, kind in types.items():
        if not isinstance(getattr(value, name), kind):
            raise TypeError(name)


def render_state(state: State) -> bytes:
    """The text of `current.json`."""
    data = {
        "schema": SCHEMA,
        "generation": None if state.generation is None else asdict(state.generation),
        "sources": [render_source(source) for source in state.sources],
    }
    return json.dumps(data, indent=1).encode() + b"\n"


def render_source(source: SourceState) -> dict[str, object]:
    """One source as JSON values."""
    values = asdict(source)
    moments = {name: values[name] and values[name].isoformat() for name in _TIMES}
    return {**values, **moments}


def generation_files(directory: Path) -> Iterable[tuple[int, Path]]:
    """Every snapshot file of the directory with its number."""
    for path in directory.iterdir():
        if (match := GENERATION.fullmatch(path.name)) is not None:
            yield int(match[1]), path
