"""What `guard explain` says, and that docs/findings.md says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from installguard.model import Code, Run, Severity
from installguard.reporters.codes import CODES
from installguard.reporters.explain import explain_advisory, explain_code, explain_project, explain_release

from .regenerate_golden import CLEAN, MALWARE
from .sample_values import advisory, malware, snapshot

FINDINGS = Path(__file__).resolve().parents[1] / "docs" / "findings.md"
KEY = re.compile(r"\b(?:malicious|vulnerabilities|release|packages|builds|licenses|feed)\.[a-z]+(?:-[a-z]+)*")


def sections() -> dict[str, str]:
    parts = re.split(r"^#+ `?([a-z-]+|.*?)`?$", FINDINGS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("code", list(Code))
def test_every_code_is_explained_in_the_terminal_and_in_the_documentation(code: Code) -> None:
    text = explain_code(code)
    assert text.startswith(f"{code.value}: ")
    assert all(f"  {key}" in text for key in ("evidence", "level", "lift"))
    section = sections()[code.value]
    assert all(f"- {key}: " in section for key in ("Evidence", "Level", "What lifts it"))


@pytest.mark.parametrize("code", list(Code))
def test_the_documentation_names_the_same_policy_keys(code: Code) -> None:
    section = sections()[code.value]
    assert set(KEY.findall(CODES[code].level)) <= set(KEY.findall(section))
    assert all(f"`{key}`" in section for key in KEY.findall(CODES[code].level))


@pytest.mark.parametrize("code", list(Code))
def test_a_code_that_no_check_raises_is_said_to_be_for_later(code: Code) -> None:
    assert ("Not raised in this version" in sections()[code.value]) is not CODES[code].raised
    assert ("o check of this version raises it" in explain_code(code).replace("\n", " ").replace("  ", "")) or CODES[
        code
    ].raised


def test_an_advisory_is_told_with_what_it_affects_and_what_fixes_it() -> None:
    known = advisory(
        "web", id="GHSA-1", aliases=["CVE-1"], introduced="0", fixed=["1.5"], severity=Severity.HIGH, score=7.5,
        summary="bad\x1b[31m",
    )  # fmt: skip
    text = explain_advisory([known])
    assert text.splitlines()[0] == "GHSA-1: vulnerability in web: bad\\x1b[31m"
    for part in (
        "also        CVE-1",
        "high (7.5)",
        "from the first, before 1.5",
        "fixed in    1.5",
        "published 2026-03-24",
    ):
        assert part in text


def test_a_project_is_told_with_its_bad_releases_malware_first() -> None:
    known = [advisory("litellm", introduced="0", fixed=["1.5"]), malware("litellm", "1.82.7", "1.82.8")]
    lines = explain_project("litellm", known, snapshot()).splitlines()
    assert lines[0] == "litellm: 1 malware record, 1 advisory"
    assert lines[1].split() == ["malicious", "MAL-2026-2144", "(PYSEC-2026-2):", "1.82.7,", "1.82.8"]
    assert lines[2].startswith("  vulnerable  GHSA-aaaa-bbbb-cccc, severity not told: from the first, before 1.5")


def test_a_project_of_which_nothing_is_known_is_told_with_what_was_looked_at() -> None:
    assert explain_project("flask", [], snapshot()) == (
        "flask: no advisory is known (7,116 records as of 2026-11-21 18:40 UTC)\n"
    )
    assert "baseline only" in explain_project("flask", [], snapshot(taken_at=None))


def test_a_release_is_told_by_all_that_was_found() -> None:
    run = Run(command=("explain", "litellm==1.82.8"))
    assert "error[malicious]: litellm 1.82.8 is known malware\n" in explain_release(MALWARE, run)
    assert explain_release(CLEAN, run).startswith("dspy 3.1.0: nothing is known against it\n")
