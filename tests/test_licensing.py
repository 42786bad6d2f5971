"""Licence expressions: which are denied, which cannot be told, and that no expression is too odd to be answered."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installguard.checks import run_checks
from installguard.errors import ExitCode, PolicyError
from installguard.licensing import CLASSIFIERS, DEEPEST, LONGEST, answer_licenses
from installguard.model import Code, Distribution, Level, LicenseAnswer, Verdict, WheelContents, parse_release
from installguard.policy import LicensesPolicy, Policy, rule

from .sample_values import distribution, evidence

FREE = LicenseAnswer()
DENY = (
    "AGPL-3.0-only",
    "GPL-3.0-only",
    "GPL-2.0-only WITH Classpath-exception-2.0",
    "Apache-2.0 AND ISC",
    "LicenseRef-Own",
)


def answer(expression: str, *deny: str) -> LicenseAnswer:
    return answer_licenses([expression], deny)[expression]


@pytest.mark.parametrize(
    ("expression", "denied"),
    [
        ("MIT", ()),
        ("AGPL-3.0-only", ("AGPL-3.0-only",)),
        ("agpl-3.0-ONLY", ("AGPL-3.0-only",)),
        ("AGPL-3.0", ("AGPL-3.0-only",)),
        ("AGPL-3.0-or-later", ()),
        ("MIT OR AGPL-3.0-only", ()),
        ("MIT AND AGPL-3.0-only", ("AGPL-3.0-only",)),
        ("(MIT OR BSD-3-Clause) AND (ISC OR AGPL-3.0-only)", ()),
        ("(MIT AND GPL-3.0-only) OR AGPL-3.0-only", ("(MIT AND GPL-3.0-only) OR AGPL-3.0-only",)),
        ("AGPL-3.0-only OR GPL-3.0-only", ("AGPL-3.0-only OR GPL-3.0-only",)),
        ("GPL-3.0-only WITH Classpath-exception-2.0", ("GPL-3.0-only",)),
        ("GPL-2.0-only", ()),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ("GPL-2.0-only WITH Classpath-exception-2.0",)),
        ("GPL-2.0-only WITH Autoconf-exception-2.0", ()),
        ("Apache-2.0", ()),
        ("Apache-2.0 OR ISC", ()),
        ("Apache-2.0 AND (MIT AND ISC)", ("Apache-2.0 AND ISC",)),
        ("LicenseRef-Own", ("LicenseRef-Own",)),
    ],
)
def test_an_expression_is_denied_where_no_alternative_avoids_what_is_denied(
    expression: str, denied: tuple[str, ...]
) -> None:
    assert answer(expression, *DENY) == LicenseAnswer(denied=denied)


def test_an_entry_with_alternatives_denies_each_of_them() -> None:
    assert answer("MIT", "MIT OR ISC").denied == ("MIT",)
    assert answer("ISC", "MIT OR ISC").denied == ("ISC",)


@pytest.mark.parametrize(
    "expression",
    ["LicenseRef-X", "MIT AND LicenseRef-X", "MIT WITH LicenseRef-X", "((", "( AND MIT", "MIT MIT", "MIT/X11",
     "see LICENSE", "", "NONE", "MIT AND", "License :: OSI Approved :: BSD License", "License :: OSI Approved",
     "License :: OSI Approved :: MIT License AND License :: Other/Proprietary License",
     "(" * (DEEPEST + 1), "x" * LONGEST * 2],
)  # fmt: skip
def test_what_names_no_licence_that_is_known_cannot_be_told(expression: str) -> None:
    for deny in ((), DENY):
        found = answer(expression, *deny)
        assert found.problem is not None
        assert not found.denied


def test_an_alternative_that_is_known_is_enough() -> None:
    assert answer("MIT OR LicenseRef-X", *DENY) == FREE


@pytest.mark.parametrize(
    ("classifiers", "denied"),
    [
        ("License :: OSI Approved :: MIT License", ()),
        ("License :: OSI Approved AND License :: OSI Approved :: MIT License", ()),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", ("GPL-3.0-only",)),
        (
            "License :: OSI Approved :: ISC License (ISCL) AND "
            "License :: OSI Approved :: GNU Affero General Public License v3",
            ("AGPL-3.0-only",),
        ),
    ],
)
def test_classifiers_that_stand_for_one_licence_count_as_it(classifiers: str, denied: tuple[str, ...]) -> None:
    assert answer(classifiers, *DENY) == LicenseAnswer(denied=denied)


@pytest.mark.parametrize("expression", sorted(set(CLASSIFIERS.values())))
def test_every_classifier_stands_for_a_licence_that_spdx_knows(expression: str) -> None:
    assert answer(expression, *DENY).problem is None


def test_an_entry_that_is_no_expression_is_an_error_in_the_policy() -> None:
    with pytest.raises(PolicyError, match=r"'licenses\.deny': '\(\(' is no licence expression") as raised:
        answer("MIT", "((")
    assert raised.value.exit_code is ExitCode.POLICY


WITHOUT = """
import sys
sys.modules["license_expression"] = None  # as if it were not installed
from installguard.errors import PolicyError
from installguard.licensing import answer_licenses
answers = answer_licenses(["MIT", "see LICENSE"], [])
print(answers["MIT"].problem, answers["see LICENSE"].problem is not None)
try:
    answer_licenses([], ["MIT"])
except PolicyError as error:
    print(error)
"""


def test_without_the_library_a_policy_that_denies_licences_is_refused_and_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=60)
    told, refused = done.stdout.splitlines()
    assert told == "None True"
    assert refused == (
        "the license-expression library, which 'licenses.deny' needs, is not installed: install installguard[licenses]"
    )


words = st.sampled_from(
    ["MIT", "AGPL-3.0-only", "LicenseRef-X", "AND", "OR", "WITH", "(", ")", "Classpath-exception-2.0"]
)


@settings(deadline=None)
@given(st.lists(words | st.text(max_size=4), max_size=12).map(" ".join))
def test_any_text_has_an_answer_and_a_longer_list_denies_no_less(expression: str) -> None:
    few, more = answer(expression, "ISC"), answer(expression, "ISC", "AGPL-3.0-only")
    assert set(few.denied) <= set(more.denied)
    assert (few.problem is None) or not few.denied


def test_an_expression_made_to_explode_is_answered_at_once() -> None:
    hostile = " AND ".join(["(MIT OR AGPL-3.0-only)"] * 50)
    started = time.perf_counter()
    assert answer(hostile, *DENY) == FREE
    assert time.perf_counter() - started < 5.0  # measured: 0.02


# ---------------------------------------------------------------- the finding


def licensed(license: str | None, *, builds: bool = False, built: bool = False) -> Distribution:
    contents = WheelContents(release=parse_release("web", "1.0"), license=license, built=built)
    return distribution("web", "1.0", contents=contents, builds=builds)


def judged(subject: Distribution, rules: LicensesPolicy) -> Verdict:
    told = subject.contents.license if subject.contents is not None else None
    policy = Policy(licenses=rules)
    given = replace(evidence(subject), licenses=answer_licenses([told] if told else [], rules.deny))
    return rule(given, run_checks(given, policy), policy)


def details(verdict: Verdict) -> list[str]:
    return [each.finding.detail for each in verdict.rulings if each.finding.code is Code.LICENSE]


@pytest.mark.parametrize("unknown", list(Level))
@pytest.mark.parametrize(
    ("license", "detail"),
    [
        (None, "tells no licence that a program can read"),
        (" ", "tells no licence that a program can read"),
        ("LicenseRef-X", "is under a licence that cannot be told: SPDX knows no LicenseRef-X"),
    ],
)
def test_a_licence_that_cannot_be_told_is_ruled_by_its_key(license: str | None, detail: str, unknown: Level) -> None:
    verdict = judged(licensed(license), LicensesPolicy(deny=DENY, unknown=unknown))
    assert (details(verdict), verdict.level) == ([detail], unknown)


def test_a_licence_that_is_denied_is_denied_whatever_is_said_of_unknown_ones() -> None:
    verdict = judged(licensed("MIT AND AGPL-3.0"), LicensesPolicy(deny=DENY))
    assert details(verdict) == ["is under a licence that the policy denies: AGPL-3.0-only (MIT AND AGPL-3.0)"]
    assert verdict.level is Level.DENY


def test_a_licence_that_nobody_looked_up_is_not_passed_over() -> None:
    policy = Policy(licenses=LicensesPolicy(deny=DENY, unknown=Level.WARN))
    given = evidence(licensed("MIT"))
    assert rule(given, run_checks(given, policy), policy).level is Level.WARN


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        (licensed(None), True),
        (licensed(None, builds=True), False),
        (licensed(None, builds=True, built=True), True),
        (distribution("web", "1.0"), False),
        (replace(licensed(None), contents=WheelContents(release=None, problem="no zip")), False),
    ],
    ids=["a wheel", "a source", "a wheel just built", "never opened", "unreadable"],
)
def test_licences_are_looked_for_in_wheels_only(subject: Distribution, found: bool) -> None:
    assert bool(details(judged(subject, LicensesPolicy(deny=DENY, unknown=Level.WARN)))) is found


def test_a_policy_that_asks_for_no_licence_finds_none() -> None:
    assert details(judged(licensed(None), LicensesPolicy())) == []
