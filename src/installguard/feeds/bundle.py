"""One file that carries a whole snapshot to a machine that reaches no feed: records, lists, times, digest.

A zip of `installguard-snapshot.json`, which names the sources and the records that could not be read, and one file a
source: for exports a line of JSON a record (its advisories as the snapshot holds them), for lists a line an entry. What
is read from it is checked as anything from outside is.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias, cast

from ..dataclass import replace
from ..errors import FeedError, UsageError
from ..model import Advisory
from ..names import canonicalize_name
from .imports import ZIP_ERRORS, ImportResult, check_name, check_signature
from .lists import check_lines
from .rows import decode, encode
from .signing import sign
from .sources import Bounds
from .state import SourceState, State, StateError, read_source, read_state, render_source
from .store import Unreadable, open_generation
from .tables import Parsed
from .writing import Content, Listed, Part, replace_sources

if TYPE_CHECKING:
    import sqlite3

MANIFEST: Final = "installguard-snapshot.json"
_SCHEMA: Final = 2


def export_snapshot(directory: Path, path: Path, *, key: Path | None = None) -> tuple[SourceState, ...]:
    """Write the snapshot in *directory* to the zip *path*, signed by the private *key* if there is one.

    Returns the sources that it carries. Raises `FeedError` where there is no snapshot that can be used, or *path*
    cannot be written; what stood there before then stays.
    """
    try:
        state = read_state(directory)
        if state.generation is None:
            raise FeedError("there is no snapshot to export", where=str(directory), now="guard feed update")
        opened = open_generation(directory, state.generation)
    except (StateError, FileNotFoundError) as error:
        raise FeedError(str(error), where=str(directory), now="run 'guard feed update' to rebuild it") from error
    try:
        with closing(opened):
            _write(opened, state, path)
    except OSError as error:
        raise FeedError(f"cannot be written: {error.strerror or error}", where=str(path)) from error
    if key is not None:
        sign(path, key)
    return _held(state)


def _held(state: State) -> tuple[SourceState, ...]:
    return tuple(source for source in state.sources if source.taken_at is not None)


def _write(opened: sqlite3.Connection, state: State, path: Path) -> None:
    """Write aside, then rename."""
    partial = path.with_name(f"{path.name}.part")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            archive.writestr(_member(MANIFEST), _manifest(opened, state))
            for place, source in enumerate(_held(state)):
                with archive.open(_member(_file(place)), "w", force_zip64=True) as file:
                    for line in _lines(opened, source):
                        file.write(line.encode() + b"\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _member(name: str) -> zipfile.ZipInfo:
    """A member without the time of writing, so that one snapshot always gives one file."""
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def _file(place: int) -> str:
    return f"{place}.lines"


def _manifest(opened: sqlite3.Connection, state: State) -> str:
    query = "SELECT s.name, u.name, u.reason FROM unreadable u JOIN sources s ON s.number = u.source ORDER BY 1, 2, 3"
    data = {
        "schema": _SCHEMA,
        "digest": f"sha256:{state.digest}",
        "sources": [render_source(_carried(source)) for source in _held(state)],
        "unreadable": opened.execute(query).fetchall(),
    }
    return json.dumps(data, indent=1)


def _carried(source: SourceState) -> SourceState:
    """The source as another machine holds it: it has not asked the origin itself."""
    nothing = dict.fromkeys(("etag", "last_modified", "listing_etag", "listing_last_modified", "place"))
    return replace(source, **cast("dict[str, Any]", nothing), signed=None, last_error=None, tried_at=None)


def _lines(opened: sqlite3.Connection, source: SourceState) -> Iterator[str]:
    number = opened.execute("SELECT number FROM sources WHERE name = ?", (source.name,)).fetchone()[0]
    if source.kind != "osv":
        yield from opened.execute("SELECT body FROM lists WHERE source = ?", (number,)).fetchone()[0].split("\n")
        return
    query = "SELECT record, project, payload FROM advisories WHERE source = ? ORDER BY record"
    record: list[list[str]] = []
    before = None
    for at, project, payload in opened.execute(query, (number,)):
        if at != before and record:
            yield json.dumps(record, ensure_ascii=False)
            record = []
        before = at
        record.append([project, payload])
    if record:
        yield json.dumps(record, ensure_ascii=False)


# ---------------------------------------------------------------- reading


def is_snapshot(path: Path) -> bool:
    """Say whether *path* is a file that `export_snapshot` wrote, rather than an OSV export."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()[:1] == [archive.getinfo(MANIFEST)]
    except (*ZIP_ERRORS, KeyError):
        return False


def import_snapshot(
    path: Path,
    *,
    directory: Path,
    now: datetime,
    keys: Sequence[str] = (),
    accept_rollback: bool = False,
    bounds: Bounds | None = None,
) -> tuple[ImportResult, ...]:
    """Put every source of the file into the snapshot in *directory*, in place of those of their names: all, or none.

    Raises `UsageError` and `FeedError` as `import_export`; where there are *keys*, one must have signed the file. A
    file that does not hold what its digest says is refused.
    """
    bounds = bounds or Bounds()
    try:
        with path.open("rb") as file:
            signed = check_signature(path, file, keys)
            if file.seek(0, os.SEEK_END) > bounds.archive:
                raise FeedError(f"is larger than {bounds.archive / (1 << 20):g} MiB", where=str(path))
            with zipfile.ZipFile(file) as archive:
                sources, unreadable = _read_manifest(archive, path)
                parts = [
                    _part(archive, at, replace(each, signed=signed), unreadable, bounds)
                    for at, each in enumerate(sources)
                ]
                written = replace_sources(
                    directory, parts, now=now, bounds=bounds, accept_rollback=accept_rollback, expected=_totals(sources)
                )
    except FileNotFoundError as error:
        raise UsageError("there is no such file or directory", where=str(path)) from error
    except (*ZIP_ERRORS, KeyError) as error:
        raise FeedError(f"cannot be read: {error}", where=str(path), now="the snapshot stays as it was") from error
    return tuple(ImportResult(source=each.info, unreadable=_of(each, unreadable)) for each in written)


def _totals(sources: Sequence[SourceState]) -> Mapping[str, str]:
    return {source.name: source.total for source in sources}


_Told: TypeAlias = "tuple[tuple[SourceState, ...], tuple[Unreadable, ...]]"


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> _Told:
    try:
        data: Any = json.loads(_bounded(archive, MANIFEST, 64 << 20))
        if data["schema"] != _SCHEMA:
            raise FeedError(f"has schema {data['schema']!a}, this version of guard reads {_SCHEMA}", where=str(path))
        sources = tuple(_carried(read_source(each)) for each in data["sources"])
        unreadable = tuple(
            Unreadable(source=_text(source), name=_text(name), reason=_text(reason))
            for source, name, reason in data["unreadable"]
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FeedError("does not say what it carries", where=str(path), now="export it again") from error
    if not sources or len({source.name for source in sources}) < len(sources):
        raise FeedError("carries no sources, or one twice", where=str(path), now="export it again")
    for source in sources:
        check_name(source.name)
    if f"sha256:{State(sources=sources).digest}" != data["digest"]:
        raise FeedError("is not what its digest says", where=str(path), now="the snapshot stays as it was")
    return sources, unreadable


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _of(source: SourceState, unreadable: Iterable[Unreadable]) -> tuple[Unreadable, ...]:
    return tuple(each for each in unreadable if each.source == source.name)


def _bounded(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{name} is larger than {most} bytes")
    return data


def _part(
    archive: zipfile.ZipFile, place: int, source: SourceState, unreadable: Iterable[Unreadable], bounds: Bounds
) -> Part:
    member = archive.getinfo(_file(place))
    if member.file_size > bounds.ratio * max(member.compress_size, 1) and member.file_size > 100_000:
        raise ValueError(f"is compressed more than {bounds.ratio} times (a zip bomb?)")
    content: Content
    if source.kind == "osv":
        content = chain(_of(source, unreadable), _records(archive, place, source, bounds))
    else:
        text = _bounded(archive, _file(place), bounds.listing).decode()
        lines = tuple(text.removesuffix("\n").split("\n"))
        check_lines(lines, source.kind)
        content = Listed(lines=lines, dated=source.newest, unreadable=_of(source, unreadable))
    return source, content


def _records(archive: zipfile.ZipFile, place: int, source: SourceState, bounds: Bounds) -> Iterator[Parsed]:
    with archive.open(_file(place)) as file:
        for line in _bounded_lines(file, bounds):
            yield _record(line, source)


def _bounded_lines(file: IO[bytes], bounds: Bounds) -> Iterator[bytes]:
    most = 4 * bounds.record
    while line := file.readline(most + 1):
        if len(line) > most:
            raise ValueError("a record is too large")
        yield line


def _record(line: bytes, source: SourceState) -> tuple[Advisory, ...]:
    """The advisories of one record, as this version would have written them; raises `ValueError`."""
    try:
        rows = [(str(project), source.name, payload) for project, payload in json.loads(line)]
        advisories = tuple(decode(rows, frozenset()))
        for (project, _, payload), advisory in zip(rows, advisories, strict=True):
            _check(advisory, project, payload)
        if len({advisory.id for advisory in advisories}) != 1:
            raise ValueError("a record of several ids")
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("a record is no record") from error
    return advisories


def _check(advisory: Advisory, project: str, payload: str) -> None:
    """Raise `ValueError` unless every value has its type and the text is the one that we write."""
    texts = (advisory.id, advisory.summary, *advisory.aliases, *advisory.affected.versions, *advisory.fixed)
    events = [event for events in advisory.affected.ranges for event in events]
    moments = (advisory.published, advisory.modified, advisory.withdrawn)
    right = (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(event.version, str) for event in events)
        and (advisory.url is None or isinstance(advisory.url, str))
        and (advisory.score is None or isinstance(advisory.score, int | float))
        and all(moment is None or (moment and moment.tzinfo is not None) for moment in moments)
        and bool(advisory.id)
        and project == canonicalize_name(project)
        and encode(advisory) == payload
    )
    if not right:
        raise ValueError(f"a record of {project[:60]!a} is not as guard writes it")


__all__ = ["MANIFEST", "export_snapshot", "import_snapshot", "is_snapshot"]
