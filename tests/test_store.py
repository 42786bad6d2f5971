from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from installguard.errors import FeedError
from installguard.feeds.imports import ImportResult, import_export
from installguard.feeds.sources import Bounds
from installguard.feeds.store import Snapshot, open_snapshot, status, unreadable_records
from installguard.model import Advisory, SnapshotInfo
from installguard.policy import SourcePolicy

from .feed_samples import NOW, record, write_export

NAME = canonicalize_name("nice")
OSV = (SourcePolicy(name="osv", url="https://example.org/PyPI"),)


def put(directory: Path, *records: dict[str, Any], name: str = "osv", malicious: bool = False) -> ImportResult:
    directory.parent.mkdir(exist_ok=True)
    path = write_export(directory.parent / f"{name}.zip", *records)
    return import_export(path, directory=directory, name=name, malicious=malicious, now=NOW)


def look(directory: Path, name: str = "nice", sources: tuple[SourcePolicy, ...] = OSV) -> tuple[Advisory, ...]:
    with open_snapshot(directory, sources, now=NOW) as snapshot:
        return snapshot.lookup([canonicalize_name(name)])


def info(directory: Path, sources: tuple[SourcePolicy, ...] = OSV) -> SnapshotInfo:
    return status(directory, sources, now=NOW)


def snapshot_file(directory: Path) -> Path:
    (path,) = directory.glob("snapshot-*.sqlite")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A snapshot of one source with enough records for several pages."""
    directory = tmp_path / "cache"
    many = [record(f"PYSEC-2026-{i}", f"project-{i}", versions=["1.0", "1.1"], summary="x" * 200) for i in range(400)]
    put(directory, record("PYSEC-2025-1", versions=["1.0"], aliases=["CVE-1"]), *many)
    return directory


# ---------------------------------------------------------------- look-up


def test_what_was_imported_is_found_by_project(store: Path) -> None:
    (found,) = look(store)
    assert (found.id, found.aliases, found.feed, found.kind) == ("PYSEC-2025-1", ("CVE-1",), "osv", "vulnerability")


def test_many_names_are_looked_up_at_once(store: Path) -> None:
    names = [canonicalize_name(f"project-{i}") for i in range(1200)]
    with open_snapshot(store, OSV, now=NOW) as snapshot:
        assert len(snapshot.lookup(names)) == 400


def test_a_source_is_replaced_and_the_others_are_kept(store: Path) -> None:
    put(store, record("MAL-1", "evil", versions=["6"]), name="other", malicious=True)
    put(store, record("PYSEC-2026-9", versions=["2.0"]))
    assert [one.id for one in look(store)] == ["PYSEC-2026-9"]
    assert [one.id for one in look(store, "evil")] == ["MAL-1"]
    assert look(store, "project-1") == ()
    assert {source.name: source.records for source in info(store).sources} == {"osv": 1, "other": 1}


def test_records_of_two_sources_that_share_an_alias_are_one(store: Path) -> None:
    put(store, record("GHSA-1", versions=["1.1"], aliases=["CVE-1"]), name="ghsa")
    (found,) = look(store)
    assert (found.id, sorted(found.affected.versions)) == ("PYSEC-2025-1", ["1", "1.1"])


def test_what_the_policy_calls_malicious_is(store: Path) -> None:
    (found,) = look(store, sources=(replace(OSV[0], malicious=True),))
    assert found.kind == "malicious"


def test_withdrawn_records_are_not_looked_up_but_explained(store: Path) -> None:
    put(store, record("PYSEC-2026-9", versions=["1"], withdrawn="2026-02-01T00:00:00Z"))
    assert look(store) == ()
    with open_snapshot(store, OSV, now=NOW) as snapshot:
        (found,) = snapshot.record("pysec-2026-9")
    assert found.withdrawn is not None


def test_a_record_is_found_by_its_id_and_by_its_alias_in_any_case(store: Path) -> None:
    with open_snapshot(store, OSV, now=NOW) as snapshot:
        assert [one.id for one in snapshot.record("cve-1")] == ["PYSEC-2025-1"]
        assert [one.id for one in snapshot.record("PYSEC-2025-1")] == ["PYSEC-2025-1"]
        assert snapshot.record("CVE-2") == ()
        assert [one.project for one in snapshot.record("IG-TEST-MALWARE")] == ["installguard-test-malware"]


def test_ids_and_names_are_data_whatever_they_hold(store: Path) -> None:
    odd = "pypi/2024-12- x/../../etc'; DROP TABLE records; --\x1b[31m"
    put(store, record(odd, "ev'il", versions=["1"]), name="odd")
    with open_snapshot(store, OSV, now=NOW) as snapshot:
        assert [one.id for one in snapshot.record(odd)] == [odd]
        assert [one.id for one in snapshot.lookup([canonicalize_name("ev'il")])] == [odd]


def test_the_test_release_is_malicious_whatever_the_store_holds(store: Path) -> None:
    (found,) = look(store, "installguard-test-malware")
    assert found.kind == "malicious"


def test_the_baseline_stays_in_force_beside_feeds_that_know_no_malware_of_a_project(store: Path) -> None:
    assert [(one.id, one.feed) for one in look(store, "litellm")] == [("MAL-2026-2144", "baseline")]
    assert "baseline" not in {source.name for source in info(store).sources}
    put(store, record("PYSEC-2024-152", "aiocpa", versions=["0.1.13"]), name="second")
    assert [(one.id, one.kind) for one in look(store, "aiocpa")] == [("PYSEC-2024-152", "malicious")]


def test_the_baseline_steps_back_where_a_feed_tells_itself_of_malware(store: Path) -> None:
    put(store, record("MAL-2026-9", "litellm", versions=["1.0"]), name="second")
    assert [one.id for one in look(store, "litellm")] == ["MAL-2026-9"]
    withdrawn = record("MAL-2026-2144", "litellm", versions=["1.82.7"], withdrawn="2026-04-01T00:00:00Z")
    put(store, withdrawn, name="second")
    assert look(store, "litellm") == ()


def test_the_baseline_serves_whole_while_a_source_is_missing(store: Path) -> None:
    more = (*OSV, SourcePolicy(name="second", url="https://example.org/second"))
    assert [one.id for one in look(store, "litellm", more)] == ["MAL-2026-2144"]
    assert info(store, more).missing == ("second",)


def test_the_snapshot_is_as_old_as_its_oldest_source(store: Path) -> None:
    put(store, record("MAL-1", "evil", versions=["1"], modified="2025-06-01T00:00:00Z"), name="other")
    taken_at = info(store).taken_at
    assert taken_at is not None
    assert taken_at.isoformat() == "2025-06-01T00:00:00+00:00"


def test_the_digest_depends_on_the_records_and_not_on_how_they_came(tmp_path: Path) -> None:
    one, two = record("A-1", versions=["1"]), record("A-2", versions=["2"])
    put(tmp_path / "x" / "cache", one, two)
    put(tmp_path / "x" / "cache", record("B-1", versions=["1"]), name="b")
    put(tmp_path / "y" / "cache", record("B-1", versions=["1"]), name="b")
    put(tmp_path / "y" / "cache", two, one)
    put(tmp_path / "z" / "cache", one)
    x, y, z = (info(tmp_path / each / "cache").digest for each in "xyz")
    assert x == y != z
    assert x.startswith("sha256:")


def test_a_snapshot_opened_in_one_thread_serves_others(store: Path) -> None:
    with open_snapshot(store, OSV, now=NOW) as snapshot, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: snapshot.lookup([canonicalize_name(f"project-{i}")]), range(40)))
    assert [len(each) for each in found] == [1] * 40


# ---------------------------------------------------------------- damage


def unusable(directory: Path) -> str:
    """Open the snapshot, see that the baseline serves instead of it, and return the problem it names."""
    with open_snapshot(directory, OSV, now=NOW) as snapshot:
        problem = snapshot.info.problem
        assert snapshot.info.missing == ("osv",)
        assert snapshot.lookup([NAME]) == ()
        assert [one.id for one in snapshot.lookup([canonicalize_name("litellm")])] == ["MAL-2026-2144"]
    assert problem is not None
    return problem


def test_a_file_with_one_other_byte_is_damaged(store: Path) -> None:
    path = snapshot_file(store)
    data = bytearray(path.read_bytes())
    place = data.index(b"PYSEC-2026-7")
    data[place] ^= 1
    time.sleep(0.01)
    path.write_bytes(data)
    assert "is not as it was written" in unusable(store)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"not a database" * 1000])
def test_a_file_that_is_something_else_is_damaged(store: Path, content: bytes) -> None:
    snapshot_file(store).write_bytes(content)
    assert "is not as it was written" in unusable(store)


def test_a_truncated_file_is_damaged(store: Path) -> None:
    os.truncate(snapshot_file(store), 8192)
    assert "is not as it was written" in unusable(store)


def test_a_missing_file_is_damaged(store: Path) -> None:
    snapshot_file(store).unlink()
    assert "is missing" in unusable(store)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "does not say"),
        (b'{"schema": 3}', "does not say"),
        (
            b'{"schema": 3, "generation": {"changes": null, "base": {"file": "../../etc/passwd", "size": 1,'
            b' "mtime_ns": 1, "sha256": ""}}, "sources": []}',
            "does not say",
        ),
        (b'{"schema": 3, "generation": null, "sources": [{"name": "osv", "taken_at": "never"}]}', "does not say"),
        (b'{"schema": 1}', "schema 1, this version of guard reads 3"),
    ],
)
def test_a_state_that_cannot_be_used_is_named(store: Path, text: bytes, problem: str) -> None:
    (store / "current.json").write_bytes(text)
    assert problem in unusable(store)


def test_another_schema_of_the_tables_is_named(store: Path) -> None:
    path = snapshot_file(store)
    times = path.stat()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "schema 7, this version of guard reads 3" in unusable(store)


def test_damage_that_shows_only_while_reading_is_an_error_and_never_nothing_found(store: Path) -> None:
    path = snapshot_file(store)
    times = path.stat()
    with path.open("r+b") as file:
        for page in range(1, times.st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\x77" * 4096)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with open_snapshot(store, OSV, now=NOW) as snapshot:
        for read in (lambda: snapshot.lookup([NAME]), lambda: snapshot.record("CVE-1"), snapshot.unreadable):
            with pytest.raises(FeedError, match="the snapshot cannot be read"):
                read()


def test_a_row_that_is_no_advisory_is_an_error(store: Path) -> None:
    path = snapshot_file(store)
    data = path.read_bytes().replace(b'["PYSEC-2025-1",', b'"PYSEC-2025-1",[')
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(FeedError, match="a row cannot be read"):
        look(store)


def test_a_damaged_snapshot_is_rebuilt_by_the_next_import(store: Path) -> None:
    put(store, record("MAL-1", "evil", versions=["1"]), name="other")
    snapshot_file(store).write_bytes(b"rubbish")
    put(store, record("PYSEC-2026-9", versions=["2.0"]))
    assert (info(store).problem, [source.name for source in info(store).sources]) == (None, ["osv"])
    assert [one.id for one in look(store)] == ["PYSEC-2026-9"]


def test_a_snapshot_that_turns_out_damaged_while_its_other_sources_are_copied_is_rebuilt(store: Path) -> None:
    path = snapshot_file(store)
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(times.st_size // 2)
        file.write(b"\x77" * (times.st_size // 2))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    put(store, record("MAL-1", "evil", versions=["1"]), name="other")
    found = info(store)
    assert (found.problem, found.missing, found.records) == (None, ("osv",), 1 + 16)
    assert [one.id for one in look(store, "evil")] == ["MAL-1"]


def test_a_copied_snapshot_is_as_good_as_the_original(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in store.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
        os.utime(copy / path.name, ns=(0, 0))
    assert [one.id for one in look(copy)] == ["PYSEC-2025-1"]


def test_a_cache_that_is_a_file_is_named_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert info(tmp_path / "cache").missing == ("osv",)
    with pytest.raises(FeedError, match="the snapshot cannot be written"):
        put(tmp_path / "cache", record(versions=["1"]))


# ---------------------------------------------------------------- writers and readers


def test_a_reader_finishes_on_the_snapshot_it_opened(store: Path) -> None:
    with open_snapshot(store, OSV, now=NOW) as old:
        put(store, record("PYSEC-2026-9", versions=["2.0"]))
        put(store, record("PYSEC-2026-10", versions=["2.0"]))
        assert [one.id for one in old.lookup([NAME])] == ["PYSEC-2025-1"]
        assert len(old.lookup([canonicalize_name("project-399")])) == 1
    assert [one.id for one in look(store)] == ["PYSEC-2026-10"]
    assert [path.name for path in store.glob("snapshot-*")] == ["snapshot-3.sqlite"]


def writer(directory: Path, code: str) -> subprocess.Popen[str]:
    """A process that runs *code* with `directory` and `records()`, an endless source of records."""
    program = f"""
        import sys, time
        from dataclasses import replace
        from datetime import datetime, timezone
        from pathlib import Path
        from installguard.feeds.sources import Bounds
        from installguard.feeds.state import SourceState
        from installguard.feeds.writing import replace_source
        from installguard.osv import parse_record
        directory, now = Path({str(directory)!r}), datetime(2026, 1, 1, tzinfo=timezone.utc)
        def write(name, count, text="x"):
            records = (advisories(i, text) for i in range(count))
            replace_source(directory, replace(source, name=name), records, otherwise=now, bounds=Bounds())
        source = SourceState(name="osv", url=None, malicious=False, records=0, unreadable=0, taken_at=None)
        def advisories(i, text="x"):
            data = {{"id": f"N-{{i}}", "summary": text, "modified": "2026-01-02T00:00:00Z", "affected": [
                {{"package": {{"ecosystem": "PyPI", "name": "nice"}}, "versions": ["9"]}}]}}
            return parse_record(data, feed="osv", malicious=False, rate=lambda vector: None)
    """
    text = textwrap.dedent(program) + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


ENDLESS = """
    def records():
        for i in range(10**9):
            if i == 5000:
                print("writing", flush=True)
            yield advisories(i)
    replace_source(directory, source, records(), otherwise=now, bounds=Bounds())
"""


def started(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        _, errors = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, errors


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_a_killed_writer_leaves_the_old_snapshot_and_its_litter_to_the_next(store: Path) -> None:
    before = info(store)
    process = started(writer(store, ENDLESS))
    process.send_signal(signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL
    assert list(store.glob("building-*"))
    assert info(store) == before
    assert [one.id for one in look(store)] == ["PYSEC-2025-1"]
    put(store, record("PYSEC-2026-9", versions=["2.0"]))
    assert sorted(path.name for path in store.iterdir()) == ["current.json", "lock", "snapshot-2.sqlite"]


@pytest.mark.skipif(os.name == "nt", reason="interrupts by signal")
def test_an_interrupted_writer_cleans_up_after_itself(store: Path) -> None:
    process = started(writer(store, ENDLESS))
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] != 0
    assert sorted(path.name for path in store.iterdir()) == ["current.json", "lock", "snapshot-1.sqlite"]


def test_a_second_writer_waits_for_a_bounded_time(store: Path, tmp_path: Path) -> None:
    process = started(writer(store, ENDLESS))
    export = write_export(tmp_path / "second.zip", record("PYSEC-2026-9", versions=["2.0"]))
    try:
        with pytest.raises(FeedError, match="another guard is writing the snapshot"):
            import_export(export, directory=store, name="second", malicious=False, now=NOW, bounds=Bounds(lock=0.1))
    finally:
        process.kill()
        finish(process)
    assert [one.id for one in look(store)] == ["PYSEC-2025-1"]


def test_two_writers_at_once_both_succeed(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    processes = [writer(directory, f"write({name!r}, 2000)") for name in ("one", "two")]
    assert [finish(process) for process in processes] == [(0, ""), (0, "")]
    assert {
        source.name: source.records
        for source in info(directory, ()).sources
        if source.records and source.name != "baseline"
    } == {
        "one": 2000,
        "two": 2000,
    }


def test_readers_never_meet_half_a_snapshot_while_it_is_swapped(store: Path) -> None:
    code = """
        for n in range(25):
            write("osv", n + 1, str(n))
    """
    process = writer(store, code)
    seen = set()
    while process.poll() is None:
        with open_snapshot(store, OSV, now=NOW) as snapshot:
            assert snapshot.info.problem is None
            found = snapshot.lookup([NAME])
        summaries = {one.summary for one in found}
        assert len(summaries) == 1
        assert len(found) == (int(summaries.pop()) + 1 if found[0].id.startswith("N-") else 1)
        seen.add(len(found))
    assert finish(process) == (0, "")
    assert len(look(store)) == 25
    assert len(seen) > 1


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files as POSIX does")
def test_a_full_disk_is_one_error_and_the_old_snapshot_serves(store: Path) -> None:
    before = info(store)
    code = """
        import resource, signal
        from installguard.errors import FeedError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        try:
            write("osv", 6000, "x" * 6000)
        except FeedError as error:
            print("writing", flush=True)
            sys.exit(str(error))
    """
    code_, errors = finish(started(writer(store, code)))
    assert code_ == 1
    assert "the snapshot cannot be written" in errors
    assert len(errors.splitlines()) == 1
    assert info(store) == before
    assert sorted(path.name for path in store.iterdir()) == ["current.json", "lock", "snapshot-1.sqlite"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_is_read_and_not_written(store: Path) -> None:
    store.chmod(0o500)
    try:
        assert [one.id for one in look(store)] == ["PYSEC-2025-1"]
        with pytest.raises(FeedError, match="the snapshot cannot be written"):
            put(store, record(versions=["2"]))
    finally:
        store.chmod(0o700)


# ---------------------------------------------------------------- unreadable records


def test_unreadable_records_are_counted_kept_out_and_told(store: Path) -> None:
    result = put(store, record("PYSEC-2026-9", versions=["1"]), {"id": 7}, name="second")
    assert (result.source.records, result.source.unreadable) == (1, 1)
    (told,) = unreadable_records(store)
    assert (told.source, told.name, told.reason) == ("second", "1.json", "id is missing or no text")
    assert result.unreadable == (told,)
    assert info(store).unreadable == 1


def test_unreadable_records_of_a_replaced_source_are_forgotten(store: Path) -> None:
    put(store, record("PYSEC-2026-9", versions=["1"]), {"id": 7})
    put(store, record("PYSEC-2026-9", versions=["1"]))
    assert (unreadable_records(store), info(store).unreadable) == ((), 0)


def test_a_closed_snapshot_finds_nothing_out_silently(store: Path) -> None:
    snapshot: Snapshot = open_snapshot(store, OSV, now=NOW)
    snapshot.close()
    snapshot.close()
    with pytest.raises(FeedError):
        snapshot.lookup([NAME])


def test_the_digest_counts_of_duplicate_ids_only_the_record_that_stays(tmp_path: Path) -> None:
    old = record("A-1", versions=["1"], modified="2026-01-01T00:00:00Z")
    new = record("A-1", versions=["2"], modified="2026-01-02T00:00:00Z")
    for place, records in (("x", [new]), ("y", [old, new]), ("z", [new, old])):
        put(tmp_path / place / "cache", *records)
    assert len({info(tmp_path / each / "cache").digest for each in "xyz"}) == 1
