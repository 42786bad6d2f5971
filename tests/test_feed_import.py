from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from installguard.errors import FeedError, GuardError, UsageError
from installguard.feeds.imports import ImportResult, Raw, archive_records, import_export
from installguard.feeds.sources import Bounds
from installguard.feeds.store import Unreadable, open_snapshot

from .feed_samples import NOW, record, write_export, write_zip

GOOD = record("PYSEC-2026-1", versions=["1.0"])


def load(path: Path, directory: Path, **bounds: Any) -> ImportResult:
    return import_export(path, directory=directory, name="osv", malicious=False, now=NOW, bounds=Bounds(**bounds))


def ids(directory: Path) -> list[str]:
    with open_snapshot(directory, ()) as snapshot:
        return [one.id for one in snapshot.lookup([canonicalize_name("nice")])]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def seeded(tmp_path: Path, cache: Path) -> Path:
    """A snapshot that a bad import must leave alone."""
    load(write_export(tmp_path / "seed.zip", record("SEED-1", versions=["1.0"])), cache)
    return cache


# ---------------------------------------------------------------- what is an export


def test_a_zip_is_imported(tmp_path: Path, cache: Path) -> None:
    result = load(write_export(tmp_path / "any name.zip", GOOD), cache)
    assert (result.source.name, result.source.records, result.unreadable) == ("osv", 1, ())
    assert ids(cache) == ["PYSEC-2026-1"]


def test_a_directory_of_records_is_imported_with_its_subdirectories(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "records" / "2026"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(json.dumps(GOOD))
    (folder.parent / "b.json").write_bytes(
        b"\xef\xbb\xbf" + json.dumps(record("A-2", "other", versions=["1"])).encode()
    )
    (folder / "README.md").write_text("no record")
    assert load(folder.parent, cache).source.records == 2


def test_a_directory_laid_out_as_the_export_is_read_by_its_zip(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "PyPI"
    folder.mkdir()
    write_export(folder / "all.zip", GOOD)
    (folder / "modified_id.csv").write_text("2026-01-01T00:00:00Z,PYSEC-2026-1\n")
    (folder / "stray.json").write_text("{}")
    assert load(folder, cache).source == load(folder / "all.zip", cache).source


def test_an_import_is_as_old_as_its_newest_record(tmp_path: Path, cache: Path) -> None:
    newer = record("A-2", versions=["1"], modified="2026-03-01T12:00:00.5+02:00")
    result = load(write_export(tmp_path / "x.zip", newer, GOOD), cache)
    assert result.source.taken_at == datetime(2026, 3, 1, 10, 0, 0, 500000, tzinfo=timezone.utc)


def test_records_without_any_time_are_as_old_as_their_import(tmp_path: Path, cache: Path) -> None:
    undated = {key: value for key, value in GOOD.items() if key != "modified"}
    assert load(write_export(tmp_path / "x.zip", undated), cache).source.taken_at == NOW


def test_of_duplicate_ids_the_one_modified_later_wins_wherever_it_stands(tmp_path: Path, cache: Path) -> None:
    old = record("A-1", versions=["1"], summary="old", modified="2026-01-01T00:00:00Z")
    new = record("A-1", versions=["1"], summary="new", modified="2026-01-01T00:00:00.1Z")
    for order in ((old, new), (new, old), (old, new, old)):
        assert load(write_export(tmp_path / "x.zip", *order), cache).source.records == 1
        with open_snapshot(cache, ()) as snapshot:
            assert [one.summary for one in snapshot.lookup([canonicalize_name("nice")])] == ["new"]


def test_two_members_of_one_name_are_both_read(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a.json", json.dumps(GOOD))
        archive.writestr("a.json", json.dumps(record("A-2", versions=["1"])))
    assert load(path, cache).source.records == 2


def test_other_files_and_other_ecosystems_are_ignored_without_a_word(tmp_path: Path, cache: Path) -> None:
    other = record("A-2", versions=["1"])
    other["affected"][0]["package"]["ecosystem"] = "npm"
    members: dict[str, bytes | dict[str, Any]] = {"a.json": GOOD, "b.json": other, "c.txt": b"{", "d/": b""}
    result = load(write_zip(tmp_path / "x.zip", members), cache)
    assert (result.source.records, result.source.unreadable) == (1, 0)


def test_member_names_are_data_and_nothing_is_extracted(tmp_path: Path, cache: Path) -> None:
    names = ("../../escape.json", "/etc/escape.json", "C:\\escape.json", "a/ b\n/c.json", "é\u202e.json")
    members: dict[str, bytes | dict[str, Any]] = {name: record(name, versions=["1"]) for name in names}
    assert load(write_zip(tmp_path / "x.zip", members), cache).source.records == 5
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "cache", "current.json", "lock", "snapshot-1.sqlite", "x.zip",
    ]  # fmt: skip


# ---------------------------------------------------------------- unreadable records

DEEP = b'{"id": "X", "affected": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe{}", "is not UTF-8 (byte 0)"),
        (b'{"id" "X"}', "is not JSON (line 1, column 7)"),
        (b"", "is not JSON (line 1, column 1)"),
        (DEEP, "is nested too deeply"),
        (b'{"id": ' + b"9" * 5000 + b"}", None),
        (b'{"id": "\\ud800"}', "id holds half a surrogate pair"),
        (b"[" + b"0," * 60_000 + b"0]", "the record is missing or no object"),
        (os.urandom(80_000), None),
        (b'"' + os.urandom(60_000).hex().encode() + b'"', "is larger than 0.1 MB"),
    ],
)
def test_an_unreadable_record_is_kept_out_and_told(
    tmp_path: Path, cache: Path, content: bytes, reason: str | None
) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that no bomb is suspected
        archive.writestr("good.json", json.dumps(GOOD))
        archive.writestr("bad.json", content)
    result = load(path, cache, record=120_000 if reason == "is larger than 0.1 MB" else 5_000_000)
    (told,) = result.unreadable
    assert (told.source, told.name, result.source.records) == ("osv", "bad.json", 1)
    assert reason is None or told.reason.replace("0.12", "0.1") == reason
    assert "\n" not in told.reason


def test_files_of_a_directory_that_cannot_be_read_are_told(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "good.json").write_text(json.dumps(GOOD))
    (folder / "dangling.json").symlink_to(folder / "nowhere")
    (folder / "large.json").write_text(json.dumps(record(versions=["1"], details="x" * 2000)))
    (folder / os.fsdecode(b"na\xffme.json")).write_text("{")
    result = load(folder, cache, record=1000)
    assert sorted((told.reason, told.name.encode("utf-8", "replace")) for told in result.unreadable) == [
        ("is larger than 0.001 MB", b"large.json"),
        ("is no file", b"dangling.json"),
        ("is not JSON (line 1, column 2)", b"na?me.json"),
    ]


def tampered(path: Path, *, at: bytes, offset: int, value: bytes) -> Path:
    data = bytearray(path.read_bytes())
    place = data.index(at) + offset
    data[place : place + len(value)] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("at", "offset", "value", "reason"),
    [
        (b"PK\x01\x02", 8, b"\x01", "is encrypted"),
        (b"PK\x01\x02", 10, b"\x0e", "is neither stored nor deflated"),
        (b"PK\x01\x02", 16, b"\0\0\0\0", "is damaged in the zip: BadZipFile"),
        (b"PK\x01\x02", 24, struct.pack("<I", 20), "is damaged in the zip: BadZipFile"),
        (b"PK\x01\x02", 20, struct.pack("<I", 4_000_000), "is damaged in the zip: BadZipFile"),
        (b"PK\x03\x04", 0, b"XX", "is damaged in the zip: BadZipFile"),
        (b"PK\x03\x04", 36, b"\xff\xff\xff", "is damaged in the zip: error"),
    ],
)
def test_a_member_that_lies_is_kept_out(
    tmp_path: Path, cache: Path, at: bytes, offset: int, value: bytes, reason: str
) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.json": record("A-9", versions=["1"]), "b.json": GOOD})
    result = load(tampered(path, at=at, offset=offset, value=value), cache)
    assert [(told.name, told.reason) for told in result.unreadable] == [("a.json", reason)]
    assert ids(cache) == ["PYSEC-2026-1"]


# ---------------------------------------------------------------- what is refused


def test_a_bomb_is_refused(tmp_path: Path, seeded: Path) -> None:
    bomb = json.dumps(record(versions=["1"], details=" " * 4_000_000)).encode()
    path = write_zip(tmp_path / "x.zip", {"bomb.json": bomb})
    with pytest.raises(FeedError, match="compressed more than 200 times"):
        load(path, seeded)
    assert ids(seeded) == ["SEED-1"]


def test_a_bomb_of_many_small_members_that_share_their_bytes_is_refused(tmp_path: Path, seeded: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"a.json": b" " * 90_000})
    data = path.read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[start:end]
    many = data[:start] + entry * 60 + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 60, 60, len(entry) * 60, start, 0)
    path.write_bytes(many)
    with pytest.raises(FeedError, match="compressed more than 200 times"):
        load(path, seeded)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no zip"),
        (b"<html>not found</html>", "is no zip"),
        (b"PK\x05\x06" + b"\0" * 18, "holds no record of PyPI"),
    ],
)
def test_a_file_that_is_no_export_is_refused_and_the_snapshot_stays(
    tmp_path: Path, seeded: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(FeedError, match=message):
        load(path, seeded)
    assert ids(seeded) == ["SEED-1"]


def test_an_export_without_one_readable_record_is_refused_with_the_first_reason(tmp_path: Path, seeded: Path) -> None:
    with pytest.raises(FeedError, match=r"no readable record; the first of 2: '0\.json': id is missing"):
        load(write_export(tmp_path / "x.zip", {}, {}), seeded)
    assert ids(seeded) == ["SEED-1"]


def test_a_truncated_zip_is_refused(tmp_path: Path, seeded: Path) -> None:
    path = write_export(tmp_path / "x.zip", GOOD, record("A-2", versions=["1"]))
    os.truncate(path, path.stat().st_size - 30)
    with pytest.raises(FeedError, match="is no zip"):
        load(path, seeded)


def test_a_zip_beyond_the_bound_is_refused(tmp_path: Path, seeded: Path) -> None:
    path = write_export(tmp_path / "x.zip", GOOD)
    with pytest.raises(FeedError, match="is larger than"):
        load(path, seeded, archive=path.stat().st_size - 1)
    assert load(path, seeded, archive=path.stat().st_size).source.records == 1


def test_an_empty_directory_is_refused(tmp_path: Path, seeded: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FeedError, match="holds no record of PyPI"):
        load(tmp_path / "empty", seeded)


def test_a_path_where_nothing_is_is_a_mistake_of_the_command_line(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        load(tmp_path / "nowhere.zip", cache)
    assert not cache.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path, cache: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        load(tmp_path / "pipe", cache)


@pytest.mark.parametrize("name", ["", "baseline", "two\nlines", " x", "x" * 101])
def test_a_name_that_no_source_can_have_is_refused(tmp_path: Path, cache: Path, name: str) -> None:
    path = write_export(tmp_path / "x.zip", GOOD)
    with pytest.raises(UsageError):
        import_export(path, directory=cache, name=name, malicious=False, now=NOW)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.json", json.dumps(record(f"A-{number}", versions=["1"])))
    return buffer.getvalue()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(zipped()) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_zip_with_any_bytes_changed_is_read_or_refused_in_our_own_words(changes: list[tuple[int, int]]) -> None:
    data = bytearray(zipped())
    for place, value in changes:
        data[place] = value
    try:
        found = list(archive_records(io.BytesIO(bytes(data)), where="x.zip", bounds=Bounds()))
    except GuardError as error:
        assert str(error).startswith("x.zip: ")
    else:
        assert all(isinstance(each, Raw | Unreadable) for each in found)
