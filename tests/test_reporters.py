"""The reports: exact by golden files, and laws that hold whatever strangers write into names and reasons."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installguard.checks import run_checks
from installguard.model import (
    Artifact,
    Code,
    DirectUrl,
    Distribution,
    Finding,
    Level,
    LocalTree,
    Reporter,
    Run,
    VcsCheckout,
    Verdict,
)
from installguard.policy import FeedPolicy, Policy, rule
from installguard.reporters.chains import chains, path_to
from installguard.reporters.json import json_report
from installguard.reporters.outcome import counts, outcome
from installguard.reporters.plain import plain
from installguard.reporters.remedies import fix, lift
from installguard.reporters.text import text_report

from .regenerate_golden import (
    ALL,
    BASELINE,
    CASES,
    CLEAN,
    EVERYTHING,
    GOLDEN,
    HOSTILE_VERDICT,
    MALWARE,
    RUN,
    STOPPED,
    UNKNOWN,
    WAIVED,
    judged,
    rendered,
)
from .sample_values import advisory, artifact, distribution, evidence, finding, malware


@pytest.mark.parametrize("name", CASES)
def test_the_report_is_that_of_its_golden_file(name: str) -> None:
    assert rendered(name).decode() == (GOLDEN / name).read_bytes().decode()


def test_every_golden_file_has_its_case() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(CASES)


@pytest.mark.parametrize("make", [text_report, json_report])
def test_every_format_makes_a_reporter_of_a_run(make: Callable[[Run], Reporter]) -> None:
    assert make(RUN)(CLEAN).endswith("\n")


# ---------------------------------------------------------------- untrusted text

wild = st.text(st.characters() | st.sampled_from("\ud800\udc80\x1b\x9b\u202e\u2028\r\n@:/"), max_size=30)


def lines_of(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


@settings(deadline=None)
@given(wild, wild, wild, st.booleans(), st.sampled_from([0, 40, 100]))
def test_no_stranger_reaches_the_terminal(name: str, reason: str, id: str, verbose: bool, width: int) -> None:
    subject = Distribution(
        name=None,
        release=None,
        origin=DirectUrl(url=f"https://u:p@{name}", filename=name, kind="wheel"),
        requirement=reason,
    )
    known = replace(advisory("a", id=id or "X", introduced="0", summary=reason), aliases=(name,), feed=reason)
    found = [Finding(code=Code.MALICIOUS, subject=subject, detail=reason, advisory=known, fix="a==1")]
    run = replace(STOPPED, problem=reason, notes=(reason,), command=("install", name))
    report = text_report(run, verbose=int(verbose), width=width)(rule(evidence(subject), found, Policy()))
    assert all(line.isprintable() for line in lines_of(report))


@settings(deadline=None)
@given(wild)
def test_plain_text_is_printable_and_printable_text_stays(text: str) -> None:
    assert plain(text).isprintable()
    if text.isprintable() and "@" not in text:
        assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:secret@example.org/a", "https://example.org/a"),
        ("git+https://token@example.org/a@v1", "git+https://example.org/a@v1"),
        ("see https://u:p@ss@example.org/ and ssh://git@example.org", "see https://example.org/ and ssh://example.org"),
        ("https://example.org/@scope?mail=a@b", "https://example.org/@scope?mail=a@b"),
        ("a@b", "a@b"),
        ("x\ty\x1b[31mz\u202e\u2028\x7f", "x\\ty\\x1b[31mz\\u202e\\u2028\\x7f"),
        ("\udc80", "\\udc80"),
    ],
)
def test_credentials_and_control_characters_are_taken_out(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize("report", [text_report(STOPPED, verbose=2), json_report(STOPPED)], ids=["text", "json"])
def test_no_report_shows_the_password_of_a_url(report: object) -> None:
    assert callable(report)
    run = replace(STOPPED, command=("install", "-i", "https://u:secret@example.org/simple"))
    assert "secret" not in report(UNKNOWN)
    assert "secret" not in json_report(run)(UNKNOWN)


# ---------------------------------------------------------------- text


def test_what_is_denied_is_said_even_when_quiet() -> None:
    report = text_report(STOPPED, quiet=True)(EVERYTHING)
    assert "error[malicious]: litellm 1.82.8" in report
    assert "warning" not in report


def test_thirty_advisories_of_one_release_take_one_line() -> None:
    known = [advisory("jinja2", id=f"GHSA-{number}", introduced="0", fixed=["9"]) for number in range(30)]
    report = text_report(RUN)(judged(evidence(distribution("jinja2", "3.1.2"), advisories=known)))
    assert len(lines_of(report)) == 2
    assert "GHSA-0, GHSA-1, GHSA-10 and 27 more" in report


def test_verbose_spells_every_advisory_out() -> None:
    known = [advisory("jinja2", id=f"GHSA-{number}", introduced="0", fixed=["9"]) for number in range(30)]
    report = text_report(RUN, verbose=1)(judged(evidence(distribution("jinja2", "3.1.2"), advisories=known)))
    assert all(f"GHSA-{number}," in report for number in range(30))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_lines_keep_to_the_width_but_commands_stay_whole(width: int) -> None:
    for line in lines_of(text_report(STOPPED, width=width)(EVERYTHING)):
        unbreakable = max(len(word) for word in line.split())
        assert len(line) <= max(width, 15 + unbreakable) or line.lstrip().startswith(("fix", "lift"))


def test_colour_only_adds_escapes() -> None:
    plain_text = text_report(STOPPED, width=70, verbose=1)(EVERYTHING)
    coloured = text_report(STOPPED, width=70, verbose=1, colour=True)(EVERYTHING)
    for escape in ("\x1b[1;31m", "\x1b[1;33m", "\x1b[2m", "\x1b[0m"):
        assert escape in coloured
        coloured = coloured.replace(escape, "")
    assert coloured == plain_text


@pytest.mark.parametrize(
    ("command", "stopped", "said"),
    [
        (("install", "dspy"), True, "nothing was installed"),
        (("pip", "install", "dspy"), True, "nothing was installed"),
        (("install", "dspy"), False, None),
        (("download", "dspy"), True, "nothing was written"),
        (("wheel", "dspy"), True, "nothing was written"),
        (("lock", "dspy"), True, "nothing was written"),
        (("check", "dspy==1"), True, None),
        (("audit",), True, None),
    ],
)
def test_what_was_not_done_is_said_only_where_it_was_stopped(
    command: tuple[str, ...], stopped: bool, said: str | None
) -> None:
    report = text_report(replace(STOPPED, command=command, stopped=stopped))(MALWARE)
    assert ("nothing was" in report) is (said is not None)
    assert said is None or said in report


# ---------------------------------------------------------------- chains


def chain(*distributions: Distribution) -> dict[str, tuple[str, ...]]:
    found = chains(distributions)
    return {each.label: path_to(each, found) for each in distributions}


def test_the_shortest_chain_from_what_was_asked_for_is_shown() -> None:
    a = distribution("a", "1", requested=True)
    b, c = distribution("b", "1", required_by=["a"]), distribution("c", "1", required_by=["b", "a"])
    d = distribution("d", "1", required_by=["b", "c"])
    assert chain(d, c, b, a) == {"a 1": (), "b 1": ("a",), "c 1": ("a",), "d 1": ("a", "b")}


def test_a_cycle_ends_and_what_nothing_asked_for_names_its_parent() -> None:
    a, b = distribution("a", "1", required_by=["b"]), distribution("b", "1", required_by=["a"])
    assert chain(a, b) == {"a 1": ("b",), "b 1": ("a",)}
    root = distribution("root", "1", requested=True)
    assert chain(a, replace(b, required_by=("a", "root")), root)["a 1"] == ("root", "b")  # type: ignore[arg-type]


def test_what_is_required_by_itself_through_its_build_ends_too() -> None:
    own = distribution("setuptools", "1", role="build", required_by=["setuptools"])
    assert chain(own) == {"setuptools 1": ("setuptools",)}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.lists(st.integers(0, 6), max_size=3), st.booleans()), max_size=8))
def test_every_chain_is_one_that_exists(rows: list[tuple[int, list[int], bool]]) -> None:
    given_ = [
        distribution(f"p{name}", "1", required_by=[f"p{each}" for each in parents], requested=requested)
        for name, parents, requested in rows
    ]
    edges = {(parent, each.name) for each in given_ for parent in each.required_by}
    found = chains(given_)
    assert found == chains(list(reversed(given_)))
    for each in given_:
        path = path_to(each, found)
        assert not path or path[-1] in each.required_by
        assert all(step in edges for step in pairwise(path))
        assert len(path) == len(set(path))


# ---------------------------------------------------------------- remedies


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("install", "dspy"), "guard install dspy evil==1.1"),
        (("install", "evil"), "guard install evil==1.1"),
        (("install", "-U", "Evil[x,y]>=1", "dspy"), "guard install -U 'Evil[x,y]==1.1' dspy"),
        (("install", "-r", "evil", "dspy"), "guard install -r evil dspy evil==1.1"),
        (("install", "--target", "evil", "evil"), "guard install --target evil evil==1.1"),
        (("install", "evil==1.1"), "guard install evil==1.1"),
        (("install", "my dir/x", "a;b"), "guard install 'my dir/x' 'a;b' evil==1.1"),
        (("pip", "install", "evil"), "guard pip install evil==1.1"),
        (("install", "-i", "https://u:p@example.org", "evil"), "guard install -i https://example.org evil==1.1"),
        (("download", "evil"), "evil==1.1"),
        (("check", "evil==1.0"), "evil==1.1"),
        ((), "evil==1.1"),
    ],
)
def test_the_fix_is_the_same_command_with_the_release_that_passes(command: tuple[str, ...], expected: str) -> None:
    found = replace(finding(Code.MALICIOUS, distribution("evil", "1.0")), fix="evil==1.1")
    assert fix([found], Run(command=command)) == expected


@pytest.mark.parametrize(
    "subject",
    [
        distribution("evil", "1.0", role="build", required_by=["a"]),
        distribution("evil", "1.0", origin=LocalTree(path="/src")),
        distribution("evil", "1.0", origin=DirectUrl(url="https://example.org/e", filename="e", kind="wheel")),
    ],
    ids=["build requirement", "local", "url"],
)
def test_where_asking_for_it_would_not_help_the_fix_is_the_requirement(subject: Distribution) -> None:
    found = replace(finding(Code.VULNERABLE, subject), fix="evil==1.1")
    assert fix([found], Run(command=("install", "dspy"))) == "evil==1.1"


@pytest.mark.parametrize("code", [Code.FEED_MISSING, Code.FEED_STALE])
def test_a_feed_in_trouble_is_fixed_by_an_update_and_cannot_be_waived(code: Code) -> None:
    assert fix([finding(code, None)], RUN) == "guard feed update"
    assert lift([finding(code, None)]) is None


@pytest.mark.parametrize(
    ("subject", "code", "words"),
    [
        (distribution("evil", "1.0"), Code.MALICIOUS, ["MAL-2026-2144", "evil==1.0"]),
        (distribution("evil", "1.0"), Code.YANKED, ["yanked", "evil==1.0"]),
        (distribution("evil", "1; rm -rf ~"), Code.YANKED, ["yanked", "evil===1; rm -rf ~"]),
        (distribution("evil", None), Code.UNKNOWN_RELEASE, ["unknown-release", "evil"]),
    ],
)
def test_a_finding_is_lifted_by_a_command_that_a_shell_reads_back(
    subject: Distribution, code: Code, words: list[str]
) -> None:
    known = malware("evil", "1.0") if code is Code.MALICIOUS else None
    command = lift([finding(code, subject, advisory=known)])
    assert command is not None
    assert shlex.split(command)[:4] == ["guard", "waive", *words]
    assert shlex.split(command)[4:6] == ["--reason", "say why this is acceptable"]


def test_several_advisories_of_a_release_are_lifted_by_their_code() -> None:
    subject = distribution("web", "1.0")
    found = [finding(Code.VULNERABLE, subject, advisory=advisory("web", id=id)) for id in ("GHSA-1", "GHSA-2")]
    assert (lift(found) or "").startswith("guard waive vulnerable web==1.0 ")


def test_without_a_version_a_malicious_project_is_lifted_by_code_and_malware_not_at_all() -> None:
    unknown, known = distribution("evil", None), malware("evil", "1.0")
    assert (lift([finding(Code.MALICIOUS_PROJECT, unknown, advisory=known)]) or "").startswith(
        "guard waive malicious-project evil "
    )
    assert lift([finding(Code.MALICIOUS, unknown, advisory=known)]) is None


def test_what_has_no_name_cannot_be_waived() -> None:
    unknown = Distribution(name=None, release=None, origin=VcsCheckout(url="git+https://example.org/x"))
    assert lift([finding(Code.UNKNOWN_RELEASE, unknown)]) is None


# ---------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    "verdict",
    [CLEAN, MALWARE, EVERYTHING, UNKNOWN, WAIVED, HOSTILE_VERDICT],
    ids=["clean", "malware", "all", "unknown", "waived", "hostile"],
)
def test_json_has_every_field_of_the_schema_in_order(verdict: Verdict) -> None:
    data = json.loads(json_report(RUN)(verdict))
    assert list(data)[:12] == [
        "schema", "guard", "verdict", "command", "target", "snapshot", "policy", "distributions", "rulings", "counts",
        "installer", "seconds",
    ]  # fmt: skip
    fields = [
        "name", "version", "role", "requested", "required_by", "origin", "path", "artifact", "level", "fixes", "lock",
        "scope",
    ]  # fmt: skip
    assert all(list(each) == fields for each in data["distributions"])
    assert all(
        list(each) == ["code", "level", "name", "version", "advisory", "message", "fix", "lift", "waiver"]
        for each in data["rulings"]
    )
    assert len(data["distributions"]) == data["counts"]["judged"]


@settings(deadline=None)
@given(wild, wild)
def test_json_is_valid_ascii_whatever_strangers_write(name: str, reason: str) -> None:
    subject = Distribution(name=None, release=None, origin=DirectUrl(url=name, filename=name, kind="wheel"))
    found = [Finding(code=Code.YANKED, subject=subject, detail=reason, advisory=advisory("a", id=name, summary=reason))]
    run = replace(RUN, command=("install", name), problem=reason, notes=(name,))
    text = json_report(run)(rule(evidence(subject), found, Policy()))
    assert text.isascii()
    message = json.loads(text)["rulings"][0]["message"]
    assert "@" in name + reason or message == f"{name} {reason}"


def test_a_pin_without_a_file_has_no_artifact_and_no_url() -> None:
    pin = distribution("flask", "3.0", origin=Artifact(filename="", url="flask==3.0", kind="wheel"))
    [data] = json.loads(json_report(RUN)(judged(evidence(pin))))["distributions"]
    assert (data["artifact"], data["origin"]) == (None, {"kind": "index", "index": None, "url": None})


@pytest.mark.parametrize(
    ("verdict", "run", "word"),
    [
        (CLEAN, RUN, "allow"),
        (judged(evidence(distribution("a", "1", builds=True))), RUN, "warn"),
        (MALWARE, STOPPED, "deny"),
        (WAIVED, RUN, "warn"),
        (CLEAN, replace(RUN, problem="lost"), "unjudged"),
        (MALWARE, replace(RUN, problem="lost"), "deny"),
        (judged(evidence(info=BASELINE), Policy(feed=FeedPolicy(missing=Level.DENY))), RUN, "unjudged"),
        (judged(replace(ALL, snapshot=BASELINE), Policy(feed=FeedPolicy(missing=Level.DENY))), RUN, "deny"),
    ],
)
def test_the_verdict_is_one_word_and_a_denial_goes_before_what_was_not_judged(
    verdict: Verdict, run: Run, word: str
) -> None:
    assert outcome(verdict, run) == word


def test_distributions_of_every_role_are_counted_by_their_highest_level() -> None:
    number = counts(EVERYTHING)
    assert (number.judged, number.denied, number.warned, number.waived) == (5, 1, 3, 0)
    assert counts(WAIVED).waived == 8


def test_a_report_does_not_depend_on_the_order_of_findings() -> None:
    found = run_checks(ALL, Policy())
    backwards = rule(ALL, tuple(reversed(found)), Policy())
    assert text_report(STOPPED, verbose=1)(backwards) == text_report(STOPPED, verbose=1)(EVERYTHING)


def test_the_file_of_a_sample_is_named_with_its_digest_in_full_when_verbose() -> None:
    assert "4f0d" * 16 in text_report(STOPPED, verbose=1)(MALWARE)
    assert artifact("a", "1").hashes[0][1] not in text_report(STOPPED)(MALWARE)
