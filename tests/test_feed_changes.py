"""Updates record by record: what is asked for, what is in the snapshot afterwards, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from installguard.feeds.imports import import_export
from installguard.feeds.listing import ListingError, parse_listing
from installguard.feeds.sources import Bounds
from installguard.feeds.store import open_snapshot, status, unreadable_records
from installguard.feeds.update import Failed, Unchanged, Updated, UpdateResult, update
from installguard.model import Advisory
from installguard.policy import SourcePolicy

from .feed_samples import NOW, record, write_export
from .feed_server import Export, serve_export

BOUNDS = Bounds(connect=1, stalled=1, rate=1, lock=2, pause=0.02, together=5)
LATER = NOW + timedelta(hours=2)
COUNT = 60


def at(number: int, text: str = "first", day: int = 1, **fields: Any) -> dict[str, Any]:
    """Record number so many, of project so many, modified on that day of November."""
    fields = {"versions": ["1.0"], "modified": f"2026-11-{day:02}T00:00:00.5Z", **fields}
    return record(f"PYSEC-2026-{number}", f"project-{number}", summary=text, **fields)


@pytest.fixture
def export() -> Iterator[Export]:
    with serve_export(Export()) as served:
        served.put(*(at(number) for number in range(COUNT)))
        yield served


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def held(export: Export, cache: Path) -> Path:
    """A snapshot of the export."""
    assert isinstance(run(cache, export), Updated)
    export.asked()
    return cache


def source(export: Export, **fields: Any) -> SourcePolicy:
    return SourcePolicy(name="osv", url=export.url, **fields)


def run(directory: Path, export: Export, bounds: Bounds = BOUNDS, **options: Any) -> UpdateResult:
    (result,) = update(directory, [source(export)], now=options.pop("now", LATER), bounds=bounds, **options)
    return result


def failed(result: UpdateResult) -> str:
    assert isinstance(result, Failed)
    assert "\n" not in str(result.error)
    return str(result.error)


def look(directory: Path, *numbers: int) -> list[Advisory]:
    names = [canonicalize_name(f"project-{number}") for number in numbers]
    with open_snapshot(directory, ()) as snapshot:
        return list(snapshot.lookup(names))


def told(directory: Path, *numbers: int) -> list[str]:
    return [advisory.summary for advisory in look(directory, *numbers)]


def whole_digest(export: Export, tmp_path: Path) -> str:
    """The digest of a snapshot that the export was put into in one go."""
    path = tmp_path / "whole.zip"
    path.write_bytes(export.zipped())
    import_export(path, directory=tmp_path / "whole", name="osv", malicious=False, now=NOW, accept_rollback=True)
    return status(tmp_path / "whole", (source(export),)).digest


def digest(directory: Path, export: Export) -> str:
    return status(directory, (source(export),)).digest


# ---------------------------------------------------------------- what is asked for


def test_nothing_new_costs_one_conditional_request(export: Export, held: Path) -> None:
    result = run(held, export, now=LATER)
    assert isinstance(result, Unchanged)
    assert export.requests == [("/PyPI/modified_id.csv", True, 304)]
    assert status(held, (source(export),)).taken_at == LATER


def test_only_what_changed_is_fetched_and_the_snapshot_is_as_if_it_was_fetched_whole(
    export: Export, held: Path, tmp_path: Path
) -> None:
    export.put(at(3, "second", day=2), at(100, "new", day=2))
    del export.records["PYSEC-2026-7"]
    result = run(held, export)
    assert isinstance(result, Updated)
    assert (result.changed, result.source.records) == (3, COUNT)
    assert sorted(export.asked()) == ["PYSEC-2026-100.json", "PYSEC-2026-3.json", "modified_id.csv"]
    assert told(held, 3, 7, 100, 4) == ["new", "second", "first"]
    assert digest(held, export) == whole_digest(export, tmp_path)
    assert isinstance(run(held, export), Unchanged)
    assert export.asked() == ["modified_id.csv"]


def test_change_upon_change_ends_as_if_it_was_fetched_whole(export: Export, held: Path, tmp_path: Path) -> None:
    for day in range(2, 9):
        export.put(at(day, f"day {day}", day=day), at(1, f"day {day}", day=day))
        export.records.pop(f"PYSEC-2026-{day - 1}", None) if day > 2 else None
        assert isinstance(run(held, export), Updated)
        assert told(held, 1, day) == [f"day {day}"] * 2
    assert digest(held, export) == whole_digest(export, tmp_path)
    assert len([path for path in held.iterdir() if path.suffix == ".sqlite"]) == 2
    export.put(*(at(number, "all", day=20) for number in range(COUNT)))
    run(held, export)
    assert digest(held, export) == whole_digest(export, tmp_path)


def test_withdrawn_records_are_in_force_no_more(export: Export, held: Path) -> None:
    export.put(at(3, "second", day=2, withdrawn="2026-11-02T00:00:00Z"))
    run(held, export)
    assert look(held, 3) == []


def test_many_changes_are_fetched_as_the_whole_zip(export: Export, held: Path) -> None:
    export.put(*(at(number, "second", day=2) for number in range(COUNT // 10 + 1)))
    result = run(held, export)
    assert isinstance(result, Updated)
    assert (result.changed, export.asked()) == (None, ["modified_id.csv", "all.zip"])
    assert told(held, 0) == ["second"]


def test_more_changes_than_the_bound_are_fetched_as_the_whole_zip(export: Export, held: Path) -> None:
    export.put(*(at(number, "second", day=2) for number in range(3)))
    run(held, export, replace(BOUNDS, changes=2))
    assert export.asked() == ["modified_id.csv", "all.zip"]


def test_ids_are_data_and_percent_encoded(export: Export, held: Path) -> None:
    odd = "pypi/2026 x/../%2e?a=1#é"
    export.put(record(odd, "odd", versions=["1"], modified="2026-11-02T00:00:00Z"))
    assert isinstance(run(held, export), Updated)
    assert export.asked()[1] == "pypi%2F2026%20x%2F..%2F%252e%3Fa%3D1%23%C3%A9.json"
    with open_snapshot(held, ()) as snapshot:
        assert [one.id for one in snapshot.record(odd)] == [odd]
    assert isinstance(run(held, export), Unchanged)


def test_a_zip_that_lags_behind_its_listing_is_completed_by_single_records(export: Export, cache: Path) -> None:
    export.files["/PyPI/all.zip"] = export.zipped()
    export.put(at(3, "second", day=2))
    result = run(cache, export)
    assert isinstance(result, Updated)
    assert export.asked() == ["modified_id.csv", "all.zip", "PYSEC-2026-3.json"]
    assert told(cache, 3) == ["second"]


def test_records_that_cannot_be_used_are_not_fetched_again_until_they_change(export: Export, held: Path) -> None:
    other = at(71, day=2)
    other["affected"][0]["package"]["ecosystem"] = "npm"
    export.put({**at(70, day=2), "affected": 7}, other)
    result = run(held, export)
    assert isinstance(result, Updated)
    (problem,) = result.unreadable
    assert (problem.name, problem.reason) == ("PYSEC-2026-70.json", "affected is no list")
    assert unreadable_records(held) == (problem,)
    assert result.source.unreadable == 1
    export.asked()
    assert isinstance(run(held, export), Unchanged)
    export.put(at(70, "mended", day=3))
    assert isinstance(run(held, export), Updated)
    assert export.asked() == ["modified_id.csv", "modified_id.csv", "PYSEC-2026-70.json"]
    assert (told(held, 70), unreadable_records(held)) == (["mended"], ())


def test_a_record_under_the_wrong_id_is_kept_out(export: Export, held: Path) -> None:
    export.put(at(3, day=2))
    export.files["/PyPI/PYSEC-2026-3.json"] = json.dumps(at(4, "impostor", day=2)).encode()
    result = run(held, export)
    assert isinstance(result, Updated)
    assert [each.reason for each in result.unreadable] == ["is the record 'PYSEC-2026-4'"]
    assert told(held, 4) == ["first"]


def test_a_record_beyond_the_bound_is_kept_out(export: Export, held: Path) -> None:
    export.put(at(3, "x" * 3000, day=2))
    result = run(held, export, replace(BOUNDS, record=1000))
    assert isinstance(result, Updated)
    assert [each.reason for each in result.unreadable] == ["is larger than 0.001 MB"]


def test_a_record_that_went_while_we_looked_is_settled_by_the_zip(export: Export, held: Path) -> None:
    export.files["/PyPI/modified_id.csv"] = export.listing() + b"2026-11-03T00:00:00Z,PYSEC-2026-999\n"
    result = run(held, export)
    assert isinstance(result, Unchanged)
    assert export.asked()[:3] == ["modified_id.csv", "PYSEC-2026-999.json", "all.zip"]
    assert result.source.records == COUNT


@pytest.mark.parametrize(
    "listing", [b"", b"<html>", b"\xff\xfe", b"never,PYSEC-1\n", b"2026-11-01T00:00:00Z\n", b"2026-99-01T00:00:00Z,X\n"]
)
def test_a_listing_that_is_none_leaves_the_zip(export: Export, held: Path, listing: bytes) -> None:
    export.files["/PyPI/modified_id.csv"] = listing
    with pytest.raises(ListingError):
        parse_listing(listing)
    export.put(at(3, "second", day=2))
    assert isinstance(run(held, export), Updated)
    assert export.asked() == ["modified_id.csv", "all.zip"]
    assert told(held, 3) == ["second"]


def test_times_are_compared_whatever_their_spelling() -> None:
    listing = parse_listing(b"\xef\xbb\xbf2026-11-01T00:00:00.5Z,a\r\n2026-11-01T02:00:00.500000+02:00,b\n\n")
    assert set(listing.modified.values()) == {"2026-11-01T00:00:00.500000+00:00"}


# ---------------------------------------------------------------- going back


def test_an_export_that_went_back_in_time_is_refused_unless_that_is_accepted(export: Export, held: Path) -> None:
    export.put(at(3, "second", day=9))
    run(held, export)
    export.put(at(3, "first", day=1))
    assert "older than the snapshot of 2026-11-09" in failed(run(held, export))
    assert told(held, 3) == ["second"]
    assert isinstance(run(held, export, accept_rollback=True), Updated)
    assert told(held, 3) == ["first"]
    assert isinstance(run(held, export), Unchanged)


def test_an_export_that_lost_a_fifth_of_many_records_is_refused(export: Export, cache: Path) -> None:
    export.put(*(at(number) for number in range(1000)))
    run(cache, export)
    for number in range(201):
        del export.records[f"PYSEC-2026-{number}"]
    assert "holds 799 records where the snapshot has 1,000" in failed(run(cache, export))
    assert len(look(cache, *range(1000))) == 1000
    export.put(at(0))
    assert isinstance(run(cache, export), Updated)


def test_a_clock_that_goes_back_keeps_no_update_from_working(export: Export, held: Path) -> None:
    before = NOW - timedelta(days=400)
    export.put(at(3, "second", day=2))
    assert isinstance(run(held, export, now=before), Updated)
    export.put(*(at(number, "third", day=3) for number in range(COUNT)))
    assert isinstance(run(held, export, now=before), Updated)
    assert told(held, 3) == ["third"]


# ---------------------------------------------------------------- faults


def status_of(code: int) -> Any:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def trickle(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.03)


def short(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"{")


@pytest.mark.parametrize("fault", [status_of(500), trickle, short])
def test_a_fault_at_one_record_leaves_the_old_snapshot_whole(export: Export, held: Path, fault: Any) -> None:
    before = digest(held, export)
    export.put(*(at(number, "second", day=2) for number in range(4)))
    export.faults["/PyPI/PYSEC-2026-2.json"] = fault
    start = time.monotonic()
    assert failed(run(held, export, replace(BOUNDS, together=0.5, rounds=1)))
    assert time.monotonic() - start < 3
    assert digest(held, export) == before
    assert told(held, 0, 1, 2, 3) == ["first"] * 4
    export.faults.clear()
    assert isinstance(run(held, export), Updated)
    assert told(held, 0, 1, 2, 3) == ["second"] * 4


def test_trouble_that_may_pass_is_met_by_trying_again(export: Export, held: Path) -> None:
    export.put(at(3, "second", day=2))

    def once(handler: BaseHTTPRequestHandler) -> None:
        del export.faults["/PyPI/modified_id.csv"]
        status_of(503)(handler)

    export.faults["/PyPI/modified_id.csv"] = once
    assert isinstance(run(held, export), Updated)
    assert export.asked()[:2] == ["modified_id.csv"] * 2


def test_trouble_that_will_not_pass_is_not_tried_again(export: Export, held: Path) -> None:
    export.faults = dict.fromkeys(("/PyPI/modified_id.csv", "/PyPI/all.zip"), status_of(404))
    assert "the server answered 404" in failed(run(held, export))
    assert export.asked() == ["modified_id.csv", "all.zip"]


def test_mirrors_are_tried_in_turn(export: Export, held: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        broken = stack.enter_context(serve_export(Export(faults={"/PyPI/modified_id.csv": status_of(500)})))
        fresh = stack.enter_context(serve_export(Export(records={**export.records})))
        fresh.put(at(3, "second", day=2))
        sources = [replace(source(broken), mirrors=(str(tmp_path / "nowhere"), fresh.url))]
        (result,) = update(held, sources, now=LATER, bounds=BOUNDS)
        assert isinstance(result, Updated)
        assert result.source.url == broken.url
        assert told(held, 3) == ["second"]
        fresh.faults = broken.faults
        (error,) = update(held, sources, now=LATER, bounds=BOUNDS)
        assert failed(error).count("the server answered 500") == 2


def test_a_snapshot_that_was_damaged_is_fetched_whole(export: Export, held: Path) -> None:
    export.put(at(3, "second", day=2))
    run(held, export)
    (changes,) = held.glob("changes-*")
    changes.write_bytes(b"rubbish")
    assert "is not as it was written" in (status(held, (source(export),)).problem or "")
    export.asked()
    assert isinstance(run(held, export), Updated)
    assert "all.zip" in export.asked()
    assert (told(held, 3), status(held, (source(export),)).problem) == (["second"], None)


def test_readers_finish_on_the_changes_they_opened(export: Export, held: Path) -> None:
    export.put(at(3, "second", day=2))
    run(held, export)
    with open_snapshot(held, ()) as old:
        for day in range(3, 6):
            export.put(at(3, f"day {day}", day=day))
            run(held, export)
        assert [one.summary for one in old.lookup([canonicalize_name("project-3")])] == ["second"]
    assert told(held, 3) == ["day 5"]


UPDATER = """
    import sys
    from datetime import datetime, timezone
    from pathlib import Path
    from installguard.feeds.update import update
    from installguard.policy import SourcePolicy
    print("ready", flush=True)
    while True:
        update(Path(sys.argv[1]), [SourcePolicy(name="osv", url=sys.argv[2])], now=datetime.now(timezone.utc))
"""


def updater(directory: Path, export: Export) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(UPDATER), str(directory), export.url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_an_updater_killed_at_any_moment_leaves_a_good_snapshot(export: Export, held: Path) -> None:
    day = 1
    for attempt in range(4):
        with updater(held, export) as process:
            end = time.monotonic() + 0.25 + attempt * 0.06
            while time.monotonic() < end:
                day += 1
                export.put(at(3, f"{day}", modified=f"2026-11-02T00:{day // 60 % 60:02}:{day % 60:02}Z"))
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        info = status(held, (source(export),))
        assert (info.problem, info.records, len(look(held, *range(COUNT)))) == (None, COUNT, COUNT)
    assert isinstance(run(held, export), Updated | Unchanged)
    assert told(held, 3) == [f"{day}"]
    assert not list(held.glob("building-*"))


def test_two_updates_at_once_and_readers_between_them_all_go_well(export: Export, held: Path) -> None:
    with updater(held, export) as one, updater(held, export) as two:
        try:
            for day in range(2, 60):
                export.put(at(3, f"{day}", modified=f"2026-11-02T00:00:{day:02}Z"))
                with open_snapshot(held, (source(export),)) as snapshot:
                    assert snapshot.info.problem is None
                    assert (
                        len(snapshot.lookup([canonicalize_name(f"project-{each}") for each in range(COUNT)])) == COUNT
                    )
                time.sleep(0.01)
        finally:
            one.kill()
            two.kill()
    run(held, export)
    assert told(held, 3) == ["59"]


def test_many_changes_are_folded_into_a_new_whole_file(export: Export, cache: Path, tmp_path: Path) -> None:
    export.put(*(at(number) for number in range(300)))
    run(cache, export)
    names = set()
    for step in range(6):
        export.put(*(at(number, f"step {step}", day=step + 2) for number in range(step * 9, step * 9 + 9)))
        assert isinstance(run(cache, export, replace(BOUNDS, heavy=50)), Updated)
        names |= {path.name for path in cache.glob("snapshot-*")}
    assert len(names) == 2
    assert digest(cache, export) == whole_digest(export, tmp_path)


# ---------------------------------------------------------------- priority


def put(directory: Path, name: str, *records: dict[str, Any]) -> None:
    path = write_export(directory.parent / f"{name}.zip", *records)
    import_export(path, directory=directory, name=name, malicious=False, now=NOW)


def test_of_records_of_one_id_that_of_the_source_of_highest_priority_counts(cache: Path) -> None:
    put(cache, "osv", at(1, "theirs", versions=["1", "2"]), at(2, "theirs"), at(3, "theirs"))
    put(cache, "ours", at(1, "ours", versions=["2"]), at(2, "ours", withdrawn="2026-11-02T00:00:00Z"))
    sources = [
        SourcePolicy(name=name, url="https://example.org", priority=at) for name, at in (("osv", 0), ("ours", 5))
    ]
    names = [canonicalize_name(f"project-{number}") for number in (1, 2, 3)]
    with open_snapshot(cache, sources) as snapshot:
        found = snapshot.lookup(names)
    assert [(one.summary, sorted(one.affected.versions)) for one in found] == [("ours", ["2"]), ("theirs", ["1"])]
    with open_snapshot(cache, [replace(each, priority=1) for each in sources]) as snapshot:
        assert sorted(snapshot.lookup(names)[0].affected.versions) == ["1", "2"]


def test_a_record_of_higher_priority_counts_for_the_projects_it_names_no_more(cache: Path) -> None:
    put(cache, "osv", record("A-1", "wrong", versions=["1"]))
    put(cache, "ours", record("A-1", "right", versions=["1"]))
    sources = [
        SourcePolicy(name=name, url="https://example.org", priority=at) for name, at in (("osv", 0), ("ours", 5))
    ]
    with open_snapshot(cache, sources) as snapshot:
        assert snapshot.lookup([canonicalize_name("wrong")]) == ()
        assert len(snapshot.lookup([canonicalize_name("right")])) == 1
