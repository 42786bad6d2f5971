"""A refresh that rides along with an install: in time, silent about trouble, one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from installguard.feeds.locking import try_lock
from installguard.feeds.refresh import Refreshed, refresh
from installguard.feeds.sources import Bounds
from installguard.feeds.store import status
from installguard.feeds.update import update
from installguard.policy import SourcePolicy

from .feed_samples import NOW, record
from .feed_server import Export, serve_export

HOURS = timedelta(hours=1)
BOUNDS = Bounds(connect=1, stalled=2, rate=1, lock=1, rounds=1)


@pytest.fixture
def export() -> Iterator[Export]:
    with serve_export(Export()) as served:
        served.put(record("PYSEC-2026-1", versions=["1.0"]))
        yield served


@pytest.fixture
def cache(tmp_path: Path, export: Export) -> Path:
    """A snapshot fetched once."""
    update(tmp_path / "cache", sources(export), now=NOW, bounds=BOUNDS)
    export.asked()
    return tmp_path / "cache"


def sources(export: Export) -> tuple[SourcePolicy, ...]:
    return (SourcePolicy(name="osv", url=export.url),)


def go(cache: Path, export: Export, *, after: timedelta = 3 * HOURS, seconds: float = 5, hours: int = 2) -> Refreshed:
    return refresh(
        cache,
        sources(export),
        now=NOW + after,
        older_than=timedelta(hours=hours),
        deadline_seconds=seconds,
        bounds=BOUNDS,
    )


def slow(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.8)
    handler.send_response(404)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def test_what_is_old_is_refreshed(cache: Path, export: Export) -> None:
    assert go(cache, export, after=timedelta(hours=1, minutes=59)).outcome == "fresh"
    assert export.requests == []
    assert go(cache, export).outcome == "done"
    assert export.asked() == ["modified_id.csv"]
    assert status(cache, sources(export)).taken_at == NOW + 3 * HOURS


def test_what_was_never_fetched_is_left_to_an_update(tmp_path: Path, export: Export) -> None:
    assert go(tmp_path / "empty", export).outcome == "fresh"
    assert not (tmp_path / "empty").exists()


def test_what_lies_in_the_future_is_refreshed(cache: Path, export: Export) -> None:
    go(cache, export)
    assert go(cache, export, after=-24 * HOURS).outcome == "done"


def test_zero_never_refreshes(cache: Path, export: Export) -> None:
    assert go(cache, export, hours=0).outcome == "fresh"
    assert export.requests == []


def test_a_refresh_holds_nobody_longer_than_its_deadline_and_goes_on_in_the_background(
    cache: Path, export: Export
) -> None:
    export.put(record("PYSEC-2026-2", versions=["1.0"], modified="2026-11-02T00:00:00Z"))
    export.faults["/PyPI/modified_id.csv"] = slow
    start = time.monotonic()
    assert go(cache, export, seconds=0.1).outcome == "late"
    assert time.monotonic() - start < 0.7
    while status(cache, sources(export)).records != 2 and time.monotonic() - start < 10:
        time.sleep(0.05)
    assert status(cache, sources(export)).records == 2


def test_trouble_is_an_outcome_and_not_raised_and_not_met_again_by_the_next_install(
    cache: Path, export: Export
) -> None:
    export.faults["/PyPI/modified_id.csv"] = lambda handler: handler.connection.close()
    before = status(cache, sources(export))
    assert go(cache, export).outcome == "failed"
    after = status(cache, sources(export))
    assert (after.taken_at, after.digest) == (before.taken_at, before.digest)
    assert after.sources[0].last_error is not None
    export.faults.clear()
    assert go(cache, export, after=timedelta(hours=3, minutes=5)).outcome == "fresh"
    assert go(cache, export, after=timedelta(hours=3, minutes=15)).outcome == "done"


def test_a_refresh_that_was_cut_off_is_not_begun_again_by_the_next_install(cache: Path, export: Export) -> None:
    export.faults["/PyPI/modified_id.csv"] = slow
    assert go(cache, export, seconds=0.3).outcome == "late"
    assert go(cache, export, after=timedelta(hours=3, minutes=1)).outcome == "fresh"


def test_a_cache_that_cannot_be_written_is_no_error(cache: Path, export: Export) -> None:
    (cache / "refreshing").mkdir()
    assert go(cache, export).outcome == "failed"


def test_a_second_guard_leaves_the_refresh_to_the_first(cache: Path, export: Export) -> None:
    with (cache / "refreshing").open("ab") as lock:
        assert try_lock(lock)
        assert go(cache, export).outcome == "busy"
    assert export.requests == []
    assert go(cache, export).outcome == "done"


def test_a_guard_that_writes_at_the_moment_is_no_trouble_of_the_source(cache: Path, export: Export) -> None:
    with (cache / "lock").open("ab") as lock:
        assert try_lock(lock)
        assert go(cache, export).outcome == "busy"
    assert status(cache, sources(export)).sources[0].last_error is None


def test_lists_are_asked_for_once_a_day(cache: Path, export: Export) -> None:
    export.files["/PyPI/kev.json"] = b'{"vulnerabilities": [{"cveID": "CVE-2021-44228"}]}'
    kev = (SourcePolicy(name="kev", url=f"{export.url}/kev.json", kind="exploited"),)
    update(cache, kev, now=NOW, bounds=BOUNDS)
    for hours, outcome in ((23, "fresh"), (25, "done")):
        done = refresh(cache, kev, now=NOW + hours * HOURS, older_than=2 * HOURS, deadline_seconds=5, bounds=BOUNDS)
        assert done.outcome == outcome
    assert [conditional for _, conditional, _ in export.requests] == [False, True]
