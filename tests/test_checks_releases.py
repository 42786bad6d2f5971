"""The checks of what an index says of a release: its age, its project's status, which index it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from installguard.checks import run_checks
from installguard.model import (
    Artifact,
    Code,
    DirectUrl,
    Distribution,
    Finding,
    Installed,
    Level,
    LocalTree,
    Origin,
    ProjectStatus,
    VcsCheckout,
)
from installguard.policy import IndexPin, PackagesPolicy, Policy, ReleasePolicy, rule

from .sample_values import INDEX, NOW, advisory, artifact, distribution, evidence, malware, match

DAY = timedelta(days=1)


def cooling(days: int = 3, *exclude: str, unknown: Level = Level.DENY) -> Policy:
    rules = ReleasePolicy(
        min_age=days * DAY, min_age_exclude=tuple(match(each) for each in exclude), min_age_unknown=unknown
    )
    return Policy(release=rules)


def found(subject: Distribution, policy: Policy, *known: object) -> list[Finding]:
    return list(run_checks(evidence(subject, advisories=known), policy))  # type: ignore[arg-type]  # a table's values


def codes(subject: Distribution, policy: Policy, *known: object) -> list[str]:
    return sorted(finding.code.value for finding in found(subject, policy, *known))


def aged(uploaded_at: datetime | None, *, name: str = "web", version: str = "2.0", **more: object) -> Distribution:
    return distribution(name, version, origin=artifact(name, version, uploaded_at=uploaded_at), **more)  # type: ignore[arg-type]  # passed on as given


# ---------------------------------------------------------------- age


@pytest.mark.parametrize(
    ("uploaded_at", "days", "expected"),
    [
        (NOW - 2 * DAY, 3, ["too-young"]),
        (NOW - 3 * DAY + timedelta(seconds=1), 3, ["too-young"]),
        (NOW - 3 * DAY, 3, []),
        (NOW + DAY, 3, ["too-young"]),
        (NOW, 0, []),
        (None, 3, ["age-unknown"]),
        (None, 0, []),
        ((NOW - 2 * DAY).astimezone(timezone(timedelta(hours=9))), 3, ["too-young"]),
    ],
    ids=["young", "by a second", "just old enough", "from the future", "no cooldown", "not told", "not asked",
         "told in another zone"],
)  # fmt: skip
def test_a_release_younger_than_the_policy_asks_is_found(
    uploaded_at: datetime | None, days: int, expected: list[str]
) -> None:
    assert codes(aged(uploaded_at), cooling(days)) == expected


def test_a_young_release_is_told_with_the_time_at_which_it_becomes_eligible() -> None:
    there = timezone(timedelta(hours=9))
    [finding] = found(aged(datetime(2026, 11, 21, 9, 0, tzinfo=there)), cooling(3))
    assert finding.detail == "was uploaded 2026-11-21 00:00 UTC, and is held back until 2026-11-24 00:00 UTC"


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [("web", []), ("w*", []), ("web==2.0", []), ("web>=3", ["too-young"]), ("webs", ["too-young"])],
)
def test_what_the_policy_excludes_has_no_cooldown(exclude: str, expected: list[str]) -> None:
    assert codes(aged(NOW - DAY), cooling(3, exclude)) == expected
    assert codes(aged(None), cooling(3, exclude)) == (["age-unknown"] if expected else [])


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (aged(None, role="build"), ["age-unknown"]),
        (distribution("web", "2.0", role="installed", origin=Installed(location="/env")), []),
        (distribution("web", "2.0", origin=DirectUrl(url="https://example.org/w.whl", filename="w", kind="wheel")), []),
        (distribution("web", "2.0", origin=LocalTree(path="/src")), []),
        (distribution("web", "2.0", origin=Artifact(filename="", url="", kind="wheel")), []),
    ],
    ids=["of a build", "installed already", "by URL", "a tree", "a plain name and version"],
)
def test_only_files_of_an_index_have_an_age(subject: Distribution, expected: list[str]) -> None:
    assert [code for code in codes(subject, cooling(3)) if code != "direct-origin"] == expected


def level(subject: Distribution, policy: Policy) -> Level:
    given = evidence(subject)
    return rule(given, run_checks(given, policy), policy).level


def test_a_young_release_is_denied_and_one_chosen_by_hash_warned_of_unless_the_policy_is_strict() -> None:
    young, hashed = aged(NOW - DAY), aged(NOW - DAY, hashed=True)
    strict = Policy(preset="strict", release=ReleasePolicy(min_age=3 * DAY))
    assert (level(young, cooling(3)), level(hashed, cooling(3))) == (Level.DENY, Level.WARN)
    assert (level(young, strict), level(hashed, strict)) == (Level.DENY, Level.DENY)


@pytest.mark.parametrize("unknown", list(Level))
def test_the_policy_says_what_an_unknown_age_is(unknown: Level) -> None:
    assert level(aged(None), cooling(3, unknown=unknown)) is unknown


def test_a_young_release_that_fixes_what_the_other_suffers_from_is_excused() -> None:
    open_hole = advisory("web", id="GHSA-1", aliases=["CVE-1"], introduced="0", fixed=["2.0"])
    assert codes(aged(NOW - DAY, fixes=["CVE-1"]), cooling(3), open_hole) == []


@pytest.mark.parametrize(
    ("fixes", "known"),
    [
        (["GHSA-1"], []),
        (["GHSA-2"], [advisory("web", id="GHSA-1", introduced="0", fixed=["2.0"])]),
        (["GHSA-1"], [advisory("other", id="GHSA-1", introduced="0", fixed=["2.0"])]),
        ([], [advisory("web", id="GHSA-1", introduced="0", fixed=["2.0"])]),
    ],
    ids=["unknown", "another", "of another project", "none is said to be fixed"],
)
def test_no_young_release_is_excused_by_a_fix_that_no_feed_bears_out(fixes: list[str], known: list[object]) -> None:
    assert codes(aged(NOW - DAY, fixes=fixes), cooling(3), *known) == ["too-young"]


def test_a_release_that_its_own_fix_still_affects_is_not_excused() -> None:
    still = advisory("web", id="GHSA-1", introduced="0", fixed=["2.1"])
    assert codes(aged(NOW - DAY, fixes=["GHSA-1"]), cooling(3), still) == ["too-young", "vulnerable"]


# ---------------------------------------------------------------- status


@pytest.mark.parametrize(
    ("status", "expected"), [("quarantined", Level.DENY), ("archived", Level.WARN), ("deprecated", Level.ALLOW)]
)
def test_a_projects_status_is_ruled_by_its_own_key(status: ProjectStatus, expected: Level) -> None:
    policy = Policy(release=ReleasePolicy(deprecated=Level.ALLOW))
    subject = distribution("web", "2.0", status=status)
    assert codes(subject, policy) == ["project-status"]
    assert level(subject, policy) is expected


@pytest.mark.parametrize("status", ["active", None])
def test_a_project_without_a_mark_is_not_found(status: ProjectStatus | None) -> None:
    assert codes(distribution("web", "2.0", status=status), Policy()) == []


# ---------------------------------------------------------------- indexes

PRIVATE = "https://pypi.acme.example.org/simple"


def pinning(*pins: tuple[str, str]) -> Policy:
    entries = tuple(IndexPin(match=match(pattern), url=url) for pattern, url in pins)
    return Policy(packages=PackagesPolicy(index=entries))


@pytest.mark.parametrize(
    ("index", "wrong"),
    [
        (PRIVATE, False),
        (PRIVATE + "/", False),
        (PRIVATE + "/acme-web/", False),
        ("https://user:secret@PYPI.acme.example.org:443/simple/", False),
        (PRIVATE + "/other/acme-web/", True),
        (PRIVATE + "-evil/", True),
        ("http://pypi.acme.example.org/simple", True),
        ("https://pypi.acme.example.org:8443/simple", True),
        ("https://pypi.acme.example.org.evil.example.org/simple", True),
        ("https://pypi.acme.example.org@evil.example.org/simple", True),
        ("https://[bad/simple", True),
        (INDEX, True),
        (None, True),
    ],
)
def test_a_pinned_project_comes_from_its_index_only(index: str | None, wrong: bool) -> None:
    subject = distribution("acme-web", "1.0", origin=artifact("acme-web", "1.0", index=index))
    assert codes(subject, pinning(("acme-*", PRIVATE))) == (["wrong-index"] if wrong else [])


@pytest.mark.parametrize(
    ("origin", "wrong"),
    [
        (DirectUrl(url="https://example.org/acme_web.whl", filename="acme_web.whl", kind="wheel"), True),
        (VcsCheckout(url="git+https://example.org/acme-web"), True),
        (LocalTree(path="/src/acme-web"), False),
        (Installed(location="/env"), False),
        (Artifact(filename="", url="", kind="wheel"), False),
    ],
)
def test_any_other_source_of_a_pinned_name_is_wrong(origin: Origin, wrong: bool) -> None:
    subject = distribution("acme-web", "1.0", origin=origin)
    assert ("wrong-index" in codes(subject, pinning(("acme-*", PRIVATE)))) is wrong


def test_the_first_entry_that_matches_holds() -> None:
    subject = distribution("acme-web", "1.0")
    assert codes(subject, pinning(("acme-web", INDEX), ("acme-*", PRIVATE))) == []
    assert codes(subject, pinning(("acme-*", PRIVATE), ("acme-web", INDEX))) == ["wrong-index"]
    assert codes(subject, pinning(("acme-web>=2", PRIVATE), ("*", INDEX))) == []


def test_a_checkout_without_a_name_falls_under_no_entry() -> None:
    subject = Distribution(name=None, release=None, origin=VcsCheckout(url="git+https://example.org/x"))
    assert "wrong-index" not in codes(subject, pinning(("*", PRIVATE)))


PUBLIC = "https://public.example.org/simple"


@pytest.mark.parametrize(
    ("pins", "index", "expected"),
    [
        ([("acme-*", PRIVATE)], PRIVATE + "/acme-web/", Level.WARN),
        ([("acme-web", PRIVATE)], PRIVATE, Level.WARN),
        ([("*", PRIVATE)], PRIVATE, Level.DENY),
        ([("other", PRIVATE), ("*", INDEX)], INDEX, Level.DENY),
        ([("acme-*", PRIVATE)], INDEX, Level.DENY),
        ([("acme-*", PUBLIC)], PUBLIC, Level.DENY),
        ([("acme-*", PUBLIC.replace("public", "Public") + "/")], PUBLIC + "/acme-web/", Level.DENY),
        ([], PRIVATE, Level.DENY),
    ],
    ids=["by a glob", "by name", "a mirror of all", "another name", "from elsewhere", "pinned to the public index",
         "written otherwise", "not pinned"],
)  # fmt: skip
def test_a_private_release_that_shares_its_name_with_malware_is_warned_of(
    pins: list[tuple[str, str]], index: str, expected: Level
) -> None:
    subject = distribution("acme-web", "1.0", origin=artifact("acme-web", "1.0", index=index))
    policy, known = pinning(*pins), [malware("acme-web", "1.0", fixed=["1.1"])]
    given = replace(evidence(subject, advisories=known), public_indexes=(PUBLIC,))
    rulings = rule(given, run_checks(given, policy), policy).rulings
    (malicious,) = (each for each in rulings if each.finding.code is Code.MALICIOUS)
    assert malicious.level is expected
    assert malicious.finding.fix == (None if expected is Level.WARN else "acme-web==1.1")


def test_where_no_public_index_is_known_none_counts_as_private() -> None:
    subject = distribution("acme-web", "1.0", origin=artifact("acme-web", "1.0", index=PRIVATE))
    policy, given = pinning(("acme-*", PRIVATE)), evidence(subject, advisories=[malware("acme-web", "1.0")])
    assert rule(given, run_checks(given, policy), policy).level is Level.DENY


def test_what_is_installed_already_came_from_nobody_knows_where() -> None:
    subject = distribution("acme-web", "1.0", role="installed", origin=Installed(location="/env"))
    policy, known = pinning(("acme-*", PRIVATE)), [malware("acme-web", "1.0")]
    given = replace(evidence(subject, advisories=known), public_indexes=(PUBLIC,))
    assert rule(given, run_checks(given, policy), policy).level is Level.DENY


@pytest.mark.parametrize(
    ("indexes", "policy", "hashed", "expected"),
    [
        ([INDEX, PRIVATE], Policy(), False, ["ambiguous-index"]),
        ([INDEX, PRIVATE], Policy(), True, []),
        ([INDEX, PRIVATE], pinning(("acme-*", INDEX)), False, []),
        ([INDEX, PRIVATE], pinning(("other", INDEX)), False, ["ambiguous-index"]),
        ([INDEX, INDEX.rstrip("/")], Policy(), False, []),
        ([INDEX], Policy(), False, []),
        ([], Policy(), False, []),
    ],
    ids=["two", "a hash says which", "a pin says which", "another is pinned", "one written twice", "one", "not told"],
)
def test_a_project_that_two_indexes_offer_is_ambiguous(
    indexes: list[str], policy: Policy, hashed: bool, expected: list[str]
) -> None:
    assert codes(distribution("acme-web", "1.0", indexes=indexes, hashed=hashed), policy) == expected
