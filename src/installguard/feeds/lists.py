"""Lists beside the advisories: CVE ids known to be exploited (CISA KEV), and projects by downloads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, cast

from ..errors import FeedError
from ..model import SourceKind
from ..osv import RecordError, parse_time
from .store import Unreadable
from .writing import Listed

_CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")


def read_list(data: bytes, kind: SourceKind, *, source: str, where: str) -> Listed:
    """Return what a list of that kind says; raises `FeedError` for what is none.

    `exploited`: the JSON of CISA's Known Exploited Vulnerabilities catalogue. `popular`: `{"rows": [{"project": …}]}`,
    the most downloaded first. Entries that cannot be read are kept out and told.
    """
    document = _document(data, where)
    entries, key, read, date = _SHAPES[kind]
    rows = document.get(entries)
    if not isinstance(rows, list):
        raise FeedError(f"is no list of {kind} entries: it has no {entries!r}", where=where, now="is the kind right?")
    unreadable: list[Unreadable] = []
    lines = dict.fromkeys(_lines(rows, key, read, source, unreadable))
    return Listed(lines=tuple(lines), dated=_dated(document.get(date), date), unreadable=tuple(unreadable))


def _document(data: bytes, where: str) -> Mapping[str, object]:
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, absurd numbers, absurd depth
        raise FeedError("is not JSON that can be read", where=where, now="the snapshot stays as it was") from error
    if not isinstance(document, dict):
        raise FeedError("is no JSON object", where=where, now="the snapshot stays as it was")
    return cast("Mapping[str, object]", document)  # JSON objects have text keys


def _lines(
    rows: list[object], key: str, read: Callable[[object], str], source: str, unreadable: list[Unreadable]
) -> Iterator[str]:
    for at, row in enumerate(rows):
        try:
            yield read(row.get(key) if isinstance(row, dict) else None)
        except ValueError as error:
            unreadable.append(Unreadable(source=source, name=f"entry {at + 1}", reason=f"{key} {error}"))


def _cve(value: object) -> str:
    text = value.strip().upper() if isinstance(value, str) else ""
    if _CVE.fullmatch(text) is None:
        raise ValueError("is no CVE id")
    return text


def _project(value: object) -> str:
    from packaging.utils import InvalidName, canonicalize_name

    try:
        return canonicalize_name(value if isinstance(value, str) else "", validate=True)
    except InvalidName as error:
        raise ValueError("is no name of a project") from error


def check_lines(lines: Iterable[str], kind: SourceKind) -> None:
    """Raise `ValueError` unless the lines are entries of a list of that kind, as `read_list` gives them."""
    read = _SHAPES[kind][2]
    for line in lines:
        if read(line) != line:
            raise ValueError(f"{line[:60]!a} is no {kind} entry")


def _dated(value: object, key: str) -> datetime | None:
    try:
        return parse_time(value, key)
    except RecordError:
        return None


_SHAPES: Final[Mapping[SourceKind, tuple[str, str, Callable[[object], str], str]]] = {
    "exploited": ("vulnerabilities", "cveID", _cve, "dateReleased"),
    "popular": ("rows", "project", _project, "last_update"),
}
