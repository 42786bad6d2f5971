"""The local snapshot: advisories in one immutable SQLite file, looked up by project.

A directory holds `snapshot-<n>.sqlite` and `current.json`, which names the one in force. A writer builds the next
number aside and then replaces `current.json`, atomically. So a reader needs no lock: it keeps the file it opened, also
on Windows, where a file that somebody has open can neither be replaced nor removed (a later writer removes it).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import NormalizedName, canonicalize_name

from ..errors import FeedError
from ..model import Advisory, SnapshotInfo, SourceInfo
from ..osv import merge
from ..policy import SourcePolicy
from .baseline import always_malicious, baseline_advisories, baseline_digest, baseline_info
from .rows import decode
from .sources import chosen_sources
from .state import SCHEMA, Generation, State, StateError, read_state

if TYPE_CHECKING:
    import sqlite3
    from types import TracebackType

APPLICATION_ID: Final = 0x69677561
"""In the header of our files (`igua`), so that another program's database is never taken for ours."""

_REPAIR: Final = "run 'guard feed update' to rebuild it"
_AT_ONCE: Final = 500
"""Names in one query; SQLite before 3.32 takes at most 999 parameters."""
_BY_PROJECT: Final = "SELECT project, source, payload FROM advisories WHERE project IN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record that was kept out, and why."""

    source: str
    name: str
    """The file or zip member it came from."""
    reason: str


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """An open snapshot; where a source is missing, the built-in baseline is looked up as well.

    It may be opened in one thread and used in another.
    """

    info: SnapshotInfo
    directory: Path
    _connection: sqlite3.Connection | None
    _malicious: frozenset[str]
    """Sources that the policy calls malicious; what the import called so is in the rows."""
    _built_in: tuple[Advisory, ...]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lookup(self, names: Iterable[NormalizedName]) -> tuple[Advisory, ...]:
        """Return all advisories in force for the projects *names*, merged; raises `FeedError` where it cannot read."""
        wanted = frozenset(names)
        stored = self._stored(wanted)
        found = [advisory for advisory in stored if advisory.withdrawn is None]
        found.extend(advisory for advisory in self._built_in_beside(stored) if advisory.project in wanted)
        return merge(found)

    def _built_in_beside(self, stored: Sequence[Advisory]) -> Sequence[Advisory]:
        """Return what is built in, but for the projects of which the feeds tell themselves that they had malware.

        So a takeover that a feed does not list, or lists as a vulnerability only, is denied all the same, and a feed
        that knows better, or has withdrawn its record, is not contradicted.
        """
        if self.info.missing:
            return self._built_in
        told = {advisory.project for advisory in stored if advisory.kind == "malicious"}
        return [advisory for advisory in self._built_in if advisory.project not in told]

    def record(self, advisory_id: str) -> tuple[Advisory, ...]:
        """Return what the id or alias names, in any case, one advisory a project; withdrawn ones too."""
        sought = advisory_id.strip().casefold()
        rows = self._rows("SELECT a.project FROM ids i JOIN advisories a ON a.record = i.record WHERE i.id = ?", sought)
        built_in = [advisory for advisory in self._built_in if sought in map(str.casefold, advisory.ids)]
        projects = {canonicalize_name(project) for (project,) in rows} | {advisory.project for advisory in built_in}
        stored = self._stored(projects)
        found = [*stored, *(each for each in self._built_in_beside(stored) if each.project in projects)]
        return tuple(advisory for advisory in merge(found) if sought in map(str.casefold, advisory.ids))

    def unreadable(self) -> tuple[Unreadable, ...]:
        """Return the records that were kept out, by source and name."""
        rows = self._rows(
            "SELECT s.name, u.name, u.reason FROM unreadable u JOIN sources s ON s.number = u.source ORDER BY 1, 2, 3"
        )
        return tuple(Unreadable(source=source, name=name, reason=reason) for source, name, reason in rows)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stored(self, projects: Iterable[str]) -> list[Advisory]:
        names = sorted(projects)
        rows: list[Any] = []
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            rows += self._rows(f"{_BY_PROJECT} ({marks})", *some)
        feeds: dict[int, str] = dict(self._rows("SELECT number, name FROM sources") if rows else [])
        try:
            return decode([(project, feeds[source], payload) for project, source, payload in rows], self._malicious)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._damaged("a row cannot be read") from error

    def _rows(self, query: str, *parameters: str) -> list[Any]:
        """All rows of a query; trouble is never an empty answer."""
        if self._connection is None:
            return []
        import sqlite3

        try:
            with self._lock:
                return self._connection.execute(query, parameters).fetchall()
        except (sqlite3.Error, UnicodeError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> FeedError:
        return FeedError(f"the snapshot cannot be read: {why}", where=str(self.directory), now=_REPAIR)


def open_snapshot(directory: Path, sources: Sequence[SourcePolicy], *, now: datetime | None = None) -> Snapshot:
    """Open the snapshot in *directory*; one that is absent or damaged serves the built-in baseline and says so.

    *sources* are those of the policy, empty for the default ones. How old the snapshot is at *now* is for the checks to
    judge; nothing here depends on it. Nothing is created, nothing raised.
    """
    wanted = chosen_sources(tuple(sources))
    connection: sqlite3.Connection | None = None
    state, problem = State(), None
    try:
        state, connection = _open_current(directory)
    except StateError as error:
        problem = f"{error} ({_REPAIR})"
    info = _info(state, wanted, problem)
    return Snapshot(
        info=info,
        directory=directory,
        _connection=connection,
        _malicious=frozenset(source.name for source in wanted if source.malicious),
        _built_in=(*baseline_advisories(), always_malicious()),
    )


def status(directory: Path, sources: Sequence[SourcePolicy], *, now: datetime | None = None) -> SnapshotInfo:
    """Return what the snapshot in *directory* holds."""
    with open_snapshot(directory, sources, now=now) as snapshot:
        return snapshot.info


def unreadable_records(directory: Path) -> tuple[Unreadable, ...]:
    """Return the records that were kept out of the snapshot in *directory*; raises `FeedError`."""
    with open_snapshot(directory, ()) as snapshot:
        return snapshot.unreadable()


def _info(state: State, wanted: Sequence[SourcePolicy], problem: str | None) -> SnapshotInfo:
    known = [source.info for source in state.sources]
    held = {source.name for source in known if source.taken_at is not None}
    missing = tuple(source.name for source in wanted if source.name not in held)
    sources: tuple[SourceInfo, ...] = (*known, *([baseline_info()] if missing else ()))
    times = [source.taken_at for source in known if source.taken_at is not None]
    return SnapshotInfo(
        sources=sources,
        taken_at=min(times, default=None),
        digest=f"sha256:{_digest(state.generation, baseline=bool(missing))}",
        records=sum(source.records for source in sources),
        unreadable=sum(source.unreadable for source in sources),
        missing=missing,
        problem=problem,
    )


def _digest(generation: Generation | None, *, baseline: bool) -> str:
    parts = [generation.digest if generation else "", baseline_digest() if baseline else ""]
    return parts[0] if generation and not baseline else sha256("\n".join(parts).encode()).hexdigest()


def _open_current(directory: Path) -> tuple[State, sqlite3.Connection | None]:
    """The state and the open file it names; raises `StateError`.

    A writer may remove the file between our reading of its name and our opening it: then there is a newer one.
    """
    for attempt in range(10):
        state = read_state(directory)
        if state.generation is None:
            return state, None
        try:
            return state, open_generation(directory, state.generation)
        except FileNotFoundError as error:
            if attempt == 9:
                raise StateError(f"the snapshot is damaged: {state.generation.file} is missing") from error
    raise AssertionError("unreachable")


def open_generation(directory: Path, generation: Generation) -> sqlite3.Connection:
    """Open a snapshot file read-only; raises `StateError` if it is not the file that was written."""
    import sqlite3

    path = directory / generation.file
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False, isolation_level=None
        )
    except sqlite3.Error as error:
        path.stat()  # raises where it is not there
        raise StateError(f"the snapshot cannot be opened: {generation.file}: {error}") from error
    try:
        _verify(path, generation)
        _verify_header(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _verify(path: Path, generation: Generation) -> None:
    """Compare size and time with those it was published with; a copied or touched file is read whole once."""
    try:
        found = path.stat()
        same = found.st_size == generation.size
        if same and found.st_mtime_ns != generation.mtime_ns:
            same = hash_file(path) == generation.sha256
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateError(f"the snapshot cannot be read: {path.name}: {error.strerror or error}") from error
    if not same:
        raise StateError(f"the snapshot is damaged: {path.name} is not as it was written")


def hash_file(path: Path) -> str:
    """SHA-256, hexadecimal, of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _verify_header(connection: sqlite3.Connection) -> None:
    import sqlite3

    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        schema = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise StateError(f"the snapshot is damaged: {error}") from error
    if (application, schema) != (APPLICATION_ID, SCHEMA):
        raise StateError(f"the snapshot has schema {schema}, this version of guard reads {SCHEMA}")
