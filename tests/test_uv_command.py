"""A command line of uv is read as uv itself reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installguard.frontends.uv.command import Kind, UvCommand, parse_command
from installguard.frontends.uv.options import Option, options_of

UV = Path(sysconfig.get_path("scripts")) / "uv"


def read(line: str) -> UvCommand:
    return parse_command("uv", line.split())


def told(*argv: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the real uv, which may ask no index, and return what it said."""
    environ = {"PATH": os.defpath, "HOME": str(home), "UV_OFFLINE": "1", "UV_NO_CONFIG": "1", "COLUMNS": "300"}
    environ |= {"UV_CACHE_DIR": str(home / "cache"), "UV_PYTHON_DOWNLOADS": "never"}
    return subprocess.run([UV, *argv], capture_output=True, text=True, env=environ, cwd=home, check=False, timeout=60)


# ---------------------------------------------------------------- verbs


KINDS: dict[str, Kind] = {
    "": "harmless",
    "-V": "harmless",
    "-q --version": "harmless",
    "--help": "harmless",
    "help pip install": "harmless",
    "pip": "harmless",
    "pip install x": "install",
    "pip sync r.txt": "install",
    "pip compile r.in": "compile",
    "pip list --outdated": "harmless",
    "pip freeze": "harmless",
    "pip tree": "harmless",
    "pip uninstall x": "harmless",
    "pip install --help": "harmless",
    "pip install -qh x": "harmless",
    "lock": "lock",
    "add x": "edit",
    "remove x": "edit",
    "version": "harmless",
    "version --short": "harmless",
    "version 1.2": "edit",
    "version --bump minor": "edit",
    "sync": "sync",
    "run": "run",
    "run x --help": "run",
    "run --help": "harmless",
    "tree": "report",
    "tree --outdated": "report",
    "export": "report",
    "audit": "report",
    "workspace metadata": "report",
    "workspace metadata --sync": "unknown",
    "workspace list": "harmless",
    "tool run x": "tool-run",
    "tool uvx x": "tool-run",
    "tool install x": "tool-install",
    "tool upgrade --all": "tool-install",
    "tool list": "harmless",
    "tool uninstall x": "harmless",
    "venv": "seed",
    "v": "seed",
    "virtualenv": "seed",
    "build": "build",
    "init x": "harmless",
    "python install 3.13": "harmless",
    "cache clean": "harmless",
    "clean": "harmless",
    "self update": "harmless",
    "publish --index-url x": "harmless",
    "check": "unknown",
    "upgrade x": "unknown",
    "frobnicate": "unknown",
    "pip frobnicate": "unknown",
    "-- pip install x": "unknown",
    "pip -- install x": "unknown",
    "--frobnicate cache dir": "unknown",
}


@pytest.mark.parametrize(("line", "kind"), KINDS.items(), ids=KINDS.keys())
def test_every_verb_is_of_one_kind(line: str, kind: Kind) -> None:
    assert read(line).kind == kind


def test_uvx_is_tool_run() -> None:
    command = parse_command("uvx", ["--from", "a==1", "-q", "tool", "--from", "b"])
    assert (command.verb, command.kind, command.behind_verb) == (("tool", "run"), "tool-run", 0)
    assert (command.from_, command.child) == ("a==1", ("tool", "--from", "b"))
    assert parse_command("uvx", ["-V"]).kind == "harmless"
    assert parse_command("uvx", ["a", "-V"]).kind == "tool-run"


def test_options_of_uv_may_stand_anywhere() -> None:
    command = read("--project p -q pip --offline install -n x --directory=d")
    assert command.verb == ("pip", "install")
    assert (command.project, command.directory, command.quiet, command.offline) == ("p", "d", 1, True)
    assert (command.argv[: command.behind_verb][-1], command.positionals) == ("install", ("x",))


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    "line",
    ["--index-url U", "--index-url=U", "-i U", "-iU", "-i=U", "-qi U", "-qUiU", "-Un -i U", "--quiet -qUni=U"],
)
def test_a_value_is_found_however_it_is_attached(line: str) -> None:
    command = read(f"pip install {line} x")
    assert [each.url for each in command.index_options] == ["U"]
    assert (command.positionals, command.unknown, command.mistake) == (("x",), None, None)
    assert command.with_replaced(lambda url: f"<{url}>").argv == tuple(
        read(f"pip install {line} x".replace("U x", "<U> x")).argv
    )


@pytest.mark.parametrize(
    "line", ["--index-url --offline x", "-i -n x", "x -i", "x --index-url", "-i -- x", "--offline=1"]
)
def test_what_uv_is_going_to_refuse_is_told(line: str, tmp_path: Path) -> None:
    assert read(f"pip install {line}").mistake is not None
    assert told("pip", "install", *line.split(), home=tmp_path).returncode == 2


def test_an_option_that_guard_does_not_know_is_named() -> None:
    assert read("sync --frobnicate now").unknown == "--frobnicate"
    assert read("sync --frobnicate=now").unknown == "--frobnicate"
    assert read("sync -qZ").unknown == "-Z"
    assert read("pip install x -m").unknown == "-m"  # it is known for another verb


def test_words_behind_a_double_dash_are_no_options() -> None:
    command = read("pip install -- --index-url x")
    assert (command.positionals, command.index_options) == (("--index-url", "x"), ())


def test_nothing_is_read_behind_what_uv_answers_at_once(tmp_path: Path) -> None:
    assert read("run --help --frobnicate").kind == "harmless"
    assert told("run", "--help", "--frobnicate", home=tmp_path).returncode == 0


def test_several_indexes_in_one_value_are_told_apart_and_replaced_in_place() -> None:
    command = parse_command(
        "uv", ["lock", "--index", "a=http://u/1  http://v/?x=2", "-fhttp://f,./dir", "--default-index", "c=http://w"]
    )
    assert [(each.option, each.kind, each.name, each.url) for each in command.index_options] == [
        ("--index", "extra", "a", "http://u/1"),
        ("--index", "extra", None, "http://v/?x=2"),
        ("--find-links", "find-links", None, "http://f"),
        ("--find-links", "find-links", None, "./dir"),
        ("--default-index", "default", "c", "http://w"),
    ]
    assert command.with_replaced(str.upper).argv == (
        "lock", "--index", "a=HTTP://U/1  HTTP://V/?X=2", "-fHTTP://F,./DIR", "--default-index", "c=HTTP://W",
    )  # fmt: skip


def test_an_empty_value_names_no_index() -> None:
    command = parse_command("uv", ["lock", "--index-url", "", "--index=", "-f", "a,,b"])
    assert [each.url for each in command.index_options] == ["a", "b"]
    assert command.with_replaced(lambda url: f"<{url}>").argv == (
        "lock",
        "--index-url",
        "",
        "--index=",
        "-f",
        "<a>,,<b>",
    )


def test_options_are_put_behind_the_verb_and_taken_out_again() -> None:
    command = read("-q run -sU x.py -U")
    assert command.with_options(["--frozen"]).argv == ("-q", "run", "--frozen", "-sU", "x.py", "-U")
    assert command.without_options(["--upgrade"]).argv == ("-q", "run", "-s", "x.py", "-U")
    assert command.without_options(["--upgrade", "--script", "--quiet"]).argv == ("run", "x.py", "-U")
    both = read("lock -P a --upgrade-package=b -UPc -qP=d -n")
    assert both.without_options(["--upgrade-package"]).argv == ("lock", "-U", "-q", "-n")


@pytest.mark.parametrize(
    ("line", "offline", "frozen", "locked"),
    [
        ("sync", None, None, None),
        ("sync --offline --frozen", True, True, None),
        ("sync --offline --no-offline --no-frozen --locked", False, False, True),
        ("lock --check", None, None, True),
        ("lock --check-exists", None, True, None),
        ("sync --check", None, None, None),
    ],
)
def test_of_opposite_flags_the_last_counts(
    line: str, offline: bool | None, frozen: bool | None, locked: bool | None
) -> None:
    command = read(line)
    assert (command.offline, command.frozen, command.locked) == (offline, frozen, locked)


# ---------------------------------------------------------------- what is run, what is required


@pytest.mark.parametrize(
    ("line", "kind", "child", "script"),
    [
        ("run", "none", "", None),
        ("run -n", "none", "", None),
        ("run python -m x --with y", "command", "python -m x --with y", None),
        ("run -m mod --offline", "module", "mod --offline", None),
        ("run -qm mod -n", "module", "mod -n", None),
        ("run x.py --frozen", "script", "x.py --frozen", "x.py"),
        ("run -s tool --frozen", "script", "tool --frozen", "tool"),
        ("run - -n", "stdin", "- -n", None),
        ("run https://example.org/x.py", "url", "https://example.org/x.py", None),
        ("run --with a -- b --with c", "command", "b --with c", None),
        ("run -- x.py", "script", "x.py", "x.py"),
        ("run -m x.py", "module", "x.py", None),
    ],
)
def test_what_run_starts_belongs_to_the_child(line: str, kind: str, child: str, script: str | None) -> None:
    command = read(line)
    assert (command.child_kind, " ".join(command.child), command.script) == (kind, child, script)
    assert not {"--frozen", "--offline", "--no-cache"} & {each.name for each in command.options} or line == "run -n"


def test_what_is_required_is_found_wherever_it_stands() -> None:
    command = read("pip install a -r one.txt -e ./b --requirement=two.txt -c c1 -b b1 --overrides o1 --excludes e1 d")
    assert command.requirements == ("a", "d")
    assert command.requirement_files == (("--requirements", "one.txt"), ("--requirements", "two.txt"))
    assert (command.editables, command.constraint_files, command.build_constraint_files) == (("./b",), ("c1",), ("b1",))
    assert (command.override_files, command.exclude_files) == (("o1",), ("e1",))
    assert read("pip compile a.in b.in").requirement_files == (("", "a.in"), ("", "b.in"))
    beside = read("run --with a,b --with-editable ./c --with-requirements r1,r2 x")
    assert (beside.with_, beside.with_editable) == (("a,b",), ("./c",))
    assert beside.requirement_files == (("--with-requirements", "r1"), ("--with-requirements", "r2"))
    assert read("tool run --with a b@1 --x").requirements == ("b@1",)
    assert read("tool run --from c b").requirements == ()
    assert read("sync --script s.py").script == "s.py"


def test_files_of_requirements_are_replaced_in_place() -> None:
    for line, changed in (
        ("run -q --with-requirements=r1,r2 --with x y -r z", "run -q --with-requirements=R1,R2 --with x y -r z"),
        ("pip compile a.in -cc.txt -o out -- b.in", "pip compile A.IN -cC.TXT -o out -- B.IN"),
        ("pip install a -r r.txt -b b.txt", "pip install a -r R.TXT -b B.TXT"),
    ):
        assert read(line).with_files(str.upper) == read(changed)


# ---------------------------------------------------------------- laws


WORDS = st.sampled_from(
    ["uv", "pip", "install", "sync", "lock", "run", "tool", "add", "version", "-q", "-Ui", "-i=", "--index",
     "--index=a=b", "--offline", "--", "-", "x", "-m", "-P", "--help", "-V", "=", "--="]
)  # fmt: skip


@given(st.lists(WORDS, max_size=8))
def test_any_words_are_read_and_changes_touch_nothing_else(words: list[str]) -> None:
    command = parse_command("uv", words)
    assert command.argv == tuple(words)
    assert command.with_replaced(lambda url: url).argv == command.argv
    assert command.with_options([]).argv == command.argv
    assert command.without_options([]).argv == command.argv
    if command.kind not in ("harmless", "unknown") and command.unknown is None and command.mistake is None:
        more = command.with_options(["--offline"])
        assert (more.kind, more.child, more.positionals) == (command.kind, command.child, command.positionals)
        assert more.without_options(["--offline"]).child == command.child


# ---------------------------------------------------------------- the real uv


GUARDED = (
    "", "pip install", "pip sync", "pip compile", "lock", "add", "remove", "version", "sync", "run", "tree", "export",
    "audit", "workspace metadata", "tool run", "tool install", "tool upgrade", "venv", "build",
)  # fmt: skip


@cache
def completion() -> str:
    done = subprocess.run(
        [UV, "generate-shell-completion", "bash"], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def options_told_by_uv(verb: str) -> dict[str, bool]:
    """Return the options that the real uv completes for a verb, hidden ones too, and which of them take a value."""
    label = "__".join(("uv", *verb.split()))
    found = re.search(
        rf'^        {label.replace("__", "(?:__subcmd)?__")}\)\n\s+opts="([^"]*)"(.*?)\n\s+esac',
        completion(),
        re.M | re.S,
    )
    assert found is not None, f"uv does not complete {verb!r}"
    valued = set(re.findall(r"^ +(-[^\s)]+)\)$", found[2], re.M))
    return {word: word in valued for word in found[1].split() if word.startswith("-")}


@pytest.mark.parametrize("verb", GUARDED, ids=lambda verb: verb or "before the verb")
def test_every_option_of_the_real_uv_is_known(verb: str) -> None:
    known = options_of(tuple(verb.split()))
    told_by_uv = options_told_by_uv(verb)
    unknown = {word for word in told_by_uv if word not in known}
    assert not unknown, f"uv has new options for {verb!r}: add them to options.py"
    assert {word: known[word].takes_value for word in told_by_uv} == told_by_uv


@pytest.mark.parametrize("verb", GUARDED, ids=lambda verb: verb or "before the verb")
def test_the_help_of_the_real_uv_names_no_option_that_is_unknown(verb: str, tmp_path: Path) -> None:
    shown = re.findall(
        r"^ {2,8}(?:(-\w), )?(--[\w-]+)(?: (<|\[))?", told(*verb.split(), "--help", home=tmp_path).stdout, re.M
    )
    known = options_of(tuple(verb.split()))
    assert len(shown) > 10
    for short, name, value in shown:
        assert known[name] == Option(name=known[name].name, takes_value=bool(value))
        assert not short or known[short].name == known[name].name


def test_every_verb_of_the_real_uv_has_a_kind(tmp_path: Path) -> None:
    refused = set()
    for group in ("", "pip", "tool", "python", "cache", "self", "auth", "workspace"):
        commands = (
            told(*group.split(), "--help", home=tmp_path).stdout.partition("\nCommands:\n")[2].partition("\n\n")[0]
        )
        verbs = re.findall(r"^  ([a-z][\w-]*)", commands, re.M)
        assert verbs
        refused |= {f"{group} {verb}".strip() for verb in verbs if read(f"{group} {verb}").kind == "unknown"}
    assert refused <= {"check", "upgrade"}
