"""What is decided on a page: the same as if each of its files were judged alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from installguard.index.pages import Decision, Denied, Entry, Hidden, Page
from installguard.index.upstream import Upstream
from installguard.judge import Judge, stops
from installguard.model import Advisory, Affects, Artifact, Level, SnapshotInfo
from installguard.policy import (
    BuildsPolicy,
    DeniedPackage,
    PackageMatch,
    PackagesPolicy,
    Policy,
    ReleasePolicy,
)
from installguard.screening import PageScreen, Wishes

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=timezone.utc)
EVIL, PLAIN = canonicalize_name("evil"), canonicalize_name("plain")
MALWARE = Advisory(
    id="MAL-2026-1", kind="malicious", project=EVIL, affected=Affects(versions=frozenset({"2"})), feed="osv"
)


class Advisories:
    """A snapshot of one record."""

    info = SnapshotInfo(sources=(), taken_at=NOW, digest="sha256:0", records=1, unreadable=0)

    def lookup(self, names: Iterable[NormalizedName]) -> tuple[Advisory, ...]:
        """Return the record, where it is asked for."""
        return (MALWARE,) if EVIL in set(names) else ()

    def exploited(self) -> frozenset[str]:
        """Nothing is."""
        return frozenset()

    def popular(self) -> Mapping[NormalizedName, int]:
        """Nothing is."""
        return {}


def screen(policy: Policy | None = None, wishes: Wishes | None = None) -> PageScreen:
    """Return a screen on the twentieth of November."""
    return PageScreen(cache(lambda: Judge(policy or Policy(), Advisories(), lambda: NOW)), wishes or Wishes())


def entry(
    project: str, version: str, *, sdist: bool = False, age: timedelta | None = timedelta(days=99), yanked: bool = False
) -> Entry:
    """Return a file as a page offers it."""
    filename = f"{project}-{version}.tar.gz" if sdist else f"{project}-{version}-py3-none-any.whl"
    artifact = Artifact(
        filename=filename,
        url=f"https://files.example.org/{filename}",
        kind="sdist" if sdist else "wheel",
        uploaded_at=NOW - age if age is not None else None,
        yanked="a mistake" if yanked else None,
    )
    return Entry(artifact=artifact, project=canonicalize_name(project), version=version, href=artifact.url)


def page(*entries: Entry) -> Page:
    """Return a page of one project."""
    return Page(upstream=Upstream(url="https://index.example.org/simple"), project=entries[0].project, entries=entries)


def named(decisions: Mapping[str, Decision]) -> dict[str, str]:
    """Return decisions in words."""
    return {name: "hidden" if isinstance(each, Hidden) else each.reason for name, each in decisions.items()}


def test_malware_keeps_its_place_with_the_reason_and_the_rest_is_left_alone() -> None:
    decisions = screen()(page(entry("evil", "1"), entry("evil", "2"), entry("evil", "2", sdist=True)))

    assert set(decisions) == {"evil-2-py3-none-any.whl", "evil-2.tar.gz"}
    told = "denied by guard: malicious MAL-2026-1: evil 2 is known malware"
    assert named(decisions)["evil-2.tar.gz"].startswith(told)


def test_young_releases_are_left_out_unless_they_were_asked_for_by_version() -> None:
    offered = page(entry("plain", "1"), entry("plain", "2", age=timedelta(hours=1)))

    assert named(screen()(offered)) == {"plain-2-py3-none-any.whl": "hidden"}
    pinned = named(screen(wishes=Wishes(pinned=frozenset({PLAIN})))(offered))
    assert pinned["plain-2-py3-none-any.whl"].startswith("denied by guard: too-young: plain 2 was uploaded")


def test_a_young_release_that_a_lock_names_with_its_hash_stays() -> None:
    offered = page(entry("plain", "1"), entry("plain", "2.0", age=timedelta(hours=1)))

    assert screen(wishes=Wishes(locked=frozenset({(PLAIN, "2")})))(offered) == {}


def test_young_wheels_are_shown_where_it_is_to_be_found_out_whether_they_are_wanted() -> None:
    young = timedelta(hours=1)
    offered = page(entry("plain", "1"), entry("plain", "2", age=young), entry("plain", "2", sdist=True, age=young))
    shown = screen()
    before = shown.digest()
    shown.show_young()

    assert named(shown(offered)) == {"plain-2.tar.gz": "hidden"}
    assert shown.digest() != before


POLICIES: list[tuple[str, Policy, set[str]]] = [
    ("default", Policy(), set()),
    ("builds denied", Policy(builds=BuildsPolicy(level=Level.DENY)), {"plain-1.tar.gz"}),
    ("yanked denied", Policy(release=ReleasePolicy(yanked=Level.DENY)), {"plain-3-py3-none-any.whl"}),
    (
        "one release denied",
        Policy(
            packages=PackagesPolicy(
                deny=(DeniedPackage(match=PackageMatch(pattern="plain", specifier=SpecifierSet("==1"))),)
            )
        ),
        {"plain-1-py3-none-any.whl", "plain-1.tar.gz"},
    ),
    ("warnings stop", Policy(fail_on=Level.WARN), {"plain-1.tar.gz", "plain-3-py3-none-any.whl"}),
    (
        "unknown ages denied",
        Policy(release=ReleasePolicy(min_age_unknown=Level.DENY)),
        {"plain-4-py3-none-any.whl"},
    ),
]


@pytest.mark.parametrize(("policy", "denied"), [case[1:] for case in POLICIES], ids=[case[0] for case in POLICIES])
def test_the_policy_decides_file_by_file(policy: Policy, denied: set[str]) -> None:
    offered = page(
        entry("plain", "1"),
        entry("plain", "1", sdist=True),
        entry("plain", "3", yanked=True),
        entry("plain", "4", age=None),
    )

    assert set(screen(policy)(offered)) == denied


entries = st.builds(
    entry,
    st.sampled_from(["evil", "plain"]),
    st.sampled_from(["1", "1.0", "2", "2.0", "3", "0.1.2-1", "weird"]),
    sdist=st.booleans(),
    age=st.sampled_from([None, timedelta(days=3), timedelta(days=99)]),
    yanked=st.booleans(),
)
policies = st.sampled_from([each for _, each, _ in POLICIES])


@given(st.lists(entries, min_size=1, max_size=8, unique_by=lambda each: each.artifact.filename), policies)
def test_law_a_file_is_denied_on_a_page_exactly_if_it_would_stop_an_installer_by_itself(
    offered: list[Entry], policy: Policy
) -> None:
    at_hand = screen(policy)
    whole = Page(
        upstream=Upstream(url="https://index.example.org/flat", kind="flat"), project=None, entries=tuple(offered)
    )
    decisions = at_hand(whole)
    for each in offered:
        alone = Judge(policy, Advisories(), lambda: NOW)
        stopped = stops(alone.consider([at_hand.distribution(whole, each)]), policy)
        assert isinstance(decisions.get(each.artifact.filename), Denied) == stopped


def test_a_young_release_that_fixes_what_the_older_one_has_is_offered() -> None:
    young = timedelta(hours=1)
    offered = page(entry("evil", "1"), entry("evil", "2"), entry("evil", "3", age=young), entry("evil", "4", age=young))

    assert set(screen()(offered)) == {"evil-2-py3-none-any.whl", "evil-4-py3-none-any.whl"}


def test_a_file_that_is_listed_twice_counts_by_its_younger_listing() -> None:
    young = timedelta(hours=1)
    offered = page(entry("evil", "1"), entry("evil", "2", age=young), entry("evil", "2"), entry("evil", "3", age=young))
    assert set(named(screen()(offered)).values()) == {"hidden"}
    assert set(screen()(offered)) == {"evil-2-py3-none-any.whl", "evil-3-py3-none-any.whl"}


def test_the_young_files_of_many_projects_on_one_page_are_all_held_back() -> None:
    entries = [entry(f"p{number}", "1", age=timedelta(hours=1)) for number in range(4_000)]
    flat = Page(upstream=Upstream(url="https://index.example.org/"), project=None, entries=entries)
    assert len(screen()(flat)) == 4_000


def test_the_digest_tells_policies_wishes_and_hours_apart() -> None:
    policy = Policy(digest="sha256:1")
    digests = {
        screen().digest(),
        screen(policy).digest(),
        screen(wishes=Wishes(pinned=frozenset({PLAIN}))).digest(),
        screen(wishes=Wishes(locked=frozenset({(PLAIN, "1")}))).digest(),
        PageScreen(lambda: Judge(Policy(), Advisories(), lambda: NOW + timedelta(hours=1)), Wishes()).digest(),
    }

    assert len(digests) == 5
    assert screen().digest() == screen().digest()


def test_nothing_is_decided_before_what_has_to_come_first() -> None:
    done: list[str] = []
    at_hand = screen()
    at_hand.wait_for(lambda: done.append("first"))
    at_hand.digest()

    assert done == ["first"]
