"""Names that are nearly those of popular projects: what is found, and what is left in peace."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName, canonicalize_name

from installguard.checks import run_checks
from installguard.checks.popular import BUILT_IN
from installguard.checks.similar import LONGER, nearest
from installguard.model import Code, DirectUrl, Distribution, Installed, LocalTree, VcsCheckout
from installguard.policy import IndexPin, PackagesPolicy, Policy

from .sample_values import INDEX, distribution, evidence, match

DOWNLOADS = Path(__file__).resolve().parents[2] / "shared" / "feeds" / "top-pypi-packages.min.json"
POPULAR = {
    NormalizedName(name): rank
    for rank, name in enumerate(
        ["requests", "numpy", "six", "python-dateutil", "scikit-learn", "matplotlib", "colorama", "pillow", "rich"],
        start=1,
    )
}


def asked(name: str) -> Distribution:
    return distribution(name, "1.0", requested=True)


def similar(subject: Distribution, *others: Distribution, policy: Policy = Policy()) -> list[str | None]:  # noqa: B008  # a frozen value
    given = replace(evidence(subject, *others), popular=POPULAR)
    return [each.fix for each in run_checks(given, policy) if each.code is Code.SIMILAR_NAME]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("requestss", "requests"),
        ("reqests", "requests"),
        ("requezts", "requests"),
        ("reqeusts", "requests"),
        ("r-equests", "requests"),
        ("scikitlearn", "scikit-learn"),
        ("pythondateutil", "python-dateutil"),
        ("dateutil-python", "python-dateutil"),
        ("learn-scikit", "scikit-learn"),
        ("python-requests", "requests"),
        ("requests-python", "requests"),
        ("c0l0rama", "colorama"),
        ("rnatplotlib", "matplotlib"),
        ("piiiow", "pillow"),
        ("1pillow", "pillow"),
        ("pillovv", "pillow"),
        ("s-c-i-k-i-t-learn", "scikit-learn"),
        ("ritch", "rich"),
    ],
)
def test_a_slip_or_a_trick_is_told_with_the_name_that_was_meant(name: str, meant: str) -> None:
    assert similar(asked(name)) == [meant]


@pytest.mark.parametrize(
    "name", ["requests", "flask", "rqestss", "requests-http", "my-requests", "sux", "numpty-ng", "python-six", "p"]
)
def test_other_names_are_left_in_peace(name: str) -> None:
    assert similar(asked(name)) == []


@pytest.mark.parametrize(
    "subject",
    [
        replace(asked("requestss"), requested=False),
        replace(asked("requestss"), upgrades=True),
        replace(asked("requestss"), role="build"),
        replace(asked("requestss"), role="installed", origin=Installed(location="/env")),
        replace(asked("requestss"), origin=LocalTree(path="/src")),
        replace(asked("requestss"), origin=VcsCheckout(url="git+https://example.org/requestss")),
        replace(asked("requestss"), origin=DirectUrl(url="https://example.org/r.whl", filename="r.whl", kind="wheel")),
    ],
    ids=["only required", "upgraded", "for a build", "installed", "a tree", "a checkout", "a URL"],
)
def test_only_names_newly_asked_of_an_index_are_compared(subject: Distribution) -> None:
    assert similar(subject) == []


def test_a_name_that_is_installed_already_is_known_to_its_user() -> None:
    there = distribution("requestss", "0.9", role="installed", origin=Installed(location="/env"))
    assert similar(asked("requestss"), there) == []


@pytest.mark.parametrize(
    ("packages", "told"),
    [
        (PackagesPolicy(index=(IndexPin(match=match("requestss"), url=INDEX),)), False),
        (PackagesPolicy(allow=(match("requestss"),)), False),
        (PackagesPolicy(allow=(match("*"),)), True),
    ],
)
def test_a_name_that_the_policy_spells_out_is_meant(packages: PackagesPolicy, told: bool) -> None:
    assert bool(similar(asked("requestss"), policy=Policy(packages=packages))) is told


def test_the_more_popular_of_two_is_the_one_that_was_meant() -> None:
    popular = {NormalizedName("flask"): 30, NormalizedName("flake"): 20, NormalizedName("flasks"): 10}
    assert nearest(NormalizedName("flaske"), {**popular, NormalizedName("flasked"): 5}) == "flasked"
    assert nearest(NormalizedName("flaskx"), popular) == "flasks"


def test_a_short_name_is_compared_with_the_most_popular_only() -> None:
    assert nearest(NormalizedName("ritch"), {NormalizedName("rich"): 500}) == "rich"
    assert nearest(NormalizedName("ritch"), {NormalizedName("rich"): 501}) is None
    assert nearest(NormalizedName("reqests"), {NormalizedName("requests"): 2000}) == "requests"
    assert nearest(NormalizedName("matplotlip"), {NormalizedName("matplotlib"): LONGER + 1}) is None


def test_without_a_download_list_the_built_in_one_is_compared_with() -> None:
    given = evidence(asked("reqeusts"))
    assert [each.fix for each in run_checks(given, Policy())] == ["requests"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_list_holds_normalised_names_that_are_not_taken_for_one_another(name: NormalizedName) -> None:
    assert canonicalize_name(name) == name
    assert nearest(name, BUILT_IN) is None


@given(st.text("abcrnvw01-", min_size=1, max_size=12), st.text("abcrnvw01-", min_size=1, max_size=12))
def test_any_two_names_can_be_compared_and_a_popular_one_is_never_found(one: str, other: str) -> None:
    popular = {NormalizedName(one): 1}
    assert nearest(NormalizedName(one), popular) is None
    assert nearest(NormalizedName(other), popular) in (None, one)


def test_the_download_list_gives_no_false_alarm_over_itself_and_takes_a_moment_only() -> None:
    if not DOWNLOADS.is_file():
        pytest.skip("no download list at ../shared/feeds")
    rows = json.loads(DOWNLOADS.read_text(encoding="utf-8"))["rows"]
    popular = {canonicalize_name(row["project"]): rank for rank, row in enumerate(rows, start=1)}
    assert not [name for name in popular if nearest(name, popular) is not None]
    tail = {name: rank for name, rank in popular.items() if rank <= 13_000}
    unremarkable = [name for name in popular if name not in tail][:200]
    started = time.perf_counter()
    alarms = [name for name in unremarkable if nearest(name, tail) is not None]
    assert len(alarms) <= 6
    assert time.perf_counter() - started < 4.0  # a fifth of that on an idle machine
