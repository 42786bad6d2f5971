"""Every key of the policy, in a real `pyproject.toml`, over real installs from a loopback index."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from .conftest import write_feed
from .environments import Environment, Ran
from .feed_samples import shared_feeds
from .loopback import Index
from .packages import make_sdist, make_wheel, source_files, touch, write_tree

pytestmark = pytest.mark.last_pip

V2_MEDIUM = ("CVSS_V2", "AV:N/AC:L/Au:N/C:P/I:N/A:N")
V3_LOW = ("CVSS_V3", "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N")
V3_HIGH = ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N")
V4_CRITICAL = ("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N")
SEVERITIES = {
    "v-low": [V3_LOW],
    "v-medium": [V2_MEDIUM],
    "v-high": [V3_HIGH],
    "v-critical": [V4_CRITICAL],
    "v-worst": [V3_LOW, V4_CRITICAL],
    "v-unrated": [],
    "v-unfixed": [V3_HIGH],
}
NOW = datetime.now(timezone.utc)
SOON, PAST = f"{NOW + timedelta(days=20):%Y-%m-%d}", f"{NOW - timedelta(days=2):%Y-%m-%d}"


def records(modified: datetime) -> list[dict[str, object]]:
    """Return the feed: a vulnerable project of each severity, and malware."""
    found = [vulnerability(name, vectors, modified) for name, vectors in SEVERITIES.items()]
    evil = {"package": {"ecosystem": "PyPI", "name": "evil"}, "versions": ["1.0"]}
    return [*found, {"id": "MAL-2099-1", "modified": f"{modified:%Y-%m-%dT%H:%M:%SZ}", "affected": [evil]}]


def vulnerability(name: str, vectors: Sequence[tuple[str, str]], modified: datetime) -> dict[str, object]:
    events = [{"introduced": "0"}] if name == "v-unfixed" else [{"introduced": "0"}, {"fixed": "2.0"}]
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    return {
        "id": f"PYSEC-2099-{name}",
        "aliases": [f"CVE-2099-{name}"],
        "modified": f"{modified:%Y-%m-%dT%H:%M:%SZ}",
        "severity": [{"type": kind, "score": vector} for kind, vector in vectors],
        "affected": [affected],
    }


@dataclass
class Project:
    """A directory with a policy, from which guard is run."""

    environment: Environment
    index: Index
    directory: Path

    def write(self, policy: str) -> Path:
        """Write `pyproject.toml` with what stands below `tool.installguard`."""
        path = self.directory / "pyproject.toml"
        path.write_text(policy, encoding="utf-8")
        return path

    def guard(self, *argv: str | Path, **variables: str) -> tuple[Ran, dict[str, Any]]:
        """Run guard in the project; return how it ended, and its report."""
        report = self.directory / "report.json"
        ran = self.environment.guard("--report", report, *argv, cwd=self.directory, **variables)
        assert "Traceback" not in ran.text
        return ran, json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}

    def installed(self, module: str) -> bool:
        """Tell whether a module was installed."""
        return (self.environment.site_packages / module).exists()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of the feed as of now, to be copied."""
    directory = tmp_path_factory.mktemp("fresh")
    cache = directory / "cache"
    nowhere = Environment(prefix=directory, home=directory, extra={"INSTALLGUARD_CACHE_DIR": str(cache)})
    take(nowhere, directory, NOW)
    return cache


@pytest.fixture
def project(environment: Environment, index: Index, tmp_path: Path, fresh: Path) -> Project:
    """A project under a fresh feed."""
    directory = tmp_path / "project"
    directory.mkdir()
    shutil.copytree(fresh, environment.extra["INSTALLGUARD_CACHE_DIR"])
    return Project(environment=environment, index=index, directory=directory)


def take(environment: Environment, directory: Path, modified: datetime) -> None:
    """Import the feed as of *modified*."""
    feed = write_feed(directory / "feed.zip", records(modified))
    ran = environment.guard("feed", "import", "--accept-rollback", feed)  # some are older than what a test began with
    assert ran.code == 0, ran.text


def levels(report: dict[str, Any], code: str) -> dict[str, str]:
    """Return the level that was ruled for each project by one code."""
    return {ruling["name"]: ruling["level"] for ruling in report["rulings"] if ruling["code"] == code}


# ---------------------------------------------------------------- vulnerabilities

WARNED = dict.fromkeys(SEVERITIES, "warn")
THRESHOLDS: list[tuple[str, int, dict[str, str]]] = [
    ("", 0, WARNED),
    ('preset = "relaxed"', 0, {**WARNED, "v-low": "allow", "v-medium": "allow", "v-unrated": "allow"}),
    (
        'preset = "strict"',
        10,
        {**dict.fromkeys(SEVERITIES, "deny"), "v-low": "warn", "v-medium": "warn"},
    ),
    (
        '[tool.installguard.vulnerabilities]\ndeny = "critical"\nwarn = "high"\nunknown-severity = "critical"',
        10,
        {
            "v-low": "allow",
            "v-medium": "allow",
            "v-high": "warn",
            "v-critical": "deny",
            "v-worst": "deny",
            "v-unrated": "deny",
            "v-unfixed": "warn",
        },
    ),
    (
        '[tool.installguard.vulnerabilities]\ndeny = "medium"\nno-fix = "allow"\nunknown-severity = "none"',
        10,
        {
            **dict.fromkeys(SEVERITIES, "deny"),
            "v-low": "warn",
            "v-unrated": "allow",
            "v-unfixed": "allow",
        },
    ),
    ('[tool.installguard.vulnerabilities]\nwarn = "none"', 0, dict.fromkeys(SEVERITIES, "allow")),
    ('fail-on = "warn"', 11, WARNED),
]


@pytest.mark.parametrize(("policy", "code", "expected"), THRESHOLDS)
def test_vulnerabilities_are_ruled_by_their_severity(
    project: Project, policy: str, code: int, expected: dict[str, str]
) -> None:
    for name in SEVERITIES:
        make_wheel(project.index.files, name)
    project.write(f"[tool.installguard]\n{policy}\n" if not policy.startswith("[") else policy)

    ran, report = project.guard("install", *SEVERITIES)

    assert ran.code == code, ran.text
    assert {**dict.fromkeys(SEVERITIES, "allow"), **levels(report, "vulnerable")} == expected
    assert {project.installed(name.replace("-", "_")) for name in SEVERITIES} == {code == 0}


# ---------------------------------------------------------------- one key at a time

Arrange = Callable[[Project], Sequence[str | Path]]


def plain(project: Project) -> Sequence[str | Path]:
    make_wheel(project.index.files, "nice")
    return ["nice"]


def yanked(project: Project) -> Sequence[str | Path]:
    project.index.yanked[make_wheel(project.index.files, "nice").name] = "broken on Tuesdays"
    return ["nice==1.0"]


def direct(project: Project) -> Sequence[str | Path]:
    return [make_wheel(project.directory / "wheels", "nice")]


def built(project: Project) -> Sequence[str | Path]:
    make_sdist(project.index.files, "nice", "1.0", source_files("nice"))
    return ["nice"]


def licensed_source(project: Project) -> Sequence[str]:
    files = source_files("nice", "1.0")
    stated = '"Version: " + VERSION, "License-Expression: AGPL-3.0-only"]'
    files["tiny_backend.py"] = files["tiny_backend.py"].replace('"Version: " + VERSION]', stated)
    make_sdist(project.index.files, "nice", "1.0", files)
    return ["nice"]


def starting(project: Project) -> Sequence[str | Path]:
    files = {"nice/__init__.py": "", "nice.pth": "import sys\n"}
    make_wheel(project.index.files, "nice", files=files)
    return ["nice"]


def other_version(project: Project) -> Sequence[str | Path]:
    make_wheel(project.index.files, "evil", "2.0", files={"nice/__init__.py": ""})
    return ["evil==2.0"]


def malware(project: Project) -> Sequence[str | Path]:
    make_wheel(project.index.files, "evil", "1.0", files={"nice/__init__.py": ""})
    return ["evil"]


def no_feed(project: Project) -> Sequence[str | Path]:
    project.environment.extra["INSTALLGUARD_CACHE_DIR"] = str(project.directory / "empty")
    return plain(project)


def old_feed(project: Project) -> Sequence[str | Path]:
    take(project.environment, project.directory, NOW - timedelta(days=30))
    return plain(project)


def mismatched(project: Project) -> Sequence[str | Path]:
    make_wheel(project.index.files, "nice", "1.0", inner_version="2.0")
    project.index.metadata = False
    return ["nice"]


def waiver(finding: str, release: str, expires: str) -> str:
    return (
        f'[[tool.installguard.waivers]]\nfinding = "{finding}"\nrelease = "{release}"\n'
        f'reason = "looked at it closely"\nexpires = {expires}\n'
    )


KEYS: list[tuple[str, Arrange, int, str | None]] = [
    ("", yanked, 0, "warning[yanked]"),
    ('release.yanked = "deny"', yanked, 10, "error[yanked]"),
    ('release.yanked = "allow"', yanked, 0, None),
    ('packages.allow = ["other-*"]', plain, 10, "error[not-allowed]"),
    ('packages.allow = ["ni*<2"]', plain, 0, None),
    ('packages.allow = ["nice>=2"]', plain, 10, "error[not-allowed]"),
    ('packages.deny = [{ match = "nice", reason = "it is too nice", use = "rude" }]', plain, 10, "it is too nice"),
    ('packages.deny = ["nice>=2"]', plain, 0, None),
    ("", direct, 0, "warning[direct-origin]"),
    ('packages.direct = "deny"', direct, 10, "error[direct-origin]"),
    ('packages.direct = "allow"', direct, 0, None),
    ("", built, 0, "warning[needs-build]"),
    ('builds.level = "deny"', built, 10, "error[needs-build]"),
    ('builds.level = "deny"\nbuilds.allow = ["nice==1.*"]', built, 0, None),
    ('builds.level = "deny"\nbuilds.allow = ["nice==2.*"]', built, 10, "error[needs-build]"),
    ('licenses.deny = ["AGPL-3.0-only"]', licensed_source, 10, "error[license]"),
    ('licenses.deny = ["MIT"]', licensed_source, 0, "warning[needs-build]"),
    ("", starting, 0, "warning[startup-code]"),
    ('builds.startup-code = "deny"', starting, 10, "error[startup-code]"),
    ('builds.startup-code = "allow"', starting, 0, None),
    ("", other_version, 0, "warning[malicious-project]"),
    ('malicious.other-versions = "deny"', other_version, 10, "error[malicious-project]"),
    ('malicious.other-versions = "allow"', other_version, 0, None),
    ('malicious.level = "warn"', malware, 0, "warning[malicious]"),
    ("", no_feed, 0, "warning[feed-missing]"),
    ('feed.missing = "deny"', no_feed, 12, "error[feed-missing]"),
    ('feed.missing = "allow"', no_feed, 0, None),
    ("", old_feed, 0, "warning[feed-stale]"),
    ('feed.stale = "deny"', old_feed, 12, "error[feed-stale]"),
    ('feed.stale = "deny"\nfeed.max-age = "31d"', old_feed, 0, None),
    ('feed.stale = "deny"\nrelease.yanked = "deny"', lambda project: [*old_feed(project)], 12, "error[feed-stale]"),
    ('fail-on = "warn"', yanked, 11, "warnings stop it here"),
    ('fail-on = "warn"', plain, 0, None),
    ('preset = "strict"', plain, 10, "error[age-unknown]"),
    ('preset = "strict"\nrelease.min-age-unknown = "allow"', plain, 0, "warning[license]"),
    ('preset = "strict"\nrelease.min-age-unknown = "allow"\nlicenses.unknown = "allow"', plain, 0, None),
    ('preset = "strict"', built, 10, "error[needs-build]"),
    ('preset = "relaxed"', direct, 0, None),
    ("", malware, 10, "error[malicious]"),
    (waiver("MAL-2099-1", "evil==1.0", SOON), malware, 0, None),
    (waiver("malicious", "evil==1.0", PAST), malware, 10, "warning[waiver-expired]"),
    (waiver("yanked", "nice<2", SOON), yanked, 0, None),
    (waiver("yanked", "nice<2", SOON), plain, 0, "warning[waiver-unused]"),
    (waiver("yanked", "nice==1.0", SOON) + "[tool.installguard.release]\nyanked = 'deny'", yanked, 0, None),
    (waiver("MAL-2099-1", "evil", SOON), malware, 13, "one exact release"),
]


@pytest.mark.parametrize(
    ("policy", "arrange", "code", "said"),
    KEYS,
    ids=[f"{number}-{code}" for number, (_, _, code, _) in enumerate(KEYS)],
)
def test_each_key_does_what_it_says(
    project: Project, policy: str, arrange: Arrange, code: int, said: str | None
) -> None:
    project.write(f"[tool.installguard]\n{policy}\n")
    arguments = arrange(project)
    before = project.environment.files()

    ran, report = project.guard("install", *arguments)

    assert ran.code == code, ran.text
    assert project.installed("nice") is (code == 0)
    if code:
        assert project.environment.files() == before
    if said is None:
        assert "[" not in ran.err.replace("[notice]", ""), ran.err
    else:
        assert said in ran.err
    if code in (0, 11):
        assert report["verdict"] == ("allow" if said is None else "warn")
    if code == 12:
        assert report["verdict"] == "unjudged"


def test_a_wheel_that_is_not_what_its_name_says_is_not_installed(project: Project) -> None:
    before = project.environment.files()

    ran, _ = project.guard("install", *mismatched(project))

    refused_by_pip = "inconsistent" in ran.text.lower()
    assert ran.code == 10 or (refused_by_pip and ran.code == 1), ran.text
    assert refused_by_pip or "error[artifact-mismatch]" in ran.err
    assert project.environment.files() == before


def test_a_local_wheel_that_changes_after_it_was_judged_is_not_installed(project: Project) -> None:
    judged = make_wheel(project.directory / "wheels", "nice")
    other = make_wheel(project.directory / "others", "nice", files={"nice/__init__.py": "changed = True\n"})
    count = project.directory / "count"
    swap = (
        f"import pathlib; count = pathlib.Path({str(count)!r}); count.touch(); "
        f"times = len(count.read_bytes()); count.write_bytes(bytes(times + 1)); "
        f"times == 2 and pathlib.Path({str(judged)!r}).write_bytes(pathlib.Path({str(other)!r}).read_bytes())"
    )  # at the third call of the backend, which builds, when everything has been judged
    tree = write_tree(project.directory / "tree", source_files("src", payload=swap))
    before = project.environment.files()

    ran, report = project.guard("install", judged, tree)

    assert len(count.read_bytes()) == 3
    assert ran.code == 10, ran.text
    assert levels(report, "artifact-mismatch") == {"nice": "deny"}
    assert "changed after it was judged" in ran.err
    assert project.environment.files() == before


# ---------------------------------------------------------------- which policy

INVALID = """\
[tool.installguard]
preset = "lax"
fial-on = "warn"
[tool.installguard.builds]
level = 1
[[tool.installguard.waivers]]
finding = "yanked"
release = "nice"
"""


def test_an_invalid_policy_is_told_with_all_its_mistakes_and_pip_does_nothing(project: Project) -> None:
    project.write(INVALID)
    arguments = plain(project)
    before = project.environment.files()

    ran, _ = project.guard("install", *arguments)

    lines = ran.err.splitlines()
    assert (ran.code, ran.out) == (13, "")
    assert all(line.startswith("guard: error: ") for line in lines), ran.err
    for key in ("preset", "fial-on", "builds.level", "waivers[0]: missing 'reason'", "waivers[0]: missing 'expires'"):
        assert sum(f"tool.installguard.{key}" in line for line in lines) == 1, (key, ran.err)
    assert len(lines) == 5
    assert project.index.requests == []
    assert project.environment.files() == before


def test_the_policy_option_and_its_variable_go_before_the_project(project: Project) -> None:
    project.write('[tool.installguard]\npackages.deny = ["nice"]\n')
    other = project.directory / "other.toml"
    other.write_text('[tool.installguard]\npackages.deny = ["rude"]\n', encoding="utf-8")
    arguments = plain(project)

    by_project, denied = project.guard("install", "--dry-run", *arguments)
    by_option, allowed = project.guard("--policy", "other.toml", "install", "--dry-run", *arguments)
    by_variable, _ = project.guard("install", "--dry-run", *arguments, INSTALLGUARD_POLICY=str(other))
    both, _ = project.guard("--policy", "pyproject.toml", "install", *arguments, INSTALLGUARD_POLICY=str(other))

    assert [by_project.code, by_option.code, by_variable.code, both.code] == [10, 0, 0, 10]
    assert denied["policy"]["files"][0].endswith("pyproject.toml")
    assert allowed["policy"]["files"][0].endswith("other.toml")


def test_fail_on_can_be_tightened_from_outside_but_not_loosened(project: Project) -> None:
    arguments = yanked(project)
    project.write("[tool.installguard]\n")
    assert project.guard("--fail-on", "warn", "install", *arguments)[0].code == 11
    assert project.guard("install", *arguments, INSTALLGUARD_FAIL_ON="warn")[0].code == 11
    project.write('[tool.installguard]\nfail-on = "warn"\n')
    assert project.guard("--fail-on", "deny", "install", *arguments)[0].code == 11
    assert not project.installed("nice")


def test_what_installs_nothing_ends_as_pip_ends_whatever_the_policy_says_of_the_feed(project: Project) -> None:
    project.write('[tool.installguard]\npreset = "strict"\nfail-on = "warn"\n')
    no_feed(project)

    for verb in (["pip", "list"], ["pip", "--version"], ["install", "--help"]):
        ran, _ = project.guard(*verb)
        assert (ran.code, ran.err) == (0, ""), ran.text


def test_a_requirement_that_is_not_for_this_interpreter_ends_as_with_pip(project: Project) -> None:
    project.write('[tool.installguard]\npreset = "strict"\n')
    no_feed(project)

    ran, _ = project.guard("install", "nice; python_version < '3'")

    assert (ran.code, ran.err) == (0, ""), ran.text
    assert "Ignoring nice" in ran.out


# ---------------------------------------------------------------- the real feed


def test_a_vulnerable_release_of_the_real_feed_is_warned_of_denied_waived_and_denied_again(
    environment: Environment, index: Index, tmp_path: Path
) -> None:
    imported = environment.guard("feed", "import", shared_feeds() / "osv" / "PyPI" / "all.zip")
    assert imported.code == 0, imported.text
    for version in ("2.3.7", "2.3.8"):
        make_wheel(index.files, "werkzeug", version)
    project = Project(environment=environment, index=index, directory=tmp_path)
    strict = '[tool.installguard]\npreset = "strict"\nfeed.stale = "warn"\nrelease.min-age-unknown = "allow"\n'

    warned, report = project.guard("install", "--dry-run", "werkzeug==2.3.7")
    project.write(strict)
    denied, _ = project.guard("install", "werkzeug==2.3.7")
    assert not project.installed("werkzeug")
    project.write(strict + waiver("CVE-2023-46136", "werkzeug<2.3.8", SOON))
    waived, lifted = project.guard("install", "--dry-run", "werkzeug==2.3.7")
    project.write(strict + waiver("CVE-2023-46136", "werkzeug<2.3.8", PAST))
    expired, _ = project.guard("install", "werkzeug==2.3.7")

    assert (warned.code, denied.code, waived.code, expired.code) == (0, 10, 0, 10), denied.text
    assert levels(report, "vulnerable") == {"werkzeug": "warn"}
    assert "error[vulnerable]: werkzeug 2.3.7" in denied.err
    assert "guard install werkzeug==2.3.8" in denied.err
    assert lifted["counts"]["waived"] == 1
    assert "warning[waiver-expired]" in expired.err
    assert not project.installed("werkzeug")


def test_code_of_an_unbuildable_release_does_not_run_under_a_policy_that_denies_builds(
    project: Project, tmp_path: Path
) -> None:
    marker = tmp_path / "it-ran"
    make_sdist(project.index.files, "nice", "1.0", source_files("nice", payload=touch(marker)))
    project.write('[tool.installguard]\nbuilds.level = "deny"\n')

    ran, _ = project.guard("install", "nice")

    assert ran.code == 10, ran.text
    assert not marker.exists()
