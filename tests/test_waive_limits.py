"""Waivers beside other policy files: what a barred one still lifts, and what `guard waive` refuses to write."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from installguard.config.files import PolicyFile, PolicyFiles, open_site
from installguard.config.keys import BY_PATH
from installguard.config.reading import load_policy
from installguard.config.writing import write_waiver
from installguard.errors import PolicyError
from installguard.model import Code, Finding, Level, ProjectStatus, Severity
from installguard.policy import RULED_BY, Policy, VulnerabilityPolicy, Waiver, rule, ruling_keys

from .sample_values import advisory, distribution, evidence, level_of, waiver

TODAY = date(2026, 11, 21)
SUBJECT = distribution("a", "1.0")
HARSH = VulnerabilityPolicy(deny=Severity.HIGH, warn=Severity.LOW, no_fix=Level.DENY)


def vulnerable(severity: Severity | None, *, exploited: bool = False, fixed: Sequence[str] = ("9",)) -> Finding:
    record = replace(advisory("a", severity=severity, fixed=fixed), exploited=exploited)
    return Finding(code=Code.VULNERABLE, subject=SUBJECT, detail="is vulnerable", advisory=record)


# ---------------------------------------------------------------- ruling


@pytest.mark.parametrize(
    ("finding", "keys"),
    [
        (vulnerable(Severity.LOW), {"warn"}),
        (vulnerable(Severity.HIGH), {"warn", "deny"}),
        (vulnerable(Severity.NONE), set()),
        (vulnerable(Severity.LOW, exploited=True), {"warn", "exploited"}),
        (vulnerable(Severity.LOW, fixed=()), {"warn", "no-fix"}),
        (vulnerable(None), {"warn", "unknown-severity"}),
    ],
)
def test_a_vulnerability_is_ruled_by_the_thresholds_that_it_reaches_and_what_is_special_about_it(
    finding: Finding, keys: set[str]
) -> None:
    assert set(ruling_keys(finding, Policy(vulnerabilities=HARSH))) == {f"vulnerabilities.{key}" for key in keys}


@pytest.mark.parametrize("status", ["archived", "deprecated", "quarantined"])
def test_a_project_status_is_ruled_by_its_own_key(status: ProjectStatus) -> None:
    subject = replace(SUBJECT, status=status)
    finding = Finding(code=Code.PROJECT_STATUS, subject=subject, detail=f"is {status}")
    assert ruling_keys(finding, Policy()) == (f"release.status.{status}",)


@pytest.mark.parametrize(("unknown", "key"), [(True, "licenses.unknown"), (False, "licenses.deny")])
def test_a_licence_that_cannot_be_told_is_not_ruled_by_the_list_of_denied_ones(unknown: bool, key: str) -> None:
    finding = Finding(code=Code.LICENSE, subject=SUBJECT, detail="was found", unknown=unknown)
    assert ruling_keys(finding, Policy()) == (key,)


def test_every_ruling_key_is_one_of_the_policy_and_rules_one_code() -> None:
    keys = [key for keys in RULED_BY.values() for key in keys]
    assert set(keys) <= set(BY_PATH)
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("code", [code for code in RULED_BY if code is not Code.VULNERABLE])
def test_a_waiver_lifts_a_ruling_unless_it_is_barred_from_its_key(code: Code) -> None:
    finding = Finding(code=code, subject=replace(SUBJECT, status="archived"), detail="was found")
    [key] = ruling_keys(finding, Policy())
    free = waiver(code.value, "a", "==1.0")
    ruled = level_of(finding, Policy())
    for barred, lifted in (({key}, False), ({"fail-on"}, True), (set(), True)):
        given = replace(free, barred=frozenset(barred))
        assert level_of(finding, Policy(waivers=(given,))) is (Level.ALLOW if lifted else ruled)


def test_a_barred_waiver_still_lifts_what_its_own_file_rules() -> None:
    given = replace(waiver("vulnerable", "a", "<2"), barred=frozenset({"vulnerabilities.deny"}))
    policy = Policy(vulnerabilities=HARSH, waivers=(given,))
    assert level_of(vulnerable(Severity.MEDIUM), policy) is Level.ALLOW
    assert level_of(vulnerable(Severity.HIGH), policy) is Level.DENY


def test_a_barred_waiver_is_not_said_to_match_nothing() -> None:
    given = replace(waiver("vulnerable", "a", "<2"), barred=frozenset({"vulnerabilities.deny"}))
    policy = Policy(vulnerabilities=HARSH, waivers=(given,))
    rulings = rule(evidence(SUBJECT), [vulnerable(Severity.HIGH)], policy).rulings
    [told] = [ruling.finding.detail for ruling in rulings if ruling.finding.code is Code.WAIVER_UNUSED]
    assert told == (
        "the waiver of vulnerable for a<2 (tool.installguard.waivers[0]) does not hold: "
        "another policy file set 'vulnerabilities.deny', and lets no other waive what it rules"
    )


# ---------------------------------------------------------------- guard waive


def write(path: Path, finding: str = "needs-build", *, site: PolicyFile | None = None) -> Waiver:
    return write_waiver(
        path, finding=finding, release="a<2", reason="not reached by us", expires=date(2026, 12, 31), today=TODAY,
        site=site,
    )  # fmt: skip


STRICT = '[tool.installguard]\npreset = "strict"\n'
EXTENDING = '[tool.installguard]\nextends = ["base.toml"]\n'


def test_a_waiver_that_an_extended_file_makes_useless_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(EXTENDING)
    (tmp_path / "base.toml").write_text(STRICT)
    with pytest.raises(PolicyError) as caught:
        write(path)
    assert str(caught.value) == (
        f"{path}: the waiver does not hold: 'builds.level' is set by {tmp_path}/base.toml: "
        "waive it there, or add 'needs-build' to its 'waivable'"
    )
    assert path.read_text() == EXTENDING
    (tmp_path / "base.toml").write_text(STRICT + 'waivable = ["needs-build"]\n')
    assert write(path).barred == frozenset()
    assert "needs-build" in path.read_text()


def test_a_waiver_that_the_system_wide_policy_makes_useless_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(STRICT)
    site = open_site(tmp_path)
    path = tmp_path / "pyproject.toml"
    with pytest.raises(
        PolicyError, match=r"the waiver does not hold: 'builds.level' is set by .*policy.toml: waive it"
    ):
        write(path, site=site)
    assert not path.exists()
    assert write(tmp_path / "policy.toml", site=site).barred == frozenset()


def test_a_waiver_that_holds_in_part_is_written_and_tells_what_it_does_not_lift(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(EXTENDING)
    (tmp_path / "base.toml").write_text('[tool.installguard.vulnerabilities]\ndeny = "critical"\n')
    written = write(path, "GHSA-1-2-3")
    assert written.barred == {"vulnerabilities.deny"}
    own = PolicyFile(path=path, table={"extends": ["base.toml"], "waivers": [FIELDS]})
    assert load_policy(PolicyFiles(own=own), today=TODAY).waivers == (written,)


FIELDS = {"finding": "GHSA-1-2-3", "release": "a<2", "reason": "not reached by us", "expires": "2026-12-31"}


def test_a_waiver_is_not_written_beside_a_parent_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(EXTENDING)
    with pytest.raises(PolicyError, match=r"base\.toml: no such file"):
        write(path)
    assert path.read_text() == EXTENDING


def guard(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "installguard", *arguments]
    alone = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CONFIG_DIRS": str(folder), "PATH": os.defpath}
    return subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_refuses_a_useless_waiver_and_notes_a_limited_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(EXTENDING)
    (tmp_path / "base.toml").write_text(
        '[tool.installguard]\nbuilds.level = "deny"\nvulnerabilities.deny = "critical"\n'
    )
    rest = ("a<2", "--reason", "not reached by us", "--expires", "30d")
    refused = guard(tmp_path, "waive", "needs-build", *rest)
    assert refused.returncode == 13
    assert "the waiver does not hold: 'builds.level' is set by" in refused.stderr
    assert (tmp_path / "pyproject.toml").read_text() == EXTENDING
    limited = guard(tmp_path, "waive", "GHSA-1-2-3", *rest)
    assert limited.returncode == 0
    assert "note: it does not lift what 'vulnerabilities.deny' of another policy file rules" in limited.stdout
