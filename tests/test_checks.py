"""The checks: which facts they find, and which they do not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from installguard.checks import CHECKS, run_checks
from installguard.model import (
    Code,
    DirectUrl,
    Distribution,
    Evidence,
    Finding,
    Installed,
    Level,
    LocalTree,
    Origin,
    SnapshotInfo,
    SourceKind,
    VcsCheckout,
    WheelContents,
    parse_release,
)
from installguard.policy import (
    BuildsPolicy,
    DeniedPackage,
    FeedPolicy,
    PackagesPolicy,
    Policy,
    VulnerabilityPolicy,
)

from .sample_values import (
    NOW,
    advisory,
    artifact,
    distribution,
    evidence,
    malware,
    match,
    snapshot,
    source,
)

DEFAULT = Policy()


def found(given: Evidence, policy: Policy = DEFAULT) -> list[Finding]:
    return list(run_checks(given, policy))


def codes(given: Evidence, policy: Policy = DEFAULT) -> list[str]:
    return sorted(finding.code.value for finding in found(given, policy))


def test_a_clean_release_gives_no_finding() -> None:
    assert found(evidence(distribution("flask", "3.0"), advisories=[advisory("flask", versions=["2.0"])])) == []


# ---------------------------------------------------------------- advisories


def test_a_release_that_a_malware_record_lists_is_malicious() -> None:
    given = evidence(distribution("litellm", "1.82.8"), advisories=[malware("litellm", "1.82.7", "1.82.8")])
    [finding] = found(given)
    assert (finding.code, finding.detail) == (Code.MALICIOUS, "is known malware")
    assert finding.advisory is not None
    assert finding.advisory.id == "MAL-2026-2144"


def test_another_release_of_a_malicious_project_is_named_as_such() -> None:
    given = evidence(distribution("litellm", "1.82.6"), advisories=[malware("litellm", "1.82.8")])
    assert codes(given) == ["malicious-project"]


def test_a_malware_record_that_was_withdrawn_says_nothing_of_its_project() -> None:
    withdrawn = replace(malware("litellm", "1.82.8"), withdrawn=NOW)
    known = distribution("litellm", "1.82.8"), distribution("litellm", "1.82.6")
    assert codes(evidence(*known, advisories=[withdrawn])) == []


def test_a_release_of_unknown_version_is_malicious_only_where_every_release_is() -> None:
    unknown = distribution("evil", None)
    everything = replace(malware("evil"), affected=advisory("evil", introduced="0").affected)
    assert codes(evidence(unknown, advisories=[everything])) == ["malicious", "unknown-release"]
    assert codes(evidence(unknown, advisories=[malware("evil", "1.0")])) == ["malicious-project", "unknown-release"]


def test_a_private_release_is_said_to_have_the_name_of_malware() -> None:
    tree = distribution("evil", "1.0", origin=LocalTree(path="/src/evil"))
    details = {finding.code: finding.detail for finding in found(evidence(tree, advisories=[malware("evil", "1.0")]))}
    assert details[Code.MALICIOUS] == "has the same name and version as known malware"


def test_every_advisory_that_affects_a_release_is_a_finding_of_its_own() -> None:
    given = evidence(
        distribution("jinja2", "3.1.2"),
        advisories=[
            advisory("jinja2", id="GHSA-1", introduced="0", fixed=["3.1.3"], summary="sandbox breakout"),
            advisory("jinja2", id="GHSA-2", introduced="3.0", fixed=["3.1.6"]),
            advisory("jinja2", id="GHSA-3", introduced="0", fixed=["2.0"]),
        ],
    )
    findings = found(given)
    assert [finding.code for finding in findings] == [Code.VULNERABLE, Code.VULNERABLE]
    assert findings[0].detail == "is affected by GHSA-1: sandbox breakout"


def test_a_range_that_cannot_be_decided_is_indeterminate() -> None:
    given = evidence(
        distribution("odd", "2009-zeta"), advisories=[advisory("odd", id="PYSEC-9", introduced="1.0", fixed=["2.0"])]
    )
    assert codes(given) == ["indeterminate"]
    assert "PYSEC-9" in found(given)[0].detail


def test_malware_that_cannot_be_told_from_its_project_is_both_reported() -> None:
    ranged = replace(malware("odd"), affected=advisory("odd", introduced="1.0", fixed=["2.0"]).affected)
    given = evidence(distribution("odd", "2009-zeta"), advisories=[ranged])
    assert codes(given) == ["indeterminate", "malicious-project"]


@pytest.mark.parametrize("name", ["pip", "setuptools", "wheel"])
def test_the_installers_own_projects_are_judged_only_when_asked_for(name: str) -> None:
    known = [malware(name, "1.0")]
    unasked = distribution(name, "1.0", role="installed", origin=Installed(location="/env"))
    assert codes(evidence(unasked, advisories=known)) == []
    assert codes(evidence(replace(unasked, requested=True), advisories=known)) == ["malicious"]
    assert codes(evidence(replace(unasked, role="build"), advisories=known)) == ["malicious"]
    assert codes(evidence(distribution(name, "1.0"), advisories=known)) == ["malicious"]


def test_an_installed_release_is_judged_by_the_feeds_like_any_other() -> None:
    relied_upon = distribution("litellm", "1.82.8", role="installed", origin=Installed(location="/env"))
    assert codes(evidence(relied_upon, advisories=[malware("litellm", "1.82.8")])) == ["malicious"]


# ---------------------------------------------------------------- exploited


@pytest.mark.parametrize(
    ("ids", "listed", "exploited"),
    [
        (["PYSEC-1", "CVE-2026-1"], {"CVE-2026-1"}, True),
        (["cve-2026-1"], {"CVE-2026-1"}, True),
        (["PYSEC-1", "CVE-2026-2"], {"CVE-2026-1"}, False),
        (["PYSEC-1", "CVE-2021-44228"], set(), True),
        (["CVE-2020-11651"], {"CVE-2026-1"}, True),
        (["PYSEC-1"], set(), False),
    ],
    ids=["an alias", "its id, written small", "another", "built in", "built in, beside a feed", "none"],
)
def test_a_vulnerability_that_a_list_names_is_known_to_be_exploited(
    ids: list[str], listed: set[str], exploited: bool
) -> None:
    known = advisory("web", id=ids[0], aliases=ids[1:], introduced="0", fixed=["1.5"])
    given = replace(evidence(distribution("web", "1.0"), advisories=[known]), exploited=frozenset(listed))
    [finding] = found(given)
    assert finding.advisory is not None
    assert (finding.advisory.exploited, finding.fix) == (exploited, "web==1.5")


# ---------------------------------------------------------------- fixes


def vulnerable(id: str, *fixed: str, introduced: str = "0") -> Sequence[object]:
    return (advisory("web", id=id, introduced=introduced, fixed=fixed),)


@pytest.mark.parametrize(
    ("current", "ranges", "fix"),
    [
        ("1.0", [("0", ["1.5"])], "web==1.5"),
        ("1.0", [("0", ["1.5"]), ("1.4", ["1.7"])], "web==1.7"),
        ("1.0", [("0", ["1.5"]), ("0.1", ["1.2"])], "web==1.5"),
        ("1.0", [("0", ["2.0rc1"]), ("0", ["2.1"])], "web==2.1"),
        ("1.0", [("0", ["2.0rc1", "2.1"])], "web==2.1"),
        ("1.0", [("0", ["2.0rc1"])], "web==2.0rc1"),
        ("1.0", [("0", [])], None),
        ("2009-zeta", [("0", ["1.5"])], None),
    ],
    ids=["the fixed one", "not one that another affects", "the highest needed", "not a pre-release",
         "rather no pre-release", "only a pre-release", "none is fixed", "no order"],
)  # fmt: skip
def test_the_fix_is_the_nearest_higher_release_that_nothing_affects(
    current: str, ranges: list[tuple[str, list[str]]], fix: str | None
) -> None:
    known = [
        advisory("web", id=f"GHSA-{number}", versions=[current], introduced=introduced, fixed=fixed)
        for number, (introduced, fixed) in enumerate(ranges)
    ]
    findings = found(evidence(distribution("web", current), advisories=known))
    assert findings[0].fix == fix


def test_what_no_release_fixes_leaves_the_fix_of_the_others_standing() -> None:
    known = [
        advisory("web", id="GHSA-fixed", introduced="0", fixed=["1.5"]),
        advisory("web", id="GHSA-open", introduced="0"),
    ]
    fixes = {
        each.advisory.id: each.fix
        for each in found(evidence(distribution("web", "1.0"), advisories=known))
        if each.advisory
    }
    assert fixes == {"GHSA-fixed": "web==1.5", "GHSA-open": None}


def test_no_fix_is_offered_that_a_policy_denying_unfixed_ones_would_deny() -> None:
    known = [
        advisory("web", id="GHSA-fixed", introduced="0", fixed=["1.5"]),
        advisory("web", id="GHSA-open", introduced="0"),
    ]
    policy = Policy(vulnerabilities=VulnerabilityPolicy(no_fix=Level.DENY))
    assert {each.fix for each in found(evidence(distribution("web", "1.0"), advisories=known), policy)} == {None}


@pytest.mark.parametrize(
    ("records", "fix"),
    [
        ([malware("evil", "1.0", fixed=["1.1"])], "evil==1.1"),
        ([malware("evil", "1.0", fixed=["1.1"]), advisory("evil", id="G", introduced="0", fixed=["0.9"])], "evil==1.1"),
        ([malware("evil", "1.0", "1.1", fixed=["1.1"])], None),
        ([malware("evil", "1.0"), advisory("evil", id="GHSA-1", introduced="0", fixed=["0.9"])], "evil==0.9"),
        ([malware("evil", "1.0"), advisory("evil", id="GHSA-1", introduced="0", fixed=["1.2"])], "evil==1.2"),
        ([malware("evil", "1.0")], None),
    ],
    ids=[
        "its own",
        "its own before a lower",
        "its own is malicious too",
        "the nearest lower",
        "the higher",
        "not known",
    ],
)
def test_malware_is_fixed_by_a_release_that_the_data_knows(records: list[object], fix: str | None) -> None:
    given = Evidence(
        distributions=(distribution("evil", "1.0"),),
        advisories=tuple(records),  # type: ignore[arg-type]  # pytest's table has no narrower type
        snapshot=snapshot(),
        now=NOW,
    )
    assert next(each.fix for each in found(given) if each.code is Code.MALICIOUS) == fix


def test_nothing_public_replaces_a_private_release_that_shares_a_name_with_malware() -> None:
    tree = distribution("evil", "1.0", origin=VcsCheckout(url="git+https://example.org/evil"))
    findings = found(evidence(tree, advisories=[malware("evil", "1.0", fixed=["1.1"])]))
    assert next(each for each in findings if each.code is Code.MALICIOUS).fix is None


@pytest.mark.parametrize(("no_fix", "fixed"), [(Level.WARN, {None, "thing==1.3"}), (Level.DENY, {None})])
def test_releases_of_one_project_are_told_the_same_fixes_together_as_alone(
    no_fix: Level, fixed: set[str | None]
) -> None:
    policy = Policy(vulnerabilities=VulnerabilityPolicy(no_fix=no_fix))
    records = [
        malware("thing", "1.1", "1.4", fixed=["1.5"]),
        advisory("thing", id="GHSA-1", introduced="0", fixed=["1.2"]),
        advisory("thing", id="GHSA-2", introduced="1.0", fixed=["1.3"]),
        advisory("thing", id="GHSA-3", introduced="1.6", fixed=[]),
        advisory("thing", id="GHSA-4", versions=["1.0", "1.3", "1.5"]),
    ]
    versions = ("0.9", "1.0", "1.1", "1.2", "1.2+local", "1.3", "1.4", "1.5rc1", "1.5", "1.6", "as-it-is")
    several = [distribution("thing", version) for version in versions]
    alone = [each for one in several for each in found(evidence(one, advisories=records), policy)]
    together = found(evidence(*several, advisories=records), policy)
    assert together == alone
    assert {each.fix for each in together} == fixed


# ---------------------------------------------------------------- artifacts and origins


@pytest.mark.parametrize(
    ("yanked", "detail"),
    [("broken on 3.12", "was yanked: broken on 3.12"), ("", "was yanked (no reason given)")],
)
def test_a_yanked_file_is_found_with_its_reason(yanked: str, detail: str) -> None:
    [finding] = found(evidence(distribution("a", "1", origin=artifact("a", "1", yanked=yanked))))
    assert (finding.code, finding.detail) == (Code.YANKED, detail)


@pytest.mark.parametrize(
    ("origin", "direct"),
    [
        (artifact("a", "1"), False),
        (Installed(location="/env", direct_url="https://example.org/a.whl"), False),
        (
            DirectUrl(url="https://example.org/a-1-py3-none-any.whl", filename="a-1-py3-none-any.whl", kind="wheel"),
            True,
        ),
        (VcsCheckout(url="git+https://example.org/a"), True),
        (LocalTree(path="/src/a", editable=True), True),
    ],
    ids=["index", "installed", "url", "vcs", "local"],
)
def test_what_does_not_come_from_an_index_is_a_direct_origin(origin: Origin, direct: bool) -> None:
    given = evidence(distribution("a", "1", origin=origin))
    assert codes(given) == (["direct-origin"] if direct else [])


@pytest.mark.parametrize(
    ("allow", "version", "found_too"),
    [
        ((), "2.1", ["needs-build"]),
        (("uwsgi",), "2.1", []),
        (("uw*==2.*",), "2.1", []),
        (("uwsgi==2.*",), "3.0", ["needs-build"]),
        (("uwsgi==2.*",), None, ["needs-build", "unknown-release"]),
        (("uwsgi",), None, ["unknown-release"]),
        (("uwsgi==2.*",), "2-odd", ["needs-build"]),
    ],
)
def test_a_source_needs_a_build_unless_the_policy_allows_it(
    allow: tuple[str, ...], version: str | None, found_too: list[str]
) -> None:
    policy = Policy(builds=BuildsPolicy(allow=tuple(match(each) for each in allow)))
    given = evidence(distribution("uwsgi", version, builds=True))
    assert codes(given, policy) == found_too


def test_a_wheel_that_runs_code_at_every_start_is_found_with_the_members_that_do() -> None:
    contents = WheelContents(release=parse_release("a", "1"), startup=("a.pth", "sitecustomize.py"))
    [finding] = found(evidence(distribution("a", "1", contents=contents)))
    assert finding.code is Code.STARTUP_CODE
    assert finding.detail.endswith(": a.pth, sitecustomize.py")


@pytest.mark.parametrize(
    ("offered", "contents", "mismatch"),
    [
        ("1.0", WheelContents(release=parse_release("A", "1.0.0")), False),
        ("1.0", WheelContents(release=parse_release("a", "1.1")), True),
        ("1.0", WheelContents(release=parse_release("b", "1.0")), True),
        ("1.0", WheelContents(release=None), True),
        ("1.0", WheelContents(release=None, problem="not a zip file"), True),
        (None, WheelContents(release=parse_release("a", "1.0")), False),
        (None, WheelContents(release=parse_release("b", "1.0")), True),
    ],
)
def test_a_wheel_must_be_what_it_was_offered_as(offered: str | None, contents: WheelContents, mismatch: bool) -> None:
    given = evidence(distribution("a", offered, contents=contents))
    assert ("artifact-mismatch" in codes(given)) is mismatch


@pytest.mark.parametrize("name", [None, "flask"])
def test_what_has_no_name_or_version_is_an_unknown_release(name: str | None) -> None:
    unknown = Distribution(
        name=None if name is None else parse_release(name, "1").name, release=None, origin=LocalTree(path="/src")
    )
    assert "unknown-release" in codes(evidence(unknown))


# ---------------------------------------------------------------- packages


def denying(text: str, use: str | None = None) -> Policy:
    return Policy(packages=PackagesPolicy(deny=(DeniedPackage(match=match(text), reason="abandoned", use=use),)))


@pytest.mark.parametrize(
    ("pattern", "version", "denied"),
    [
        ("pycrypto", "2.6", True),
        ("py*", "2.6", True),
        ("pycrypto<2", "2.6", False),
        ("pycrypto<3", "2.6b1", True),
        ("pycrypto<2", None, True),
        ("pycrypto<2", "2-odd", True),
        ("pycrypto===2-odd", "2-odd", True),
        ("pycrypto===2-even", "2-odd", False),
        ("crypto", "2.6", False),
    ],
)
def test_a_denied_package_is_found_and_not_knowing_counts_as_denied(
    pattern: str, version: str | None, denied: bool
) -> None:
    given = evidence(distribution("pycrypto", version))
    assert ("denied-package" in codes(given, denying(pattern))) is denied


@pytest.mark.parametrize(
    ("use", "fix"), [("pycryptodome", "pycryptodome"), (None, None), ("see the wiki", None), ("A_b>=2", "a-b>=2")]
)
def test_the_fix_of_a_denied_package_is_the_one_to_use_instead(use: str | None, fix: str | None) -> None:
    [finding] = found(evidence(distribution("pycrypto", "2.6")), denying("pycrypto", use))
    assert finding.fix == fix
    assert finding.detail == "is denied by packages.deny (pycrypto): abandoned"


@pytest.mark.parametrize(
    ("allow", "version", "allowed"),
    [
        ((), "1.0", True),
        (("flask",), "1.0", True),
        (("acme-*", "fl?sk"), "1.0", True),
        (("acme-*",), "1.0", False),
        (("flask>=2",), "1.0", False),
        (("flask>=2",), None, False),
        (("flask>=2",), "2-odd", False),
    ],
)
def test_with_an_allow_list_nothing_else_passes(allow: tuple[str, ...], version: str | None, allowed: bool) -> None:
    policy = Policy(packages=PackagesPolicy(allow=tuple(match(each) for each in allow)))
    assert ("not-allowed" not in codes(evidence(distribution("flask", version)), policy)) is allowed


def test_without_a_name_nothing_is_on_an_allow_list() -> None:
    unknown = Distribution(name=None, release=None, origin=LocalTree(path="/src"))
    policy = Policy(packages=PackagesPolicy(allow=(match("*"),)))
    assert "not-allowed" in codes(evidence(unknown), policy)


# ---------------------------------------------------------------- the snapshot


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (snapshot(), []),
        (snapshot(taken_at=None, sources=[]), ["feed-missing"]),
        (snapshot(missing=["osv"]), ["feed-missing"]),
        (snapshot(taken_at=None, problem="schema 3 is not known", missing=["osv"]), ["feed-missing"]),
        (snapshot(taken_at=NOW - 24 * HOUR), []),
        (snapshot(taken_at=NOW - 25 * HOUR), ["feed-stale"]),
        (snapshot(taken_at=NOW + HOUR), ["feed-stale"]),
        (snapshot(taken_at=NOW - 25 * HOUR, sources=[]), ["feed-stale"]),
        (snapshot(sources=[source(), source("mirror", taken_at=NOW + HOUR)]), ["feed-stale"]),
        (snapshot(unreadable=3), ["feed-unreadable"]),
    ],
    ids=["fresh", "none at all", "one missing", "damaged", "just in time", "too old", "from the future", "no source",
         "one source from the future", "unreadable records"],
)  # fmt: skip
def test_what_is_wrong_with_the_snapshot_is_found(info: SnapshotInfo, expected: list[str]) -> None:
    assert codes(evidence(info=info)) == expected


def test_the_age_allowed_is_that_of_the_policy() -> None:
    old = evidence(info=snapshot(taken_at=NOW - 25 * HOUR))
    assert codes(old, Policy(feed=FeedPolicy(max_age=26 * HOUR))) == []


@pytest.mark.parametrize(
    ("hours", "own", "kind", "stale"),
    [
        (5, 4, "osv", True),
        (3, 4, "osv", False),
        (30, 48, "osv", False),
        (50, 48, "osv", True),
        (30, None, "osv", True),
        (30, None, "exploited", True),
        (30, None, "popular", False),
        (30, 24, "popular", True),
    ],
)
def test_a_source_may_have_a_limit_of_its_own(hours: int, own: int | None, kind: SourceKind, stale: bool) -> None:
    taken = replace(
        source("mirror", taken_at=NOW - hours * HOUR), kind=kind, max_age=None if own is None else own * HOUR
    )
    findings = found(evidence(info=snapshot(sources=[source(), taken])))
    assert [each.code for each in findings] == ([Code.FEED_STALE] if stale else [])
    assert all("mirror is" in each.detail and (own is None or "own limit" in each.detail) for each in findings)


def test_a_missing_feed_says_what_was_judged_by_instead() -> None:
    [finding] = found(evidence(info=snapshot(taken_at=None, sources=[], missing=["osv"])))
    assert finding.subject is None
    assert "no advisory snapshot of osv" in finding.detail
    assert "baseline" in finding.detail
    assert "guard feed update" in finding.detail


# ---------------------------------------------------------------- all of them


def test_no_check_gives_a_finding_a_level_or_changes_its_evidence() -> None:
    given = evidence(distribution("a", None, builds=True), info=snapshot(unreadable=1))
    before = repr(given)
    assert {type(each) for check in CHECKS for each in check(given, DEFAULT)} == {Finding}
    assert repr(given) == before


def test_a_thousand_distributions_with_advisories_are_checked_in_a_fraction_of_a_second() -> None:
    distributions = [distribution(f"p{number}", "1.0") for number in range(1000)]
    known = [
        advisory(f"p{number}", id=f"GHSA-{number}-{nth}", introduced="0", fixed=[f"0.{nth}"])
        for number in range(1000)
        for nth in range(3)
    ]
    given = evidence(*distributions, advisories=known)
    started = time.perf_counter()
    assert found(given) == []
    assert time.perf_counter() - started < 1.0  # bounds the order of growth; bench/ measures the milliseconds
