"""Laws of OSV reading, judging and merging."""

from __future__ import annotations

from collections.abc import Set
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import Version

from installguard.feeds.rows import JoinedTexts, decode, encode
from installguard.model import Advisory, parse_release, parse_version, version_key
from installguard.osv import Affected, Indeterminate, RecordError, affects, merge, parse_record

from .feed_samples import record


def parse(data: object) -> Advisory:
    (advisory,) = parse_record(data, feed="osv", malicious=False, rate=lambda vector: None)
    return advisory


PLAIN = st.sampled_from(["0", "0.1", "1.0rc1", "1.0", "1.0.0", "1.0.post1", "1.5", "2.0.dev3", "2", "3.0", "1!0.5"])
LOCAL = st.builds("{}+{}".format, PLAIN, st.sampled_from(["deb1", "cu118.2"]))
LEGACY = st.sampled_from(["2013-01-21T20:33:09", "0.2.0-n653", "n/a", "1.0.dev-r7"])
VERSION = PLAIN | LOCAL | LEGACY
KINDS = st.sampled_from(["introduced", "fixed", "last_affected", "limit"])
EVENT = st.builds(lambda kind, version: {kind: version}, KINDS, VERSION)
EVENTS = st.lists(EVENT, max_size=5)
SETTINGS = settings(max_examples=80, deadline=None)


def kind_of(data: dict[str, Any], version: str) -> str:
    return type(affects(parse(data), parse_release("nice", version))).__name__


@SETTINGS
@given(EVENTS, st.randoms(use_true_random=False), VERSION)
def test_the_order_of_events_changes_nothing(events: list[dict[str, str]], random: Any, version: str) -> None:
    shuffled = random.sample(events, len(events))
    release = parse_release("nice", version)
    assert affects(parse(record(events=events)), release) == affects(parse(record(events=shuffled)), release)


def literally(events: list[dict[str, str]], version: Version) -> bool:
    """The algorithm of the OSV schema as it is written, for events of distinct versions that can be ordered."""
    vulnerable = False
    for event in sorted(events, key=lambda event: Version(next(iter(event.values())))):
        ((kind, text),) = event.items()
        if kind == "introduced" and version >= Version(text):
            vulnerable = True
        elif (kind == "fixed" and version >= Version(text)) or (kind == "last_affected" and version > Version(text)):
            vulnerable = False
    return vulnerable


DISTINCT = st.lists(
    st.tuples(
        st.sampled_from(["introduced", "fixed", "last_affected"]), st.sampled_from(["0.1", "1.0", "1.5", "2", "3"])
    ),
    max_size=5,
    unique_by=lambda pair: pair[1],
)


@SETTINGS
@given(DISTINCT, PLAIN)
def test_ranges_are_evaluated_as_the_schema_writes(pairs: list[tuple[str, str]], version: str) -> None:
    events = [{kind: text} for kind, text in pairs]
    expected = "Affected" if literally(events, Version(version)) else "Unaffected"
    assert kind_of(record(events=events), version) == expected


NUMBERS = ("0", "0.0.1", "0.1", "0.10", "0.9", "1.0", "1.0.0.1", "1.1.0", "2", "10.0", "2020.1", "00.5", "1.0rc1")
OTHERS = ("1.0.post1", "1.0.dev1", "1!0", "0.dev0", "1.0+local", "v2.0", "1.01")


@pytest.mark.parametrize("fixed", [*NUMBERS, *OTHERS])
def test_the_bounds_of_a_range_are_compared_as_versions_are(fixed: str) -> None:
    for introduced, version in product(NUMBERS, (*NUMBERS, *OTHERS)):
        if Version(introduced) != Version(fixed):
            events = [{"introduced": introduced}, {"fixed": fixed}]
            lower = Version("0.dev0") if introduced == "0" else Version(introduced)
            inside = lower <= Version(version) and (Version(version) < Version(fixed) or Version(fixed) < lower)
            assert kind_of(record(events=events), version) == ("Affected" if inside else "Unaffected")


@SETTINGS
@given(DISTINCT, LEGACY, st.sampled_from(["introduced", "fixed"]), PLAIN)
def test_an_event_without_order_is_never_silently_skipped(
    pairs: list[tuple[str, str]], text: str, kind: str, version: str
) -> None:
    events = [{name: value} for name, value in pairs]
    with_it = kind_of(record(events=[*events, {kind: text}]), version)
    possible = {literally(events, Version(version)), kind == "introduced"}
    expected = {frozenset({True}): "Affected", frozenset({False}): "Unaffected"}.get(
        frozenset(possible), "Indeterminate"
    )
    assert with_it == expected


@SETTINGS
@given(PLAIN)
def test_what_is_fixed_and_introduced_at_once_is_introduced(tie: str) -> None:
    tied = [{"introduced": "0"}, {"fixed": tie}, {"introduced": tie}]
    assert kind_of(record(events=tied), tie) == "Affected"


@SETTINGS
@given(st.lists(VERSION, max_size=4), EVENTS, VERSION)
def test_versions_and_ranges_are_a_union(versions: list[str], events: list[dict[str, str]], version: str) -> None:
    listed, ranged = kind_of(record(versions=versions), version), kind_of(record(events=events), version)
    both = kind_of(record(versions=versions, events=events), version)
    assert both == ("Affected" if "Affected" in (listed, ranged) else ranged)


@SETTINGS
@given(st.lists(PLAIN | LEGACY, max_size=4), DISTINCT, PLAIN)
def test_a_local_version_is_affected_wherever_its_public_one_is_listed_or_last(
    versions: list[str], pairs: list[tuple[str, str]], version: str
) -> None:
    events = [{kind: text} for kind, text in pairs if kind != "fixed"]
    data = record(versions=versions, events=events)
    if kind_of(data, version) == "Affected":
        assert kind_of(data, f"{version}+deb12") == "Affected"


@SETTINGS
@given(LEGACY, st.lists(VERSION, max_size=4))
def test_a_legacy_release_is_listed_only_as_it_is_written(version: str, versions: list[str]) -> None:
    assert (kind_of(record(versions=versions), version) == "Affected") == (version in versions)


@SETTINGS
@given(LEGACY, EVENTS)
def test_a_legacy_release_is_never_cleared_by_a_range_it_cannot_be_compared_with(
    version: str, events: list[dict[str, str]]
) -> None:
    ends = [event for event in events if "introduced" not in event and event != {"fixed": "0"}]
    if any("introduced" in event for event in events) and not any("limit" in event for event in events):
        result = affects(parse(record(events=events)), parse_release("nice", version))
        assert isinstance(
            result, Indeterminate if ends or {"introduced": "0"} not in events else Affected | Indeterminate
        )


@SETTINGS
@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True), st.sampled_from("-_."))
def test_names_meet_however_they_are_written(name: str, separator: str) -> None:
    other = canonicalize_name(name).replace("-", separator * 2).upper()
    result = affects(parse(record(name=name, versions=["1"])), parse_release(other, "1"))
    assert result == Affected()


@SETTINGS
@given(st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,4}((a|rc|\.post|\.dev|-)[0-9])?", fullmatch=True))
def test_listed_versions_are_kept_by_the_key_of_the_model(version: str) -> None:
    assert parse(record(versions=[version])).affected.versions == {version_key(parse_version(version))}


# ---------------------------------------------------------------- merging

IDS = st.sampled_from(["MAL-1", "PYSEC-2", "PYSEC-10", "GHSA-a", "CVE-1", "CVE-2", "x/y z"])
RECORDS = st.lists(
    st.builds(
        lambda one, aliases, name, versions, withdrawn: record(
            one, name, versions=versions, aliases=aliases, withdrawn=withdrawn
        ),
        IDS,
        st.lists(IDS, max_size=2),
        st.sampled_from(["nice", "other"]),
        st.lists(st.sampled_from(["1", "2", "3"]), max_size=3),
        st.sampled_from([None, None, "2026-01-01T00:00:00Z"]),
    ),
    max_size=4,
)


@SETTINGS
@given(RECORDS)
def test_merging_depends_on_no_order(records: list[dict[str, Any]]) -> None:
    advisories = [parse(each) for each in records]
    results = {merge(order) for order in permutations(advisories)}
    assert len(results) == 1


@SETTINGS
@given(RECORDS, st.sampled_from(["1", "2", "3"]))
def test_merging_loses_no_denial_and_calls_nothing_malware_that_no_malware_record_lists(
    records: list[dict[str, Any]], version: str
) -> None:
    advisories = [parse(each) for each in records]
    release = parse_release("nice", version)
    before = [one for one in advisories if affects(one, release) == Affected()]
    after = [one for one in merge(advisories) if affects(one, release) == Affected()]
    assert bool(before) == bool(after)
    assert any(one.kind == "malicious" for one in before) == any(one.kind == "malicious" for one in after)
    named = {text for one in after for text in one.ids}
    assert all(one.id in named for one in before)


# ---------------------------------------------------------------- reading anything

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS: list[tuple[str | int, ...]] = [
    ("id",), ("aliases",), ("aliases", 0), ("summary",), ("published",), ("modified",), ("withdrawn",), ("severity",),
    ("severity", 0), ("severity", 0, "type"), ("severity", 0, "score"), ("references",), ("references", 0),
    ("references", 0, "url"), ("database_specific",), ("affected",), ("affected", 0), ("affected", 0, "package"),
    ("affected", 0, "package", "name"), ("affected", 0, "package", "ecosystem"), ("affected", 0, "versions"),
    ("affected", 0, "versions", 0), ("affected", 0, "ranges"), ("affected", 0, "ranges", 0),
    ("affected", 0, "ranges", 0, "type"), ("affected", 0, "ranges", 0, "events"),
    ("affected", 0, "ranges", 0, "events", 0), ("affected", 0, "severity"),
]  # fmt: skip


def full_record() -> dict[str, Any]:
    data = record(
        versions=["1.0"],
        events=[{"introduced": "0"}],
        aliases=["CVE-1"],
        summary="bad",
        published="2026-01-01T00:00:00Z",
        severity=[{"type": "CVSS_V3", "score": "x"}],
        references=[{"type": "WEB", "url": "https://example.org"}],
        database_specific={"severity": "LOW"},
    )
    data["affected"][0]["severity"] = []
    return data


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(PATHS), JSON)
def test_a_record_with_anything_in_any_place_is_read_or_refused_in_one_line(
    path: tuple[str | int, ...], value: Any
) -> None:
    data: Any = full_record()
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    try:
        found = parse_record(data, feed="osv", malicious=False, rate=lambda vector: None)
    except RecordError as error:
        assert "\n" not in str(error)
    else:
        for advisory in found:
            affects(advisory, parse_release("nice", "1.0"))
            assert decode([(advisory.project, "osv", encode(advisory))], frozenset()) == [advisory]


@SETTINGS
@given(JSON)
def test_anything_at_all_is_read_or_refused(value: Any) -> None:
    try:
        assert parse_record(value, feed="osv", malicious=False, rate=lambda vector: None) == ()
    except RecordError as error:
        assert "\n" not in str(error)


def test_a_record_nested_beyond_reason_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    data = record(versions=["1"])
    data["affected"][0]["ranges"] = deep
    with pytest.raises(RecordError, match=r"^affected\[0\]\.ranges\[0\] is no object$"):
        parse(data)


ODD = st.text(st.sampled_from('1. \n\0\x1fa"'), max_size=5)


@SETTINGS
@given(st.lists(ODD, max_size=3), st.lists(ODD, max_size=3), ODD)
def test_odd_texts_come_back_from_a_row_as_they_were(versions: list[str], aliases: list[str], fixed: str) -> None:
    events = [{"introduced": "0"}, {"fixed": fixed}]
    advisory = parse(record(versions=versions, events=events, aliases=[f"x{alias}x" for alias in aliases]))
    assert decode([(advisory.project, "osv", encode(advisory))], frozenset()) == [advisory]


WORDS = st.text(st.sampled_from("1.a"), min_size=1, max_size=3)


@SETTINGS
@given(st.frozensets(WORDS, min_size=1, max_size=4), st.lists(st.text(st.sampled_from("1.a "), max_size=5), max_size=3))
def test_joined_texts_are_the_set_of_them(texts: frozenset[str], others: list[str]) -> None:
    joined: Set[str] = JoinedTexts(" ".join(sorted(texts)))
    assert set(joined) == texts
    assert joined == frozenset(texts)
    assert (hash(joined), len(joined)) == (hash(texts), len(texts))
    assert [other in joined for other in others] == [other in texts for other in others]
    assert joined.isdisjoint(others) == texts.isdisjoint(others)
    assert joined | set(others) == texts | set(others)
    assert (joined <= frozenset(others), frozenset(others) <= joined) == (texts <= set(others), set(others) <= texts)
