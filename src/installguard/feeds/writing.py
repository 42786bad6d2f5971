"""Writing the snapshot: built aside, swapped in atomically, one writer at a time.

A writer that dies at any moment leaves the old snapshot in force; what it left lying about is removed by the next one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from ..errors import FeedError
from ..model import Advisory
from .rows import encode
from .sources import Bounds
from .state import (
    SCHEMA,
    STATE_FILE,
    Generation,
    SourceState,
    State,
    StateError,
    generation_files,
    read_state,
    render_state,
)
from .store import APPLICATION_ID, Unreadable, hash_file, open_generation

if TYPE_CHECKING:
    import sqlite3

Parsed: TypeAlias = tuple[Advisory, ...] | Unreadable
"""What one record gave: its advisories (none where it is another ecosystem's), or why it could not be read."""

_TEMPORARY: Final = "building-"
_LOCK_FILE: Final = "lock"
_BATCH: Final = 2_000

_TABLES: Final = """
CREATE TABLE sources(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE records(number INTEGER PRIMARY KEY, source INTEGER NOT NULL, id TEXT NOT NULL, modified TEXT,
                     hash BLOB NOT NULL);
CREATE TABLE advisories(project TEXT NOT NULL, source INTEGER NOT NULL, record INTEGER NOT NULL, payload TEXT NOT NULL);
CREATE TABLE ids(id TEXT NOT NULL, record INTEGER NOT NULL);
CREATE TABLE unreadable(source INTEGER NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL);
"""
# Made after the rows are in: so they are filled in order. `…_by_record` serve updates of single records.
_INDEXES: Final = """
CREATE UNIQUE INDEX records_by_id ON records(source, id);
CREATE INDEX advisories_by_project ON advisories(project);
CREATE INDEX advisories_by_record ON advisories(record);
CREATE INDEX ids_by_id ON ids(id);
CREATE INDEX ids_by_record ON ids(record);
"""


def replace_source(
    directory: Path, source: SourceState, parsed: Iterable[Parsed], *, otherwise: datetime, bounds: Bounds
) -> SourceState:
    """Put a source in place of the one of its name, keep the others, and return it with its counts.

    Its `taken_at`, where it has none, becomes the newest `modified` of its records, or *otherwise*. Raises `FeedError`,
    and leaves the snapshot as it was, where the source holds no readable record or the directory cannot be written.
    """
    with _writing(directory, bounds) as state:
        with _aside(directory) as path:
            counts = _build(path, directory, state, source, parsed)
            written = _counted(source, counts, otherwise)
            generation = _publish(path, directory, counts.digest)
        sources = _kept(state, counts.kept).with_source(written)
        _write_state(directory, State(generation=generation, sources=sources))
        _sweep(directory, keep=generation.file)
        return written


def note_source(
    directory: Path, name: str, change: Callable[[SourceState | None], SourceState], bounds: Bounds
) -> None:
    """Change what is known of a source without touching its records; raises `FeedError`."""
    # A snapshot that cannot be used is left for the next update to rebuild.
    with _writing(directory, bounds), suppress(StateError):
        state = read_state(directory)
        _write_state(directory, replace(state, sources=state.with_source(change(state.source(name)))))


# ---------------------------------------------------------------- one writer at a time


@contextmanager
def _writing(directory: Path, bounds: Bounds) -> Iterator[State]:
    """Hold the writers' lock, with the directory made and swept; yield the state, empty where it cannot be used."""
    import sqlite3

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (directory / _LOCK_FILE).open("ab") as lock:
            _acquire(lock, directory, bounds.lock)
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


def _acquire(lock: BinaryIO, directory: Path, seconds: float) -> None:
    """Take the lock, which the system lets go of when its holder ends however it ends."""
    deadline = time.monotonic() + seconds
    while not _try_lock(lock):
        if time.monotonic() >= deadline:
            raise FeedError(
                f"another guard is writing the snapshot, and was not done within {seconds:g} s",
                where=str(directory),
                now="try again later",
            )
        time.sleep(0.02)


def _try_lock(lock: BinaryIO) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            lock.seek(0)
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _sweep(directory: Path, *, keep: str) -> None:
    """Remove snapshots that are in force no more; one that a reader holds open on Windows stays for later."""
    for _, path in list(generation_files(directory)):
        if path.name != keep:
            with suppress(OSError):
                path.unlink()


def _sweep_temporary(directory: Path) -> None:
    """Remove what dead writers left."""
    for path in list(directory.iterdir()):
        if path.name.startswith(_TEMPORARY):
            with suppress(OSError):
                path.unlink()


# ---------------------------------------------------------------- building


@dataclass(slots=True)
class _Counts:
    """What was found while a source was written."""

    records: int = 0
    unreadable: int = 0
    newest: datetime | None = None
    first_problem: Unreadable | None = None
    kept: bool = True
    """Whether the other sources could be taken over from the old snapshot."""
    digest: str = ""


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


def _build(path: Path, directory: Path, state: State, source: SourceState, parsed: Iterable[Parsed]) -> _Counts:
    import sqlite3

    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Nobody reads this file before it is complete and synced, so it needs no journal.
        connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;"
            "PRAGMA cache_size = -16000;"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA};{_TABLES}BEGIN;"
        )
        counts = _Counts(kept=_take_over(connection, directory, state, source.name))
        _insert(connection, source, parsed, counts)
        _refuse_empty(source, counts)
        connection.execute("COMMIT")
        connection.executescript(_INDEXES)
        counts.digest = _digest(connection)
    finally:
        connection.close()
    return counts


def _take_over(connection: sqlite3.Connection, directory: Path, state: State, replaced: str) -> bool:
    """Copy all other sources from the snapshot in force; `False`, and nothing copied, where it is damaged.

    Only reading may fail in this way: an error while writing must not look as if there were nothing to keep.
    """
    if state.generation is None:
        return True
    try:
        with closing(open_generation(directory, state.generation)) as old:
            for query, target in _COPIES:
                for rows in _blocks(old, query, replaced):
                    marks = ",".join("?" * len(rows[0]))
                    connection.executemany(f"INSERT INTO {target} VALUES ({marks})", rows)  # noqa: S608  our own names
    except (StateError, FileNotFoundError):
        for _, target in _COPIES:  # without a journal there is no rolling back
            connection.execute(f"DELETE FROM {target}")  # noqa: S608
        return False
    return True


def _blocks(old: sqlite3.Connection, query: str, replaced: str) -> Iterator[list[tuple[object, ...]]]:
    import sqlite3

    try:
        cursor = old.execute(query, (replaced,))
        while rows := cursor.fetchmany(_BATCH):
            yield rows
    except (sqlite3.Error, UnicodeError) as error:
        raise StateError(f"the snapshot is damaged: {error}") from error


_COPIES: Final = (
    ("SELECT number, name FROM sources WHERE name != ?", "sources"),
    (
        "SELECT r.number, r.source, r.id, r.modified, r.hash"
        " FROM records r JOIN sources s ON s.number = r.source WHERE s.name != ?",
        "records",
    ),
    (
        "SELECT a.project, a.source, a.record, a.payload"
        " FROM advisories a JOIN sources s ON s.number = a.source WHERE s.name != ?",
        "advisories",
    ),
    (
        "SELECT i.id, i.record FROM ids i JOIN records r ON r.number = i.record"
        " JOIN sources s ON s.number = r.source WHERE s.name != ?",
        "ids",
    ),
    (
        "SELECT u.source, u.name, u.reason FROM unreadable u JOIN sources s ON s.number = u.source WHERE s.name != ?",
        "unreadable",
    ),
)


@dataclass(slots=True)
class _Batch:
    """Rows that wait to be inserted."""

    records: list[tuple[int, int, str, str | None, bytes]] = field(default_factory=list)
    advisories: list[tuple[str, int, int, str]] = field(default_factory=list)
    ids: list[tuple[str, int]] = field(default_factory=list)

    def flush(self, connection: sqlite3.Connection) -> None:
        """Insert them."""
        connection.executemany("INSERT INTO records VALUES (?,?,?,?,?)", self.records)
        connection.executemany("INSERT INTO advisories VALUES (?,?,?,?)", self.advisories)
        connection.executemany("INSERT INTO ids VALUES (?,?)", self.ids)
        self.records, self.advisories, self.ids = [], [], []


def _insert(connection: sqlite3.Connection, source: SourceState, parsed: Iterable[Parsed], counts: _Counts) -> None:
    """Insert a source's records as they come; of duplicate ids the one modified later stays."""
    add = connection.execute("INSERT INTO sources(name) VALUES (?)", (source.name,))
    source_number = add.lastrowid or 0
    number: int = connection.execute("SELECT coalesce(max(number), 0) FROM records").fetchone()[0]
    seen: dict[str, tuple[int, str]] = {}
    batch = _Batch()
    for outcome in parsed:
        if isinstance(outcome, Unreadable):
            counts.unreadable += 1
            counts.first_problem = counts.first_problem or outcome
            row = (source_number, _storable(outcome.name), _storable(outcome.reason))
            connection.execute("INSERT INTO unreadable VALUES (?,?,?)", row)
            continue
        if not outcome:
            continue
        first = outcome[0]
        modified = first.modified.isoformat(timespec="microseconds") if first.modified else ""
        if (earlier := seen.get(first.id)) is not None:
            if modified < earlier[1]:
                continue
            batch.flush(connection)
            _remove_record(connection, earlier[0])
        number += 1
        seen[first.id] = (number, modified)
        _add(batch, source_number, number, modified, outcome)
        if len(batch.records) >= _BATCH:
            batch.flush(connection)
    batch.flush(connection)
    counts.records = len(seen)
    newest = max((modified for _, modified in seen.values()), default="")
    counts.newest = datetime.fromisoformat(newest) if newest else None


def _add(batch: _Batch, source: int, number: int, modified: str, advisories: tuple[Advisory, ...]) -> None:
    digest = sha256()
    for advisory in advisories:
        payload = encode(advisory)
        digest.update(f"{advisory.project}\n{payload}\n".encode())
        batch.advisories.append((advisory.project, source, number, payload))
    batch.records.append((number, source, advisories[0].id, modified or None, digest.digest()))
    batch.ids.extend((text, number) for text in {each.casefold() for each in advisories[0].ids})


def _remove_record(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("DELETE FROM records WHERE number = ?", (number,))
    connection.execute("DELETE FROM advisories WHERE record = ?", (number,))
    connection.execute("DELETE FROM ids WHERE record = ?", (number,))


def _storable(text: str) -> str:
    """The text with what is not Unicode (file names may hold it) spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _refuse_empty(source: SourceState, counts: _Counts) -> None:
    if counts.records:
        return
    first = counts.first_problem
    if first is None:
        what = "holds no record of PyPI"
    else:
        what = f"holds no readable record; the first of {counts.unreadable}: {first.name!a}: {first.reason}"
    raise FeedError(what, where=f"feed {source.name}", now="the snapshot stays as it was")


def _digest(connection: sqlite3.Connection) -> str:
    """SHA-256 over every record of every source, in an order of their own."""
    digest = sha256()
    query = "SELECT s.name, r.id, r.hash FROM records r JOIN sources s ON s.number = r.source ORDER BY 1, 2"
    for name, record_id, record_hash in connection.execute(query):
        digest.update(f"{name}\0{record_id}\0{record_hash.hex()}\n".encode())
    return digest.hexdigest()


def _counted(source: SourceState, counts: _Counts, otherwise: datetime) -> SourceState:
    taken_at = source.taken_at or counts.newest or otherwise
    return replace(source, records=counts.records, unreadable=counts.unreadable, taken_at=taken_at)


def _kept(state: State, kept: bool) -> State:
    return state if kept else State()


# ---------------------------------------------------------------- swapping in


def _publish(built: Path, directory: Path, digest: str) -> Generation:
    """Sync the file and give it the next number; it is not in force before `current.json` names it."""
    with built.open("r+b") as file:
        os.fsync(file.fileno())
    number = max((number for number, _ in generation_files(directory)), default=0) + 1
    path = directory / f"snapshot-{number}.sqlite"
    sha = hash_file(built)
    built.replace(path)
    found = path.stat()
    return Generation(file=path.name, size=found.st_size, mtime_ns=found.st_mtime_ns, sha256=sha, digest=digest)


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
