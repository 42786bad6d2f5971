"""Laws that rule() keeps whatever was found and whatever the policy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from installguard.model import Code, Finding, Installed, Level, LocalTree, Severity
from installguard.policy import (
    BuildsPolicy,
    FeedPolicy,
    LicensesPolicy,
    MaliciousPolicy,
    PackagesPolicy,
    Policy,
    ReleasePolicy,
    Ruling,
    VulnerabilityPolicy,
    Waiver,
    rule,
)

from .sample_values import NOW, advisory, distribution, evidence, malware, waiver

SUBJECTS = (
    distribution("a", "1.0"),
    distribution("a", "1.0", origin=LocalTree(path="/src")),
    distribution("a", None),
    distribution("a", "1.0", status="archived"),
    distribution("a", "1.0", status="quarantined", hashed=True),
    distribution("b", "2.0+x"),
    distribution("b", "2-odd", role="installed", origin=Installed(location="/env")),
)
ADVISORIES = (
    None,
    malware("a", "1.0"),
    advisory("a", id="GHSA-1", aliases=["CVE-1"], introduced="0", fixed=["1.5"], severity=Severity.HIGH),
    advisory("b", id="GHSA-2", introduced="0", severity=Severity.LOW),
    advisory("b", id="GHSA-3", introduced="0", fixed=["9"]),
    replace(advisory("b", id="GHSA-4", introduced="0", fixed=["9"]), exploited=True),
)
EVIDENCE = evidence(*SUBJECTS)
OF_WAIVERS = (Code.WAIVER_EXPIRED, Code.WAIVER_UNUSED)

SETTINGS = settings(deadline=None, max_examples=150)
"""Without a deadline: on a busy machine a slow example is no fault."""

levels = st.sampled_from(list(Level))
severities = st.sampled_from([None, *Severity])
findings = st.builds(
    Finding,
    code=st.sampled_from([code for code in Code if code not in OF_WAIVERS]),
    subject=st.sampled_from([None, *SUBJECTS]),
    detail=st.sampled_from(["was found", "is odd"]),
    advisory=st.sampled_from(ADVISORIES),
    fix=st.sampled_from([None, "a==1.5"]),
    unknown=st.booleans(),
)
waivers = st.builds(
    waiver,
    st.sampled_from([*(code.value for code in Code), "GHSA-1", "cve-1", "GHSA-2", "MAL-2026-2144"]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["", "==1.0", "<2", "==2.0+x", "===2-odd"]),
    expires=st.integers(-2, 2).map(lambda days: NOW.date() + timedelta(days=days)),
)
policies = st.builds(
    Policy,
    preset=st.sampled_from(["relaxed", "default", "strict"]),
    feed=st.builds(FeedPolicy, stale=levels, missing=levels),
    malicious=st.builds(MaliciousPolicy, level=levels, other_versions=levels),
    vulnerabilities=st.builds(
        VulnerabilityPolicy,
        deny=severities,
        warn=severities,
        unknown_severity=st.sampled_from(Severity),
        no_fix=levels,
        exploited=levels,
    ),
    release=st.builds(
        ReleasePolicy, yanked=levels, min_age_unknown=levels, quarantined=levels, archived=levels, deprecated=levels
    ),
    packages=st.builds(PackagesPolicy, direct=levels, ambiguous_index=levels, similar_name=levels),
    licenses=st.builds(LicensesPolicy, unknown=levels),
    builds=st.builds(BuildsPolicy, level=levels, startup_code=levels),
    waivers=st.lists(waivers, max_size=3).map(tuple),
)


def rulings(found: Sequence[Finding], policy: Policy) -> dict[Finding, Ruling]:
    """Return the ruling of each finding, those about the waivers themselves left out."""
    verdict = rule(EVIDENCE, found, policy)
    return {each.finding: each for each in verdict.rulings if each.finding.code not in OF_WAIVERS}


def tighter_threshold(one: Severity | None, other: Severity | None) -> Severity | None:
    """Return the lower of two thresholds; `none` never applies, so that it is the loosest."""
    given = [each for each in (one, other) if each not in (None, Severity.NONE)]
    return min(given, default=None)


def tighten(policy: Policy, other: Policy) -> Policy:
    """Return *policy* with every level at least as high as in *other*, and its waivers gone."""
    ours, theirs = policy.vulnerabilities, other.vulnerabilities
    return replace(
        policy,
        preset="strict" if "strict" in (policy.preset, other.preset) else policy.preset,
        feed=replace(
            policy.feed,
            stale=max(policy.feed.stale, other.feed.stale),
            missing=max(policy.feed.missing, other.feed.missing),
        ),
        malicious=MaliciousPolicy(
            level=max(policy.malicious.level, other.malicious.level),
            other_versions=max(policy.malicious.other_versions, other.malicious.other_versions),
        ),
        vulnerabilities=VulnerabilityPolicy(
            deny=tighter_threshold(ours.deny, theirs.deny),
            warn=tighter_threshold(ours.warn, theirs.warn),
            unknown_severity=max(ours.unknown_severity, theirs.unknown_severity),
            no_fix=max(ours.no_fix, theirs.no_fix),
            exploited=max(ours.exploited, theirs.exploited),
        ),
        release=ReleasePolicy(
            yanked=max(policy.release.yanked, other.release.yanked),
            min_age_unknown=max(policy.release.min_age_unknown, other.release.min_age_unknown),
            quarantined=max(policy.release.quarantined, other.release.quarantined),
            archived=max(policy.release.archived, other.release.archived),
            deprecated=max(policy.release.deprecated, other.release.deprecated),
        ),
        packages=replace(
            policy.packages,
            direct=max(policy.packages.direct, other.packages.direct),
            ambiguous_index=max(policy.packages.ambiguous_index, other.packages.ambiguous_index),
            similar_name=max(policy.packages.similar_name, other.packages.similar_name),
        ),
        licenses=LicensesPolicy(unknown=max(policy.licenses.unknown, other.licenses.unknown)),
        builds=BuildsPolicy(
            level=max(policy.builds.level, other.builds.level),
            startup_code=max(policy.builds.startup_code, other.builds.startup_code),
        ),
        waivers=(),
    )


@SETTINGS
@given(st.lists(findings, max_size=8), policies, st.randoms(use_true_random=False))
def test_the_order_of_findings_changes_nothing(found: list[Finding], policy: Policy, random: object) -> None:
    shuffled = [*found, *found[:2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis's Random has no public type
    assert rule(EVIDENCE, shuffled, policy) == rule(EVIDENCE, found, policy)


@SETTINGS
@given(st.lists(findings, max_size=6), findings, policies)
def test_another_finding_never_lowers_a_ruling(found: list[Finding], more: Finding, policy: Policy) -> None:
    before, after = rulings(found, policy), rulings([*found, more], policy)
    assert all(after[each] == before[each] for each in before)
    assert max((each.level for each in after.values()), default=Level.ALLOW) >= max(
        (each.level for each in before.values()), default=Level.ALLOW
    )


@SETTINGS
@given(st.lists(findings, max_size=6), policies, policies)
def test_a_tighter_policy_never_lowers_a_ruling(found: list[Finding], policy: Policy, other: Policy) -> None:
    before, after = rulings(found, policy), rulings(found, tighten(policy, other))
    assert all(after[each].level >= before[each].level for each in before)


@SETTINGS
@given(st.lists(findings, max_size=6), policies, waivers)
def test_a_waiver_changes_only_what_it_matches(found: list[Finding], policy: Policy, added: Waiver) -> None:
    before = rulings(found, policy)
    after = rulings(found, replace(policy, waivers=(*policy.waivers, added)))
    for each, ruling in after.items():
        assert ruling == before[each] or (ruling.waiver == added and ruling.level is Level.ALLOW)
        if ruling != before[each]:
            assert each.subject is not None
            assert each.subject.name == added.name
            assert added.expires >= NOW.date()


@SETTINGS
@given(st.lists(findings, max_size=8), policies)
def test_every_finding_is_ruled_exactly_once(found: list[Finding], policy: Policy) -> None:
    verdict = rule(EVIDENCE, found, policy)
    told = [each.finding for each in verdict.rulings if each.finding.code not in OF_WAIVERS]
    assert len(told) == len(set(told))
    assert set(told) == set(found)


@SETTINGS
@given(st.lists(findings, max_size=8), policies)
def test_malware_is_let_through_only_by_a_waiver_of_its_exact_release(found: list[Finding], policy: Policy) -> None:
    policy = replace(policy, malicious=replace(policy.malicious, level=Level.DENY))
    for each, ruling in rulings(found, policy).items():
        private = each.subject is not None and each.subject.private
        if each.code is Code.MALICIOUS and not private and ruling.level is not Level.DENY:
            assert ruling.waiver is not None
            assert ruling.waiver.exact is not None
