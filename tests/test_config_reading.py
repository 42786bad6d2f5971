"""`[tool.installguard]` → `Policy`: values, presets, and every mistake with its path."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from dataclasses import replace
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from installguard.config.files import find_policy_files
from installguard.config.keys import KEYS
from installguard.config.layers import tighten_fail_on
from installguard.config.reading import load_policy, load_table
from installguard.config.showing import show_policy
from installguard.config.toml import parse_toml
from installguard.errors import ExitCode, PolicyError, UsageError
from installguard.model import Code, Level, Severity
from installguard.policy import (
    DeniedPackage,
    IndexPin,
    LicensesPolicy,
    PackageMatch,
    Policy,
    ReleasePolicy,
    SourcePolicy,
    Waiver,
)

from .policy_tables import TABLES

TODAY = date(2026, 11, 21)
FILE = Path("/project/pyproject.toml")
KEY = "7LcLDD0g9XVYO25yvVOAHMvGfR5RrM5Gwcuk2xfRQ+E="
WAIVER = {
    "finding": "GHSA-aaaa-bbbb-cccc",
    "release": "werkzeug<3.0.6",
    "reason": "form parser not used",
    "expires": date(2026, 12, 31),
}


def read(table: Any) -> Policy:
    return load_table(table, path=FILE, today=TODAY)


def problems(table: Any) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        read(table)
    assert caught.value.exit_code == ExitCode.POLICY
    assert caught.value.where == str(FILE)
    return caught.value.problems


def waiver(**changes: Any) -> dict[str, Any]:
    return {"waivers": [{**WAIVER, **changes}]}


# ---------------------------------------------------------------- presets and values


def test_an_empty_table_is_the_defaults() -> None:
    policy = read({})
    assert replace(policy, files=(), origins={}, digest="") == Policy()
    assert set(policy.origins.values()) == {"default"}


@pytest.mark.parametrize(
    ("key", "relaxed", "default", "strict"),
    [
        ("feed.stale", "warn", "warn", "deny"),
        ("feed.missing", "warn", "warn", "deny"),
        ("malicious.level", "deny", "deny", "deny"),
        ("malicious.other-versions", "allow", "warn", "deny"),
        ("vulnerabilities.no-fix", "warn", "warn", "deny"),
        ("vulnerabilities.exploited", "warn", "deny", "deny"),
        ("release.min-age-unknown", "allow", "allow", "deny"),
        ("release.yanked", "warn", "warn", "deny"),
        ("release.status.quarantined", "deny", "deny", "deny"),
        ("release.status.archived", "allow", "warn", "warn"),
        ("release.status.deprecated", "allow", "warn", "warn"),
        ("packages.ambiguous-index", "allow", "warn", "deny"),
        ("packages.similar-name", "allow", "warn", "deny"),
        ("packages.direct", "allow", "warn", "deny"),
        ("builds.level", "allow", "warn", "deny"),
        ("builds.startup-code", "warn", "warn", "deny"),
        ("licenses.unknown", "allow", "allow", "warn"),
    ],
)
def test_each_preset_sets_the_level_of_the_design(key: str, relaxed: str, default: str, strict: str) -> None:
    section, *_, name = key.replace("-", "_").split(".")
    for preset, word in (("relaxed", relaxed), ("default", default), ("strict", strict)):
        policy = read({"preset": preset})
        assert getattr(getattr(policy, section), name) is Level[word.upper()]
        assert policy.origins[key] == f"preset {preset}"


@pytest.mark.parametrize(
    ("preset", "deny", "warn", "unknown"),
    [
        ("relaxed", None, Severity.HIGH, Severity.LOW),
        ("default", None, Severity.LOW, Severity.MEDIUM),
        ("strict", Severity.HIGH, Severity.LOW, Severity.HIGH),
    ],
)
def test_each_preset_sets_the_severities_of_the_design(
    preset: str, deny: Severity | None, warn: Severity, unknown: Severity
) -> None:
    rules = read({"preset": preset}).vulnerabilities
    assert (rules.deny, rules.warn, rules.unknown_severity) == (deny, warn, unknown)


@pytest.mark.parametrize(("preset", "days"), [("relaxed", 0), ("default", 3), ("strict", 7)])
def test_each_preset_sets_the_age_of_the_design(preset: str, days: int) -> None:
    assert read({"preset": preset}).release.min_age == timedelta(days=days)


def test_a_key_written_out_beats_its_preset() -> None:
    policy = read({"builds": {"level": "warn"}, "preset": "strict"})
    assert (policy.builds.level, policy.builds.startup_code) == (Level.WARN, Level.DENY)
    assert policy.origins["builds.level"] == str(FILE)


def test_every_key_reaches_the_policy_in_its_final_type() -> None:
    policy = read(
        {
            "preset": "relaxed",
            "fail-on": "warn",
            "waivable": ["yanked", "vulnerable", "yanked"],
            "feed": {
                "refresh": "0",
                "wait": "10s",
                "keys": [KEY],
                "max-age": "7d",
                "stale": "deny",
                "missing": "allow",
                "sources": {
                    "osv": {"url": "https://example.org/osv", "mirrors": ["https://example.org/2", "m"], "priority": 5},
                    "malicious": {"url": "../feeds", "malicious": True},
                    "kev": {"url": "kev.json", "kind": "exploited", "max-age": "7d"},
                    "local": {"url": "http://127.0.0.1:8080/osv"},
                },
            },
            "malicious": {"level": "warn", "other-versions": "deny"},
            "vulnerabilities": {"deny": "critical", "warn": "none", "unknown-severity": "none", "no-fix": "allow"}
            | {"exploited": "allow"},
            "release": {
                "min-age": "36h",
                "min-age-exclude": ["acme-*", "Django==5.2.8"],
                "min-age-unknown": "warn",
                "yanked": "allow",
                "status": {"archived": "deny", "deprecated": "warn"},
            },
            "packages": {
                "allow": ["Acme_*", "requests>=2,<3", "?"],
                "deny": ["leftpad", {"match": "pycrypto", "reason": "unmaintained", "use": "pycryptodome"}],
                "direct": "deny",
                "index": {"Acme_*": "https://example.org/acme/", "*": "http://127.0.0.1:3141/root"},
                "ambiguous-index": "deny",
                "similar-name": "warn",
            },
            "licenses": {"deny": ["AGPL-3.0-only", "MIT  or (GPL-2.0-only AND Foo)"], "unknown": "deny"},
            "builds": {"level": "deny", "allow": ["uwsgi==2.*"], "startup-code": "deny"},
            "waivers": [{**WAIVER, "owner": "sec@example.com"}],
        }
    )
    assert policy.fail_on is Level.WARN
    assert policy.feed.max_age == timedelta(days=7)
    assert (policy.feed.refresh, policy.feed.wait, policy.feed.keys) == (timedelta(), timedelta(seconds=10), (KEY,))
    assert policy.feed.sources == (
        SourcePolicy(name="kev", url="/project/kev.json", kind="exploited", max_age=timedelta(days=7)),
        SourcePolicy(name="local", url="http://127.0.0.1:8080/osv"),
        SourcePolicy(name="malicious", url="/feeds", malicious=True),
        SourcePolicy(
            name="osv", url="https://example.org/osv", mirrors=("https://example.org/2", "/project/m"), priority=5
        ),
    )
    assert policy.waivable == (Code.VULNERABLE, Code.YANKED)
    assert policy.vulnerabilities.exploited is Level.ALLOW
    assert policy.release == ReleasePolicy(
        yanked=Level.ALLOW,
        min_age=timedelta(hours=36),
        min_age_exclude=(
            PackageMatch(pattern="acme-*"),
            PackageMatch(pattern="django", specifier=SpecifierSet("==5.2.8")),
        ),
        min_age_unknown=Level.WARN,
        quarantined=Level.DENY,
        archived=Level.DENY,
        deprecated=Level.WARN,
    )
    assert policy.packages.index == (
        IndexPin(match=PackageMatch(pattern="acme-*"), url="https://example.org/acme/"),
        IndexPin(match=PackageMatch(pattern="*"), url="http://127.0.0.1:3141/root"),
    )
    assert (policy.packages.ambiguous_index, policy.packages.similar_name) == (Level.DENY, Level.WARN)
    assert policy.licenses == LicensesPolicy(
        deny=("AGPL-3.0-only", "MIT or (GPL-2.0-only AND Foo)"), unknown=Level.DENY
    )
    assert policy.malicious.level is Level.WARN
    assert (policy.vulnerabilities.deny, policy.vulnerabilities.warn) == (Severity.CRITICAL, None)
    assert policy.vulnerabilities.unknown_severity is Severity.NONE
    assert policy.packages.allow == (
        PackageMatch(pattern="acme-*"),
        PackageMatch(pattern="requests", specifier=SpecifierSet(">=2,<3")),
        PackageMatch(pattern="?"),
    )
    assert policy.packages.deny == (
        DeniedPackage(match=PackageMatch(pattern="leftpad")),
        DeniedPackage(match=PackageMatch(pattern="pycrypto"), reason="unmaintained", use="pycryptodome"),
    )
    assert policy.builds.allow == (PackageMatch(pattern="uwsgi", specifier=SpecifierSet("==2.*")),)
    [held] = policy.waivers
    assert (held.name, held.specifier, held.exact) == ("werkzeug", SpecifierSet("<3.0.6"), None)
    assert (held.owner, held.expires, held.where) == (
        "sec@example.com",
        date(2026, 12, 31),
        "tool.installguard.waivers[0]",
    )


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0", timedelta()),
        ("0d", timedelta()),
        ("3s", timedelta(seconds=3)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
    ],
)
def test_a_duration_is_a_number_with_a_unit(text: str, span: timedelta) -> None:
    assert read({"feed": {"max-age": text}}).feed.max_age == span


@pytest.mark.parametrize("value", ["", "24", "1.5h", "-1h", "1 h", "1w", "٣d", "1h\n", "999999999d", 24, True, 1.5])
def test_anything_else_is_no_duration(value: object) -> None:
    [problem] = problems({"feed": {"max-age": value}})
    assert problem.startswith("tool.installguard.feed.max-age: ")


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (3, "tool.installguard: expected a table, not an integer"),
        ({"feed": []}, "tool.installguard.feed: expected a table, not an array"),
        ({"fail_on": "warn"}, "tool.installguard.fail_on: unknown key (did you mean 'fail-on'?)"),
        ({"zzz": 1}, "tool.installguard.zzz: unknown key"),
        ({"a b": 1}, 'tool.installguard."a b": unknown key'),
        ({"feed": {"stael": "warn"}}, "tool.installguard.feed.stael: unknown key (did you mean 'stale'?)"),
        ({"preset": "strickt"}, "tool.installguard.preset: 'strickt' is not one of"),
        ({"fail-on": "allow"}, 'tool.installguard.fail-on: \'allow\' is not one of "warn", "deny"'),
        ({"fail-on": True}, 'tool.installguard.fail-on: expected one of "warn", "deny", not a boolean'),
        ({"builds": {"level": "denny"}}, "(did you mean 'deny'?)"),
        ({"builds": {"level": 1}}, "tool.installguard.builds.level: expected one of"),
        ({"malicious": {"level": "allow"}}, "tool.installguard.malicious.level: 'allow' is refused"),
        ({"vulnerabilities": {"deny": "severe"}}, "tool.installguard.vulnerabilities.deny: 'severe' is not one of"),
        ({"packages": {"allow": "requests"}}, "tool.installguard.packages.allow: expected an array, not a string"),
        ({"packages": {"allow": ["ok", 3]}}, "tool.installguard.packages.allow[1]: expected a string, not an integer"),
        ({"packages": {"allow": ["a[b]"]}}, "tool.installguard.packages.allow[0]: 'a[b]' is not a project name"),
        ({"packages": {"allow": ["a; python_version>'3'"]}}, "is not a project name"),
        ({"packages": {"allow": ["a=1"]}}, "'=1' is not a version specifier"),
        ({"packages": {"allow": ["a>=1,,<2"]}}, "is not a version specifier"),
        ({"packages": {"allow": [""]}}, "tool.installguard.packages.allow[0]: is empty"),
        ({"packages": {"deny": [{"reason": "x"}]}}, "tool.installguard.packages.deny[0]: missing 'match'"),
        ({"packages": {"deny": [{"match": "x", "reasn": "y"}]}}, "deny[0].reasn: unknown key (did you mean 'reason'?)"),
        ({"packages": {"deny": [7]}}, "tool.installguard.packages.deny[0]: expected a table, not an integer"),
        ({"feed": {"sources": ["osv"]}}, "tool.installguard.feed.sources: expected tables"),
        ({"feed": {"sources": {"osv": {}}}}, "tool.installguard.feed.sources.osv: missing 'url'"),
        ({"feed": {"sources": {"a/b": {"url": "x"}}}}, 'tool.installguard.feed.sources."a/b": not a source\'s name'),
        ({"feed": {"sources": {"osv": {"url": "x", "malicious": 1}}}}, "osv.malicious: expected true or false"),
        ({"feed": {"sources": {"osv": {"url": "x", "kind": "kev"}}}}, "osv.kind: 'kev' is not one of \"osv\""),
        (
            {"feed": {"sources": {"osv": {"url": "x", "priority": True}}}},
            "osv.priority: expected an integer, not a bool",
        ),
        ({"feed": {"sources": {"osv": {"url": "x", "priority": 1001}}}}, "osv.priority: is not between -1000 and 1000"),
        ({"feed": {"sources": {"osv": {"url": "x", "mirrors": ["y", 1]}}}}, "osv.mirrors[1]: expected a string"),
        ({"feed": {"sources": {"osv": {"url": "x", "max-age": 1}}}}, "osv.max-age: expected a duration"),
        ({"feed": {"keys": "x"}}, "tool.installguard.feed.keys: expected an array, not a string"),
        (
            {"feed": {"keys": [KEY, "n\u00f6"]}},
            "feed.keys[1]: 'nö' is not base64 (write the 32 bytes of the public key",
        ),
        ({"feed": {"keys": [KEY[:-1]]}}, "is not base64"),
        (
            {"feed": {"keys": ["AAAA"]}},
            "is not an Ed25519 public key (write the 32 bytes of the public key in base64; th",
        ),
        (
            {"feed": {"keys": ["-----BEGIN PRIVATE KEY-----"]}},
            "feed.keys[0]: is a private key, which belongs in no policy",
        ),
        ({"release": {"status": "deny"}}, "tool.installguard.release.status: expected a table, not a string"),
        (
            {"release": {"status": {"archivd": "deny"}}},
            "release.status.archivd: unknown key (did you mean 'archived'?)",
        ),
        ({"release": {"min-age": 3}}, "tool.installguard.release.min-age: expected a duration, not an integer"),
        ({"release": {"min-age-exclude": ["a b"]}}, "release.min-age-exclude[0]: 'a b' is not a project name or glob"),
        ({"packages": {"index": ["https://x"]}}, "tool.installguard.packages.index: expected a table"),
        ({"packages": {"index": {"a": 1}}}, "tool.installguard.packages.index.a: expected a string"),
        ({"packages": {"index": {"a b": "https://x"}}}, "packages.index.\"a b\": 'a b' is not a project name or glob"),
        ({"packages": {"index": {"a<2": "https://x"}}}, "packages.index.\"a<2\": 'a<2' names versions"),
        ({"packages": {"index": {"a": "ftp://x"}}}, "packages.index.a: 'ftp://x' is neither https nor http nor file"),
        ({"packages": {"index": {"a": "simple"}}}, "packages.index.a: 'simple' is not a URL"),
        ({"packages": {"index": {"a": "https://u:secret@x/"}}}, "packages.index.a: holds credentials"),
        ({"packages": {"index": {"a": "https://x/?a=secret"}}}, "has a query or fragment (write the index's own page)"),
        (
            {"licenses": {"deny": ["GPL and"]}},
            "tool.installguard.licenses.deny[0]: 'GPL and' is not an SPDX expression",
        ),
        ({"licenses": {"deny": ["(MIT"]}}, "is not an SPDX expression"),
        ({"licenses": {"deny": ["MIT)"]}}, "is not an SPDX expression"),
        ({"licenses": {"deny": ["MIT BSD"]}}, "is not an SPDX expression"),
        ({"licenses": {"deny": ["GPL/3"]}}, "is not an SPDX expression"),
        ({"licenses": {"deny": ["OR"]}}, "is not an SPDX expression"),
        (
            {"waivable": ["yankd"]},
            "tool.installguard.waivable[0]: 'yankd' is not a finding code (did you mean 'yanked'?)",
        ),
        ({"waivable": ["feed-stale"]}, "waivable[0]: 'feed-stale' cannot be waived (it is not about a release)"),
        ({"waivable": "vulnerable"}, "tool.installguard.waivable: expected an array, not a string"),
        ({"extends": "base.toml"}, "tool.installguard.extends: expected an array, not a string"),
        (
            {"extends": ["https://example.org/x.toml"]},
            "extends[0]: 'https://example.org/x.toml' is a URL (write the path",
        ),
        ({"extends": ["~/x.toml"]}, "extends[0]: '~/x.toml' starts with '~'"),
        ({"waivers": {}}, "tool.installguard.waivers: expected an array of tables"),
        ({"waivers": ["x"]}, "tool.installguard.waivers[0]: expected a table, not a string"),
        (
            {"waivers": [WAIVER, WAIVER, {key: WAIVER[key] for key in ("finding", "release", "expires")}]},
            "tool.installguard.waivers[2]: missing 'reason' (say why this is acceptable)",
        ),
        (waiver(until=1), "tool.installguard.waivers[0].until: unknown key"),
        (waiver(reason="because"), "tool.installguard.waivers[0].reason: 'because' is too short"),
        (waiver(reason=" " * 20), "tool.installguard.waivers[0].reason: is empty"),
        (waiver(owner=3), "tool.installguard.waivers[0].owner: expected a string"),
        (waiver(expires="2026-02-30"), "tool.installguard.waivers[0].expires: '2026-02-30' is no day of the calendar"),
        (waiver(expires="20261231"), "expires: '20261231' is not a date"),
        (waiver(expires=datetime(2026, 12, 31, tzinfo=timezone.utc)), "expires: expected a date, not a date and time"),
        (waiver(expires=time(12)), "expires: expected a date, not a time"),
        (waiver(expires=date(2027, 5, 21)), "expires: 2027-05-21 is more than 180 days ahead"),
        (waiver(release="*"), "release: '*' is not a project name"),
        (waiver(release="<2"), "release: '<2' is not a project name"),
        (waiver(release="werkzeug <<2"), "release: '<<2' is not a version specifier"),
        (waiver(release="werkzeug[extra]<2"), "release: 'werkzeug[extra]<2' is not a project name"),
        (
            waiver(finding="vulnrable"),
            "finding: 'vulnrable' is neither a finding code nor an advisory id (did you mean",
        ),
        (waiver(finding="denied-packages"), "(did you mean 'denied-package'?)"),
        (waiver(finding="whatever"), "finding: 'whatever' is neither a finding code nor an advisory id"),
    ],
)
def test_a_mistake_is_told_with_its_path(table: Any, problem: str) -> None:
    [told] = problems(table)
    assert problem in told
    assert told.startswith("tool.installguard")
    assert "\n" not in told


@pytest.mark.parametrize("finding", ["malicious", "MAL-2026-1", "mal-2026-1"])
@pytest.mark.parametrize("release", ["evil", "evil<2", "evil==1.*", "evil>=1,<=1", "evil==1,==1.0"])
def test_a_malware_waiver_is_for_one_exact_release_only(finding: str, release: str) -> None:
    [problem] = problems(waiver(finding=finding, release=release))
    assert problem.startswith("tool.installguard.waivers[0].release: ")
    assert "one exact release" in problem


@pytest.mark.parametrize(("release", "exact"), [("Evil_X == 1.0", "1.0"), ("evil-x===odd-build", "odd-build")])
def test_an_exact_release_keeps_its_version_as_written(release: str, exact: str) -> None:
    [held] = read(waiver(finding="malicious", release=release)).waivers
    assert (held.name, held.exact) == ("evil-x", exact)


@pytest.mark.parametrize(
    "code", ["feed-missing", "feed-stale", "feed-unreadable", "waiver-expired", "waiver-unused", "unjudged"]
)
def test_what_is_not_about_a_release_cannot_be_waived(code: str) -> None:
    [problem] = problems(waiver(finding=code))
    assert problem.startswith(f"tool.installguard.waivers[0].finding: '{code}' cannot be waived")


@pytest.mark.parametrize(
    "finding", ["vulnerable", "needs-build", "CVE-2026-1", "DLA 3/x y", "A/B", "GHSA-abcd-efgh-ijkl"]
)
def test_codes_and_advisory_ids_of_any_form_can_be_waived(finding: str) -> None:
    assert read(waiver(finding=finding)).waivers[0].finding == finding


def test_a_waiver_of_the_past_is_no_mistake() -> None:
    assert read(waiver(expires="2020-01-01")).waivers[0].expires == date(2020, 1, 1)


def test_a_waiver_may_end_180_days_ahead() -> None:
    assert read(waiver(expires=date(2027, 5, 20))).waivers[0].expires == TODAY + timedelta(days=180)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    told = problems(
        {
            "waivers": [{"finding": "MAL-1-1", "release": "evil<2", "expires": 3}],
            "feed": {"stale": 1, "max-age": "x"},
            "fial-on": "warn",
        }
    )
    assert [problem.partition(": ")[0].removeprefix("tool.installguard") for problem in told] == [
        ".waivers[0].expires", ".waivers[0]", ".waivers[0].release", ".feed.stale", ".feed.max-age", ".fial-on",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.org/osv", "neither https, nor http on loopback"),
        ("ftp://example.org/osv", "neither https"),
        ("file:///feeds", "is not a URL"),
        ("https://", "is not a URL"),
        ("https://[::1/", "is not a URL"),
        ("https://example.org:99999/", "is not a URL"),
        ("https://user:secret@example.org/", "holds credentials"),
        ("https://example.org/?x=1", "query or fragment"),
        ("https://exa mple.org/", "is not a URL"),
        ("~/feeds", "starts with '~'"),
        ("feeds\0", "do not print"),
        (3, "expected a string"),
    ],
)
def test_a_source_that_is_no_safe_place_is_refused(url: object, problem: str) -> None:
    [told] = problems({"feed": {"sources": {"osv": {"url": url}}}})
    assert told.startswith("tool.installguard.feed.sources.osv.url: ")
    assert problem in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://example.org/osv/", "https://example.org/osv/"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("feeds/osv", "/project/feeds/osv"),
        ("../all.zip", "/all.zip"),
        ("/srv/feeds", "/srv/feeds"),
    ],
)
def test_a_relative_path_starts_from_the_policy_file(url: str, location: str) -> None:
    assert read({"feed": {"sources": {"osv": {"url": url}}}}).feed.sources[0].url == location


# ---------------------------------------------------------------- digest and fail-on


def test_the_digest_tells_what_is_said_not_how() -> None:
    waivers = [WAIVER, {**WAIVER, "finding": "CVE-2026-1"}]
    one = read({"packages": {"allow": ["a", "b"]}, "feed": {"max-age": "24h"}, "waivers": waivers})
    again = {
        "preset": "default",
        "packages": {"allow": ["B", "a"]},
        "feed": {"max-age": "1d"},
        "waivers": list(reversed(waivers)),
    }
    other = load_table(again, path=Path("/elsewhere/policy.toml"), today=TODAY)
    assert one.digest == other.digest
    assert one.digest.startswith("sha256:")
    assert len(one.digest) == len("sha256:") + 64


@pytest.mark.parametrize(
    "table",
    [
        {"fail-on": "warn"},
        {"preset": "strict"},
        {"packages": {"deny": ["a"]}},
        {"feed": {"sources": {"osv": {"url": "https://example.org"}}}},
        waiver(),
    ],
)
def test_whatever_changes_the_policy_changes_the_digest(table: Any) -> None:
    assert read(table).digest != read({}).digest


@pytest.mark.parametrize("written", ["warn", "deny"])
@pytest.mark.parametrize("asked", ["warn", "deny"])
def test_the_command_line_can_only_tighten_fail_on(written: str, asked: str) -> None:
    policy = read({"fail-on": written})
    tightened = tighten_fail_on(policy, Level[asked.upper()], origin="--fail-on")
    assert tightened.fail_on is (Level.WARN if "warn" in (written, asked) else Level.DENY)
    assert (tightened.digest != policy.digest) == (tightened.fail_on is not policy.fail_on)
    assert (tightened.origins["fail-on"] == "--fail-on") == (tightened.fail_on is not policy.fail_on)
    assert tightened.digest == read({"fail-on": tightened.fail_on.word}).digest


def test_the_command_line_cannot_ask_to_fail_on_nothing() -> None:
    with pytest.raises(UsageError, match="fail-on takes"):
        tighten_fail_on(read({}), Level.ALLOW)


# ---------------------------------------------------------------- laws

TIMES = st.datetimes(), st.dates(), st.times()
SCALARS = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=20), *TIMES)
WORDS = sorted(
    {word for key in KEYS for word in key.path.split(".")}
    | {"sources", "waivers", "finding", "release", "reason", "expires", "owner", "match", "url", "extends", "osv"}
    | {"deny", "warn", "allow", "none", "strict", "24h", "0", "a==1", "a-*<2", "malicious", "MAL-1", "2026-12-31"}
    | {
        "priority",
        "kind",
        "mirrors",
        "exploited",
        "https://example.org",
        "http://[",
        "because it is so",
        "==",
        "===",
        "*",
        "~",
        "a,",
    }
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_no_table_makes_the_loader_fail_but_with_a_policy_error(table: Any) -> None:
    try:
        policy = read(table)
    except PolicyError as error:
        assert error.problems
        assert all("\n" not in problem for problem in error.problems)
        assert all(problem.startswith("tool.installguard") for problem in error.problems)
    else:
        assert policy.digest.startswith("sha256:")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a table, however deep."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in [(*path, key), *places(item, (*path, key))]]


@settings(max_examples=300, deadline=None)
@given(TABLES, st.data())
def test_no_damage_to_a_valid_table_makes_the_loader_fail_but_with_a_policy_error(
    table: Any, data: st.DataObject
) -> None:
    damaged = deepcopy({**table, "extends": []})
    *path, last = data.draw(st.sampled_from(places(damaged)))
    parent: Any = damaged
    for key in path:
        parent = parent[key]
    parent[last] = data.draw(VALUES)
    try:
        policy = read(damaged)
    except PolicyError as error:
        assert error.problems
        assert all(problem.isprintable() for problem in error.problems)
        assert all(problem.startswith("tool.installguard") for problem in error.problems)
    else:
        again = load_table(parse_toml(show_policy(policy))["tool"]["installguard"], path=FILE, today=TODAY)
        assert again.digest == policy.digest


def in_a_file(data: bytes) -> Policy:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.toml"
        path.write_bytes(data)
        files = find_policy_files(Path(folder), explicit=path, user_config_dir=None, site_config_dir=None)
        return load_policy(files, today=TODAY)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)), st.booleans())
def test_no_bytes_make_the_loader_fail_but_with_a_policy_error(data: bytes, ours: bool) -> None:
    try:
        in_a_file(b"[tool.installguard]\n" + data if ours else data)
    except PolicyError as error:
        assert error.problems


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[tool.installguard]\nfail-on =\n", "invalid TOML: invalid value (at line 2, column 10)"),
        (b"[tool.installguard]\nx = 2026-02-30\n", "(at line 2, column 5)"),
        (b"[tool.installguard]\n# \xff\n", "invalid TOML: not UTF-8 (at line 2)"),
        (b"\xef\xbb\xbf[tool.installguard]\n", "starts with a byte order mark"),
        (b"[tool.installguard]\nx = " + b"[" * 20000, "invalid TOML: nested too deeply"),
        (b"[tool.installguard]\nx = " + b"9" * 5000, "invalid TOML: "),
        (b'[tool.installguard]\nfail-on = "warn"\nfail-on = "deny"\n', "invalid TOML: cannot overwrite a value"),
    ],
)
def test_text_that_is_no_toml_is_told_with_file_and_place(data: bytes, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        in_a_file(data)
    assert problem in str(caught.value)
    assert "policy.toml: " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_waiver_of_the_design_reads_as_written() -> None:
    policy = in_a_file(
        b'[[tool.installguard.waivers]]\nfinding = "GHSA-x-y-z"\nrelease = "werkzeug<3.0.6"\n'
        b'reason = "form parser not used"\nowner = "sec@example.com"\nexpires = 2026-12-31\n'
    )
    assert policy.waivers == (
        Waiver(
            finding="GHSA-x-y-z",
            name=policy.waivers[0].name,
            specifier=SpecifierSet("<3.0.6"),
            reason="form parser not used",
            owner="sec@example.com",
            expires=date(2026, 12, 31),
            where="tool.installguard.waivers[0]",
        ),
    )
