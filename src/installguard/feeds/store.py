"""The local snapshot: advisories in immutable SQLite files, looked up by project.

A directory holds `snapshot-<n>.sqlite`, perhaps `changes-<m>.sqlite` with what changed since, and `current.json`, which
names those in force. A writer builds the next number aside and then replaces `current.json`, atomically. So a reader
needs no lock: it keeps the files it opened, also on Windows, where a file that somebody has open can neither be
replaced nor removed (a later writer removes it).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..dataclass import dataclass, field, replace
from ..errors import FeedError
from ..model import Advisory, SnapshotInfo, SourceInfo, SourceKind
from ..names import NormalizedName, canonicalize_name
from ..osv import merge
from ..policy import SourcePolicy
from .baseline import always_malicious, baseline_advisories, baseline_digest, baseline_info
from .rows import decode
from .sources import LIST_AGES, chosen_sources, is_remote, redacted
from .state import SCHEMA, Generation, State, StateError, StoredFile, read_state

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
    _priorities: Mapping[str, int] = field(default_factory=dict)
    """Of the policy's sources; those of others are 0."""
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
        numbers = [number for (number,) in self._rows("SELECT record FROM ids WHERE id = ?", sought)]
        rows = self._rows_in("SELECT project FROM advisories WHERE record IN", numbers)
        built_in = [advisory for advisory in self._built_in if sought in map(str.casefold, advisory.ids)]
        projects = {canonicalize_name(project) for (project,) in rows} | {advisory.project for advisory in built_in}
        stored = self._stored(projects)
        found = [*stored, *(each for each in self._built_in_beside(stored) if each.project in projects)]
        return tuple(advisory for advisory in merge(found) if sought in map(str.casefold, advisory.ids))

    def exploited(self) -> frozenset[str]:
        """Return the upper-case CVE ids that the feeds call exploited; raises `FeedError` where it cannot read."""
        return frozenset(line for lines in self._lists("exploited") for line in lines)

    def popular(self) -> Mapping[NormalizedName, int]:
        """Return the popular projects that the feeds name and their rank, 1 being the most downloaded, at its best."""
        ranks: dict[NormalizedName, int] = {}
        for lines in self._lists("popular"):
            for rank, line in enumerate(lines, start=1):
                name = NormalizedName(line)
                ranks[name] = min(rank, ranks.get(name, rank))
        return ranks

    def _lists(self, kind: SourceKind) -> Iterator[list[str]]:
        names = {source.name for source in self.info.sources if source.kind == kind}
        for name, body in self._rows("SELECT s.name, l.body FROM lists l JOIN sources s ON s.number = l.source"):
            if name in names:
                yield str(body).split("\n")

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
        rows = self._rows_in(_BY_PROJECT, sorted(projects))
        feeds: dict[int, str] = dict(self._rows("SELECT number, name FROM sources") if rows else [])
        try:
            kept = [(project, feeds[source], payload) for project, source, payload in rows]
            return self._foremost(decode(kept, self._malicious), feeds)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._damaged("a row cannot be read") from error

    def _foremost(self, advisories: list[Advisory], feeds: Mapping[int, str]) -> list[Advisory]:
        """Leave out the records of which a source of higher priority has one of the same id, whatever that says."""
        if len({self._priorities.get(name, 0) for name in feeds.values()}) < 2:
            return advisories
        best: dict[str, int] = {}
        ids = sorted({advisory.id for advisory in advisories})
        for record_id, source in self._rows_in("SELECT id, source FROM records WHERE id IN", ids):
            priority = self._priorities.get(feeds[source], 0)
            best[record_id] = max(priority, best.get(record_id, priority))
        return [each for each in advisories if self._priorities.get(each.feed, 0) == best[each.id]]

    def _rows_in(self, query: str, values: Sequence[str | int]) -> list[Any]:
        """All rows of a query that ends in `IN`, for any number of values."""
        rows: list[Any] = []
        for start in range(0, len(values), _AT_ONCE):
            some = values[start : start + _AT_ONCE]
            rows += self._rows(f"{query} ({','.join('?' * len(some))})", *some)
        return rows

    def _rows(self, query: str, *parameters: str | int) -> list[Any]:
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
        _priorities={source.name: source.priority for source in wanted},
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
    """What is held; a list that was never fetched is named with nothing in it, and is not missing."""
    limits = {source.name: source.max_age for source in wanted}
    known = [replace(source.info, max_age=_limit(source.kind, limits.get(source.name))) for source in state.sources]
    held = {source.name for source in known if source.taken_at is not None and source.kind == "osv"}
    named = {source.name for source in known}
    missing = tuple(source.name for source in wanted if source.kind == "osv" and source.name not in held)
    absent = [_absent(source) for source in wanted if source.kind != "osv" and source.name not in named]
    sources: tuple[SourceInfo, ...] = (*known, *absent, *([baseline_info()] if missing else ()))
    advisories = [source for source in sources if source.kind == "osv"]
    return SnapshotInfo(
        sources=sources,
        taken_at=min((source.taken_at for source in advisories if source.taken_at is not None), default=None),
        digest=f"sha256:{_digest(state, baseline=bool(missing))}",
        records=sum(source.records for source in advisories),
        unreadable=sum(source.unreadable for source in sources if source.kind != "popular"),
        missing=missing,
        problem=problem,
    )


def _limit(kind: SourceKind, written: timedelta | None) -> timedelta | None:
    return LIST_AGES.get(kind) if written is None else written


def _absent(source: SourcePolicy) -> SourceInfo:
    url = redacted(source.url) if is_remote(source.url) else source.url
    return SourceInfo(name=source.name, records=0, unreadable=0, taken_at=None, url=url, kind=source.kind)


def _digest(state: State, *, baseline: bool) -> str:
    if state.generation is None or baseline:
        held = state.digest if state.generation else ""
        return sha256(f"{held}\n{baseline_digest() if baseline else ''}".encode()).hexdigest()
    return state.digest


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
                raise StateError("the snapshot is damaged: one of its files is missing") from error
    raise AssertionError("unreachable")


def open_generation(directory: Path, generation: Generation) -> sqlite3.Connection:
    """Open the files of a snapshot read-only, as one; raises `StateError` if they are not as they were written.

    Where there is a file of changes, views of the tables' own names show base and changes together.
    """
    connection = _open_file(directory, generation.base)
    try:
        if generation.changes is not None:
            _attach(connection, directory, generation.changes)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_file(directory: Path, stored: StoredFile) -> sqlite3.Connection:
    import sqlite3

    path = directory / stored.file
    try:
        connection = sqlite3.connect(_uri(path), uri=True, check_same_thread=False, isolation_level=None)
    except sqlite3.Error as error:
        path.stat()  # raises where it is not there
        raise StateError(f"the snapshot cannot be opened: {stored.file}: {error}") from error
    try:
        _verify(path, stored)
        _verify_header(connection, "main")
    except BaseException:
        connection.close()
        raise
    return connection


def _uri(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def _whole(table: str) -> str:
    return f"CREATE TEMP VIEW {table} AS SELECT * FROM changes.{table};"  # noqa: S608  our own names


def _together(table: str, column: str) -> str:
    return (
        f"CREATE TEMP VIEW {table} AS SELECT * FROM main.{table}"  # noqa: S608  our own names
        f" WHERE {column} NOT IN (SELECT number FROM changes.gone) UNION ALL SELECT * FROM changes.{table};"
    )


_VIEWS: Final = "".join(
    [
        *map(_whole, ("sources", "unreadable", "skipped", "lists")),
        *(_together(*each) for each in (("records", "number"), ("advisories", "record"), ("ids", "record"))),
    ]
)


def _attach(connection: sqlite3.Connection, directory: Path, stored: StoredFile) -> None:
    import sqlite3

    path = directory / stored.file
    _verify(path, stored)
    try:
        connection.execute("ATTACH ? AS changes", (_uri(path),))
        _verify_header(connection, "changes")
        connection.executescript(f"PRAGMA temp_store = MEMORY; {_VIEWS}")
    except sqlite3.Error as error:
        path.stat()  # raises where it is not there any more: then there is a newer one
        raise StateError(f"the snapshot cannot be opened: {stored.file}: {error}") from error


def _verify(path: Path, stored: StoredFile) -> None:
    """Compare size and time with those it was published with; a copied or touched file is read whole once."""
    try:
        found = path.stat()
        same = found.st_size == stored.size
        if same and found.st_mtime_ns != stored.mtime_ns:
            same = hash_file(path) == stored.sha256
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


def _verify_header(connection: sqlite3.Connection, schema_name: str) -> None:
    import sqlite3

    try:
        application = connection.execute(f"PRAGMA {schema_name}.application_id").fetchone()[0]
        schema = connection.execute(f"PRAGMA {schema_name}.user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise StateError(f"the snapshot is damaged: {error}") from error
    if (application, schema) != (APPLICATION_ID, SCHEMA):
        raise StateError(f"the snapshot has schema {schema}, this version of guard reads {SCHEMA}")
