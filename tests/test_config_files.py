"""Which policy files are in force, and what a project and the system-wide policy say together."""

from __future__ import annotations

import os
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from installguard.config.files import PolicyFile, PolicyFiles, file_to_write, find_policy_files
from installguard.config.globs import TooManyGlobsError, common_globs, covers
from installguard.config.linting import lint_policy
from installguard.config.reading import load_policy
from installguard.errors import PolicyError
from installguard.model import Level, Severity
from installguard.policy import PackageMatch, Policy, SourcePolicy

TODAY = date(2026, 11, 21)
OURS = '[tool.installguard]\nfail-on = "warn"\n'


def find(root: Path, start: str = "project", *, explicit: Path | None = None) -> PolicyFiles:
    """The files in force in a directory of the machine below *root*."""
    user, site = root / "user", root / "site"
    return find_policy_files(root / start, explicit=explicit, user_config_dir=user, site_config_dir=site)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine of its own: a project with a directory inside, a user's and a site's configuration directory."""
    for directory in ("project/inner", "user", "site"):
        (tmp_path / directory).mkdir(parents=True)
    return tmp_path


# ---------------------------------------------------------------- finding


def test_without_any_file_the_defaults_are_in_force(root: Path) -> None:
    files = find(root)
    assert files == PolicyFiles()
    assert load_policy(files, today=TODAY).files == ()


def test_the_nearest_pyproject_with_our_table_is_the_policy(root: Path) -> None:
    (root / "pyproject.toml").write_text(OURS)
    (root / "project/pyproject.toml").write_text('[project]\nname = "x"\n[tool.other]\ninstallguard = 1\n')
    files = find(root, "project/inner")
    assert files.own is not None
    assert files.own.path == root / "pyproject.toml"
    assert load_policy(files, today=TODAY).fail_on is Level.WARN


def test_a_table_whose_name_is_written_with_escapes_is_found(root: Path) -> None:
    (root / "project/pyproject.toml").write_text('[tool."install\\u0067uard"]\nfail-on = "warn"\n')
    assert load_policy(find(root), today=TODAY).fail_on is Level.WARN


def test_the_users_policy_is_in_force_where_no_project_has_one(root: Path) -> None:
    (root / "user/policy.toml").write_text(OURS)
    policy = load_policy(find(root), today=TODAY)
    assert policy.files == (str(root / "user/policy.toml"),)
    (root / "project/pyproject.toml").write_text("[tool.installguard]\n")
    policy = load_policy(find(root), today=TODAY)
    assert policy.files == (str(root / "project/pyproject.toml"),)
    assert policy.fail_on is Level.DENY


def test_a_named_file_replaces_the_projects(root: Path) -> None:
    (root / "project/pyproject.toml").write_text("[tool.installguard]\n")
    (root / "project/ci.toml").write_text(OURS)
    policy = load_policy(find(root, explicit=Path("ci.toml")), today=TODAY)
    assert policy.files == (str(root / "project/ci.toml"),)
    assert policy.fail_on is Level.WARN


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "no such file"),
        ('fail-on = "warn"\n', "has no [tool.installguard] table (its keys belong there)"),
        ("", "has no [tool.installguard] table"),
        ("[tool", "invalid TOML"),
    ],
)
def test_a_named_file_without_a_policy_is_an_error(root: Path, text: str | None, problem: str) -> None:
    if text is not None:
        (root / "ci.toml").write_text(text)
    with pytest.raises(PolicyError) as caught:
        find(root, explicit=root / "ci.toml")
    assert str(caught.value).startswith(f"{root / 'ci.toml'}: {problem}")


def test_a_named_directory_is_an_error(root: Path) -> None:
    with pytest.raises(PolicyError, match="is a directory"):
        find(root, explicit=root / "project")


def test_keys_at_the_top_level_of_the_users_policy_are_not_ignored(root: Path) -> None:
    (root / "user/policy.toml").write_text('fail-on = "warn"\n')
    with pytest.raises(PolicyError, match=r"has no \[tool.installguard\] table"):
        find(root)


def test_a_broken_pyproject_is_an_error_only_where_it_speaks_of_us(root: Path) -> None:
    (root / "project/pyproject.toml").write_text("this is \\ no TOML\n")
    assert find(root).own is None
    (root / "project/pyproject.toml").write_text("[tool.installguard]\nthis is no TOML\n")
    with pytest.raises(PolicyError, match=r"pyproject.toml: invalid TOML: .* line 2"):
        find(root)


def test_what_is_no_regular_file_is_passed_over(root: Path) -> None:
    (root / "project/pyproject.toml").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(root / "project/inner/pyproject.toml")
    (root / "pyproject.toml").write_text(OURS)
    own = find(root, "project/inner").own
    assert own is not None
    assert own.path == root / "pyproject.toml"


def test_a_file_that_cannot_be_read_is_an_error(root: Path) -> None:
    path = root / "project/pyproject.toml"
    path.symlink_to(path)  # a loop: unreadable for root as well
    with pytest.raises(PolicyError, match=r"pyproject.toml: cannot be read: "):
        find(root)


def test_a_waiver_goes_to_the_file_in_force_else_to_the_project(root: Path) -> None:
    inner = root / "project/inner"
    assert file_to_write(inner, find(root, "project/inner")) == inner / "pyproject.toml"
    (root / "project/pyproject.toml").write_text("[project]\n")
    assert file_to_write(inner, find(root, "project/inner")) == root / "project/pyproject.toml"
    (root / "user/policy.toml").write_text(OURS)
    assert file_to_write(inner, find(root, "project/inner")) == root / "user/policy.toml"


# ---------------------------------------------------------------- a parent


def layered(own: Any, site: Any) -> Policy:
    files = PolicyFiles(
        own=PolicyFile(path=Path("/project/pyproject.toml"), table=own),
        site=PolicyFile(path=Path("/site/policy.toml"), table=site),
    )
    return load_policy(files, today=TODAY)


def alone(table: Any) -> Policy:
    return load_policy(PolicyFiles(own=PolicyFile(path=Path("/p/pyproject.toml"), table=table)), today=TODAY)


def test_the_system_wide_policy_is_in_force_alone_and_as_a_parent(root: Path) -> None:
    (root / "site/policy.toml").write_text('[tool.installguard.builds]\nlevel = "deny"\n')
    assert load_policy(find(root), today=TODAY).builds.level is Level.DENY
    (root / "project/pyproject.toml").write_text('[tool.installguard]\npreset = "relaxed"\n')
    policy = load_policy(find(root), today=TODAY)
    assert policy.builds.level is Level.DENY
    assert policy.files == (str(root / "project/pyproject.toml"), str(root / "site/policy.toml"))
    assert policy.origins["builds.level"] == str(root / "site/policy.toml")


def test_naming_the_system_wide_file_does_not_make_it_its_own_parent(root: Path) -> None:
    (root / "site/policy.toml").write_text(OURS)
    files = find(root, explicit=root / "site/policy.toml")
    assert load_policy(files, today=TODAY).files == (str(root / "site/policy.toml"),)


def test_mistakes_of_both_files_are_told_together() -> None:
    with pytest.raises(PolicyError) as caught:
        layered({"x": 1}, {"y": 2})
    assert str(caught.value).splitlines() == [
        "/project/pyproject.toml: tool.installguard.x: unknown key",
        "/site/policy.toml: tool.installguard.y: unknown key",
    ]


def test_of_two_policies_the_tightest_of_each_key_is_in_force() -> None:
    policy = layered(
        {
            "preset": "relaxed",
            "fail-on": "warn",
            "feed": {"max-age": "2h", "missing": "deny"},
            "vulnerabilities": {"deny": "high", "warn": "none"},
            "packages": {"deny": ["a", "b"], "allow": ["acme-*", "x>=1"]},
        },
        {
            "feed": {"max-age": "1h", "stale": "deny"},
            "vulnerabilities": {"deny": "medium", "unknown-severity": "critical"},
            "packages": {"deny": ["b", "c"], "allow": ["*-core", "x<3", "y"]},
        },
    )
    assert policy.preset == "relaxed"
    assert policy.fail_on is Level.WARN
    assert policy.feed.max_age == timedelta(hours=1)
    assert (policy.feed.stale, policy.feed.missing) == (Level.DENY, Level.DENY)
    assert (policy.vulnerabilities.deny, policy.vulnerabilities.warn) == (Severity.MEDIUM, None)
    assert policy.vulnerabilities.unknown_severity is Severity.CRITICAL
    assert sorted(denied.match.pattern for denied in policy.packages.deny) == ["a", "b", "c"]
    assert policy.packages.allow == (
        PackageMatch(pattern="acme-*-core"),
        PackageMatch(pattern="acme-core"),
        PackageMatch(pattern="x", specifier=SpecifierSet(">=1,<3")),
    )
    assert policy.origins["packages.allow"] == "/project/pyproject.toml, /site/policy.toml"
    assert policy.origins["vulnerabilities.warn"] == "/project/pyproject.toml"
    assert policy.origins["feed.max-age"] == "/site/policy.toml"


def test_an_allow_list_beside_none_stays() -> None:
    assert layered({}, {"packages": {"allow": ["a"]}}).packages.allow == (PackageMatch(pattern="a"),)
    assert layered({"packages": {"allow": ["a"]}}, {}).packages.allow == (PackageMatch(pattern="a"),)


def test_allow_lists_with_nothing_in_common_are_an_error_and_not_everything() -> None:
    with pytest.raises(PolicyError, match=r"tool.installguard.packages.allow: has nothing in common"):
        layered({"packages": {"allow": ["a"]}}, {"packages": {"allow": ["b"]}})


def test_a_child_cannot_exempt_from_the_parents_ban_on_builds() -> None:
    parent = {"builds": {"level": "deny", "allow": ["uwsgi"]}}
    assert layered({"builds": {"allow": ["*"]}}, parent).builds.allow == (PackageMatch(pattern="uwsgi"),)
    assert layered({"builds": {"allow": ["lxml"]}}, parent).builds.allow == ()


def test_a_childs_exemptions_hold_where_the_parent_lets_everything_build() -> None:
    policy = layered({"builds": {"level": "deny", "allow": ["uwsgi"]}}, {"preset": "relaxed"})
    assert (policy.builds.level, policy.builds.allow) == (Level.DENY, (PackageMatch(pattern="uwsgi"),))


def test_a_child_adds_sources_but_cannot_replace_those_of_its_parent() -> None:
    parent = {"feed": {"sources": {"osv": {"url": "https://example.org/a"}}}}
    child = {
        "feed": {
            "sources": {
                "osv": {"url": "https://example.org/b", "malicious": True},
                "own": {"url": "https://example.org/c"},
            }
        }
    }
    assert layered(child, parent).feed.sources == (
        SourcePolicy(name="osv", url="https://example.org/a", malicious=True),
        SourcePolicy(name="own", url="https://example.org/c"),
    )


def waive(finding: str, release: str = "evil==1.0") -> dict[str, Any]:
    return {"finding": finding, "release": release, "reason": "looked at it closely", "expires": "2026-12-31"}


VULNERABLE = {"deny": "high", "warn": "low", "exploited": "deny"}


@pytest.mark.parametrize(
    ("finding", "release", "parent", "holds"),
    [
        ("vulnerable", "a<2", {}, True),
        ("vulnerable", "a<2", {"builds": {"level": "deny"}}, True),
        ("vulnerable", "a<2", {"vulnerabilities": VULNERABLE}, False),
        ("vulnerable", "a<2", {"vulnerabilities": VULNERABLE, "waivable": ["vulnerable"]}, True),
        ("vulnerable", "a<2", {"vulnerabilities": VULNERABLE, "waivable": ["yanked"]}, False),
        ("vulnerable", "a<2", {"preset": "strict"}, False),
        ("vulnerable", "a<2", {"preset": "strict", "waivable": ["vulnerable"]}, True),
        ("GHSA-1-2-3", "a<2", {"malicious": {"level": "deny"}}, True),
        ("GHSA-1-2-3", "a==2", {"malicious": {"level": "deny"}}, True),
        ("GHSA-1-2-3", "a<2", {"preset": "strict"}, False),
        ("GHSA-1-2-3", "a==2", {"preset": "strict", "waivable": ["vulnerable"]}, True),
        ("MAL-1-1", "a==2", {"malicious": {"level": "deny", "other-versions": "warn"}}, False),
        ("MAL-1-1", "a==2", {"preset": "strict", "waivable": ["malicious", "malicious-project"]}, True),
        ("MAL-1-1", "a==2", {"vulnerabilities": {"deny": "high"}}, True),
        ("needs-build", "a", {"builds": {"level": "deny"}}, False),
        ("needs-build", "a", {"builds": {"allow": ["uwsgi"]}}, True),
        ("needs-build", "a", {"preset": "relaxed"}, True),
        ("needs-build", "a", {"preset": "default"}, False),
        ("denied-package", "a", {"preset": "strict"}, True),
        ("too-young", "a", {"preset": "relaxed"}, True),
        ("too-young", "a", {"preset": "strict"}, False),
        ("project-status", "a", {"preset": "strict"}, False),
        ("too-young", "a", {"release": {"min-age": "3d"}}, False),
        ("too-young", "a", {"release": {"min-age-exclude": ["b"]}}, True),
        ("age-unknown", "a", {"release": {"min-age-unknown": "deny"}}, False),
        ("project-status", "a", {"release": {"status": {"archived": "deny"}}}, True),
        (
            "project-status",
            "a",
            {"release": {"status": {"archived": "deny", "quarantined": "deny", "deprecated": "deny"}}},
            False,
        ),
        ("wrong-index", "a", {"packages": {"index": {"a": "https://example.org/simple"}}}, False),
        ("ambiguous-index", "a", {"packages": {"ambiguous-index": "deny"}}, False),
        ("similar-name", "a", {"packages": {"similar-name": "deny"}}, False),
        ("license", "a", {"licenses": {"deny": ["MIT"]}}, True),
        ("license", "a", {"licenses": {"deny": ["MIT"], "unknown": "deny"}}, False),
        ("denied-package", "a", {"packages": {"deny": ["a"]}}, False),
        ("artifact-mismatch", "a", {"preset": "strict"}, True),
    ],
)
def test_a_waiver_of_what_a_parent_rules_alone_does_not_hold(
    finding: str, release: str, parent: Any, holds: bool
) -> None:
    policy = layered({"waivers": [waive(finding, release)]}, parent)
    assert bool(policy.waivers) is holds
    complaints = [line for line in lint_policy(policy, today=TODAY) if "does not hold: " in line]
    assert bool(complaints) is not holds
    assert all(line.startswith("/project/pyproject.toml: tool.installguard.waivers[0]: ") for line in complaints)


def test_a_parents_waiver_holds_for_its_children() -> None:
    policy = layered({"waivers": [waive("CVE-1-1", "b")]}, {"waivers": [waive("CVE-1-2", "a")]})
    assert [waiver.finding for waiver in policy.waivers] == ["CVE-1-1", "CVE-1-2"]
    assert policy.origins["waivers[1]"] == "/site/policy.toml"


# ---------------------------------------------------------------- globs

GLOBS = st.text(alphabet="ab*?", min_size=1, max_size=6)


@settings(max_examples=400, deadline=None)
@given(GLOBS, GLOBS, st.text(alphabet="ab", max_size=7))
def test_common_globs_match_what_both_match(first: str, second: str, name: str) -> None:
    both = fnmatchcase(name, first) and fnmatchcase(name, second)
    assert any(fnmatchcase(name, glob) for glob in common_globs(first, second)) == both


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("acme-*", "acme-core", True),
        ("*", "*", True),
        ("acme-*", "acme-*-x", True),
        ("a", "*", False),
        ("?", "*", False),
    ],
)
def test_a_glob_covers_what_it_matches(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected


def test_globs_that_multiply_without_end_are_refused() -> None:
    with pytest.raises(TooManyGlobsError):
        common_globs("*a" * 30 + "*", "*b" * 30 + "*")
    with pytest.raises(PolicyError, match="too many wildcards"):
        layered({"packages": {"allow": ["*a" * 30 + "*"]}}, {"packages": {"allow": ["*b" * 30 + "*"]}})
