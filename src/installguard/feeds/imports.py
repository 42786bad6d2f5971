"""OSV exports on this machine: a zip, a directory of records, or a directory laid out as the export."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Final, TypeAlias

from ..dataclass import dataclass, replace
from ..errors import FeedError, UsageError
from ..model import SourceInfo, SourceKind
from ..osv import RecordError, parse_record
from .baseline import BASELINE
from .lists import read_list
from .ratings import rate_vector
from .signing import LARGEST, SUFFIX, verify
from .sources import Bounds
from .state import SourceState
from .store import Unreadable
from .tables import Parsed
from .writing import Content, replace_source


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """A source as it is in the snapshot now."""

    source: SourceInfo
    unreadable: tuple[Unreadable, ...]


def import_export(
    path: Path,
    *,
    directory: Path,
    name: str,
    malicious: bool,
    now: datetime,
    kind: SourceKind = "osv",
    accept_rollback: bool = False,
    keys: Sequence[str] = (),
    bounds: Bounds | None = None,
) -> ImportResult:
    """Put the export at *path* into the snapshot in *directory* as the source *name*, in place of that source.

    *kind* says whether it is an OSV export, or one of the lists that `read_list` reads. Raises `UsageError` where there
    is nothing at *path*, and `FeedError` where it is no export within *bounds*, or (unless *accept_rollback*) one that
    is older than the source or would drop more than a fifth of it; the snapshot then stays as it was.
    """
    state = SourceState(name=name, url=None, malicious=malicious, records=0, unreadable=0, taken_at=None, kind=kind)
    loading = Loading(
        directory=directory, now=now, bounds=bounds or Bounds(), accept_rollback=accept_rollback, keys=tuple(keys)
    )
    return load_export(path, state, loading)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Where a source goes, and what is asked of it."""

    directory: Path
    now: datetime
    bounds: Bounds
    accept_rollback: bool = False
    keys: tuple[str, ...] = ()
    """One of which must have signed the file."""


def load_export(path: Path, source: SourceState, loading: Loading) -> ImportResult:
    """`import_export` of a source of which more than its name is known."""
    check_name(source.name)
    bounds = loading.bounds
    try:
        export = path / "all.zip" if path.is_dir() and (path / "all.zip").is_file() else path
        if export.is_dir() and source.kind == "osv":
            if loading.keys:
                raise FeedError("is a directory of records, which nobody can sign", where=str(path))
            return load_records(_folder_records(export, bounds), source, loading)
        if export.exists() and not export.is_file():
            raise UsageError("is neither a file nor a directory", where=str(path))
        with export.open("rb") as file:
            signed = check_signature(export, file, loading.keys)
            return _load_file(file, replace(source, signed=signed), loading, where=str(export))
    except FileNotFoundError as error:
        raise UsageError("there is no such file or directory", where=str(path)) from error
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise FeedError(f"cannot be read: {what}", where=str(path)) from error


def _load_file(file: IO[bytes], source: SourceState, loading: Loading, *, where: str) -> ImportResult:
    if source.kind == "osv":
        return load_records(archive_records(file, where=where, bounds=loading.bounds), source, loading)
    data = file.read(loading.bounds.listing + 1)
    if len(data) > loading.bounds.listing:
        raise FeedError(f"is larger than {loading.bounds.listing / (1 << 20):g} MiB", where=where)
    return load_list(data, source, loading, where=where)


def check_signature(path: Path, file: IO[bytes], keys: Sequence[str]) -> str | None:
    """The key that signed the open file at *path*, `None` where there are no keys; raises `FeedError`."""
    if not keys:
        return None
    try:
        with path.with_name(path.name + SUFFIX).open("rb") as beside:
            signature = beside.read(LARGEST)
    except FileNotFoundError:
        signature = None
    return verify(file, signature, keys, where=str(path))


def check_name(name: str) -> None:
    """Raise `UsageError` for what cannot be a source's name."""
    if not name or not name.isprintable() or name != name.strip() or len(name) > 100:
        raise UsageError(f"{name!a} cannot be the name of a source", now="use letters, digits and hyphens")
    if name == BASELINE:
        raise UsageError(f"{name!r} is the built-in source", now="choose another name for the feed")


# ---------------------------------------------------------------- reading records


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """One file of an export, not yet understood."""

    name: str
    data: bytes


RawRecord: TypeAlias = Raw | Unreadable


def load_records(records: Iterable[RawRecord], source: SourceState, loading: Loading) -> ImportResult:
    """Parse the records as they come and put them into the snapshot."""
    unreadable: list[Unreadable] = []
    parsed = _noting((parse_raw(record, source) for record in records), unreadable)
    return ImportResult(source=_put(source, parsed, loading), unreadable=tuple(unreadable))


def load_list(data: bytes, source: SourceState, loading: Loading, *, where: str) -> ImportResult:
    """Read a list and put it into the snapshot."""
    listed = read_list(data, source.kind, source=source.name, where=where)
    return ImportResult(source=_put(source, listed, loading), unreadable=listed.unreadable)


def _put(source: SourceState, content: Content, loading: Loading) -> SourceInfo:
    return replace_source(
        loading.directory,
        source,
        content,
        otherwise=loading.now,
        bounds=loading.bounds,
        accept_rollback=loading.accept_rollback,
    ).info


def _noting(parsed: Iterable[Parsed], unreadable: list[Unreadable]) -> Iterator[Parsed]:
    for outcome in parsed:
        if isinstance(outcome, Unreadable):
            unreadable.append(outcome)
        yield outcome


def parse_raw(record: RawRecord, source: SourceState) -> Parsed:
    """What a file of an export says, or why it cannot be read."""
    if isinstance(record, Unreadable):
        return Unreadable(source=source.name, name=record.name, reason=record.reason)
    try:
        return parse_record(_json(record.data), feed=source.name, malicious=source.malicious, rate=rate_vector)
    except RecordError as error:
        return Unreadable(source=source.name, name=record.name, reason=str(error))


def _json(data: bytes) -> object:
    try:
        return json.loads(data.removeprefix(BOM_UTF8).decode())
    except UnicodeDecodeError as error:
        raise RecordError(f"is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise RecordError(f"is not JSON (line {error.lineno}, column {error.colno})") from error
    except ValueError as error:  # a number of thousands of digits
        raise RecordError("holds a number that cannot be read") from error
    except RecursionError as error:
        raise RecordError("is nested too deeply") from error


def _too_large(bounds: Bounds) -> str:
    return f"is larger than {bounds.record / 1e6:g} MB"


def _folder_records(folder: Path, bounds: Bounds) -> Iterator[RawRecord]:
    """The `.json` files below a directory, in order of their paths; links out of it are not followed."""
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()
        for file in sorted(files):
            if file.endswith(".json"):
                path = Path(parent, file)
                yield _file_record(path, path.relative_to(folder).as_posix(), bounds)


def _raise(error: OSError) -> None:
    raise FeedError(f"cannot be read: {error.strerror or error}", where=str(error.filename)) from error


def _file_record(path: Path, name: str, bounds: Bounds) -> RawRecord:
    try:
        if not path.is_file():
            return Unreadable(source="", name=name, reason="is no file")
        with path.open("rb") as file:
            data = file.read(bounds.record + 1)
    except OSError as error:
        return Unreadable(source="", name=name, reason=f"cannot be read: {error.strerror or error}")
    if len(data) > bounds.record:
        return Unreadable(source="", name=name, reason=_too_large(bounds))
    return Raw(name=name, data=data)


# What a malformed zip makes `zipfile` raise beside its own error: unknown features, absurd offsets and lengths,
# undecodable names; `struct.error` and `zlib.error` derive from `Exception` only.
ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    ValueError,
    OverflowError,
    EOFError,
    OSError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_LARGE_MEMBER: Final = 100_000
"""Bytes from which a member's own compression is looked at; below, a padded record may compress very well."""


def archive_records(file: IO[bytes], *, where: str, bounds: Bounds) -> Iterator[RawRecord]:
    """The `.json` members of a zip; names are data and nothing is extracted. Raises `FeedError` for a bad archive."""
    size = file.seek(0, os.SEEK_END)
    if size > bounds.archive:
        raise FeedError(f"is larger than {bounds.archive / (1 << 20):g} MiB", where=where)
    try:
        archive = zipfile.ZipFile(file)
    except ZIP_ERRORS as error:
        raise FeedError(f"is no zip that can be read: {error}", where=where) from error
    with archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".json")]
        _refuse_bomb(members, size, where, bounds)
        for member in members:
            try:
                yield _member_record(file, member, bounds)
            except ZIP_ERRORS as error:
                reason = f"is damaged in the zip: {type(error).__name__}"
                yield Unreadable(source="", name=member.filename, reason=reason)


def _refuse_bomb(members: Iterable[zipfile.ZipInfo], size: int, where: str, bounds: Bounds) -> None:
    total = 0
    for member in members:
        total += member.file_size
        over = member.file_size > _LARGE_MEMBER and member.file_size > bounds.ratio * member.compress_size
        if over or total > bounds.ratio * size:
            raise FeedError(f"is compressed more than {bounds.ratio} times (a zip bomb?)", where=where)


def _member_record(file: IO[bytes], member: zipfile.ZipInfo, bounds: Bounds) -> RawRecord:
    name = member.filename
    if max(member.file_size, member.compress_size) > bounds.record:
        return Unreadable(source="", name=name, reason=_too_large(bounds))
    if member.flag_bits & 1:
        return Unreadable(source="", name=name, reason="is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others cannot be bounded
        return Unreadable(source="", name=name, reason="is neither stored nor deflated")
    return Raw(name=name, data=_member_bytes(file, member))


def _member_bytes(file: IO[bytes], member: zipfile.ZipInfo) -> bytes:
    """The member's bytes, as its directory entry describes them (APPNOTE 4.3.7, 4.4).

    `ZipFile.open` makes a file of each member, which takes five times as long; an export has many thousands.
    """
    file.seek(member.header_offset)
    head = file.read(30)
    if len(head) < 30 or head[:4] != b"PK\3\4":
        raise zipfile.BadZipFile("no local header")
    file.seek(sum(struct.unpack_from("<HH", head, 26)), os.SEEK_CUR)
    data = file.read(member.compress_size)
    if member.compress_type == zipfile.ZIP_DEFLATED:
        inflater = zlib.decompressobj(-15)
        data = inflater.decompress(data, member.file_size + 1)
        if inflater.unused_data:
            raise zipfile.BadZipFile("more than one deflate stream")
    if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
        raise zipfile.BadZipFile("size or checksum is wrong")
    return data
