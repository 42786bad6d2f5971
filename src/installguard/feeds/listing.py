"""`modified_id.csv`: every id of an export with the time of its last change, held against what we have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

from ..dataclass import dataclass
from ..osv import RecordError, parse_time
from .sources import Bounds
from .state import State, StateError
from .store import open_generation
from .tables import written_time


class ListingError(ValueError):
    """Why something is no `modified_id.csv`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What an export holds, by id: when it was modified, as `written_time` writes it."""

    modified: Mapping[str, str]
    newest: datetime


# The time as exports write it, so that of a hundred thousand lines none needs the whole parser.
_USUAL: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)", re.ASCII)


def parse_listing(data: bytes) -> Listing:
    """Read lines of `TIME,ID`; an id may hold anything but line ends. Raises `ListingError`."""
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ListingError("is not UTF-8") from error
    modified: dict[str, str] = {}
    for line in lines:
        text, comma, record_id = line.rstrip("\r").partition(",")
        if not comma and not text:
            continue
        moment = _written(text)
        if not record_id or not record_id.isprintable():
            raise ListingError("has a line that is no time and id")
        modified[record_id] = max(moment, modified.get(record_id, ""))
    try:
        return Listing(modified=modified, newest=datetime.fromisoformat(max(modified.values())))
    except ValueError as error:
        raise ListingError("lists nothing, or at no time") from error


def _written(text: str) -> str:
    if (usual := _USUAL.fullmatch(text)) is not None:
        return f"{usual[1]}.{(usual[2] or '')[:6]:0<6}+00:00"
    try:
        return written_time(parse_time(text, "modified"))
    except RecordError as error:
        raise ListingError("has a line without a time") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How what we hold of a source differs from its listing."""

    changed: tuple[str, ...]
    """New or modified there."""
    deleted: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.changed) + len(self.deleted)

    def is_small(self, listing: Listing, bounds: Bounds) -> bool:
        """Say whether it is cheaper to fetch these records than the whole export."""
        return len(self) <= min(bounds.changes, len(listing.modified) // 10)


def compare(directory: Path, state: State, name: str, listing: Listing) -> Difference:
    """Compare what the snapshot holds of a source with its listing; raises `StateError` where it cannot be read."""
    held = _held(directory, state, name)
    changed = tuple(each for each, moment in listing.modified.items() if held.get(each) != moment)
    return Difference(changed=changed, deleted=tuple(each for each in held if each not in listing.modified))


def _held(directory: Path, state: State, name: str) -> dict[str, str]:
    import sqlite3

    if state.generation is None:
        raise StateError("there is no snapshot")
    try:
        with closing(open_generation(directory, state.generation)) as opened:
            number = "(SELECT number FROM sources WHERE name = ?)"
            held: dict[str, str] = {}
            for query in ("SELECT id, coalesce(modified, '') FROM records", "SELECT id, modified FROM skipped"):
                held.update(opened.execute(f"{query} WHERE source = {number}", (name,)))
            return held
    except (sqlite3.Error, UnicodeError, FileNotFoundError) as error:
        raise StateError(f"the snapshot is damaged: {error}") from error
