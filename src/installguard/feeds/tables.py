"""The tables of a snapshot file, and rows going into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeAlias

from ..dataclass import dataclass, field
from ..model import Advisory
from .rows import encode
from .state import SCHEMA
from .store import APPLICATION_ID, Unreadable
from .weights import weight

if TYPE_CHECKING:
    import sqlite3

Parsed: TypeAlias = tuple[Advisory, ...] | Unreadable
"""What one record gave: its advisories (none where it is another ecosystem's), or why it could not be read."""

BATCH: Final = 2_000

_TABLES: Final = """
CREATE TABLE sources(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE records(number INTEGER PRIMARY KEY, source INTEGER NOT NULL, id TEXT NOT NULL, modified TEXT,
                     hash BLOB NOT NULL);
CREATE TABLE advisories(project TEXT NOT NULL, source INTEGER NOT NULL, record INTEGER NOT NULL, payload TEXT NOT NULL);
CREATE TABLE ids(id TEXT NOT NULL, record INTEGER NOT NULL);
CREATE TABLE unreadable(source INTEGER NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE skipped(source INTEGER NOT NULL, id TEXT NOT NULL, modified TEXT NOT NULL);
CREATE TABLE lists(source INTEGER NOT NULL, body TEXT NOT NULL);
"""
# Made after the rows are in: so they are filled in order. `…_by_record` serve updates of single records.
INDEXES: Final = """
CREATE UNIQUE INDEX records_by_id ON records(id, source);
CREATE INDEX advisories_by_project ON advisories(project);
CREATE INDEX advisories_by_record ON advisories(record);
CREATE INDEX ids_by_id ON ids(id);
CREATE INDEX ids_by_record ON ids(record);
"""
SMALL: Final = ("sources", "unreadable", "skipped", "lists")
"""The tables that a file of changes holds whole."""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables in a new file that nobody reads before it is complete and synced, so that it needs no journal."""
    connection.executescript(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;"
        "PRAGMA cache_size = -16000;"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA};{_TABLES}"
    )


@dataclass(slots=True)
class Counts:
    """What was found while a source was written."""

    records: int = 0
    unreadable: int = 0
    total: int = 0
    newest: datetime | None = None
    """The latest `modified` of all."""
    past: datetime | None = None
    """The latest `modified` that is not in the future."""
    first_problem: Unreadable | None = None


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


def add_source(connection: sqlite3.Connection, name: str) -> int:
    """The number of the source of that name, a new one where there is none."""
    connection.execute("INSERT OR IGNORE INTO sources(name) VALUES (?)", (name,))
    number: int = connection.execute("SELECT number FROM sources WHERE name = ?", (name,)).fetchone()[0]
    return number


def insert_source(connection: sqlite3.Connection, name: str, parsed: Iterable[Parsed], *, now: datetime) -> Counts:
    """Insert a source's records as they come; of duplicate ids the one modified later stays."""
    source = add_source(connection, name)
    number: int = connection.execute("SELECT coalesce(max(number), 0) FROM records").fetchone()[0]
    counts, batch = Counts(), _Batch()
    latest: dict[str, tuple[int, str]] = {}
    for outcome in parsed:
        if isinstance(outcome, Unreadable):
            counts.unreadable += 1
            counts.first_problem = counts.first_problem or outcome
            add_unreadable(connection, source, outcome)
            continue
        if not outcome:
            continue
        first = outcome[0]
        modified = written_time(first.modified)
        if (earlier := latest.get(first.id)) is not None:
            if modified < earlier[1]:
                continue
            batch.flush(connection)
            counts.total -= weight(name, first.id, remove_record(connection, earlier[0]))
        number += 1
        counts.total += _add(batch, source, name, number, modified, outcome)
        latest[first.id] = (number, modified)
        if len(batch.records) >= BATCH:
            batch.flush(connection)
    batch.flush(connection)
    counts.records = len(latest)
    _date(counts, latest, written_time(now))
    return counts


def _date(counts: Counts, latest: Mapping[str, tuple[int, str]], now: str) -> None:
    newest = max((modified for _, modified in latest.values()), default="")
    past = max((modified for _, modified in latest.values() if modified <= now), default="")
    counts.newest = datetime.fromisoformat(newest) if newest else None
    counts.past = datetime.fromisoformat(past) if past else None


def insert_record(
    connection: sqlite3.Connection, source: int, name: str, number: int, record: tuple[Advisory, ...]
) -> int:
    """Insert one record and return its weight."""
    batch = _Batch()
    weighs = _add(batch, source, name, number, written_time(record[0].modified), record)
    batch.flush(connection)
    return weighs


def written_time(moment: datetime | None) -> str:
    """A time as the tables hold it, so that later ones sort later; nothing for `None`."""
    return moment.isoformat(timespec="microseconds") if moment else ""


def _add(batch: _Batch, source: int, name: str, number: int, modified: str, advisories: tuple[Advisory, ...]) -> int:
    digest = sha256()
    for advisory in advisories:
        payload = encode(advisory)
        digest.update(f"{advisory.project}\n{payload}\n".encode())
        batch.advisories.append((advisory.project, source, number, payload))
    record_hash = digest.digest()
    batch.records.append((number, source, advisories[0].id, modified or None, record_hash))
    batch.ids.extend((text, number) for text in {each.casefold() for each in advisories[0].ids})
    return weight(name, advisories[0].id, record_hash)


def add_unreadable(connection: sqlite3.Connection, source: int, outcome: Unreadable) -> None:
    """Note a record that was kept out."""
    row = (source, _storable(outcome.name), _storable(outcome.reason))
    connection.execute("INSERT INTO unreadable VALUES (?,?,?)", row)


def remove_record(connection: sqlite3.Connection, number: int) -> bytes:
    """Remove one record from the file itself, and return its hash."""
    (record_hash,) = connection.execute("SELECT hash FROM records WHERE number = ?", (number,)).fetchone()
    connection.execute("DELETE FROM records WHERE number = ?", (number,))
    connection.execute("DELETE FROM advisories WHERE record = ?", (number,))
    connection.execute("DELETE FROM ids WHERE record = ?", (number,))
    return bytes(record_hash)


def _storable(text: str) -> str:
    """The text with what is not Unicode (file names may hold it) spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()
