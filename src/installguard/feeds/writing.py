"""Writing the snapshot: built aside, swapped in atomically, one writer at a time.

A source that is fetched whole makes a new file of all records; single records and lists go into a small file of changes
beside it. A writer that dies at any moment leaves the old snapshot in force; what it left lying about is removed by the
next one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from ..dataclass import dataclass, field, replace
from ..errors import FeedError
from .locking import BusyError, acquire
from .sources import Bounds
from .state import (
    STATE_FILE,
    Generation,
    SourceState,
    State,
    StateError,
    StoredFile,
    generation_files,
    read_state,
    render_state,
)
from .store import Unreadable, hash_file, open_generation
from .tables import (
    BATCH,
    INDEXES,
    SMALL,
    Counts,
    Parsed,
    add_source,
    add_unreadable,
    create_tables,
    insert_record,
    insert_source,
    remove_record,
    written_time,
)
from .weights import weight, written

if TYPE_CHECKING:
    import sqlite3

_TEMPORARY: Final = "building-"
_LOCK_FILE: Final = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a source of another kind than `osv` holds: ids or names in their order, one a line."""

    lines: tuple[str, ...]
    dated: datetime | None
    """What the list says of its own age."""
    unreadable: tuple[Unreadable, ...] = ()
    """Entries that were kept out."""


Content: TypeAlias = "Iterable[Parsed] | Listed"
Part: TypeAlias = "tuple[SourceState, Content]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One record of a source as it is now."""

    id: str
    modified: str
    """As the source's listing says, in the form of `written_time`."""
    parsed: Parsed | None
    """`None` where the source has it no more."""


def replace_source(
    directory: Path,
    source: SourceState,
    content: Content,
    *,
    otherwise: datetime,
    bounds: Bounds,
    accept_rollback: bool = False,
) -> SourceState:
    """Put a source in place of the one of its name, keep the others, and return it with its counts.

    Its `taken_at`, where it has none, becomes the newest `modified` of its records, or *otherwise*, which is now.
    Raises `FeedError`, and leaves the snapshot as it was, where the source holds no readable record, fewer or older
    ones than can be right (unless *accept_rollback*), or the directory cannot be written.
    """
    parts = [(source, content)]
    (state,) = replace_sources(directory, parts, now=otherwise, bounds=bounds, accept_rollback=accept_rollback)
    return state


def replace_sources(
    directory: Path,
    parts: Sequence[Part],
    *,
    now: datetime,
    bounds: Bounds,
    accept_rollback: bool = False,
    expected: Mapping[str, str] | None = None,
) -> tuple[SourceState, ...]:
    """`replace_source` of several sources in one go: all of them, or none.

    *expected* are the totals that they must have, by name.
    """
    rules = _Rules(now=now, accept_rollback=accept_rollback, expected=expected or {})
    with _writing(directory, bounds) as state:
        try:
            if all(_is_small(state, part) for part in parts):
                return _change(directory, state, lambda connection, _: _put_lists(connection, state, parts, rules))
        except StateError:
            pass  # it cannot be used, so it is rebuilt
        with _aside(directory) as path:
            kept, sources = _build(path, directory, state, parts, rules)
            base = _publish(path, directory, "snapshot")
        _commit(directory, State(generation=Generation(base=base), sources=kept.with_sources(sources)))
        return sources


def change_source(
    directory: Path, source: SourceState, changes: Sequence[Change], *, now: datetime, bounds: Bounds
) -> SourceState:
    """Put changed records into a source that is there, and return it with its counts.

    *source* is what was held when the changes were found out, with what is new to note of it; raises `BusyError` where
    the snapshot holds something else by now, and `FeedError` as `replace_source`.
    """
    with _writing(directory, bounds) as state:
        held = state.source(source.name)
        if held is None or held.total != source.total:
            raise BusyError("the snapshot was changed meanwhile", where=f"feed {source.name}", now="try again")
        try:
            state = _lightened(directory, state, bounds)
            (changed,) = _change(
                directory, state, lambda connection, base: (_put_records(connection, base, source, changes, now),)
            )
        except StateError as error:
            raise FeedError(str(error), where=str(directory), now="try again") from error
        return changed


def note_source(
    directory: Path, name: str, change: Callable[[SourceState | None], SourceState], bounds: Bounds
) -> None:
    """Change what is known of a source without touching its records; raises `FeedError`."""
    # A snapshot that cannot be used is left for the next update to rebuild.
    with _writing(directory, bounds), suppress(StateError):
        state = read_state(directory)
        _write_state(directory, replace(state, sources=state.with_sources([change(state.source(name))])))


# ---------------------------------------------------------------- one writer at a time


@contextmanager
def _writing(directory: Path, bounds: Bounds) -> Iterator[State]:
    """Hold the writers' lock, with the directory made and swept; yield the state, empty where it cannot be used."""
    import sqlite3

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (directory / _LOCK_FILE).open("ab") as lock:
            acquire(lock, directory, bounds.lock)
            try:
                state = read_state(directory)
            except StateError:
                state = State()  # it could not be used, so it is rebuilt
            _sweep_temporary(directory)
            yield state
    except (OSError, sqlite3.Error, UnicodeError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FeedError(
            f"the snapshot cannot be written: {what}", where=str(directory), now="nothing was changed"
        ) from error


def _sweep(directory: Path, generation: Generation) -> None:
    """Remove snapshots that are in force no more; one that a reader holds open on Windows stays for later."""
    kept = {stored.file for stored in (generation.base, generation.changes) if stored is not None}
    for _, path in list(generation_files(directory)):
        if path.name not in kept:
            with suppress(OSError):
                path.unlink()


def _sweep_temporary(directory: Path) -> None:
    """Remove what dead writers left."""
    for path in list(directory.iterdir()):
        if path.name.startswith(_TEMPORARY):
            with suppress(OSError):
                path.unlink()


@contextmanager
def _aside(directory: Path) -> Iterator[Path]:
    """A new file in the directory, gone at the end unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix=_TEMPORARY, suffix=".tmp", dir=directory)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        with suppress(OSError):
            Path(name).unlink()


# ---------------------------------------------------------------- what may replace what


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What a source is held against before it replaces another."""

    now: datetime
    accept_rollback: bool
    expected: Mapping[str, str] = field(default_factory=dict)

    def check(self, source: SourceState, held: SourceState | None, counts: Counts) -> None:
        """Raise `FeedError` for a source that is empty, or less than what is held."""
        _refuse_empty(source, counts)
        if self.expected.get(source.name, written(counts.total)) != written(counts.total):
            raise FeedError("is not what its digest says", where=f"feed {source.name}", now="export it again")
        if held is not None and held.taken_at is not None and held.kind == source.kind and not self.accept_rollback:
            refuse_rollback(held, counts.records, counts.newest)


_MANY: Final = 1_000


def refuse_rollback(held: SourceState, records: int, newest: datetime | None) -> None:
    """Raise `FeedError` where a source would lose a fifth of many records, or go back in time."""
    what = None
    if held.records >= _MANY and records < 0.8 * held.records:
        what = f"holds {records:,} records where the snapshot has {held.records:,}"
    elif held.newest is not None and (newest is None or newest < held.newest):
        dated = f"of {newest:%Y-%m-%d %H:%M} UTC" if newest else "undated"
        what = f"is {dated}, older than the snapshot of {held.newest:%Y-%m-%d %H:%M} UTC"
    if what is not None:
        raise FeedError(what, where=f"feed {held.name}", now="if that is right, --accept-rollback takes it")


def _refuse_empty(source: SourceState, counts: Counts) -> None:
    if counts.records:
        return
    first = counts.first_problem
    if first is not None:
        what = f"holds no readable record; the first of {counts.unreadable}: {first.name!a}: {first.reason}"
    else:
        what = "holds no record of PyPI" if source.kind == "osv" else "is empty"
    raise FeedError(what, where=f"feed {source.name}", now="the snapshot stays as it was")


def _counted(source: SourceState, counts: Counts, now: datetime) -> SourceState:
    return replace(
        source,
        records=counts.records,
        unreadable=counts.unreadable,
        taken_at=source.taken_at or counts.newest or now,
        total=written(counts.total),
        newest=counts.past,
        last_error=None,
        tried_at=None,
    )


# ---------------------------------------------------------------- a whole new file


def _build(
    path: Path, directory: Path, state: State, parts: Sequence[Part], rules: _Rules
) -> tuple[State, tuple[SourceState, ...]]:
    """Write all sources; return the state as far as it could be kept, and the new sources."""
    import sqlite3

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        create_tables(connection)
        connection.execute("BEGIN")
        kept = state if _take_over(connection, directory, state, [source.name for source, _ in parts]) else State()
        sources = []
        for source, content in parts:
            counts = _insert(connection, source, content, rules.now)
            rules.check(source, kept.source(source.name), counts)
            sources.append(_counted(source, counts, rules.now))
        connection.execute("COMMIT")
        connection.executescript(INDEXES)
    return kept, tuple(sources)


def _insert(connection: sqlite3.Connection, source: SourceState, content: Content, now: datetime) -> Counts:
    if isinstance(content, Listed):
        return _insert_list(connection, source, content, now)
    return insert_source(connection, source.name, content, now=now)


def _insert_list(connection: sqlite3.Connection, source: SourceState, listed: Listed, now: datetime) -> Counts:
    body = "\n".join(listed.lines)
    number = add_source(connection, source.name)
    connection.execute("DELETE FROM lists WHERE source = ?", (number,))
    connection.execute("DELETE FROM unreadable WHERE source = ?", (number,))
    connection.execute("INSERT INTO lists VALUES (?, ?)", (number, body))
    for outcome in listed.unreadable:
        add_unreadable(connection, number, outcome)
    return Counts(
        records=len(listed.lines),
        unreadable=len(listed.unreadable),
        total=weight(source.name, source.kind, sha256(body.encode()).digest()),
        newest=listed.dated,
        past=listed.dated if listed.dated is None or listed.dated <= now else None,
        first_problem=next(iter(listed.unreadable), None),
    )


def _take_over(connection: sqlite3.Connection, directory: Path, state: State, replaced: Sequence[str]) -> bool:
    """Copy all other sources from the snapshot in force; `False`, and nothing copied, where it is damaged.

    Only reading may fail in this way: an error while writing must not look as if there were nothing to keep.
    """
    if state.generation is None:
        return True
    try:
        with closing(open_generation(directory, state.generation)) as old:
            for table, condition in _COPIES:
                for rows in _blocks(old, table, condition, replaced):
                    marks = ",".join("?" * len(rows[0]))
                    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608  our own names
    except (StateError, FileNotFoundError):
        for table, _ in _COPIES:  # without a journal there is no rolling back
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        return False
    return True


_COPIES: Final = (
    ("sources", "number"),
    ("records", "source"),
    ("advisories", "source"),
    ("ids", "record"),
    ("unreadable", "source"),
    ("skipped", "source"),
    ("lists", "source"),
)
"""Every table, and its column that tells the source (for `ids` by way of the record)."""


def _blocks(
    old: sqlite3.Connection, table: str, column: str, replaced: Sequence[str]
) -> Iterator[list[tuple[object, ...]]]:
    import sqlite3

    others = f"SELECT number FROM sources WHERE name NOT IN ({','.join('?' * len(replaced))})"  # noqa: S608
    wanted = f"SELECT number FROM records WHERE source IN ({others})" if column == "record" else others  # noqa: S608
    try:
        cursor = old.execute(f"SELECT * FROM {table} WHERE {column} IN ({wanted})", tuple(replaced))  # noqa: S608
        while rows := cursor.fetchmany(BATCH):
            yield rows
    except (sqlite3.Error, UnicodeError) as error:
        raise StateError(f"the snapshot is damaged: {error}") from error


# ---------------------------------------------------------------- a small file of changes


_Put: TypeAlias = "Callable[[sqlite3.Connection, sqlite3.Connection], tuple[SourceState, ...]]"
"""Given the file of changes, to write, and the snapshot in force, to read; returns the sources as they are now."""


def _change(directory: Path, state: State, put: _Put) -> tuple[SourceState, ...]:
    """Write the next file of changes; raises `StateError` where the snapshot in force cannot be used."""
    import sqlite3

    if state.generation is None:
        raise StateError("there is no snapshot")
    try:
        opened = open_generation(directory, state.generation)
    except FileNotFoundError as error:
        raise StateError("the snapshot is damaged: a file is missing") from error
    with closing(opened) as old, _aside(directory) as path:
        if (before := state.generation.changes) is not None:
            shutil.copyfile(directory / before.file, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if before is None:
                _begin_changes(connection, old)
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
            sources = put(connection, old)
            connection.execute("COMMIT")
        changes = _publish(path, directory, "changes")
    generation = replace(state.generation, changes=changes)
    _commit(directory, State(generation=generation, sources=state.with_sources(sources)))
    return sources


def _begin_changes(connection: sqlite3.Connection, old: sqlite3.Connection) -> None:
    create_tables(connection)
    connection.executescript(f"{INDEXES}CREATE TABLE gone(number INTEGER PRIMARY KEY);")
    for table in SMALL:
        rows = old.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  our own names
        if rows:
            marks = ",".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608


def _is_small(state: State, part: Part) -> bool:
    """Whether the part is a list that takes no source's place but its own."""
    source, content = part
    held = state.source(source.name)
    return isinstance(content, Listed) and (held is None or held.kind != "osv" or held.taken_at is None)


def _put_lists(
    connection: sqlite3.Connection, state: State, parts: Sequence[Part], rules: _Rules
) -> tuple[SourceState, ...]:
    sources = []
    for source, content in parts:
        counts = _insert(connection, source, content, rules.now)
        rules.check(source, state.source(source.name), counts)
        sources.append(_counted(source, counts, rules.now))
    return tuple(sources)


def _put_records(
    connection: sqlite3.Connection,
    old: sqlite3.Connection,
    source: SourceState,
    changes: Sequence[Change],
    now: datetime,
) -> SourceState:
    """Apply the changes; every record of a change goes, and comes back as it is now."""
    at = add_source(connection, source.name)
    highest = "SELECT coalesce(max(number), 0) FROM main.records"
    number: int = max(file.execute(highest).fetchone()[0] for file in (old, connection))
    total, records, newest = int(source.total, 16), source.records, ""
    for change in changes:
        going = _find(connection, old, at, change.id)
        if going is not None:
            total, records = total - weight(source.name, change.id, going), records - 1
        _forget(connection, at, change.id)
        match change.parsed:
            case None:
                pass
            case Unreadable() as outcome:
                add_unreadable(connection, at, outcome)
                _skip(connection, at, change)
            case ():
                _skip(connection, at, change)
            case record:
                number += 1
                total += insert_record(connection, at, source.name, number, record)
                records += 1
                newest = max(newest, written_time(record[0].modified))
    unreadable = connection.execute("SELECT count(*) FROM unreadable WHERE source = ?", (at,)).fetchone()[0]
    past = [moment for moment in (source.newest, _moment(newest, now)) if moment is not None]
    return replace(
        source,
        total=written(total),
        records=records,
        unreadable=unreadable,
        newest=max(past, default=None),
        last_error=None,
        tried_at=None,
    )


def _moment(text: str, now: datetime) -> datetime | None:
    moment = datetime.fromisoformat(text) if text else None
    return None if moment is None or moment > now else moment


def _find(connection: sqlite3.Connection, old: sqlite3.Connection, source: int, record_id: str) -> bytes | None:
    """Take a record out, and return its hash; `None` where it is not there."""
    query = "SELECT number, hash FROM main.records WHERE source = ? AND id = ?"
    own = connection.execute(query, (source, record_id)).fetchone()
    if own is not None:
        return remove_record(connection, own[0])
    base = old.execute(query, (source, record_id)).fetchone()
    if base is None:
        return None
    added = connection.execute("INSERT OR IGNORE INTO gone VALUES (?)", (base[0],)).rowcount
    return bytes(base[1]) if added else None


def _forget(connection: sqlite3.Connection, source: int, record_id: str) -> None:
    """Remove what was noted of a record that could not be used."""
    connection.execute("DELETE FROM skipped WHERE source = ? AND id = ?", (source, record_id))
    connection.execute("DELETE FROM unreadable WHERE source = ? AND name = ?", (source, f"{record_id}.json"))


def _skip(connection: sqlite3.Connection, source: int, change: Change) -> None:
    connection.execute("INSERT INTO skipped VALUES (?,?,?)", (source, change.id, change.modified))


_BEGINNING: Final = datetime.min.replace(tzinfo=timezone.utc)


def _lightened(directory: Path, state: State, bounds: Bounds) -> State:
    """The state with its changes folded into a whole new file, where they have become many; nothing is in force yet."""
    if state.generation is None or state.generation.changes is None:
        return state
    try:
        with closing(open_generation(directory, state.generation)) as old:
            query = "SELECT (SELECT count(*) FROM changes.records) + (SELECT count(*) FROM changes.gone)"
            changed: int = old.execute(query).fetchone()[0]
    except FileNotFoundError as error:
        raise StateError("the snapshot is damaged: a file is missing") from error
    if changed <= max(bounds.heavy, sum(source.records for source in state.sources if source.kind == "osv") // 10):
        return state
    with _aside(directory) as path:
        kept, _ = _build(path, directory, state, (), _Rules(now=_BEGINNING, accept_rollback=True))
        if kept is not state:
            raise StateError("the snapshot is damaged")
        return replace(state, generation=Generation(base=_publish(path, directory, "snapshot")))


# ---------------------------------------------------------------- swapping in


def _publish(built: Path, directory: Path, kind: str) -> StoredFile:
    """Sync the file and give it the next number; it is not in force before `current.json` names it."""
    with built.open("r+b") as file:
        os.fsync(file.fileno())
    number = max((number for number, _ in generation_files(directory)), default=0) + 1
    path = directory / f"{kind}-{number}.sqlite"
    sha = hash_file(built)
    built.replace(path)
    found = path.stat()
    return StoredFile(file=path.name, size=found.st_size, mtime_ns=found.st_mtime_ns, sha256=sha)


def _commit(directory: Path, state: State) -> None:
    """Put what was published in force."""
    _write_state(directory, state)
    if state.generation is not None:
        _sweep(directory, state.generation)


def _write_state(directory: Path, state: State) -> None:
    with _aside(directory) as path:
        with path.open("wb") as file:
            file.write(render_state(state))
            file.flush()
            os.fsync(file.fileno())
        _replace(path, directory / STATE_FILE)
    _sync_directory(directory)


def _replace(path: Path, target: Path) -> None:
    """Rename over *target*; Windows refuses for the moment in which a reader has it open."""
    for attempt in range(50):
        try:
            path.replace(target)
        except PermissionError:
            if os.name != "nt" or attempt == 49:
                raise
            time.sleep(0.02)
        else:
            return


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
