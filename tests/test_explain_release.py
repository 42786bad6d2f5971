"""`guard explain NAME==VERSION`: every finding, the nearest release that passes, and why those between do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from installguard.checks import run_checks
from installguard.checks.others import NEAR, judge_others
from installguard.model import Advisory, Distribution, Level, LocalTree, Run, Verdict, parse_version
from installguard.policy import DeniedPackage, PackagesPolicy, Policy, VulnerabilityPolicy, rule
from installguard.reporters.explain import explain_release

from .sample_values import advisory, distribution, evidence, malware, match, snapshot, waiver

RUN = Run(command=("explain", "web==1.0"))


def judged(subject: Distribution, known: Sequence[Advisory], policy: Policy) -> Verdict:
    given = evidence(subject, advisories=known)
    return rule(given, run_checks(given, policy), policy)


def explained(subject: Distribution, *known: Advisory, policy: Policy = Policy()) -> list[str]:  # noqa: B008  # a frozen value
    verdict = judged(subject, known, policy)
    lines = explain_release(verdict, RUN, judge_others(verdict, policy)).splitlines()
    return [" ".join(line.split()) for line in lines if line.split()[0] in {"passes", "does", "nor"}]


def offered(*versions: str, current: str = "1.0") -> Distribution:
    return replace(distribution("web", current), available=tuple(map(parse_version, versions)))


def hole(id: str, *fixed: str, introduced: str = "0") -> Advisory:
    return advisory("web", id=id, introduced=introduced, fixed=fixed)


def test_where_no_release_passes_it_is_told_why_each_does_not() -> None:
    known = [hole("GHSA-1", "1.2"), hole("GHSA-2", "1.4"), malware("web", "1.4", "1.5")]
    assert explained(offered("0.9", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6"), *known) == [
        "passes none of the 7 other releases known",
        "does not 0.9, 1.1: malicious-project (MAL-2026-2144); vulnerable (GHSA-1, GHSA-2)",
        "does not 1.2, 1.3: malicious-project (MAL-2026-2144); vulnerable (GHSA-2)",
        "does not 1.4, 1.5: malicious (MAL-2026-2144)",
        "does not 1.6: malicious-project (MAL-2026-2144)",
    ]


def test_a_fix_that_passes_is_the_nearest() -> None:
    assert explained(offered("0.9", "1.0", "1.1", "1.2", "1.3"), hole("GHSA-1", "1.2")) == [
        "passes web 1.2: the nearest release against which nothing is known",
        "does not 1.1: vulnerable (GHSA-1)",
    ]


def test_a_fix_that_the_policy_denies_is_passed_over() -> None:
    denying = Policy(packages=PackagesPolicy(deny=(DeniedPackage(match=match("web==1.2")),)))
    assert explained(offered("1.1", "1.2", "1.3"), hole("GHSA-1", "1.2"), policy=denying) == [
        "passes web 1.3: the nearest release against which nothing is known",
        "does not 1.1: vulnerable (GHSA-1)",
        "does not 1.2: denied-package",
    ]


def test_the_next_lower_release_is_told_where_no_higher_one_passes() -> None:
    assert explained(offered("0.7", "0.8", "0.9", "1.1"), hole("GHSA-1", introduced="0.9")) == [
        "passes web 0.8: the nearest release against which nothing is known",
        "does not 0.9: vulnerable (GHSA-1)",
    ]


def test_without_an_index_the_versions_that_advisories_name_are_compared() -> None:
    lists = advisory("web", id="GHSA-2", versions=["1.0", "1.1"])
    assert explained(distribution("web", "1.0"), hole("GHSA-1", "1.2"), lists) == [
        "passes web 1.2: the nearest release against which nothing is known",
        "does not 1.1: vulnerable (GHSA-1, GHSA-2)",
    ]


def test_where_no_other_release_is_known_that_is_said() -> None:
    assert explained(distribution("web", "1.0"), hole("GHSA-1")) == ["passes no other release is known"]
    assert explained(distribution("web", "2009-zeta"), advisory("web", versions=["2009-zeta"], fixed=["1.5"])) == [
        "passes no other release is known"
    ]


@pytest.mark.parametrize(
    ("known", "policy"),
    [
        ([], Policy()),
        ([hole("GHSA-1", "1.2")], Policy(vulnerabilities=VulnerabilityPolicy(warn=None))),
        ([hole("GHSA-1", "1.2")], Policy(waivers=(waiver("GHSA-1", "web"),))),
    ],
    ids=["clean", "of no account", "waived"],
)
def test_a_release_that_passes_is_compared_with_no_other(known: list[Advisory], policy: Policy) -> None:
    assert explained(offered("0.9", "1.2"), *known, policy=policy) == []


def test_what_is_said_of_the_feed_is_not_held_against_a_release() -> None:
    policy = Policy()
    given = evidence(offered("1.1"), info=snapshot(taken_at=None, sources=[]))
    verdict = rule(given, run_checks(given, policy), policy)
    assert verdict.level is Level.WARN
    assert "passes" not in explain_release(verdict, RUN, judge_others(verdict, policy))


def test_another_release_is_judged_from_the_same_place() -> None:
    tree = replace(offered("1.2"), origin=LocalTree(path="/src"))
    assert explained(tree, hole("GHSA-1", "1.2")) == [
        "passes none of the 1 other release known",
        "does not 1.2: direct-origin",
    ]


def test_only_releases_nearby_and_the_named_fix_are_judged() -> None:
    subject = offered(*(f"1.{minor}" for minor in range(200)), current="1.100")
    verdict = judged(subject, [hole("GHSA-1", "1.190")], Policy())
    others = judge_others(verdict, Policy())
    versions = [str(each.evidence.distributions[0].release).removeprefix("web ") for each in others]
    assert (len(others), versions[0], versions[-1]) == (2 * NEAR + 1, "1.80", "1.190")


def test_of_many_that_do_not_pass_the_first_are_told() -> None:
    subject = offered(*(f"1.{minor}" for minor in range(200)), current="1.0")
    told = explained(subject, hole("GHSA-1", "1.150"))
    assert told[0] == "passes web 1.150: the nearest release against which nothing is known"
    assert told[1].startswith("does not 1.1, 1.2, 1.3,")
    everything = offered(*(f"1.{minor}" for minor in range(200)), current="1.100")
    assert explained(everything, hole("GHSA-1"))[-1] == "nor 20 other releases"


def test_several_projects_at_once_are_compared_with_nothing() -> None:
    policy = Policy()
    given = evidence(offered("1.1"), distribution("other", "1.0"))
    assert judge_others(rule(given, run_checks(given, policy), policy), policy) == ()
