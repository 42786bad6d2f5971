"""Hostile and damaged input: no traceback, and nothing slips by that the same input without the damage would deny.

`nox -s fuzz` runs these for as long as one likes (`--hypothesis-profile fuzz`).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from installguard.errors import GuardError
from installguard.feeds.bundle import export_snapshot, import_snapshot
from installguard.feeds.imports import Raw, import_export, parse_raw
from installguard.feeds.listing import ListingError, parse_listing
from installguard.feeds.lists import read_list
from installguard.feeds.rows import decode, encode
from installguard.feeds.state import SourceState, StateError, read_state
from installguard.feeds.store import Unreadable, open_snapshot
from installguard.model import Advisory, SourceKind, parse_release
from installguard.osv import Affected, Indeterminate, RecordError, affects, parse_record

from .feed_samples import NOW, record, write_export

SOURCE = SourceState(name="osv", url=None, malicious=True, records=0, unreadable=0, taken_at=None)
EVIL = record(
    "MAL-2026-1", "nice", versions=["1.0", "2.0"], events=[{"introduced": "1.0"}, {"fixed": "3.0"}],
    aliases=["CVE-2026-1"], summary="bad", severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}],
    published="2026-01-01T00:00:00Z", references=[{"type": "WEB", "url": "https://example.org"}],
)  # fmt: skip
RELEASE = parse_release("nice", "1.0")

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800")
KEYS = st.sampled_from(["id", "affected", "package", "name", "ecosystem", "versions", "ranges", "events", "type", "x"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of a JSON value with *new* at *path*."""
    if not path:
        return new
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def parsed(data: object) -> tuple[Advisory, ...] | None:
    """Return what the record says, `None` where it is refused."""
    try:
        return parse_record(data, feed="osv", malicious=True, rate=lambda vector: 5.0)
    except RecordError as error:
        assert "\n" not in str(error)
        return None


@given(JSON)
def test_fuzz_any_json_is_a_record_or_refused_in_one_line(data: Any) -> None:
    found = parsed(data)
    assert found is None or all(isinstance(each, Advisory) for each in found)


@given(st.sampled_from(places(EVIL)), JSON)
def test_fuzz_a_damaged_record_is_refused_or_still_read_and_kept_whole_by_the_store(
    place: tuple[Any, ...], new: Any
) -> None:
    for advisory in parsed(put(EVIL, place, new)) or ():
        assert encode(advisory)
        (again,) = decode([(advisory.project, advisory.feed, encode(advisory))], frozenset())
        assert again == advisory
        assert affects(advisory, RELEASE)


@given(st.sampled_from([place for place in places(EVIL) if place[:1] not in [("affected",), ()]]), JSON)
def test_fuzz_damage_outside_what_is_affected_never_allows_what_was_denied(place: tuple[Any, ...], new: Any) -> None:
    for advisory in parsed(put(EVIL, place, new)) or ():
        assert isinstance(affects(advisory, RELEASE), Affected)
        assert advisory.kind == "malicious"


@given(st.text(max_size=12), st.sampled_from(["introduced", "fixed", "last_affected", "limit"]))
def test_fuzz_an_event_that_cannot_be_ordered_is_a_doubt_and_not_a_pass(version: str, kind: str) -> None:
    data = record("A-1", "nice", events=[{"introduced": "0"}, {kind: version}])
    for advisory in parsed(data) or ():
        outcome = affects(advisory, RELEASE)
        try:
            canonical = parse_release("nice", version.strip()).version
        except ValueError:
            canonical = None
        if type(canonical).__name__ == "LegacyVersion" and version.strip() != "*":
            assert isinstance(outcome, Indeterminate | Affected)


@given(st.binary(max_size=60) | JSON.map(lambda data: json.dumps(data).encode()))
def test_fuzz_any_bytes_are_a_record_or_kept_out(data: bytes) -> None:
    outcome = parse_raw(Raw(name="a.json", data=data), SOURCE)
    assert isinstance(outcome, tuple | Unreadable)


LISTS: dict[SourceKind, dict[str, Any]] = {
    "exploited": {"dateReleased": "2026-01-01T00:00:00Z", "vulnerabilities": [{"cveID": "CVE-2021-44228"}]},
    "popular": {"last_update": "2026-01-01 00:00:00", "rows": [{"project": "boto3", "download_count": 7}]},
}


@given(st.sampled_from(["exploited", "popular"]), st.data())
def test_fuzz_any_list_is_read_or_refused_in_one_line(kind: SourceKind, data: st.DataObject) -> None:
    sample = LISTS[kind]
    damaged = put(sample, data.draw(st.sampled_from(places(sample))), data.draw(JSON))
    content = data.draw(st.sampled_from([json.dumps(damaged).encode(), json.dumps(damaged).encode()[:-1]]))
    try:
        listed = read_list(content, kind, source="x", where="x.json")
    except GuardError as error:
        assert "\n" not in str(error)
    else:
        assert all(line and line.isprintable() for line in listed.lines)


@given(st.binary(max_size=80) | st.text(alphabet="0123456789-:TZ.,+\r\nPYSEC", max_size=80).map(str.encode))
def test_fuzz_any_bytes_are_a_listing_or_none(data: bytes) -> None:
    try:
        listing = parse_listing(data)
    except ListingError as error:
        assert "\n" not in str(error)
    else:
        assert listing.modified
        assert listing.newest.tzinfo is not None


@given(st.sampled_from(places(json.loads(json.dumps(EVIL)))), JSON)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_fuzz_a_damaged_record_never_takes_a_good_one_along(place: tuple[Any, ...], new: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        good = record("MAL-2026-2", "evil", versions=["1.0"])
        path = write_export(Path(name) / "x.zip", put(EVIL, place, new), good)
        import_export(path, directory=Path(name) / "cache", name="osv", malicious=False, now=NOW)
        with open_snapshot(Path(name) / "cache", ()) as snapshot:
            found = snapshot.lookup([canonicalize_name("evil")])
    assert "MAL-2026-2" in {each for one in found for each in one.ids}


@given(JSON | st.binary(max_size=40))
def test_fuzz_any_state_is_read_or_named(data: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        content = data if isinstance(data, bytes) else json.dumps({"schema": 3, "generation": None, "sources": [data]})
        path = Path(name) / "current.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            read_state(Path(name))
        except StateError as error:
            assert "\n" not in str(error)


def bundled() -> bytes:
    """Return an exported snapshot."""
    with tempfile.TemporaryDirectory() as name:
        path = write_export(Path(name) / "x.zip", EVIL)
        import_export(path, directory=Path(name) / "cache", name="osv", malicious=False, now=NOW)
        export_snapshot(Path(name) / "cache", Path(name) / "bundle.zip")
        return (Path(name) / "bundle.zip").read_bytes()


BUNDLE = bundled()


@given(st.lists(st.tuples(st.integers(0, len(BUNDLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_fuzz_a_snapshot_file_with_any_bytes_changed_is_what_it_was_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(BUNDLE)
    for place, value in changes:
        data[place] = value
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bundle.zip"
        path.write_bytes(bytes(data))
        try:
            import_snapshot(path, directory=Path(name) / "cache", now=NOW)
        except GuardError as error:
            assert "\n" not in str(error)
            return
        with open_snapshot(Path(name) / "cache", ()) as snapshot:
            (found,) = snapshot.lookup([canonicalize_name("nice")])
        assert isinstance(affects(found, RELEASE), Affected)
