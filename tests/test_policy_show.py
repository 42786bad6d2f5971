"""`guard policy show` and `lint`: what is in force, where it comes from, what deserves a second look."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from installguard.config.files import PolicyFile, PolicyFiles
from installguard.config.linting import lint_policy
from installguard.config.reading import load_policy, load_table
from installguard.config.showing import show_policy
from installguard.config.toml import parse_toml
from installguard.policy import Policy

from .policy_tables import PUBLIC_KEYS, TABLES

TODAY = date(2026, 11, 21)
FILE = Path("/project/pyproject.toml")


def read(table: Any, path: Path = FILE) -> Policy:
    return load_table(table, path=path, today=TODAY)


def read_back(text: str) -> Policy:
    return read(parse_toml(text)["tool"]["installguard"], Path("/elsewhere/policy.toml"))


def said(policy: Policy) -> Policy:
    """The policy without where it was said."""
    waivers = tuple(replace(waiver, where="") for waiver in policy.waivers)
    return replace(policy, files=(), origins={}, waivers=waivers)


def waiver(**changes: Any) -> dict[str, Any]:
    table = {"finding": "CVE-2026-1", "release": "a<2", "reason": "not reached by us", "expires": date(2027, 2, 1)}
    return {**table, **changes}


# ---------------------------------------------------------------- show


@settings(max_examples=150, deadline=None)
@given(TABLES)
def test_what_is_shown_reads_back_to_the_same_policy(table: Any) -> None:
    policy = read(table)
    assert said(read_back(show_policy(policy))) == said(policy)


@settings(max_examples=60, deadline=None)
@given(TABLES, TABLES)
def test_what_two_files_say_together_reads_back_from_one(own: Any, site: Any) -> None:
    for table in (own, site):
        table.get("packages", {}).pop("allow", None)  # lists without anything in common are an error
        table.get("feed", {}).pop("keys", None)  # the same
    files = PolicyFiles(
        own=PolicyFile(path=FILE, table=own), site=PolicyFile(path=Path("/site/policy.toml"), table=site)
    )
    policy = load_policy(files, today=TODAY)
    unlimited = tuple(replace(waiver, barred=frozenset()) for waiver in policy.waivers)
    again = read_back(show_policy(policy))
    assert said(replace(again, digest="")) == said(replace(policy, waivers=unlimited, digest=""))


def test_the_defaults_are_shown_whole_with_their_origin() -> None:
    text = show_policy(load_policy(PolicyFiles(), today=TODAY))
    assert text == DEFAULTS
    assert said(read_back(text)) == said(load_policy(PolicyFiles(), today=TODAY))


DEFAULTS = """\
[tool.installguard]
preset = "default"                  # default
fail-on = "deny"                    # default
waivable = []                       # default

[tool.installguard.feed]
refresh = "2h"                      # default
wait = "3s"                         # default
max-age = "24h"                     # default
stale = "warn"                      # default
missing = "warn"                    # default
keys = []                           # default
# sources: the default ones

[tool.installguard.malicious]
level = "deny"                      # default
other-versions = "warn"             # default

[tool.installguard.vulnerabilities]
deny = "none"                       # default
warn = "low"                        # default
unknown-severity = "medium"         # default
exploited = "deny"                  # default
no-fix = "warn"                     # default

[tool.installguard.release]
min-age = "3d"                      # default
min-age-exclude = []                # default
min-age-unknown = "allow"           # default
yanked = "warn"                     # default

[tool.installguard.release.status]
quarantined = "deny"                # default
archived = "warn"                   # default
deprecated = "warn"                 # default

[tool.installguard.packages]
allow = []                          # default
deny = []                           # default
index = {}                          # default
ambiguous-index = "warn"            # default
similar-name = "warn"               # default
direct = "warn"                     # default

[tool.installguard.builds]
level = "warn"                      # default
allow = []                          # default
startup-code = "warn"               # default

[tool.installguard.licenses]
deny = []                           # default
unknown = "allow"                   # default
"""


def test_each_value_is_shown_with_the_file_or_preset_that_set_it() -> None:
    table = {
        "preset": "strict",
        "builds": {"level": "warn"},
        "packages": {"deny": ["a", "b"]},
        "feed": {"sources": {"osv": {"url": "feeds"}}},
        "waivers": [waiver()],
    }
    lines = show_policy(read(table)).splitlines()
    assert f'preset = "strict"                   # {FILE}' in lines
    assert f'level = "warn"                      # {FILE}' in lines
    assert 'startup-code = "deny"               # preset strict' in lines
    assert f"deny = [                            # {FILE}" in lines
    assert f"[tool.installguard.feed.sources.osv] # {FILE}" in lines
    assert 'url = "/project/feeds"' in lines
    assert f"[[tool.installguard.waivers]]       # {FILE}: tool.installguard.waivers[0]" in lines


def test_a_file_name_with_a_newline_stays_within_its_comment() -> None:
    policy = read({"fail-on": "warn"}, Path("/a\nfail-on = 1\n#/\x1b[31m\udc80/policy.toml"))
    assert said(read_back(show_policy(policy))) == said(policy)
    assert "\x1b" not in show_policy(policy)


def test_a_waiver_that_does_not_hold_is_shown_as_a_comment() -> None:
    files = PolicyFiles(
        own=PolicyFile(path=FILE, table={"waivers": [waiver()]}),
        site=PolicyFile(path=Path("/site/policy.toml"), table={"preset": "strict"}),
    )
    text = show_policy(load_policy(files, today=TODAY))
    assert text.splitlines()[-1] == (
        "# /project/pyproject.toml: tool.installguard.waivers[0]: does not hold: 'vulnerabilities.deny' is set by "
        "/site/policy.toml: waive it there, or add 'vulnerable' to its 'waivable'"
    )
    assert read_back(text).waivers == ()


# ---------------------------------------------------------------- lint


def lint(table: Any) -> tuple[str, ...]:
    return lint_policy(read(table), today=TODAY)


def test_a_policy_with_nothing_amiss_has_no_lint() -> None:
    assert lint({"preset": "strict", "waivers": [waiver()]}) == ()


def test_lint_says_when_no_policy_is_in_force() -> None:
    [line] = lint_policy(load_policy(PolicyFiles(), today=TODAY), today=TODAY)
    assert line == "no policy file is in force: the defaults apply (write one with 'guard policy init')"


def test_lint_says_when_a_policy_sets_nothing() -> None:
    assert lint({}) == (f"{FILE}: [tool.installguard] sets nothing: the defaults apply",)
    assert lint({"preset": "default"}) == ()


@pytest.mark.parametrize(
    ("expires", "complaint"),
    [
        (date(2026, 11, 20), "expired on 2026-11-20 (remove it, or renew it with a reason that still holds)"),
        (date(2026, 11, 21), "expires on 2026-11-21, today"),
        (date(2026, 11, 22), "expires on 2026-11-22, tomorrow"),
        (date(2026, 12, 5), "expires on 2026-12-05, in 14 days"),
    ],
)
def test_lint_tells_of_waivers_that_end(expires: date, complaint: str) -> None:
    assert lint({"waivers": [waiver(), waiver(release="b<2", expires=expires)]}) == (
        f"{FILE}: tool.installguard.waivers[1]: {complaint}",
    )


def test_lint_is_silent_about_a_waiver_that_ends_later() -> None:
    assert lint({"waivers": [waiver(expires=date(2026, 12, 6))]}) == ()


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"waivers": [waiver(release="a")]}, "waivers[0]: waives every release of a (name the versions: a<2)"),
        (
            {"waivers": [waiver(), waiver(finding="cve-2026-1")]},
            "waivers[1]: waives the same as tool.installguard.waivers[0]",
        ),
        (
            {"packages": {"allow": ["acme-core", "b"], "deny": ["acme-*"]}},
            "packages.allow: 'acme-core' is in packages.deny as well (denied wins)",
        ),
        (
            {"builds": {"allow": ["a==1"]}, "packages": {"deny": ["a==1"]}},
            "builds.allow: 'a==1' is in packages.deny as well (denied wins)",
        ),
        ({"builds": {"level": "allow", "allow": ["a"]}}, 'builds.allow: has no effect while builds.level is "allow"'),
        ({"feed": {"max-age": "0"}}, 'feed.max-age: "0" makes every snapshot stale'),
        (
            {"feed": {"refresh": "2d"}},
            "feed.refresh: a snapshot is stale (feed.max-age) before it is refreshed (feed.refresh)",
        ),
        (
            {"feed": {"max-age": "1h"}},
            "feed.max-age: a snapshot is stale (feed.max-age) before it is refreshed (feed.refresh)",
        ),
        (
            {"feed": {"keys": [PUBLIC_KEYS[0]]}},
            "feed.keys: the default sources are not signed by them (name mirrors that are, in feed.sources)",
        ),
        (
            {"feed": {"sources": {"kev": {"url": "x", "kind": "exploited", "malicious": True}}}},
            'feed.sources.kev.malicious: has no effect on a source of kind "exploited"',
        ),
        (
            {"release": {"min-age-exclude": ["a", "**"]}},
            "release.min-age-exclude: '*' exempts every project from release.min-age",
        ),
        (
            {"release": {"min-age": "0", "min-age-exclude": ["a"]}},
            'release.min-age-exclude: has no effect while release.min-age is "0"',
        ),
        (
            {"release": {"min-age": "0", "min-age-unknown": "deny"}},
            'release.min-age-unknown: has no effect while release.min-age is "0"',
        ),
        (
            {"packages": {"index": {"*": "https://example.org/a", "acme-*": "https://example.org/b"}}},
            "packages.index.\"acme-*\": is never reached: '*' before it matches the same (put it before that)",
        ),
        (
            {"packages": {"index": {"x": "http://example.org/a", "y": "http://127.0.0.1:3141/a"}}},
            "packages.index.x: http://example.org/a is not encrypted: "
            "anyone on the way can replace packages (use https)",
        ),
        (
            {"licenses": {"deny": ["MIT OR ISC", "LicenseRef-Acme", "GPL-Nine"]}},
            "licenses.deny: \"GPL-Nine\" is never found: unknown license: 'gpl-nine'",
        ),
        (
            {"waivers": [waiver(finding="vulnerable")]},
            "waivers[0]: waives every vulnerability of a<2, those yet unknown too (name the advisory)",
        ),
        (
            {"vulnerabilities": {"deny": "medium", "warn": "high"}},
            'vulnerabilities.warn: "high" never warns: from "medium" on is denied',
        ),
    ],
)
def test_lint_tells_what_is_probably_not_meant(table: Any, complaint: str) -> None:
    assert lint(table) == (f"{FILE}: tool.installguard.{complaint}",)


def test_lint_is_silent_about_an_allowed_name_of_which_only_some_versions_are_denied() -> None:
    assert lint({"packages": {"allow": ["a", "acme-*"], "deny": ["a<2", "acme-core"]}}) == ()


@pytest.mark.parametrize(
    "table",
    [
        {"preset": "relaxed"},
        {"feed": {"refresh": "0", "keys": [PUBLIC_KEYS[0]], "sources": {"osv": {"url": "https://example.org/osv"}}}},
        {"release": {"min-age-exclude": ["*==1.0", "a*"]}},
        {"packages": {"index": {"acme-*": "https://example.org/a", "*": "https://example.org/b"}}},
        {"packages": {"index": {"acme-*": "https://example.org/a", "*-x": "file:///srv/simple"}}},
        {"licenses": {"deny": ["AGPL-3.0-only", "GPL-2.0-only WITH Classpath-exception-2.0"]}},
        {"waivers": [waiver(finding="vulnerable", release="a==1.0")]},
    ],
)
def test_lint_is_silent_about_what_is_probably_meant(table: Any) -> None:
    assert lint(table) == ()
