"""Lists beside the advisories: what is known to be exploited, and what is popular."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from installguard.checks.snapshot import check_age, check_missing
from installguard.errors import FeedError, UsageError
from installguard.feeds.imports import ImportResult, import_export
from installguard.feeds.sources import DEFAULT_SOURCES, Bounds
from installguard.feeds.store import open_snapshot, status, unreadable_records
from installguard.model import Evidence, SourceKind
from installguard.policy import Policy, SourcePolicy

from .feed_samples import NOW, record, shared_feeds, write_export

KEV = {
    "title": "Catalogue",
    "dateReleased": "2026-11-20T10:00:00.1234Z",
    "vulnerabilities": [{"cveID": "CVE-2021-44228"}, {"cveID": " cve-2020-11651 "}],
}
POPULAR = {
    "last_update": "2026-11-01 06:34:06",
    "rows": [{"download_count": 9, "project": "Boto3"}, {"project": "zope.interface"}, {"project": "boto3"}],
}


def put(
    directory: Path, data: object, kind: SourceKind = "exploited", *, now: datetime = NOW, **options: Any
) -> ImportResult:
    path = directory.parent / f"{kind}.json"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    name = {"exploited": "kev"}.get(kind, kind)
    return import_export(path, directory=directory, name=name, malicious=False, kind=kind, now=now, **options)


def exploited(directory: Path) -> frozenset[str]:
    with open_snapshot(directory, ()) as snapshot:
        return snapshot.exploited()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def stored(tmp_path: Path, cache: Path) -> Path:
    """A snapshot with one advisory."""
    path = write_export(tmp_path / "osv.zip", record("PYSEC-2026-1", versions=["1.0"]))
    import_export(path, directory=cache, name="osv", malicious=False, now=NOW)
    return cache


def test_what_is_known_to_be_exploited_is_stored_as_upper_case_ids(cache: Path) -> None:
    result = put(cache, KEV)
    assert (result.source.kind, result.source.records, result.source.unreadable) == ("exploited", 2, 0)
    assert result.source.taken_at == datetime(2026, 11, 20, 10, 0, 0, 123400, tzinfo=timezone.utc)
    assert exploited(cache) == {"CVE-2021-44228", "CVE-2020-11651"}


def test_popular_projects_are_ranked_by_normalised_name_at_their_best(cache: Path) -> None:
    put(cache, POPULAR, "popular")
    with open_snapshot(cache, ()) as snapshot:
        assert snapshot.popular() == {"boto3": 1, "zope-interface": 2}
        assert snapshot.exploited() == frozenset()


def test_lists_and_advisories_stand_beside_each_other_in_whatever_order_they_come(tmp_path: Path, stored: Path) -> None:
    put(stored, KEV)
    put(stored, POPULAR, "popular")
    path = write_export(tmp_path / "more.zip", record("MAL-1", "evil", versions=["1"]))
    import_export(path, directory=stored, name="more", malicious=True, now=NOW)
    put(stored, {**KEV, "vulnerabilities": [{"cveID": "CVE-2099-1000"}]})
    with open_snapshot(stored, ()) as snapshot:
        assert snapshot.exploited() == {"CVE-2099-1000"}
        assert len(snapshot.popular()) == 2
        assert {one.id for one in snapshot.lookup(map(canonicalize_name, ("nice", "evil")))} == {
            "PYSEC-2026-1", "MAL-1",
        }  # fmt: skip


def test_a_list_of_a_source_that_was_an_export_takes_its_place(stored: Path) -> None:
    path = stored.parent / "kev.json"
    path.write_text(json.dumps(KEV))
    import_export(path, directory=stored, name="osv", malicious=False, kind="exploited", now=NOW)
    with open_snapshot(stored, ()) as snapshot:
        assert snapshot.lookup([canonicalize_name("nice")]) == ()
        assert snapshot.exploited()
        assert snapshot.info.missing == ("osv",)


def test_a_list_that_was_never_fetched_is_named_but_neither_missing_nor_stale(stored: Path) -> None:
    info = status(stored, ())
    assert info.missing == ()
    assert [(each.name, each.kind, each.taken_at) for each in info.sources if each.kind != "osv"] == [
        ("kev", "exploited", None),
        ("popular", "popular", None),
    ]
    assert (info.records, info.taken_at) == (1, status(stored, DEFAULT_SOURCES[:1]).taken_at)


def findings(directory: Path, now: datetime, sources: tuple[SourcePolicy, ...] = ()) -> list[str]:
    evidence = Evidence(distributions=(), advisories=(), snapshot=status(directory, sources), now=now)
    return [finding.detail for check in (check_missing, check_age) for finding in check(evidence, Policy())]


def test_lists_may_be_older_than_advisories_up_to_a_limit_of_their_own(tmp_path: Path, cache: Path) -> None:
    path = write_export(tmp_path / "osv.zip", record("A-1", versions=["1"], modified=NOW.isoformat()))
    import_export(path, directory=cache, name="osv", malicious=False, now=NOW)
    put(cache, KEV)
    put(cache, POPULAR, "popular")
    assert findings(cache, NOW) == []
    (stale,) = findings(cache, NOW + timedelta(days=6, hours=20))
    assert "osv is 6 days old" in stale
    assert "kev is 8 days old (its own limit 7 days)" in stale
    assert "popular" not in stale


def test_the_policy_sets_a_source_a_limit_of_its_own(tmp_path: Path, cache: Path) -> None:
    path = write_export(tmp_path / "osv.zip", record("A-1", versions=["1"], modified=NOW.isoformat()))
    import_export(path, directory=cache, name="osv", malicious=False, now=NOW)
    sources = (SourcePolicy(name="osv", url="https://example.org", max_age=timedelta(days=30)),)
    assert findings(cache, NOW + timedelta(days=29), sources) == []
    assert len(findings(cache, NOW + timedelta(days=31), sources)) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b'{"vulnerabilities": ' + b"[" * 200_000, "is not JSON"),
        (b'{"a": ' + b"9" * 6000 + b"}", None),
        (b"[]", "is no JSON object"),
        (b"{}", "it has no 'vulnerabilities'"),
        (b'{"vulnerabilities": {"cveID": "CVE-2021-44228"}}', "it has no 'vulnerabilities'"),
        (b'{"vulnerabilities": []}', "is empty"),
        (b'{"vulnerabilities": [7, {}, {"cveID": ["CVE-2021-44228"]}]}', "holds no readable record; the first of 3"),
        (json.dumps(POPULAR).encode(), "it has no 'vulnerabilities'"),
    ],
)
def test_what_is_no_list_is_refused_and_the_old_one_stays(cache: Path, data: bytes, message: str | None) -> None:
    put(cache, KEV)
    with pytest.raises(FeedError) as told:
        put(cache, data)
    assert message is None or message in str(told.value)
    assert "\n" not in str(told.value)
    assert exploited(cache) == {"CVE-2021-44228", "CVE-2020-11651"}


def test_entries_that_cannot_be_read_are_kept_out_and_told(cache: Path) -> None:
    put(cache, {**KEV, "vulnerabilities": [{"cveID": "CVE-2021-44228"}, {"cveID": "x\ny"}]})
    (told,) = unreadable_records(cache)
    assert (told.source, told.name, told.reason) == ("kev", "entry 2", "cveID is no CVE id")
    assert status(cache, ()).unreadable == 1
    put(cache, KEV)
    assert unreadable_records(cache) == ()


def test_a_list_beyond_the_bound_or_that_is_no_file_is_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(FeedError, match="is larger than"):
        put(cache, KEV, bounds=Bounds(listing=50))
    with pytest.raises(UsageError):
        import_export(tmp_path, directory=cache, name="kev", malicious=False, kind="exploited", now=NOW)


def test_an_older_or_much_shorter_list_is_refused_unless_that_is_accepted(cache: Path) -> None:
    many = {**KEV, "vulnerabilities": [{"cveID": f"CVE-2026-{number:05}"} for number in range(1000)]}
    put(cache, many)
    older = {**many, "dateReleased": "2026-11-19T10:00:00Z"}
    shorter = {**many, "vulnerabilities": many["vulnerabilities"][:799]}
    for bad, message in ((older, "older than the snapshot"), (shorter, "holds 799 records where")):
        with pytest.raises(FeedError, match=message):
            put(cache, bad)
    assert len(exploited(cache)) == 1000
    put(cache, shorter, accept_rollback=True)
    assert len(exploited(cache)) == 799


def test_the_real_lists_are_read(cache: Path) -> None:
    feeds = shared_feeds()
    cache.parent.mkdir(exist_ok=True)
    kev = put(cache, (feeds / "known_exploited_vulnerabilities.json").read_bytes())
    popular = put(cache, (feeds / "top-pypi-packages.min.json").read_bytes(), "popular")
    assert (kev.source.records, kev.unreadable, popular.source.records, popular.unreadable) == (1404, (), 15000, ())
    with open_snapshot(cache, ()) as snapshot:
        assert snapshot.popular()[canonicalize_name("boto3")] == 1
        assert "CVE-2021-44228" in snapshot.exploited()
