"""The command line: what it takes, what it says, what it exits with."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from installguard.model import Code

from .conftest import malware_record, write_feed
from .environments import Environment, Ran
from .loopback import Index, serve
from .packages import make_wheel

NOW = datetime.now(timezone.utc)
STAMP = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def place(tmp_path: Path) -> Environment:
    """A home of its own, and no environment to install into: this interpreter is the target where one is needed."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "work").mkdir()
    return Environment(prefix=Path(sys.prefix), home=home, extra={"INSTALLGUARD_CACHE_DIR": str(tmp_path / "cache")})


def guard(place: Environment, *argv: str | Path, **variables: str) -> Ran:
    """Run guard without any option but those given."""
    place.extra |= variables
    return place.run([sys.executable, "-m", "installguard", *argv], cwd=place.home / "work")


@pytest.fixture
def fed(place: Environment, tmp_path: Path) -> Environment:
    """The place under a fresh feed that knows malware, a vulnerability, and a record that cannot be read."""
    vulnerability: dict[str, object] = {
        "id": "GHSA-aaaa-bbbb-cccc",
        "aliases": ["CVE-2099-1"],
        "modified": STAMP,
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "weak"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
            }
        ],
    }
    evil: dict[str, object] = {**malware_record("MAL-2099-1", "evil", ["1.0"]), "modified": STAMP}
    nice = {"package": {"ecosystem": "PyPI", "name": "other"}, "versions": 7}
    unreadable: list[dict[str, object]] = [{"id": f"BAD-{number}", "affected": [nice]} for number in range(12)]
    path = write_feed(tmp_path / "feed.zip", [evil, vulnerability, *unreadable])
    done = guard(place, "feed", "import", path)
    assert done.code == 0, done.text
    return place


def one_line(ran: Ran) -> str:
    """Return the one error that was said: one line, lower case, no traceback, nothing on stdout."""
    assert ran.out == "", ran.text
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.startswith("guard: error: ")
    assert not re.match(r"guard: error: [A-Z][a-z]", ran.err), ran.err
    return ran.err.removeprefix("guard: error: ").rstrip()


# ---------------------------------------------------------------- what is typed wrong

MISTAKES: list[tuple[list[str], dict[str, str], int, str]] = [
    ([], {}, 2, "no verb given (try: guard install NAME, or guard --help)"),
    (["--offline"], {}, 2, "no verb given"),
    (["frobnicate"], {}, 2, "no such verb: frobnicate (guard --help lists them)"),
    (["chekc"], {}, 2, "no such verb: chekc (did you mean: guard check)"),
    (["instal", "x"], {}, 2, "did you mean: guard install"),
    (["uv", "frobnicate"], {}, 12, "guard does not know 'uv frobnicate' (run it by uv itself, or update guard)"),
    (["--bogus", "check", "a==1"], {}, 2, "no such option of guard: --bogus"),
    (["--", "check", "a==1"], {}, 2, "no such option of guard: --"),
    (["-x", "check", "a==1"], {}, 2, "no such option of guard: -x"),
    (["--offline=1", "check", "a==1"], {}, 2, "no such option of guard: --offline"),
    (["--policy"], {}, 2, "--policy: needs a value"),
    (["--policy=", "check", "a==1"], {}, 2, "--policy: needs a value"),
    (["--format", "xml", "check", "a==1"], {}, 2, "--format: 'xml' is none of text, json"),
    (["--fail-on=never", "check", "a==1"], {}, 2, "--fail-on: 'never' is none of warn, deny"),
    (["check", "--format", "json", "a==1"], {}, 2, "see guard check --help"),
    (["check"], {}, 2, "nothing to check"),
    (["check", "a"], {}, 2, "'a' is not an exact release"),
    (["check", "a>=1"], {}, 2, "'a>=1' is not an exact release"),
    (["check", ""], {}, 2, "'' is not an exact release"),
    (["check", "-r", "no-such-file.txt"], {}, 2, "no-such-file.txt"),
    (["check", "-r", "."], {}, 2, "work"),
    (["audit", "--path", "no-such-directory"], {}, 2, "no such directory"),
    (["audit", "x"], {}, 2, "guard audit: unrecognized arguments: x"),
    (["explain"], {}, 2, "guard explain: the following arguments are required"),
    (["explain", "two words"], {}, 2, "is none of: a finding code"),
    (["explain", "GHSA-none-none-none"], {}, 2, "no such advisory is in the snapshot"),
    (["explain", "a==1==2"], {}, 2, "is not an exact release"),
    (["feed"], {}, 2, "update|status|import"),
    (["feed", "frobnicate"], {}, 2, "invalid choice: 'frobnicate'"),
    (["feed", "import"], {}, 2, "PATH"),
    (["feed", "import", "no-such-file"], {}, 2, "there is no such file or directory"),
    (["--offline", "feed", "update"], {}, 2, "guard feed update: feeds cannot be fetched (drop --offline"),
    (["policy"], {}, 2, "show|lint|init"),
    (["--policy", "no-such.toml", "policy", "show"], {}, 13, "no-such.toml"),
    (["waive"], {}, 2, "guard waive: the following arguments are required"),
    (["waive", "yanked", "a==1", "--reason", "short", "--expires", "30d"], {}, 13, "too short"),
    (["waive", "yanked", "a==1", "--reason", "long enough it is", "--expires", "soon"], {}, 13, "is not a date"),
    (["waive", "malicious", "a<1", "--reason", "long enough it is", "--expires", "9d"], {}, 13, "one exact release"),
    (["--python", "/no/such/python", "audit"], {}, 2, "--python /no/such/python: no such interpreter"),
    (["--report", "/no/such/place.json", "check", "a==1"], {}, 2, "--report /no/such/place.json: cannot be written"),
    (["check", "a==1"], {"INSTALLGUARD_FORMAT": "xml"}, 2, "INSTALLGUARD_FORMAT: 'xml' is none of"),
    (["check", "a==1"], {"INSTALLGUARD_FAIL_ON": "x"}, 2, "INSTALLGUARD_FAIL_ON: 'x' is none of"),
    (["check", "a==1"], {"INSTALLGUARD_OFFLINE": "maybe"}, 2, "INSTALLGUARD_OFFLINE: 'maybe' is neither 1 nor 0"),
    (["check", "a==1"], {"INSTALLGUARD_VERBOSE": "²"}, 2, "INSTALLGUARD_VERBOSE: '²' is no small number"),
    (["feed", "update"], {"INSTALLGUARD_OFFLINE": "yes"}, 2, "guard feed update: feeds cannot be fetched"),
    (["check", "a==1"], {"INSTALLGUARD_POLICY": "no-such.toml"}, 13, "no-such.toml"),
]


@pytest.mark.parametrize(
    ("argv", "variables", "code", "said"), MISTAKES, ids=[" ".join([*argv, *more]) for argv, more, _, _ in MISTAKES]
)
def test_a_mistake_is_told_in_one_line(
    place: Environment, argv: list[str], variables: dict[str, str], code: int, said: str
) -> None:
    ran = guard(place, *argv, **variables)

    assert said in one_line(ran)
    assert ran.code == code


# ---------------------------------------------------------------- options

FORMS: list[tuple[list[str], dict[str, str]]] = [
    (["--format", "json", "check", "evil==1.0"], {}),
    (["--format=json", "check", "evil==1.0"], {}),
    (["-q", "--format=json", "-vv", "--offline", "check", "evil==1.0"], {}),
    (["check", "evil==1.0"], {"INSTALLGUARD_FORMAT": "json"}),
    (["--format", "json", "check", "evil==1.0"], {"INSTALLGUARD_FORMAT": "text", "INSTALLGUARD_QUIET": "1"}),
    (["--report", "-", "check", "evil==1.0"], {}),
    (["--report=-", "--format=json", "check", "evil==1.0"], {}),
]


@pytest.mark.parametrize(("argv", "variables"), FORMS, ids=[" ".join([*argv, *more]) for argv, more in FORMS])
def test_options_are_taken_in_every_form(fed: Environment, argv: list[str], variables: dict[str, str]) -> None:
    ran = guard(fed, *argv, **variables)

    assert ran.code == 10
    assert json.loads(ran.out)["verdict"] == "deny"


def test_a_report_is_json_unless_text_is_asked_for(fed: Environment, tmp_path: Path) -> None:
    for options, first in (([], "{"), (["--format", "json"], "{"), (["--format", "text"], "warning[feed-unreadable]")):
        ran = guard(fed, *options, "--report", tmp_path / "report", "check", "evil==1.0")

        assert ran.code == 10
        assert (tmp_path / "report").read_text(encoding="utf-8").startswith(first)


def test_quiet_says_nothing_of_what_is_clean_and_everything_of_what_is_not(fed: Environment) -> None:
    clean = guard(fed, "check", "nice==1.0")
    denied = guard(fed, "-q", "check", "evil==1.0")

    assert (clean.code, clean.err) == (0, "")
    assert 1 <= clean.out.count("\n") <= 3
    assert guard(fed, "-q", "check", "nice==1.0").out == ""
    assert (denied.code, denied.out.splitlines()[0]) == (10, "error[malicious]: evil 1.0 is known malware")


def test_output_is_in_whatever_the_terminal_can_show(fed: Environment) -> None:
    for verb in (["check", "evil==1.0", "weak==1.0"], ["--help"], ["feed", "status"], ["check", "--help"]):
        ran = guard(fed, *verb, PYTHONIOENCODING="ascii")
        assert ran.text.isascii()
        assert (ran.code in (0, 10), "Traceback" in ran.text) == (True, False)


def test_colour_is_for_terminals_and_for_who_forces_it(fed: Environment) -> None:
    def colours(**variables: str) -> bool:
        fed.extra = {key: value for key, value in fed.extra.items() if "COLOR" not in key}
        return "\x1b[" in guard(fed, "check", "evil==1.0", **variables).out

    assert not colours()
    assert colours(FORCE_COLOR="1")
    assert not colours(FORCE_COLOR="1", NO_COLOR="1")
    assert not colours(FORCE_COLOR="")


# ---------------------------------------------------------------- help

VERBS = ["check", "audit", "explain", "feed", "policy", "waive", "doctor"]
HELPS = [
    [],
    *([verb] for verb in VERBS),
    ["feed", "import"],
    ["feed", "update"],
    ["feed", "status"],
    ["policy", "lint"],
]


@pytest.mark.parametrize("verb", HELPS, ids=" ".join)
def test_every_help_fits_a_screen_and_says_something(place: Environment, verb: list[str]) -> None:
    ran = guard(place, *verb, "--help", COLUMNS="80")

    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= (80 if verb else 90)
    assert ran.out.startswith(" ".join(["usage: guard", *verb]))
    assert len(ran.out.splitlines()) >= 3


def test_the_help_names_every_verb_option_and_exit_code(place: Environment) -> None:
    out = guard(place, "--help").out

    for word in (*VERBS, "install", "pip", "--python", "--policy", "--offline", "--fail-on", "--format", "--report"):
        assert word in out
    for code in ("10", "11", "12", "13", "130"):
        assert code in out
    assert guard(place, "help").out == guard(place, "-h").out == out


# ---------------------------------------------------------------- check and audit


def test_check_reads_pins_and_requirement_files_and_judges_a_release_once(fed: Environment) -> None:
    (fed.home / "work" / "pins.txt").write_text("evil==1.0\nweak == 1.0  # comment\nEVIL==1.0.0\n", encoding="utf-8")

    ran = guard(fed, "--format", "json", "check", "Evil===1.0", "odd===not-a-version", "-r", "pins.txt")

    found = json.loads(ran.out)
    assert ran.code == 10
    assert found["counts"]["judged"] == 3
    assert sorted(ruling["code"] for ruling in found["rulings"] if ruling["level"] != "allow")[:2] == [
        "feed-unreadable",
        "malicious",
    ]


def installed(directory: Path, name: str, version: str) -> None:
    """Put the trace of an installed distribution into a directory."""
    info = directory / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


def test_audit_judges_directories_and_the_target_environment(fed: Environment, tmp_path: Path) -> None:
    installed(tmp_path / "site", "nice", "1.0")
    clean = guard(fed, "audit", "--path", tmp_path / "site")
    installed(tmp_path / "site", "evil", "1.0")
    denied = guard(fed, "audit", "--path", tmp_path / "site")
    here = guard(fed, "--python", sys.executable, "--format", "json", "audit")

    assert (clean.code, denied.code, here.code) == (0, 10, 0), here.text
    assert "error[malicious]: evil 1.0" in denied.out
    assert {"pytest", "packaging"} <= {each["name"] for each in json.loads(here.out)["distributions"]}
    assert json.loads(here.out)["target"]["python"] == sys.executable


# ---------------------------------------------------------------- explain


@pytest.mark.parametrize("code", [code.value for code in Code])
def test_every_code_is_explained(place: Environment, code: str) -> None:
    ran = guard(place, "explain", code)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{code}: ")
    assert max(map(len, ran.out.splitlines())) <= 100
    assert "lift" in ran.out


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("MAL-2099-1", "MAL-2099-1: malware in evil"),
        ("mal-2099-1", "MAL-2099-1: malware in evil"),
        ("CVE-2099-1", "GHSA-aaaa-bbbb-cccc"),
        ("weak", "weak: no malware records, 1 advisory"),
        ("Evil", ": 1 malware record, no advisories"),
        ("nice", "nice: no advisory is known"),
        ("evil==1.0", "error[malicious]: evil 1.0 is known malware"),
        ("nice==1.0", "nice 1.0: nothing is known against it"),
    ],
)
def test_advisories_projects_and_releases_are_explained(fed: Environment, what: str, said: str) -> None:
    ran = guard(fed, "explain", what)

    assert (ran.code, ran.err) == (0, "")
    assert said in ran.out


# ---------------------------------------------------------------- feed


def test_feed_status_lists_some_unreadable_records_and_all_when_asked(fed: Environment) -> None:
    short, full, data = (
        guard(fed, "feed", "status"),
        guard(fed, "-v", "feed", "status"),
        guard(fed, "--format", "json", "feed", "status"),
    )

    assert short.code == full.code == data.code == 0
    assert short.out.count("  unreadable: ") == 10
    assert "and 2 more: guard -v feed status lists them all" in short.out
    assert full.out.count("  unreadable: osv: BAD-") == 12
    assert json.loads(data.out)["unreadable"] == 12


def test_feed_update_fetches_confirms_and_fails_in_one_line_each(place: Environment, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    write_feed(files / "all.zip", [malware_record("MAL-2099-1", "evil", ["1.0"])])
    policy = place.home / "work" / "pyproject.toml"
    with serve(Index(files=files)) as index:
        url = index.url.replace("simple/", "files")
        policy.write_text(
            f'[tool.installguard.feed.sources]\none = {{ url = "{url}" }}\ntwo = {{ url = "{url}/nothing.zip" }}\n',
            encoding="utf-8",
        )
        ran = guard(place, "feed", "update")
    gone = guard(place, "feed", "update")

    assert ran.code == 12
    assert re.fullmatch(r"feed one: 1 records as of \d{4}-\d\d-\d\d \d\d:\d\d UTC\n", ran.out), ran.out
    assert re.fullmatch(r"guard: error: feed two: http://127.0.0.1:\d+/files/nothing.zip: .*\n", ran.err), ran.err
    assert (gone.code, gone.out, gone.err.count("\n")) == (12, "", 2)
    assert guard(place, "check", "evil==1.0").code == 10


# ---------------------------------------------------------------- policy and waivers


def test_a_policy_is_begun_shown_and_linted(place: Environment) -> None:
    begun = guard(place, "policy", "init")
    twice = guard(place, "policy", "init")
    shown = guard(place, "policy", "show")
    linted = guard(place, "policy", "lint")

    assert (begun.code, begun.out) == (
        0,
        f"policy: wrote [tool.installguard] to {place.home / 'work/pyproject.toml'}\n",
    )
    assert twice.code == 2
    assert "already" in one_line(twice)
    assert (shown.code, linted.code) == (0, 0), linted.text
    assert 'level = "deny"' in shown.out


def test_lint_finds_what_is_valid_and_not_meant(place: Environment) -> None:
    past = f"{NOW - timedelta(days=3):%Y-%m-%d}"
    (place.home / "work" / "pyproject.toml").write_text(
        f'[[tool.installguard.waivers]]\nfinding = "yanked"\nrelease = "nice"\nreason = "long enough"\n'
        f"expires = {past}\n",
        encoding="utf-8",
    )

    ran = guard(place, "policy", "lint")

    assert ran.code == 0
    assert "expired on" in ran.out
    assert all(line.startswith("warning: ") for line in ran.out.splitlines())
    assert guard(place, "--fail-on", "warn", "policy", "lint").code == 11


@pytest.mark.parametrize("target", ["evil==1.0", "weak==1.0"])
def test_the_command_that_lifts_a_finding_can_be_pasted(fed: Environment, target: str) -> None:
    policy = fed.home / "work" / "pyproject.toml"
    before = '# ours\n[tool.installguard]\nvulnerabilities.deny = "low" # strict\n'
    policy.write_text(before, encoding="utf-8")
    denied = guard(fed, "--format", "json", "check", target)
    [lift] = [ruling["lift"] for ruling in json.loads(denied.out)["rulings"] if ruling["level"] == "deny"]

    waived = guard(fed, *shlex.split(lift)[1:])
    allowed = guard(fed, "check", target)
    again = guard(fed, *shlex.split(lift)[1:])

    assert (denied.code, waived.code, allowed.code, again.code) == (10, 0, 0, 13), lift + waived.text + allowed.text
    assert re.fullmatch(r"waived \S+ for \S+ until \d{4}-\d\d-\d\d, in \S+\n", waived.out)
    assert policy.read_text(encoding="utf-8").startswith(before)


# ---------------------------------------------------------------- pip


@pytest.mark.last_pip
def test_the_lift_of_a_denied_install_lets_it_through(
    environment: Environment, feed: Path, index: Index, tmp_path: Path
) -> None:
    make_wheel(index.files, "evil", "1.0")
    denied = environment.guard("install", "evil", cwd=tmp_path)
    [lift] = re.findall(r"^  lift +guard (.*)$", denied.err, flags=re.MULTILINE)

    waived = environment.guard(*shlex.split(lift), cwd=tmp_path)
    allowed = environment.guard("install", "evil", cwd=tmp_path)

    assert (denied.code, waived.code, allowed.code) == (10, 0, 0), allowed.text
    assert (environment.site_packages / "evil").is_dir()


@pytest.mark.last_pip
def test_a_report_on_stdout_is_all_that_stands_there(environment: Environment, index: Index) -> None:
    make_wheel(index.files, "nice")

    ran = environment.guard("--report", "-", "install", "nice")

    found: dict[str, Any] = json.loads(ran.out)
    assert (ran.code, found["installer"]["exit_code"]) == (0, 0)
    assert "Successfully installed nice-1.0" in ran.err


@pytest.mark.last_pip
def test_pip_verbs_that_install_nothing_are_pips_alone(environment: Environment) -> None:
    for argv in (["list"], ["--version"], ["freeze"], ["show", "pip"], ["no-such-verb"]):
        guarded, plain = environment.guard("pip", *argv), environment.pip(*argv)

        assert (guarded.code, guarded.out, guarded.err) == (plain.code, plain.out, plain.err)


@pytest.mark.last_pip
def test_the_console_scripts_are_the_module(environment: Environment) -> None:
    told = environment.run([sys.executable, "-m", "installguard", "--version"])
    for name in ("guard", "installguard"):
        script = Path(sys.executable).with_name(name)
        if not script.exists():
            pytest.skip("the console scripts are not installed beside this interpreter")
        assert environment.run([script, "--version"]) == told
    assert told.out.startswith("guard ")


def test_guard_can_be_called_without_an_environment_at_all(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "installguard", "check", "litellm==1.82.8"],
        env={"INSTALLGUARD_CACHE_DIR": str(tmp_path), "PATH": os.defpath},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 10, done.stderr
