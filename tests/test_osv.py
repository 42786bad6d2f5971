from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from installguard.feeds.imports import import_export
from installguard.feeds.ratings import rate_vector
from installguard.feeds.store import Snapshot, open_snapshot
from installguard.model import Advisory, Severity, parse_release
from installguard.osv import Affected, Indeterminate, RecordError, Unaffected, affects, merge, parse_record

from .feed_samples import NOW, record, shared_feeds

CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
LOW = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"


def parse(data: object, *, malicious: bool = False, feed: str = "osv") -> Advisory:
    (advisory,) = parse_record(data, feed=feed, malicious=malicious, rate=rate_vector)
    return advisory


def answer(data: dict[str, Any], version: str, name: str = "nice") -> str:
    return type(affects(parse(data), parse_release(name, version))).__name__


# ---------------------------------------------------------------- the real records


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    feeds, directory = shared_feeds(), tmp_path_factory.mktemp("snapshot")
    for name, malicious in (("osv", False), ("malicious", True)):
        path = feeds / name / "PyPI" / "all.zip"
        import_export(path, directory=directory, name=name, malicious=malicious, now=NOW)
    with open_snapshot(directory, (), now=NOW) as snapshot:
        yield snapshot


def test_the_tricky_releases_of_the_real_feeds_meet_exactly_the_advisories_worked_out_by_hand(real: Snapshot) -> None:
    found, expected = {}, {}
    for case in json.loads((shared_feeds() / "osv-cases.json").read_text()):
        release = parse_release(case["name"], case["version"])
        hits = [one.id for one in real.lookup([release.name]) if affects(one, release) == Affected()]
        found[str(release)] = sorted(hits)
        expected[str(release)] = sorted(case["expected_ids"])
    assert len(expected) == 24
    assert found == expected


def test_a_real_fix_that_cannot_be_ordered_is_reported(real: Snapshot) -> None:
    release = parse_release("binderhub", "0.2.0")
    (doubt,) = [
        result for one in real.lookup([release.name]) if isinstance(result := affects(one, release), Indeterminate)
    ]
    assert "0.2.0-n653" in doubt.reason


def test_all_records_of_the_real_feeds_are_readable(real: Snapshot) -> None:
    assert (real.info.records, real.info.unreadable, real.info.missing) == (7116, 0, ())


# ---------------------------------------------------------------- affects

SORTED = [{"introduced": "0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.3"}]
UNSORTED = [{"introduced": "2.0"}, {"fixed": "2.3"}, {"fixed": "1.5"}, {"introduced": "0"}]


@pytest.mark.parametrize("events", [SORTED, UNSORTED])
@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.dev0", True), ("1.4.9", True), ("1.5", False), ("1.9", False), ("2.0", True), ("2.3", False), ("1!1", False)],
)
def test_a_range_is_walked_in_the_order_of_versions(events: list[dict[str, str]], version: str, expected: bool) -> None:
    assert answer(record(events=events), version) == ("Affected" if expected else "Unaffected")


@pytest.mark.parametrize(
    ("events", "version", "expected"),
    [
        ([{"introduced": "0"}, {"last_affected": "2.0"}], "2.0", "Affected"),
        ([{"introduced": "0"}, {"last_affected": "2.0"}], "2.0.post1", "Unaffected"),
        ([{"introduced": "0"}, {"last_affected": "2.0"}], "2.0+deb12", "Affected"),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "2.0+deb12", "Unaffected"),
        ([{"introduced": "2.0"}], "2.0+deb12", "Affected"),
        # the same version twice
        ([{"fixed": "1.0"}, {"introduced": "1.0"}, {"introduced": "0"}], "1.0", "Affected"),
        ([{"introduced": "1.0"}, {"last_affected": "1.0"}], "1.0", "Affected"),
        ([{"introduced": "1.0"}, {"last_affected": "1.0"}], "1.1", "Unaffected"),
        ([{"introduced": "0"}, {"last_affected": "1.0"}, {"introduced": "1.0"}], "1.1", "Affected"),
        # limits
        ([{"introduced": "0"}, {"limit": "2.0"}], "1.9", "Affected"),
        ([{"introduced": "0"}, {"limit": "2.0"}], "2.0", "Unaffected"),
        ([{"introduced": "0"}, {"limit": "*"}], "9", "Affected"),
        ([{"introduced": "0"}, {"limit": "1.0"}, {"limit": "3.0"}], "2.0", "Affected"),
        ([{"introduced": "0"}, {"limit": "x-y"}], "1.0", "Indeterminate"),
        # events that cannot be ordered
        ([{"introduced": "0"}, {"fixed": "0.2.0-n653"}], "0.2.0", "Indeterminate"),
        ([{"introduced": "what"}], "1.0", "Indeterminate"),
        ([{"introduced": "0"}, {"fixed": "1.0"}, {"fixed": "what"}], "2.0", "Unaffected"),
        ([{"introduced": "0"}, {"introduced": "what"}], "2.0", "Affected"),
        ([{"introduced": "0"}, {"fixed": "9" * 5000}], "1.0", "Indeterminate"),
        # releases that cannot be ordered
        ([{"introduced": "0"}], "2013-01-21T20:33:09", "Affected"),
        ([{"introduced": "0"}, {"fixed": "1.0"}], "2013-01-21T20:33:09", "Indeterminate"),
        ([{"introduced": "1.0"}], "not-a-version", "Indeterminate"),
        ([], "1.0", "Unaffected"),
        # two events in one object, as early records have them
        ([{"introduced": "1.0", "fixed": "2.0"}], "1.5", "Affected"),
        ([{"introduced": "1.0", "fixed": "2.0"}], "2.0", "Unaffected"),
    ],
)
def test_range_events_decide(events: list[dict[str, str]], version: str, expected: str) -> None:
    assert answer(record(events=events), version) == expected


@pytest.mark.parametrize(
    ("listed", "version", "expected"),
    [
        ("1.0", "1.0.0", "Affected"),
        ("v1.0-1", "1.post1", "Affected"),
        ("0.1.2-1", "0.1.2.post1", "Affected"),
        ("1.0", "1.0+local", "Affected"),
        ("1.0+local", "1.0", "Unaffected"),
        ("1.0+Local.1", "1.0+local-1", "Affected"),
        ("1.0.dev-r7", "1.0.dev-r7", "Affected"),
        ("1.0.dev-r7", "1.0.dev-R7", "Unaffected"),
        ("1!1.0", "1.0", "Unaffected"),
    ],
)
def test_listed_versions_meet_as_pep_440_says_and_else_by_their_text(listed: str, version: str, expected: str) -> None:
    assert answer(record(versions=[listed]), version) == expected


def test_versions_and_ranges_are_a_union() -> None:
    data = record(versions=["4.2a1"], events=[{"introduced": "3.0"}, {"fixed": "3.2"}])
    assert [answer(data, version) for version in ("4.2a1", "3.1", "3.2")] == ["Affected", "Affected", "Unaffected"]


def test_a_listed_version_settles_what_a_range_leaves_open() -> None:
    data = record(versions=["1.0"], events=[{"introduced": "0"}, {"fixed": "?"}])
    assert [answer(data, version) for version in ("1.0", "1.1")] == ["Affected", "Indeterminate"]


def test_a_git_range_does_not_hide_the_others() -> None:
    data = record(events=[{"introduced": "0"}, {"fixed": "2.0"}])
    data["affected"][0]["ranges"].insert(0, {"type": "GIT", "repo": "https://example.org", "events": 7})
    assert [answer(data, version) for version in ("1.0", "2.0")] == ["Affected", "Unaffected"]


def test_a_withdrawn_record_names_nothing() -> None:
    assert answer(record(versions=["1.0"], withdrawn="2026-02-01T00:00:00Z"), "1.0") == "Unaffected"


def test_neither_versions_nor_ranges_name_nothing() -> None:
    assert answer(record(), "1.0") == "Unaffected"


def test_another_project_is_not_affected() -> None:
    assert affects(parse(record(versions=["1.0"])), parse_release("other", "1.0")) == Unaffected()


# ---------------------------------------------------------------- reading


def test_names_are_normalised_and_entries_of_one_project_are_united() -> None:
    data = record(versions=["1.0"], name="Nice_Thing")
    data["affected"] += record(versions=["2.0"], name="nice.thing")["affected"]
    advisory = parse(data)
    assert (advisory.project, advisory.affected.versions) == (canonicalize_name("nice-thing"), frozenset({"1", "2"}))


def test_a_record_of_two_projects_gives_an_advisory_for_each() -> None:
    data = record(versions=["1.0"])
    data["affected"] += record(versions=["2.0"], name="other")["affected"]
    found = parse_record(data, feed="osv", malicious=False, rate=rate_vector)
    assert {str(one.project): set(one.affected.versions) for one in found} == {"nice": {"1"}, "other": {"2"}}


@pytest.mark.parametrize(("ecosystem", "count"), [("PyPI", 1), ("PyPI:private", 1), ("npm", 0), ("PyPIx", 0)])
def test_only_records_of_pypi_count(ecosystem: str, count: int) -> None:
    data = record(versions=["1.0"])
    data["affected"][0]["package"]["ecosystem"] = ecosystem
    assert len(parse_record(data, feed="osv", malicious=False, rate=rate_vector)) == count


@pytest.mark.parametrize(
    ("record_id", "aliases", "feed_of_malware", "kind"),
    [
        ("PYSEC-1", [], False, "vulnerability"),
        ("MAL-2026-1", [], False, "malicious"),
        ("GHSA-x", ["MAL-2026-1"], False, "malicious"),
        ("any/thing at all", [], True, "malicious"),
    ],
)
def test_malware_is_known_by_its_feed_its_id_or_its_alias(
    record_id: str, aliases: list[str], feed_of_malware: bool, kind: str
) -> None:
    assert parse(record(record_id, versions=["1"], aliases=aliases), malicious=feed_of_malware).kind == kind


@pytest.mark.parametrize(
    ("fields", "score", "severity"),
    [
        ({}, None, None),
        (
            {"severity": [{"type": "CVSS_V3", "score": LOW}, {"type": "CVSS_V3", "score": CRITICAL}]},
            9.8,
            Severity.CRITICAL,
        ),
        ({"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}]}, 7.5, Severity.HIGH),
        ({"severity": [{"type": "CVSS_V3", "score": "nonsense"}]}, None, None),
        ({"severity": [{"type": "Ubuntu", "score": "high"}]}, None, None),
        ({"database_specific": {"severity": "MODERATE"}}, None, Severity.MEDIUM),
        (
            {"database_specific": {"severity": "CRITICAL"}, "severity": [{"type": "CVSS_V3", "score": LOW}]},
            1.8,
            Severity.LOW,
        ),
    ],
)
def test_the_highest_vector_counts_and_a_word_only_without_one(
    fields: dict[str, Any], score: float | None, severity: Severity | None
) -> None:
    advisory = parse(record(versions=["1"], **fields))
    assert (advisory.score, advisory.severity) == (score, severity)


def test_a_vector_beside_the_affected_versions_counts_too() -> None:
    data = record(versions=["1"])
    data["affected"][0]["severity"] = [{"type": "CVSS_V3", "score": CRITICAL}]
    assert parse(data).severity == Severity.CRITICAL


def test_fixed_versions_are_ascending_each_once_and_those_without_order_last() -> None:
    events = [{"fixed": text} for text in ("1.10", "n653", "1.9", "1.9.0", "1.9rc1")]
    assert parse(record(events=events)).fixed == ("1.9rc1", "1.9.0", "1.10", "n653")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-24T10:00:00Z", datetime(2026, 3, 24, 10, tzinfo=timezone.utc)),
        ("2026-03-24T10:00:00.123456789Z", datetime(2026, 3, 24, 10, 0, 0, 123456, tzinfo=timezone.utc)),
        ("2026-03-24t12:00:00.5+02:00", datetime(2026, 3, 24, 10, 0, 0, 500000, tzinfo=timezone.utc)),
        ("2026-03-24", datetime(2026, 3, 24, tzinfo=timezone.utc)),
    ],
)
def test_timestamps_are_read_as_rfc_3339(text: str, expected: datetime) -> None:
    published = parse(record(versions=["1"], published=text)).published
    assert published == expected
    assert published.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "the record is missing or no object"),
        ([], "the record is missing or no object"),
        ({}, "id is missing or no text"),
        ({"id": 7}, "id is missing or no text"),
        ({"id": " "}, "id is empty"),
        ({"id": "\ud800"}, "id holds half a surrogate pair"),
        ({"id": "X", "affected": {}}, "affected is no list"),
        ({"id": "X", "affected": ["nice"]}, "affected[0] is no object"),
        (
            {"id": "X", "affected": [{"package": {"name": "nice"}}]},
            "affected[0].package.ecosystem is missing or no text",
        ),
        (
            {"id": "X", "affected": [{"package": {"ecosystem": "PyPI"}}]},
            "affected[0].package.name is missing or no text",
        ),
        (record(versions=["1", 2.0]), "affected[0].versions[1] is missing or no text"),  # type: ignore[list-item]
        (record(versions=["1", "\udfff"]), "affected[0].versions[1] holds half a surrogate pair"),
        (record(events=[{"introduced": 0}]), "affected[0].ranges[0].events[0].introduced is missing or no text"),  # type: ignore[dict-item]
        (
            record(events=[{"broken": "1"}]),
            "affected[0].ranges[0].events[0] is none of introduced, fixed, last_affected, limit",
        ),
        (record(versions=["1"], modified="yesterday"), "modified is no RFC 3339 timestamp"),
        (record(versions=["1"], withdrawn="0001-01-01T00:00:00+23:00"), "withdrawn is no RFC 3339 timestamp"),
        (record(versions=["1"], aliases="MAL-1"), "aliases is no list"),
    ],
)
def test_an_unreadable_record_says_what_is_wrong_and_where(data: object, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_record(data, feed="osv", malicious=False, rate=rate_vector)
    assert str(caught.value) == reason


def test_an_unknown_kind_of_range_is_an_error_and_not_an_empty_range() -> None:
    data = record(events=[{"introduced": "0"}])
    data["affected"][0]["ranges"][0]["type"] = "NOVEL"
    with pytest.raises(RecordError, match="type is none of"):
        parse(data)


# ---------------------------------------------------------------- merging


def merged(*records: dict[str, Any]) -> list[Advisory]:
    return list(merge(parse(each) for each in records))


def test_records_that_share_an_alias_become_one_named_by_the_first_database() -> None:
    (one,) = merged(
        record("GHSA-b", versions=["1"], aliases=["CVE-1"], published="2026-02-01T00:00:00Z"),
        record("PYSEC-10", versions=["2"], aliases=["CVE-1"], published="2026-01-01T00:00:00Z"),
        record("PYSEC-9", versions=["3"], aliases=["GHSA-b"]),
    )
    assert (one.id, one.aliases) == ("PYSEC-9", ("PYSEC-10", "GHSA-b", "CVE-1"))
    assert one.affected.versions == {"1", "2", "3"}
    assert one.published == datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_an_alias_shared_across_projects_joins_nothing() -> None:
    found = merged(
        record("A-1", versions=["1"], aliases=["CVE-1"]), record("A-2", "other", versions=["1"], aliases=["CVE-1"])
    )
    assert [(one.id, one.project) for one in found] == [("A-1", "nice"), ("A-2", "other")]


def test_a_vulnerability_record_does_not_widen_what_is_called_malware() -> None:
    found = merged(
        record("MAL-1", versions=["1.82.7"], aliases=["CVE-1"]),
        record("PYSEC-1", events=[{"introduced": "0"}], aliases=["CVE-1"]),
    )
    assert [(one.id, one.kind, bool(one.affected.ranges)) for one in found] == [
        ("MAL-1", "malicious", False),
        ("PYSEC-1", "vulnerability", True),
    ]


def test_a_vulnerability_record_within_the_malware_is_told_as_one() -> None:
    (one,) = merged(
        record("PYSEC-1", versions=["1.82.7"], aliases=["CVE-1"]),
        record("MAL-1", versions=["1.82.7", "1.82.8"], aliases=["CVE-1"]),
    )
    assert (one.id, one.kind, one.aliases) == ("MAL-1", "malicious", ("PYSEC-1", "CVE-1"))


def test_a_withdrawn_record_neither_joins_nor_hides_others() -> None:
    gone = record("PYSEC-1", versions=["9"], aliases=["CVE-1", "CVE-2"], withdrawn="2026-01-01T00:00:00Z")
    found = merged(
        record("GHSA-1", versions=["1"], aliases=["CVE-1"]), gone, record("GHSA-2", versions=["2"], aliases=["CVE-2"])
    )
    assert [(one.id, one.withdrawn) for one in found] == [("GHSA-1", None), ("GHSA-2", None)]
    assert [one.id for one in merged(gone)] == ["PYSEC-1"]
