"""rule(): which level the policy gives to what was found, and what waivers lower."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from installguard.model import Code, Distribution, Finding, Installed, Level, LocalTree, Severity, VcsCheckout
from installguard.policy import (
    BuildsPolicy,
    FeedPolicy,
    MaliciousPolicy,
    PackagesPolicy,
    Policy,
    ReleasePolicy,
    Ruling,
    VulnerabilityPolicy,
    Waiver,
    rule,
)

from .sample_values import NOW, advisory, distribution, evidence, finding, level_of, malware, waiver

ALLOW, WARN, DENY = Level.ALLOW, Level.WARN, Level.DENY
FLASK = distribution("flask", "2.0")
TODAY = NOW.date()


# ---------------------------------------------------------------- levels


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_level(code: Code) -> None:
    assert level_of(finding(code, FLASK), Policy()) in set(Level)


@pytest.mark.parametrize(
    ("code", "level"),
    [
        (Code.MALICIOUS, DENY),
        (Code.MALICIOUS_PROJECT, WARN),
        (Code.YANKED, WARN),
        (Code.DENIED_PACKAGE, DENY),
        (Code.NOT_ALLOWED, DENY),
        (Code.WRONG_INDEX, DENY),
        (Code.ARTIFACT_MISMATCH, DENY),
        (Code.DIRECT_ORIGIN, WARN),
        (Code.NEEDS_BUILD, WARN),
        (Code.STARTUP_CODE, WARN),
        (Code.UNKNOWN_RELEASE, WARN),
        (Code.INDETERMINATE, WARN),
        (Code.FEED_MISSING, WARN),
        (Code.FEED_STALE, WARN),
        (Code.FEED_UNREADABLE, WARN),
        (Code.UNJUDGED, DENY),
    ],
)
def test_the_default_policy_gives_the_levels_of_the_design(code: Code, level: Level) -> None:
    assert level_of(finding(code, FLASK), Policy()) is level


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(
    ("code", "key"),
    [
        (Code.MALICIOUS, lambda level: Policy(malicious=MaliciousPolicy(level=level))),
        (Code.MALICIOUS_PROJECT, lambda level: Policy(malicious=MaliciousPolicy(other_versions=level))),
        (Code.YANKED, lambda level: Policy(release=ReleasePolicy(yanked=level))),
        (Code.DIRECT_ORIGIN, lambda level: Policy(packages=PackagesPolicy(direct=level))),
        (Code.NEEDS_BUILD, lambda level: Policy(builds=BuildsPolicy(level=level))),
        (Code.STARTUP_CODE, lambda level: Policy(builds=BuildsPolicy(startup_code=level))),
        (Code.AGE_UNKNOWN, lambda level: Policy(release=ReleasePolicy(min_age_unknown=level))),
        (Code.AMBIGUOUS_INDEX, lambda level: Policy(packages=PackagesPolicy(ambiguous_index=level))),
        (Code.SIMILAR_NAME, lambda level: Policy(packages=PackagesPolicy(similar_name=level))),
        (Code.FEED_MISSING, lambda level: Policy(feed=FeedPolicy(missing=level))),
        (Code.FEED_STALE, lambda level: Policy(feed=FeedPolicy(stale=level))),
    ],
    ids=lambda value: str(value) if isinstance(value, Code) else "",
)
def test_the_policy_sets_the_level_by_its_key(code: Code, key: object, level: Level) -> None:
    assert callable(key)
    assert level_of(finding(code, FLASK), key(level)) is level


@pytest.mark.parametrize(
    ("severity", "fixed", "policy", "level"),
    [
        (Severity.LOW, ["2.1"], VulnerabilityPolicy(), DENY),
        (Severity.NONE, ["2.1"], VulnerabilityPolicy(), DENY),
        (None, ["2.1"], VulnerabilityPolicy(exploited=WARN, warn=None), WARN),
        (Severity.HIGH, ["2.1"], VulnerabilityPolicy(exploited=WARN, deny=Severity.HIGH), DENY),
        (Severity.LOW, ["2.1"], VulnerabilityPolicy(exploited=ALLOW), WARN),
        (Severity.HIGH, [], VulnerabilityPolicy(), WARN),
        (Severity.HIGH, [], VulnerabilityPolicy(no_fix=DENY), DENY),
    ],
)
def test_what_is_known_to_be_exploited_is_ruled_by_the_policys_level_for_it_at_least(
    severity: Severity | None, fixed: list[str], policy: VulnerabilityPolicy, level: Level
) -> None:
    known = replace(advisory("flask", introduced="0", fixed=fixed, severity=severity), exploited=True)
    assert level_of(finding(Code.VULNERABLE, FLASK, advisory=known), Policy(vulnerabilities=policy)) is level


def test_an_unknown_release_is_denied_by_the_strict_preset() -> None:
    assert level_of(finding(Code.UNKNOWN_RELEASE, FLASK), Policy(preset="strict")) is DENY


@pytest.mark.parametrize(
    ("severity", "fixed", "policy", "level"),
    [
        (Severity.CRITICAL, ["2.1"], VulnerabilityPolicy(), WARN),
        (Severity.LOW, ["2.1"], VulnerabilityPolicy(), WARN),
        (Severity.NONE, ["2.1"], VulnerabilityPolicy(), ALLOW),
        (Severity.NONE, ["2.1"], VulnerabilityPolicy(deny=Severity.NONE), ALLOW),
        (Severity.HIGH, ["2.1"], VulnerabilityPolicy(deny=Severity.NONE, warn=Severity.NONE), ALLOW),
        (Severity.LOW, ["2.1"], VulnerabilityPolicy(warn=Severity.HIGH), ALLOW),
        (Severity.LOW, ["2.1"], VulnerabilityPolicy(warn=None), ALLOW),
        (Severity.HIGH, ["2.1"], VulnerabilityPolicy(deny=Severity.HIGH), DENY),
        (Severity.MEDIUM, ["2.1"], VulnerabilityPolicy(deny=Severity.HIGH), WARN),
        (Severity.HIGH, ["2.1"], VulnerabilityPolicy(deny=Severity.HIGH, warn=None), DENY),
        (None, ["2.1"], VulnerabilityPolicy(deny=Severity.HIGH), WARN),
        (None, ["2.1"], VulnerabilityPolicy(deny=Severity.HIGH, unknown_severity=Severity.HIGH), DENY),
        (None, ["2.1"], VulnerabilityPolicy(warn=Severity.HIGH, unknown_severity=Severity.LOW), ALLOW),
        (Severity.CRITICAL, [], VulnerabilityPolicy(deny=Severity.LOW), WARN),
        (Severity.CRITICAL, [], VulnerabilityPolicy(deny=Severity.LOW, no_fix=DENY), DENY),
        (Severity.CRITICAL, [], VulnerabilityPolicy(deny=Severity.LOW, no_fix=ALLOW), ALLOW),
        (Severity.LOW, [], VulnerabilityPolicy(no_fix=DENY), WARN),
        (Severity.CRITICAL, ["2.0"], VulnerabilityPolicy(deny=Severity.LOW), WARN),
        (Severity.CRITICAL, ["1.9"], VulnerabilityPolicy(deny=Severity.LOW), WARN),
        (Severity.CRITICAL, ["1.9", "2.1"], VulnerabilityPolicy(deny=Severity.LOW), DENY),
    ],
)
def test_a_vulnerability_is_judged_by_its_severity_and_by_whether_it_is_fixed(
    severity: Severity | None, fixed: list[str], policy: VulnerabilityPolicy, level: Level
) -> None:
    known = advisory("flask", introduced="0", fixed=fixed, severity=severity)
    assert level_of(finding(Code.VULNERABLE, FLASK, advisory=known), Policy(vulnerabilities=policy)) is level


@pytest.mark.parametrize(
    ("subject", "level"),
    [
        (distribution("evil", "1.0"), DENY),
        (distribution("evil", "1.0", role="installed", origin=Installed(location="/env")), DENY),
        (distribution("evil", "1.0", role="installed", origin=Installed(location="/env", private=True)), WARN),
        (distribution("evil", "1.0", origin=LocalTree(path="/src")), WARN),
        (distribution("evil", "1.0", origin=VcsCheckout(url="git+https://example.org/evil")), WARN),
        (distribution("evil", "1.0", role="build"), DENY),
    ],
    ids=["index", "installed", "installed from a tree", "local", "vcs", "build requirement"],
)
def test_a_private_release_with_the_name_of_malware_is_warned_of_at_most(subject: Distribution, level: Level) -> None:
    policy = Policy(malicious=MaliciousPolicy(level=DENY, other_versions=DENY))
    for code in (Code.MALICIOUS, Code.MALICIOUS_PROJECT):
        assert level_of(finding(code, subject, advisory=malware("evil", "1.0")), policy) is level


def test_vulnerabilities_of_private_releases_are_judged_like_any_other() -> None:
    private = distribution("flask", "2.0", origin=LocalTree(path="/src"))
    known = advisory("flask", introduced="0", fixed=["2.1"], severity=Severity.HIGH)
    policy = Policy(vulnerabilities=VulnerabilityPolicy(deny=Severity.HIGH))
    assert level_of(finding(Code.VULNERABLE, private, advisory=known), policy) is DENY


# ---------------------------------------------------------------- waivers

GHSA = advisory("flask", id="GHSA-aaaa-bbbb-cccc", aliases=["CVE-2026-1"], introduced="0", fixed=["2.1"])
VULNERABLE = finding(Code.VULNERABLE, FLASK, advisory=GHSA)


def ruled(found: Finding, *waivers: Waiver, now: datetime = NOW) -> Ruling:
    subjects = (found.subject,) if found.subject is not None else ()
    verdict = rule(evidence(*subjects, now=now), [found], Policy(waivers=waivers))
    return next(ruling for ruling in verdict.rulings if ruling.finding == found)


@pytest.mark.parametrize(
    ("given", "waived"),
    [
        (waiver("GHSA-aaaa-bbbb-cccc", "flask", "<2.1"), True),
        (waiver("ghsa-AAAA-bbbb-cccc", "Flask", "<2.1"), True),
        (waiver("CVE-2026-1", "flask", "==2.0"), True),
        (waiver("cve-2026-1", "flask", "==2.0.0"), True),
        (waiver("vulnerable", "flask"), True),
        (waiver("CVE-2026-2", "flask"), False),
        (waiver("yanked", "flask"), False),
        (waiver("vulnerable", "flask", "<2.0"), False),
        (waiver("vulnerable", "flask", "==2.0.1"), False),
        (waiver("vulnerable", "flask-login"), False),
    ],
)
def test_a_waiver_covers_an_advisory_or_a_code_of_the_releases_it_names(given: Waiver, waived: bool) -> None:
    ruling = ruled(VULNERABLE, given)
    assert (ruling.level, ruling.waiver) == ((ALLOW, given) if waived else (WARN, None))


def test_a_waiver_on_a_code_covers_all_findings_of_that_code_on_the_release() -> None:
    other = finding(Code.VULNERABLE, FLASK, advisory=advisory("flask", id="GHSA-2", introduced="0"))
    verdict = rule(evidence(FLASK), [VULNERABLE, other], Policy(waivers=(waiver("vulnerable", "flask", "==2.0"),)))
    assert [ruling.level for ruling in verdict.rulings] == [ALLOW, ALLOW]


@pytest.mark.parametrize(
    ("version", "specifier", "waived"),
    [
        ("2.0b1", "<3", True),
        ("2.0+local", "==2.0", False),
        ("2.0+local", "==2.0+local", True),
        ("2.0+local", "<2.1", True),
        ("2-odd", "===2-odd", True),
        ("2-odd", "===2-even", False),
        ("2-odd", "<3", False),
        ("2-odd", "", True),
        (None, "", True),
        (None, "<3", False),
        (None, "===2.0", False),
    ],
)
def test_a_waiver_reaches_a_release_only_where_its_version_is_told_to_be_covered(
    version: str | None, specifier: str, waived: bool
) -> None:
    found = finding(Code.NEEDS_BUILD, distribution("flask", version))
    assert (ruled(found, waiver("needs-build", "flask", specifier)).level is ALLOW) is waived


@pytest.mark.parametrize(
    ("specifier", "waived"),
    [
        ("==1.0", True),
        ("===1.0", True),
        ("==1.0.0", True),
        ("", False),
        ("<2", False),
        ("==1.*", False),
        ("==1.1", False),
    ],
)
@pytest.mark.parametrize("by", ["malicious", "MAL-2026-2144", "PYSEC-2026-2"])
def test_malware_is_waived_for_one_exact_release_only(by: str, specifier: str, waived: bool) -> None:
    found = finding(Code.MALICIOUS, distribution("evil", "1.0"), advisory=malware("evil", "1.0"))
    assert (ruled(found, waiver(by, "evil", specifier)).level is ALLOW) is waived


@pytest.mark.parametrize(
    ("now", "valid"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=timezone.utc), True),
        (datetime(2027, 1, 1, 0, 0, 0, tzinfo=timezone.utc), False),
        (datetime(2027, 1, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=2))), True),
        (datetime(2026, 12, 31, 23, 0, 0, tzinfo=timezone(timedelta(hours=-2))), False),
    ],
    ids=["its last second", "the day after", "still that day in UTC", "no longer that day in UTC"],
)
def test_a_waiver_holds_until_the_end_of_its_day_in_utc(now: datetime, valid: bool) -> None:
    given = waiver("vulnerable", "flask", expires=datetime(2026, 12, 31, tzinfo=timezone.utc).date())
    assert (ruled(VULNERABLE, given, now=now).level is ALLOW) is valid


def test_a_waiver_past_its_date_no_longer_applies_and_is_said_to_have_expired() -> None:
    late = waiver("vulnerable", "flask", "<2.1", expires=TODAY - timedelta(days=1))
    verdict = rule(evidence(FLASK), [VULNERABLE], Policy(waivers=(late,)))
    assert [(str(ruling.finding.code), ruling.level) for ruling in verdict.rulings] == [
        ("vulnerable", WARN),
        ("waiver-expired", WARN),
    ]
    assert verdict.rulings[1].finding.detail == (
        "the waiver of vulnerable for flask<2.1 (tool.installguard.waivers[0]) expired on 2026-11-20: "
        "renew it or remove it"
    )


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        (waiver("GHSA-2", "flask"), ["vulnerable", "waiver-unused"]),
        (waiver("vulnerable", "flask", ">=3"), ["vulnerable", "waiver-unused"]),
        (waiver("GHSA-2", "django"), ["vulnerable"]),
        (waiver("vulnerable", "flask"), ["vulnerable"]),
        (waiver("vulnerable", "flask", expires=TODAY), ["vulnerable"]),
        (waiver("GHSA-2", "django", expires=TODAY - timedelta(days=1)), ["vulnerable"]),
        (waiver("GHSA-2", "flask", expires=TODAY - timedelta(days=1)), ["vulnerable", "waiver-expired"]),
    ],
)
def test_a_waiver_is_called_unused_or_expired_only_where_its_project_was_judged(
    given: Waiver, codes: list[str]
) -> None:
    verdict = rule(evidence(FLASK), [VULNERABLE], Policy(waivers=(given,)))
    assert sorted(str(ruling.finding.code) for ruling in verdict.rulings) == codes


def test_of_several_waivers_the_one_that_holds_longest_is_named() -> None:
    short = waiver("vulnerable", "flask", expires=TODAY + timedelta(days=1))
    long = waiver("CVE-2026-1", "flask", expires=TODAY + timedelta(days=9), where="tool.installguard.waivers[1]")
    verdict = rule(evidence(FLASK), [VULNERABLE], Policy(waivers=(short, long)))
    assert [(ruling.level, ruling.waiver) for ruling in verdict.rulings] == [(ALLOW, long)]


@pytest.mark.parametrize("code", [Code.UNJUDGED, Code.WAIVER_EXPIRED, Code.WAIVER_UNUSED])
def test_what_says_that_judging_failed_cannot_be_waived(code: Code) -> None:
    assert ruled(finding(code, FLASK), waiver(code.value, "flask", "==2.0")).waiver is None


def test_findings_about_the_snapshot_cannot_be_waived() -> None:
    assert ruled(finding(Code.FEED_STALE, None), waiver("feed-stale", "flask")).level is WARN


# ---------------------------------------------------------------- order


def test_rulings_come_highest_level_first_then_by_code_name_and_advisory() -> None:
    zope, acme = distribution("zope", "1"), distribution("acme", "1")
    findings = [
        finding(Code.YANKED, zope),
        finding(Code.VULNERABLE, acme, advisory=advisory("acme", id="GHSA-2", introduced="0")),
        finding(Code.VULNERABLE, acme, advisory=advisory("acme", id="GHSA-1", introduced="0")),
        finding(Code.MALICIOUS, zope, advisory=malware("zope", "1")),
        finding(Code.DENIED_PACKAGE, zope),
        finding(Code.YANKED, acme),
    ]
    rulings = rule(evidence(zope, acme), findings, Policy()).rulings
    assert [
        (str(each.finding.code), str(each.finding.subject), each.finding.advisory and each.finding.advisory.id)
        for each in rulings
    ] == [
        ("denied-package", str(zope), None),
        ("malicious", str(zope), "MAL-2026-2144"),
        ("vulnerable", str(acme), "GHSA-1"),
        ("vulnerable", str(acme), "GHSA-2"),
        ("yanked", str(acme), None),
        ("yanked", str(zope), None),
    ]


def test_the_same_finding_twice_is_ruled_once() -> None:
    assert len(rule(evidence(FLASK), [VULNERABLE, VULNERABLE], Policy()).rulings) == 1


def test_nothing_found_is_allowed() -> None:
    assert rule(evidence(FLASK), [], Policy()).level is ALLOW
