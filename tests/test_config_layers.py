"""A policy and its parents: `extends`, the tightest of all, which waivers stand, and what `lint` says of the rest."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installguard.config.files import PolicyFile, PolicyFiles, find_policy_files
from installguard.config.lines import line_of
from installguard.config.linting import lint_policy
from installguard.config.reading import load_policy
from installguard.config.showing import show_policy
from installguard.config.toml import parse_toml
from installguard.errors import PolicyError
from installguard.model import Code, Evidence, Finding, Level, Severity, SnapshotInfo
from installguard.policy import PackageMatch, Policy, rule

from .policy_tables import PUBLIC_KEYS, TABLES, TODAY
from .sample_values import NOW, advisory, distribution

SITE, OWN = Path("/site/policy.toml"), Path("/project/pyproject.toml")


def layered(own: Any, site: Any) -> Policy:
    files = PolicyFiles(own=PolicyFile(path=OWN, table=own), site=PolicyFile(path=SITE, table=site))
    return load_policy(files, today=TODAY)


def alone(table: Any) -> Policy:
    return load_policy(PolicyFiles(own=PolicyFile(path=OWN, table=table)), today=TODAY)


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def load(root: Path, name: str = "project.toml") -> Policy:
    site = root / "site" if (root / "site").is_dir() else None
    files = find_policy_files(root, explicit=Path(name), user_config_dir=None, site_config_dir=site)
    return load_policy(files, today=TODAY)


def extending(*names: str, rest: str = "") -> str:
    return f"[tool.installguard]\nextends = [{', '.join(repr(name) for name in names)}]\n{rest}"


WAIVER = (
    '[[tool.installguard.waivers]]\nfinding = "{finding}"\nrelease = "{release}"\nreason = "looked at closely"\n'
    "expires = 2026-12-31\n"
)


# ---------------------------------------------------------------- extends


def test_a_policy_is_judged_together_with_those_it_extends_at_every_remove(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "project.toml": extending("base/one.toml", "two.toml", rest='fail-on = "deny"\n'),
            "base/one.toml": extending("../root.toml", rest='[tool.installguard.builds]\nlevel = "deny"\n'),
            "two.toml": '[tool.installguard.release]\nmin-age = "9d"\n',
            "root.toml": '[tool.installguard]\nfail-on = "warn"\n',
        },
    )
    policy = load(tmp_path)
    assert (policy.fail_on, policy.builds.level, policy.release.min_age) == (Level.WARN, Level.DENY, timedelta(days=9))
    names = ["project.toml", "base/one.toml", "root.toml", "two.toml"]
    assert policy.files == tuple(str(tmp_path / name) for name in names)
    assert policy.origins["fail-on"] == str(tmp_path / "root.toml")
    assert policy.origins["release.yanked"] == "default"


def test_a_file_that_two_extend_is_read_once_and_is_further_away_than_both(tmp_path: Path) -> None:
    pin = '[tool.installguard.packages.index]\n"{}" = "https://example.org/{}"\n'
    write(
        tmp_path,
        {
            "project.toml": extending("one.toml", "two.toml"),
            "one.toml": extending("root.toml", rest=pin.format("x", "one")),
            "two.toml": extending("./root.toml", rest=pin.format("x", "two")),
            "root.toml": "[tool.installguard]\n" + pin.format("x", "root"),
        },
    )
    policy = load(tmp_path)
    assert [Path(file).name for file in policy.files] == ["project.toml", "one.toml", "two.toml", "root.toml"]
    assert [pin.url for pin in policy.packages.index] == ["https://example.org/root"]


def test_the_system_wide_policy_is_a_parent_of_what_is_extended_too(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "site/policy.toml": extending("more.toml", rest='fail-on = "warn"\n'),
            "site/more.toml": '[tool.installguard.packages]\ndirect = "deny"\n',
            "project.toml": extending("base.toml"),
            "base.toml": '[tool.installguard]\nfail-on = "deny"\n[tool.installguard.packages]\ndirect = "allow"\n',
        },
    )
    policy = load(tmp_path)
    assert (policy.fail_on, policy.packages.direct) == (Level.WARN, Level.DENY)
    assert [Path(file).name for file in policy.files] == ["project.toml", "base.toml", "policy.toml", "more.toml"]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"project.toml": extending("gone.toml")}, "{0}/gone.toml: no such file"),
        ({"project.toml": extending("."), "base.toml": ""}, "{0}: is not a regular file"),
        (
            {"project.toml": extending("base.toml"), "base.toml": "x = 1"},
            "{0}/base.toml: has no [tool.installguard] ta",
        ),
        ({"project.toml": extending("base.toml"), "base.toml": "[x"}, "{0}/base.toml: invalid TOML"),
        ({"project.toml": extending("./project.toml")}, "{0}/project.toml extends this file in turn (remove one"),
    ],
)
def test_a_parent_that_cannot_be_is_told_with_the_place_that_names_it(
    tmp_path: Path, files: Mapping[str, str], problem: str
) -> None:
    write(tmp_path, files)
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    [told] = str(caught.value).splitlines()
    at = f"{tmp_path}/project.toml: tool.installguard.extends[0]: "
    assert told.startswith(at + problem.format(tmp_path))


def test_files_that_extend_each_other_are_told_with_both(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"project.toml": extending("a.toml"), "a.toml": extending("b.toml"), "b.toml": extending("a.toml")},
    )
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/b.toml: tool.installguard.extends[0]: {tmp_path}/a.toml extends this file in turn "
        "(remove one of the two)"
    )


@pytest.mark.parametrize(("count", "reached"), [(8, True), (9, False)])
def test_parents_are_followed_for_eight_removes_and_no_further(tmp_path: Path, count: int, reached: bool) -> None:
    write(tmp_path, {f"{number}.toml": extending(f"{number + 1}.toml") for number in range(count)})
    write(tmp_path, {f"{count}.toml": '[tool.installguard]\nfail-on = "warn"\n'})
    if reached:
        assert load(tmp_path, "0.toml").fail_on is Level.WARN
    else:
        with pytest.raises(PolicyError, match=r"8.toml: tool.installguard.extends\[0\]: .* more than 8 files away"):
            load(tmp_path, "0.toml")


def test_mistakes_of_all_files_are_told_at_once_the_nearest_first(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "project.toml": extending("gone.toml", "base.toml", rest="x = 1\n"),
            "base.toml": "[tool.installguard]\ny = 2\n",
            "site/policy.toml": "[tool.installguard]\nz = 3\n",
        },
    )
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/project.toml: tool.installguard.extends[0]: {tmp_path}/gone.toml: no such file",
        f"{tmp_path}/project.toml: tool.installguard.x: unknown key",
        f"{tmp_path}/site/policy.toml: tool.installguard.z: unknown key",
        f"{tmp_path}/base.toml: tool.installguard.y: unknown key",
    ]


# ---------------------------------------------------------------- the tightest of two


@pytest.mark.parametrize(
    ("path", "own", "parent", "together"),
    [
        ("release.min_age", {"release": {"min-age": "1d"}}, {"release": {"min-age": "9d"}}, timedelta(days=9)),
        ("release.min_age", {"release": {"min-age": "9d"}}, {"release": {"min-age": "1d"}}, timedelta(days=9)),
        ("release.min_age", {"preset": "relaxed"}, {"release": {"yanked": "deny"}}, timedelta()),
        ("release.min_age", {}, {"preset": "relaxed"}, timedelta(days=3)),
        ("feed.refresh", {"feed": {"refresh": "1h"}}, {"feed": {"refresh": "9h"}}, timedelta(hours=1)),
        ("feed.refresh", {"feed": {"refresh": "0"}}, {"feed": {"refresh": "9h"}}, timedelta(hours=9)),
        ("feed.refresh", {"feed": {"refresh": "9h"}}, {"feed": {"refresh": "0"}}, timedelta(hours=9)),
        ("feed.wait", {"feed": {"wait": "9s"}}, {"feed": {"wait": "1s"}}, timedelta(seconds=9)),
        ("feed.wait", {}, {"feed": {"wait": "1s"}}, timedelta(seconds=1)),
        ("feed.keys", {}, {"feed": {"keys": list(PUBLIC_KEYS[:2])}}, PUBLIC_KEYS[:2]),
        ("feed.keys", {"feed": {"keys": list(PUBLIC_KEYS[1:3])}}, {"feed": {"keys": list(PUBLIC_KEYS[:2])}},
         PUBLIC_KEYS[1:2]),
        ("licenses.deny", {"licenses": {"deny": ["MIT"]}}, {"licenses": {"deny": ["X", "MIT"]}}, ("X", "MIT")),
        ("packages.similar_name", {"packages": {"similar-name": "allow"}}, {"packages": {"similar-name": "deny"}},
         Level.DENY),
    ],
)  # fmt: skip
def test_of_two_values_the_tighter_is_in_force(path: str, own: Any, parent: Any, together: Any) -> None:
    section, name = path.split(".")
    assert getattr(getattr(layered(own, parent), section), name) == together


def test_keys_with_nothing_in_common_are_an_error_and_not_no_keys() -> None:
    with pytest.raises(PolicyError, match=r"tool.installguard.feed.keys: has no key in common with a parent's"):
        layered({"feed": {"keys": [PUBLIC_KEYS[0]]}}, {"feed": {"keys": [PUBLIC_KEYS[1]]}})


def test_a_childs_pins_come_after_its_parents_and_are_for_other_names() -> None:
    own = {"packages": {"index": {"acme-x": "https://example.org/own", "b": "https://example.org/b"}}}
    site = {"packages": {"index": {"acme-*": "https://example.org/acme"}}}
    pins = layered(own, site).packages.index
    assert [(pin.match.pattern, pin.url) for pin in pins] == [
        ("acme-*", "https://example.org/acme"),
        ("b", "https://example.org/b"),
    ]


@pytest.mark.parametrize(
    ("own", "parent", "exempt"),
    [
        ({"min-age-exclude": ["a", "b"]}, {"min-age": "3d", "min-age-exclude": ["b", "c"]}, ["b"]),
        ({"min-age-exclude": ["a"]}, {"min-age": "3d"}, []),
        ({"min-age-exclude": ["a"]}, {"min-age": "0"}, ["a"]),
        ({"min-age-exclude": ["a"]}, {"yanked": "deny"}, ["a"]),
        ({"min-age-exclude": ["a"]}, {"min-age-exclude": ["b"]}, []),
        ({}, {"min-age-exclude": ["b"]}, []),
        ({"min-age": "0"}, {"min-age": "3d", "min-age-exclude": ["b"]}, ["b"]),
    ],
)
def test_what_both_exempt_is_exempt_unless_one_has_no_say(own: Any, parent: Any, exempt: list[str]) -> None:
    excluded = layered({"release": own}, {"release": parent}).release.min_age_exclude
    assert [match.pattern for match in excluded] == exempt


def test_a_childs_source_ranks_no_higher_than_its_parents_and_is_no_laxer() -> None:
    parent = {"feed": {"sources": {"osv": {"url": "https://example.org/a", "priority": 5, "max-age": "2d"}}}}
    child = {
        "feed": {
            "sources": {
                "osv": {"url": "https://example.org/a", "priority": 5, "max-age": "1d"},
                "own": {"url": "https://example.org/b", "priority": 9},
            }
        }
    }
    policy = layered(child, parent)
    assert [(source.name, source.priority, source.max_age) for source in policy.feed.sources] == [
        ("osv", 5, timedelta(days=1)),
        ("own", 5, None),
    ]
    assert [line.partition(": ")[2] for line in policy.remarks()] == [
        "tool.installguard.feed.sources.own.priority: 9 counts as 5, the lowest of a parent's sources"
    ]


# ---------------------------------------------------------------- laws


def refresh_rate(policy: Policy) -> float:
    return 1 / policy.feed.refresh.total_seconds() if policy.feed.refresh else 0.0


def tightness(policy: Policy) -> tuple[float, ...]:
    """The policy as numbers, each the greater the tighter."""
    rules, release, packages = policy.vulnerabilities, policy.release, policy.packages
    return (
        ["relaxed", "default", "strict"].index(policy.preset),
        -policy.fail_on,
        -policy.feed.max_age.total_seconds(),
        refresh_rate(policy),
        policy.feed.stale,
        policy.feed.missing,
        policy.malicious.level,
        policy.malicious.other_versions,
        -(rules.deny or 9),
        -(rules.warn or 9),
        rules.unknown_severity,
        rules.exploited,
        rules.no_fix,
        release.min_age.total_seconds(),
        release.min_age_unknown,
        release.yanked,
        release.quarantined,
        release.archived,
        release.deprecated,
        packages.ambiguous_index,
        packages.similar_name,
        packages.direct,
        policy.builds.level,
        policy.builds.startup_code,
        policy.licenses.unknown,
    )


NAMES = ("acme-core", "acme-x", "uwsgi", "a-b", "pycrypto", "x", "zz")
VERSIONS = ("0.5", "1.0", "2.0.1", "odd")


def named(matches: tuple[PackageMatch, ...]) -> set[tuple[str, str]]:
    """The releases, among some, that a list names."""
    return {
        (name, version)
        for name in NAMES
        for version in VERSIONS
        for match in matches
        if fnmatchcase(name, match.pattern)
        and (not len(match.specifier) or match.specifier.contains(version, prereleases=True))
    }


def allowed(policy: Policy) -> set[tuple[str, str]]:
    everything = (PackageMatch(pattern="*"),)
    return named(policy.packages.allow or everything)


def free_of_age(policy: Policy) -> set[tuple[str, str]]:
    return named(policy.release.min_age_exclude if policy.release.min_age else (PackageMatch(pattern="*"),))


def free_to_build(policy: Policy) -> set[tuple[str, str]]:
    return named(policy.builds.allow if policy.builds.level else (PackageMatch(pattern="*"),))


def pinned(policy: Policy) -> dict[str, str]:
    """The index that each name, among some, must come from."""
    return {
        name: next(pin.url for pin in policy.packages.index if fnmatchcase(name, pin.match.pattern))
        for name in NAMES
        if any(fnmatchcase(name, pin.match.pattern) for pin in policy.packages.index)
    }


def together(own: Any, site: Any) -> Policy | None:
    """The policy of both, nothing where they exclude each other."""
    try:
        return layered(own, site)
    except PolicyError as error:
        assert "in common" in str(error)
        return None


@settings(max_examples=150, deadline=None)
@given(TABLES, TABLES)
def test_no_parent_loosens_anything_and_no_child_loosens_what_its_parent_writes(own: Any, site: Any) -> None:
    child, both, parent = alone(own), together(own, site), alone(site)
    if both is None:
        return
    levels = zip(tightness(both), tightness(child), tightness(parent), strict=True)
    assert all(level in (one, other) and level >= one for level, one, other in levels)
    if "preset" in site:
        assert tightness(both) == tuple(map(max, tightness(child), tightness(parent)))
    assert allowed(both) <= allowed(child) & allowed(parent)
    assert free_of_age(both) <= free_of_age(child)
    assert free_to_build(both) <= free_to_build(child)
    assert pinned(child).keys() <= pinned(both).keys()
    assert pinned(both).items() >= pinned(parent).items()
    assert set(both.packages.deny) >= set(child.packages.deny) | set(parent.packages.deny)
    assert set(both.licenses.deny) == set(child.licenses.deny) | set(parent.licenses.deny)
    for one in (child, parent):
        assert not one.feed.keys or (both.feed.keys and set(both.feed.keys) <= set(one.feed.keys))
    if "release" in site and "min-age" in site["release"]:
        assert free_of_age(both) <= free_of_age(parent)


@settings(max_examples=40, deadline=None)
@given(TABLES, TABLES)
def test_a_parent_says_the_same_whether_it_is_extended_or_system_wide(own: Any, parent: Any) -> None:
    for table in (own, parent):
        table.get("packages", {}).pop("allow", None)  # lists without anything in common are an error
        table.get("feed", {}).pop("keys", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.toml"
        path.write_text(show_policy(alone(parent)), encoding="utf-8")
        base = PolicyFile(path=path, table=parse_toml(path.read_text(encoding="utf-8"))["tool"]["installguard"])
        system_wide = PolicyFiles(own=PolicyFile(path=OWN, table=own), site=base)
        extended = PolicyFiles(own=PolicyFile(path=OWN, table={**own, "extends": [str(path)]}))
        one, other = (load_policy(files, today=TODAY) for files in (system_wide, extended))
    assert one == other
    assert len(one.remarks()) == len(other.remarks())


SNAPSHOT = SnapshotInfo(sources=(), taken_at=NOW, digest="sha256:0", records=0, unreadable=0)
SUBJECT = distribution("a", "1.0")


def level(policy: Policy, finding: Finding) -> Level:
    evidence = Evidence(distributions=(SUBJECT,), advisories=(), snapshot=SNAPSHOT, now=NOW)
    [ruling] = [each for each in rule(evidence, [finding], policy).rulings if each.finding == finding]
    return ruling.level


CODES = [code for code in Code if not code.value.startswith(("waiver", "feed", "unjudged"))]
FINDINGS = st.sampled_from(CODES).map(
    lambda code: Finding(
        code=code,
        subject=SUBJECT,
        detail="was found",
        advisory=advisory("a", id="GHSA-1-2-3") if code in (Code.VULNERABLE, Code.MALICIOUS) else None,
    )
)


@settings(max_examples=200, deadline=None)
@given(TABLES, TABLES, FINDINGS)
def test_no_waiver_of_a_child_lowers_what_a_parent_with_a_preset_rules(own: Any, site: Any, finding: Finding) -> None:
    site = {"preset": "default", **site, "waivable": [], "waivers": []}
    both, parent = together(own, site), alone(site)
    finds = {  # what a parent that writes nothing of the kind would not find
        Code.TOO_YOUNG: parent.release.min_age,
        Code.DENIED_PACKAGE: parent.packages.deny,
        Code.NOT_ALLOWED: parent.packages.allow,
        Code.WRONG_INDEX: parent.packages.index,
        Code.LICENSE: parent.licenses.deny,
        Code.ARTIFACT_MISMATCH: None,  # no key rules these two
        Code.INDETERMINATE: None,
    }
    if both is not None and finds.get(finding.code, True):
        assert level(both, finding) >= level(parent, finding)


# ---------------------------------------------------------------- waivers


def test_a_parents_waiver_holds_for_its_children_but_not_for_its_siblings(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "project.toml": extending("one.toml", "two.toml", rest='[tool.installguard.packages]\ndirect = "deny"\n'),
            "one.toml": WAIVER.format(finding="direct-origin", release="a")
            + WAIVER.format(finding="needs-build", release="a"),
            "two.toml": '[tool.installguard.builds]\nlevel = "deny"\n',
        },
    )
    policy = load(tmp_path)
    assert [waiver.finding for waiver in policy.waivers] == ["direct-origin"]
    assert policy.remarks() == (
        f"{tmp_path}/one.toml: tool.installguard.waivers[1]: does not hold: 'builds.level' is set by "
        f"{tmp_path}/two.toml: waive it there, or add 'needs-build' to its 'waivable'",
    )


def test_every_parent_that_rules_a_code_must_list_it(tmp_path: Path) -> None:
    files = {
        "project.toml": extending("base.toml", rest=WAIVER.format(finding="yanked", release="a")),
        "base.toml": extending(
            "root.toml", rest='waivable = ["yanked"]\n[tool.installguard.release]\nyanked = "deny"\n'
        ),
        "root.toml": '[tool.installguard.release]\nyanked = "warn"\n',
    }
    write(tmp_path, files)
    policy = load(tmp_path)
    assert (policy.waivers, policy.waivable) == ((), ())
    assert "root.toml: waive it there" in policy.remarks()[-1]
    write(tmp_path, {"root.toml": '[tool.installguard]\nwaivable = ["yanked"]\n' + files["root.toml"]})
    policy = load(tmp_path)
    assert [waiver.finding for waiver in policy.waivers] == ["yanked"]
    assert policy.waivable == (Code.YANKED,)


def waived(policy: Policy, finding: Finding) -> bool:
    return level(policy, finding) is Level.ALLOW


def vulnerable(severity: str) -> Finding:
    return Finding(
        code=Code.VULNERABLE,
        subject=SUBJECT,
        detail="is vulnerable",
        advisory=advisory("a", id="GHSA-1-2-3", severity=Severity[severity], fixed=["9"]),
    )


def test_a_waiver_lifts_what_its_own_file_rules_and_not_what_a_parent_does() -> None:
    waiver = {"finding": "GHSA-1-2-3", "release": "a<2", "reason": "looked at closely", "expires": date(2026, 12, 31)}
    policy = layered({"waivers": [waiver]}, {"vulnerabilities": {"deny": "critical"}})
    assert waived(policy, vulnerable("MEDIUM"))
    assert not waived(policy, vulnerable("CRITICAL"))
    [remark] = policy.remarks()
    assert "does not hold for what another file rules: 'vulnerabilities.deny' is set by /site/policy.toml" in remark
    evidence = Evidence(distributions=(SUBJECT,), advisories=(), snapshot=SNAPSHOT, now=NOW)
    [unused] = [
        ruling.finding.detail
        for ruling in rule(evidence, [vulnerable("CRITICAL")], policy).rulings
        if ruling.finding.code is Code.WAIVER_UNUSED
    ]
    assert unused.endswith(
        "does not hold: another policy file set 'vulnerabilities.deny', and lets no other waive what it rules"
    )


# ---------------------------------------------------------------- what lint says, and where


def test_show_says_which_file_writes_the_preset_that_sets_a_value() -> None:
    lines = show_policy(layered({"preset": "relaxed"}, {"preset": "strict", "builds": {"level": "warn"}})).splitlines()
    assert 'direct = "deny"                     # preset strict of /site/policy.toml' in lines
    assert 'level = "warn"                      # /site/policy.toml' in lines
    assert 'min-age = "7d"                      # preset strict of /site/policy.toml' in lines
    assert 'fail-on = "deny"                    # preset relaxed of /project/pyproject.toml' in lines


def test_what_a_child_writes_looser_is_said_with_both_files_and_lines(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "project.toml": extending(
                "base.toml",
                "strict.toml",
                rest='preset = "relaxed"\n\n[tool.installguard.builds]\nlevel = "allow"  # level\n'
                'allow = ["uwsgi", "lxml"]\n\n[tool.installguard.release]\nstatus.archived = "allow"\n'
                'min-age = "9d"\nyanked = "deny"\n',
            ),
            "base.toml": '# level\n[tool]\ninstallguard.builds = { level = "deny", allow = ["lxml"] }\n'
            'installguard.release.min-age = "5d"\n',
            "strict.toml": '[tool.installguard]\n"preset" = "strict"\n',
        },
    )
    policy = load(tmp_path)
    project, base, strict = (f"{tmp_path}/{name}.toml" for name in ("project", "base", "strict"))
    assert lint_policy(policy, today=TODAY) == (
        f'{project}:3: tool.installguard.preset: "relaxed" has no effect beside the tighter "strict" of {strict}:2',
        f'{project}:10: tool.installguard.release.status.archived: "allow" has no effect beside the tighter "warn" of '
        f"{strict}:2 (preset strict)",
        f'{project}:6: tool.installguard.builds.level: "allow" has no effect beside the tighter "deny" of {base}:3',
        f"{project}:7: tool.installguard.builds.allow: has no effect beyond what {strict}:2 (preset strict) says",
    )


def test_a_line_that_is_not_known_is_said_not_to_be() -> None:
    [line] = lint_policy(layered({"builds": {"level": "warn"}}, {"builds": {"level": "deny"}}), today=TODAY)
    assert line == (
        '/project/pyproject.toml (line unknown): tool.installguard.builds.level: "warn" has no effect '
        'beside the tighter "deny" of /site/policy.toml (line unknown)'
    )


@pytest.mark.parametrize(
    ("own", "parent"),
    [
        ({"builds": {"level": "deny"}}, {"builds": {"level": "warn"}}),
        ({"builds": {"level": "warn"}}, {"builds": {"level": "warn"}}),
        ({"builds": {"level": "allow"}}, {"feed": {"stale": "deny"}}),
        ({"packages": {"deny": ["a"]}}, {"packages": {"deny": ["b"]}}),
        (
            {"packages": {"index": {"a": "https://example.org/a"}}},
            {"packages": {"index": {"a": "https://example.org/a"}}},
        ),
        ({"packages": {"allow": ["B", "a"]}}, {"packages": {"allow": ["a", "b"]}}),
        ({"packages": {"allow": ["acme-core"]}}, {"packages": {"allow": ["acme-*"]}}),
        ({"feed": {"wait": "9s"}}, {"feed": {"wait": "1s"}}),
        ({"licenses": {"deny": ["MIT"]}}, {"licenses": {"deny": ["ISC"]}}),
    ],
)
def test_lint_is_silent_about_what_has_its_effect(own: Any, parent: Any) -> None:
    assert lint_policy(layered(own, parent), today=TODAY) == ()


@pytest.mark.parametrize(
    ("own", "parent", "said"),
    [
        ({"packages": {"allow": ["acme-*", "b"]}}, {"packages": {"allow": ["acme-*"]}}, "has no effect beyond what"),
        ({"packages": {"index": {"a": "https://example.org/a"}}}, {"packages": {"index": {"*": "https://example.org/b"}}},
         "'a' has no effect beside the pins of"),
        ({"release": {"min-age-exclude": ["a"]}}, {"release": {"min-age": "3d"}}, "has no effect beyond what"),
        ({"feed": {"sources": {"osv": {"url": "https://example.org/a"}}}},
         {"feed": {"sources": {"osv": {"url": "https://example.org/b"}}}}, "has no effect beside that of"),
    ],
)  # fmt: skip
def test_lint_tells_of_lists_and_tables_that_a_parent_overrules(own: Any, parent: Any, said: str) -> None:
    [line] = lint_policy(layered(own, parent), today=TODAY)
    assert said in line
    assert "/site/policy.toml" in line.partition(said)[2]


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("[tool.x]\nkey = 1\n", "tool.x.key", 2),
        ("# key\n[tool.x] # key\n'key' = 1\n", "tool.x.key", 3),
        ('[tool.y]\nkey = 1\n[tool.x]\nz = "key"\n"key" = "key"\n', "tool.x.key", 5),
        ("tool.x.key = 1\n", "tool.x.key", 1),
        ("[tool]\n\nx = { a = 1, key = 2 }\n", "tool.x.key", 3),
        ("[tool.x]\na = [\n 'key',\n]\nkey = 1\n", "tool.x.key", 5),
        ('[tool.x]\na = """\nkey = 1\n"""\nkey = 1\n', "tool.x.key", 5),
        ("[tool.x.key]\n\na = 1\n", "tool.x.key", 1),
        ("[tool.x]\nmin-key = 1\nkey-min = 2\nkey = 3\n", "tool.x.key", 4),
        ('[tool.x]\n"k\\u0065y" = 1\n', "tool.x.key", None),
        ("[tool.x]\nother = 1\n", "tool.x.key", None),
        ("", "tool.x.key", None),
        ("not TOML key\n", "tool.x.key", None),
        ("[tool.x]\nkey = nan\n", "tool.x.key", 2),
        ("[tool.x]\nkey = 1\nnot-key = 2\n", "tool.x.key", 2),
        ("[tool.key]\nkey = 1\n", "tool.key.key", 2),
        ("# " + "key " * 60 + "\n[tool.x]\nkey = 1\n", "tool.x.key", 3),
        ("[tool.x]\na = '" + "key " * 60 + "'\nkey = 1\n", "tool.x.key", None),
    ],
)
def test_the_line_of_a_key_is_found_or_unknown_and_never_another(text: str, path: str, line: int | None) -> None:
    assert line_of(text, *path.split(".")) == line
