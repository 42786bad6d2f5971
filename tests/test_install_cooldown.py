"""The cooldown over the real pip: young releases are hidden from its resolver, and an exact pin of one is denied."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from .conftest import malware_record, write_feed
from .environments import Environment
from .loopback import Index, sha256
from .packages import make_sdist, make_wheel, source_files

POLICY = '[tool.installguard.release]\nmin-age = "3d"\n'


@pytest.fixture
def project(environment: Environment, index: Index, tmp_path: Path) -> Path:
    """A project whose policy holds releases back for three days, and an index where `foo` 2.0 is a day old."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pyproject.toml").write_text(POLICY, encoding="utf-8")
    make_wheel(index.files, "foo", "1.0")
    make_wheel(index.files, "foo", "2.0")
    make_wheel(index.files, "bar", "0.9", requires=["foo"])
    make_wheel(index.files, "bar", "1.0", requires=["foo>=2"])
    index.json = True
    for path in index.files.iterdir():
        index.uploaded[path.name] = days_ago(100)
    index.uploaded["foo-2.0-py3-none-any.whl"] = days_ago(1)
    environment.guard("feed", "import", write_feed(tmp_path / "f.zip", [malware_record("MAL-1", "evil", ["1"])]))
    return directory


def days_ago(days: float) -> str:
    moment = datetime.now(timezone.utc) - timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def installed(environment: Environment) -> set[str]:
    return {path.name.removesuffix(".dist-info") for path in environment.site_packages.glob("*.dist-info")} - {
        path.name.removesuffix(".dist-info") for path in environment.site_packages.glob("pip-*")
    }


def test_a_young_release_gives_way_to_the_older_one_and_that_is_said(environment: Environment, project: Path) -> None:
    ran = environment.guard("install", "foo", cwd=project)

    assert ran.code == 0, ran.text
    assert installed(environment) == {"foo-1.0"}
    assert "foo 2.0" in ran.err
    assert "held back" in ran.err


def test_the_resolver_backtracks_to_what_needs_no_young_release(environment: Environment, project: Path) -> None:
    ran = environment.guard("install", "bar", cwd=project)

    assert ran.code == 0, ran.text
    assert installed(environment) == {"foo-1.0", "bar-0.9"}


@pytest.mark.parametrize("asked", ["foo==2.0", "foo>=2", "foo>1.5,<3"])
def test_where_only_young_releases_would_do_it_is_a_denial(environment: Environment, project: Path, asked: str) -> None:
    before = environment.files()

    ran = environment.guard("install", asked, cwd=project)

    assert ran.code == 10, ran.text
    assert "error[too-young]: foo 2.0" in ran.err
    assert environment.files() == before


def test_a_project_whose_only_release_is_young_is_a_denial_and_a_missing_one_is_pips_own_error(
    environment: Environment, project: Path, index: Index
) -> None:
    make_wheel(index.files, "fresh")
    index.uploaded["fresh-1.0-py3-none-any.whl"] = days_ago(0.1)

    young = environment.guard("install", "fresh", cwd=project)
    missing = environment.guard("install", "no-such-project", cwd=project)

    assert young.code == 10, young.text
    assert missing.code == 1, missing.text
    assert "too-young" not in missing.err


@pytest.mark.parametrize("exempt", ["foo", "f*", "foo==2.0"])
def test_what_the_policy_exempts_is_not_held_back(environment: Environment, project: Path, exempt: str) -> None:
    (project / "pyproject.toml").write_text(f'{POLICY}min-age-exclude = ["{exempt}"]\n', encoding="utf-8")

    ran = environment.guard("install", "foo", cwd=project)

    assert ran.code == 0, ran.text
    assert installed(environment) == {"foo-2.0"}


def test_a_waiver_lets_a_young_release_in(environment: Environment, project: Path) -> None:
    waived = environment.guard(
        "waive", "too-young", "foo==2.0", "--reason", "we wrote it ourselves", "--expires", "30d", cwd=project
    )
    ran = environment.guard("install", "foo", cwd=project)

    assert waived.code == 0, waived.text
    assert ran.code == 0, ran.text
    assert installed(environment) == {"foo-2.0"}


def test_a_young_release_that_fixes_what_the_older_one_has_is_taken(
    environment: Environment, project: Path, tmp_path: Path
) -> None:
    record = {
        **malware_record("PYSEC-2099-1", "foo", ["1.0"]),
        "summary": "foo mishandles what it is given",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
    }
    environment.guard("feed", "import", write_feed(tmp_path / "g.zip", [record]))

    ran = environment.guard("install", "foo", cwd=project)

    assert ran.code == 0, ran.text
    assert installed(environment) == {"foo-2.0"}


def test_hashes_name_the_very_file_so_its_age_only_warns(environment: Environment, project: Path, index: Index) -> None:
    digest = sha256(index.files / "foo-2.0-py3-none-any.whl")
    (project / "pins.txt").write_text(f"foo==2.0 --hash=sha256:{digest}\n", encoding="utf-8")

    ran = environment.guard("install", "-r", "pins.txt", cwd=project)

    assert ran.code == 0, ran.text
    assert installed(environment) == {"foo-2.0"}
    assert "warning[too-young]" in ran.err


def test_build_requirements_are_held_back_too(environment: Environment, project: Path, index: Index) -> None:
    make_sdist(index.files, "built", "1.0", source_files("built", build_requires=["foo"]))
    index.uploaded["built-1.0.tar.gz"] = days_ago(100)
    report = project / "report.json"

    ran = environment.guard("--report", report, "install", "built", cwd=project)

    assert ran.code == 0, ran.text
    judged = json.loads(report.read_text(encoding="utf-8"))["distributions"]
    assert [(each["name"], each["version"]) for each in judged if each["role"] == "build"] == [("foo", "1.0")]


def test_without_upload_times_nothing_is_held_back_unless_the_policy_says_so(
    environment: Environment, project: Path, index: Index
) -> None:
    index.uploaded.clear()
    lenient = environment.guard("install", "--dry-run", "foo", cwd=project)
    (project / "pyproject.toml").write_text(f'{POLICY}min-age-unknown = "deny"\n', encoding="utf-8")
    strict = environment.guard("install", "foo", cwd=project)

    assert "Would install foo-2.0" in lenient.out, lenient.text
    assert strict.code == 10, strict.text
    assert "error[age-unknown]: foo 2.0" in strict.err


def test_pips_own_uploaded_prior_to_keeps_working_beside_it(environment: Environment, project: Path) -> None:
    if environment.pip("install", "--uploaded-prior-to", days_ago(1), "--help").code:
        pytest.skip("this pip has no --uploaded-prior-to")
    before = (datetime.now(timezone.utc) - timedelta(days=50)).strftime("%Y-%m-%dT%H:%M:%SZ")

    ran = environment.guard("install", "--uploaded-prior-to", before, "foo", cwd=project)

    assert ran.code == 0, ran.text
    assert installed(environment) == {"foo-1.0"}
