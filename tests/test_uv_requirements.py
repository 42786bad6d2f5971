"""What a command of uv asks for itself is what the real uv reads in its arguments and files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from installguard.frontends.uv.command import parse_command
from installguard.frontends.uv.direct import separated
from installguard.frontends.uv.requirement_files import LIMIT, statements, with_values
from installguard.frontends.uv.requirements import Inputs, read_inputs
from installguard.frontends.uv.rewriting import Rewritten, rewritten
from installguard.frontends.uv.toml_texts import read_toml
from installguard.model import DirectUrl, Distribution, LocalTree, VcsCheckout

from .packages import make_sdist, make_wheel, source_files, write_tree

ZEROS = "0" * 64
TREE = {"pyproject.toml": '[project]\nname = "treep"\nversion = "1"\ndependencies = ["aaa"]\n'}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with wheels to find (`links`), wheels to name (`here`, `sub/here`), and a source tree (`tree`)."""
    base = tmp_path_factory.mktemp("place")
    for name in ("aaa", "bbb", "ccc"):
        make_wheel(base / "links", name)
    make_wheel(base / "here", "eee")
    make_wheel(base / "sub" / "here", "fff")
    make_sdist(base / "here", "ggg", "1.0", source_files("ggg"))
    write_tree(base / "tree", TREE)
    (base / "sub" / "more.txt").write_text("bbb\n")
    return base


def asked(
    cwd: Path, *argv: str, program: str = "uv", environ: Mapping[str, str] | None = None, project: Path | None = None
) -> Inputs:
    """Return what a command line asks for."""
    command = parse_command("uvx" if program == "uvx" else "uv", argv)
    assert command.unknown is None, command.unknown
    assert command.mistake is None, command.mistake
    return read_inputs(command, cwd, environ or {}, project)


def told(inputs: Inputs) -> tuple[set[str], set[str]]:
    """Return the projects that are asked for by name, and those of them that are pinned."""
    return set(inputs.requested), set(inputs.pinned)


def only(inputs: Inputs) -> Distribution:
    """Return the one distribution that is named."""
    (found,) = inputs.distributions
    return found


def resolve(cwd: Path, *argv: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the real `uv pip compile`, which asks no index."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "XDG_"))}
    home = {"HOME": str(cwd / "home"), "UV_CACHE_DIR": str(cwd / "home" / "cache"), "UV_PYTHON_DOWNLOADS": "never"}
    options = ("--no-index", "--offline", "--quiet", "--no-header", "--no-annotate", "--no-config")
    python = ("--python", sys.executable)
    return subprocess.run(
        [find_uv_bin(), "pip", "compile", *options, *python, *argv],
        cwd=cwd,
        env={**kept, **home, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# ---------------------------------------------------------------- files as the real uv reads them

FILES = (
    "aaa",
    "aaa\rbbb",
    "\ufeffaaa",
    "aaa # bbb\nccc",
    "aaa # bbb \\\nccc",
    "# aaa \\\nccc",
    "\\\naaa",
    f"aaa==1.0 --hash=sha256:{ZEROS} bbb",
    f"aaa==1.0 \\\n  --hash=sha256:{ZEROS} \\\n  --hash sha256:{ZEROS}\nbbb",
    f"aaa==1.0 \\\n  --hash=sha256:{ZEROS} \\\n  # no more\nbbb",
    f"aaa==1.0 --hash=sha256:{ZEROS} \\\nbbb",
    "--no-index aaa",
    "--require-hashes bbb",
    "--pre aaa\nbbb",
    "--trusted-host aaa\nbbb",
    "-i https://index.example.org/simple aaa\nbbb",
    "-i=https://index.example.org/simple # aaa\nbbb",
    "--index-url https://index.example.org/simple\\\naaa",
    "-r more.txt",
    "-r=more.txt\\\naaa",
    '--requirement "more.txt" # x',
    "-r more.txt#x",
    "-r 'more'.txt#x",
    "-c more.txt#x\naaa",
    "-e ./tree#x",
    "-r more.txt\n-r more.txt",
    "-r file.txt\naaa",
    "./here/eee-1.0-py3-none-any.whl",
    "here/eee-1.0-py3-none-any.whl ; python_version > '3'",
    "eee@here/eee-1.0-py3-none-any.whl",
    "eee @ file:here/eee-1.0-py3-none-any.whl",
    "./${DIRECTORY}/eee-1.0-py3-none-any.whl",
    "eee @ ${PROJECT_ROOT}/here/eee-1.0-py3-none-any.whl",
    f"./here/eee-1.0-py3-none-any.whl --hash=sha256:{ZEROS}",
    "-e ./tree",
    "-e tree",
    "--editable=./tree # x",
    "./tree # x",
    "./tree#x",
    "tree/",
    "treep @ ./tree",
    "aaa (==1.0)",
    "aaa>=0.5,<2 ; python_version > '3'",
)


@pytest.mark.parametrize("text", FILES, ids=repr)
def test_what_uv_takes_from_a_file_is_what_is_read(place: Path, text: str) -> None:
    file = place / "sub" / "file.txt"
    file.write_bytes(text.encode())
    environ = {"DIRECTORY": "here"}
    ran = resolve(place, "--find-links", "links", "sub/file.txt", environ=environ)
    inputs = asked(place, "pip", "compile", "sub/file.txt", environ=environ)
    named = {each for each in inputs.requested if each not in ("eee", "treep")}
    direct = {name for name in ("eee", "tree") if any(name in str(each.origin) for each in inputs.distributions)}
    assert ran.returncode == 0, ran.stderr
    assert {name for name in ("eee", "tree") if name in ran.stdout} == direct
    assert set(re.findall(r"^([a-z]+)==", ran.stdout, re.MULTILINE)) == named | ({"aaa"} if "tree" in direct else set())
    assert inputs.problems == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_how_a_file_is_encoded(place: Path, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "file.txt").write_bytes("aaa\n".encode(encoding))
    assert resolve(tmp_path, "--find-links", str(place / "links"), "file.txt").stdout == "aaa==1.0\n"
    assert asked(tmp_path, "pip", "compile", "file.txt").requested == {"aaa"}


@given(st.text(alphabet="ab=-rfic#\\\n\r \t\"'@./[];,hs:\u00a0\f", max_size=60))
def test_any_text_falls_into_statements_in_order(text: str) -> None:
    found = list(statements(text))
    places = [place for each in found for place in (each.start, each.end)]
    assert places == sorted(places)
    assert all(each.value in text[each.start : each.end] for each in found if each.kind == "requirement")
    assert with_values(text, []) == text


def test_only_the_values_that_change_are_written_anew() -> None:
    text = "# a\r\n-i  https://a.example.org/ # b\naaa \\\n --hash=sha256:00\n-f 'my files'\n"
    found = [each for each in statements(text) if each.kind in ("index", "find-links")]
    assert [each.line for each in found] == [2, 5]
    assert with_values(text, [(found[0], "X"), (found[1], "Y")]) == text.replace("https://a.example.org/", "X").replace(
        "'my files'", "Y"
    )


# ---------------------------------------------------------------- what is asked for by name

NAMES: tuple[tuple[Sequence[str], set[str], set[str]], ...] = (
    (("uv", "pip", "install", "Flask", "a.b==1.0"), {"flask", "a-b"}, {"a-b"}),
    (("uv", "pip", "install", "a==1.*", "b===1", "c>=1,==2", "d~=1", "e!=1"), {"a", "b", "c", "d", "e"}, {"b", "c"}),
    (("uv", "pip", "install", "a[x,y]==1 ; python_version < '3'"), {"a"}, {"a"}),
    (("uv", "add", "a", "b==2"), {"a", "b"}, {"b"}),
    (("uv", "remove", "a"), set(), set()),
    (("uvx", "a@1.0"), {"a"}, {"a"}),
    (("uvx", "a[x]@latest", "b"), {"a"}, set()),
    (("uvx", "--from", "a@2", "b", "c"), {"a"}, {"a"}),
    (("uvx", "--with", "b>=1,<2,c[x,y]==3", "a"), {"a", "b", "c"}, {"c"}),
    (("uv", "tool", "install", "a==1", "--with", "b"), {"a", "b"}, {"a"}),
    (("uv", "run", "--with", "a,b==1", "python", "c==1"), {"a", "b"}, {"b"}),
)


@pytest.mark.parametrize(("words", "requested", "pinned"), NAMES, ids=[" ".join(words) for words, _, _ in NAMES])
def test_names_and_pins_in_arguments(
    tmp_path: Path, words: Sequence[str], requested: set[str], pinned: set[str]
) -> None:
    inputs = asked(tmp_path, *words[1:], program=words[0])
    assert told(inputs) == (requested, pinned)
    assert inputs.distributions == ()


def test_a_comma_separates_requirements_unless_it_belongs_to_one() -> None:
    assert list(separated("a >=0.5 , <2, b,./t[x,y],c (>=1,<2), d")) == [
        "a >=0.5 , <2",
        "b",
        "./t[x,y]",
        "c (>=1,<2)",
        "d",
    ]


def test_constraints_pin_and_ask_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text(f"a==1.0 --hash=sha256:{ZEROS}\nb>=1\nc @ https://host.example.org/c-1.tar.gz\n")
    inputs = asked(tmp_path, "pip", "install", "z", "-c", "c.txt")
    assert told(inputs) == ({"z"}, {"a"})
    assert inputs.hashed == {("a", "1")}
    assert only(inputs).builds


def test_constraints_of_the_environment_hold_where_the_command_line_has_none(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("a==1\n")
    (tmp_path / "d.txt").write_text("d==1\n")
    environ = {"UV_CONSTRAINT": "c.txt d.txt", "UV_BUILD_CONSTRAINT": "c.txt"}
    assert asked(tmp_path, "pip", "install", "z", environ=environ).pinned == {"a", "d"}
    assert asked(tmp_path, "pip", "install", "z", "-c", "d.txt", environ={"UV_CONSTRAINT": "c.txt"}).pinned == {"d"}
    assert asked(tmp_path, "sync", environ=environ).pinned == set()


# ---------------------------------------------------------------- what is named by URL, path or checkout


def test_a_wheel_on_this_machine_is_told_by_its_name_and_its_bytes(place: Path) -> None:
    found = only(asked(place, "pip", "install", "here/eee-1.0-py3-none-any.whl"))
    path = place / "here" / "eee-1.0-py3-none-any.whl"
    assert str(found.release) == "eee 1.0"
    assert found.origin == DirectUrl(
        url=path.as_uri(), filename=path.name, kind="wheel", hashes=(("sha256", sha256(path.read_bytes()).hexdigest()),)
    )
    assert (found.requested, found.builds, found.role) == (True, False, "install")


def test_an_sdist_on_this_machine_builds(place: Path) -> None:
    found = only(asked(place, "tool", "install", "./here/ggg-1.0.tar.gz"))
    assert (str(found.release), found.builds) == ("ggg 1.0", True)


TREES = (
    (("uv", "pip", "install", "./tree"), False),
    (("uv", "pip", "install", "treep @ tree/"), False),
    (("uv", "pip", "install", "-e", "tree[x]"), True),
    (("uv", "add", "--editable", "./tree"), True),
    (("uvx", "--from", "./tree", "x"), False),
    (("uvx", "--with-editable", "tree,./tree", "x"), True),
    (("uv", "pip", "install", "-r", "tree/setup.py"), False),
)


@pytest.mark.parametrize(
    ("words", "editable"), TREES, ids=lambda value: " ".join(value) if value not in (True, False) else ""
)
def test_a_source_tree_builds_and_tells_its_release(place: Path, words: Sequence[str], editable: bool) -> None:
    (place / "tree" / "setup.py").touch()
    found = only(asked(place, *words[1:], program=words[0]))
    assert found.origin == LocalTree(path=str(place / "tree"), editable=editable)
    assert (str(found.release), found.builds, found.requested) == ("treep 1", True, True)


REMOTE = (
    ("git+https://user:word@host.example.org/a@main#egg=Foo", "foo", "git+https://host.example.org/a@main#egg=Foo"),
    ("foo[x] @ git+ssh://git@host.example.org/a ; os_name == 'nt'", "foo", "git+ssh://host.example.org/a"),
    ("foo @ https://user:word@host.example.org/x/foo-2.0.tar.gz", "foo", "https://host.example.org/x/foo-2.0.tar.gz"),
    ("https://host.example.org/foo-2.0-py3-none-any.whl", "foo", "https://host.example.org/foo-2.0-py3-none-any.whl"),
)


@pytest.mark.parametrize(("text", "name", "url"), REMOTE)
def test_urls_are_told_without_credentials(tmp_path: Path, text: str, name: str, url: str) -> None:
    (tmp_path / "r.txt").write_text(text)
    found = only(asked(tmp_path, "pip", "install", "-r", "r.txt"))
    assert isinstance(found.origin, (DirectUrl, VcsCheckout))
    assert (found.name, found.origin.url) == (name, url)


def test_a_requirement_whose_marker_is_false_here_counts_and_says_so(tmp_path: Path) -> None:
    found = only(asked(tmp_path, "pip", "install", "a @ git+https://host.example.org/a ; python_version < '3'"))
    assert found.scope == "only where python_version < '3'"


def test_what_a_source_tree_asks_for_by_url_is_told_with_it(tmp_path: Path) -> None:
    inner = '[project]\nname = "inner"\nversion = "1"\ndependencies = ["far @ https://host.example.org/far-1.tar.gz"]\n'
    sources = '[tool.uv.sources]\ninner = { path = "../inner" }\nidle = { path = "../idle" }\n'
    outer = (
        '[project]\nname = "outer"\nversion = "1"\ndependencies = ["inner"]\n'
        '[build-system]\nrequires = ["bld @ git+https://host.example.org/bld"]\n'
    )
    write_tree(tmp_path / "inner", {"pyproject.toml": inner})
    write_tree(tmp_path / "idle", {"pyproject.toml": inner})
    write_tree(tmp_path / "outer", {"pyproject.toml": outer + sources})
    inputs = asked(tmp_path, "pip", "install", "./outer")
    found = [(each.name, each.role, each.required_by, each.requested) for each in inputs.distributions]
    assert found == [
        ("outer", "install", (), True),
        ("bld", "build", ("outer",), False),
        ("inner", "install", ("outer",), False),
        ("far", "install", ("inner",), False),
    ]
    assert inputs.requested == set()


def test_what_a_wheel_on_this_machine_asks_for_by_url_is_told_with_it(tmp_path: Path) -> None:
    make_wheel(tmp_path, "near", requires=["far @ https://host.example.org/far-1-py3-none-any.whl", "other"])
    inputs = asked(tmp_path, "pip", "install", "./near-1.0-py3-none-any.whl")
    assert [(each.name, each.required_by) for each in inputs.distributions] == [("near", ()), ("far", ("near",))]


def test_trees_that_ask_for_each_other_are_read_once(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        text = f'[project]\nname = "{one}"\nversion = "1"\ndependencies = ["{other}"]\n'
        write_tree(
            tmp_path / one, {"pyproject.toml": f'{text}[tool.uv.sources]\n{other} = {{ path = "../{other}" }}\n'}
        )
    inputs = asked(tmp_path, "pip", "install", "./a")
    assert {each.name for each in inputs.distributions} == {"a", "b"}
    assert inputs.problems == ()


# ---------------------------------------------------------------- other kinds of files


def test_a_pyproject_file_asks_for_its_dependencies_and_the_extras_named(tmp_path: Path) -> None:
    text = (
        '[project]\nname = "p"\nversion = "1"\ndependencies = ["a==1"]\n'
        '[project.optional-dependencies]\nx = ["b"]\ny = ["c"]\n[dependency-groups]\ng = ["d"]\n'
    )
    (tmp_path / "pyproject.toml").write_text(text)
    assert asked(tmp_path, "pip", "install", "-r", "pyproject.toml").requested == {"a"}
    assert asked(tmp_path, "pip", "compile", "pyproject.toml", "--extra", "X").requested == {"a", "b"}
    assert asked(tmp_path, "pip", "compile", "pyproject.toml", "--all-extras").requested == {"a", "b", "c"}
    assert asked(tmp_path, "pip", "install", "--group", "g").requested == {"d"}


def test_a_pyproject_file_that_says_too_little_is_built(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\ndynamic = ["dependencies"]\n')
    assert only(asked(tmp_path, "pip", "install", "-r", "pyproject.toml")).origin == LocalTree(path=str(tmp_path))


SCRIPT = (
    '# /// script\n# dependencies = ["a==1", "b"]\n'
    '# [tool.uv.sources]\n# b = { git = "https://host.example.org/b" }\n# ///\n'
)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "s.py", "x"),
        ("lock", "--script", "s.py"),
        ("pip", "install", "-r", "s.py"),
        ("add", "--script", "s.py", "a"),
    ],
)
def test_inline_metadata_of_a_script_is_read(tmp_path: Path, words: Sequence[str]) -> None:
    (tmp_path / "s.py").write_text(SCRIPT)
    inputs = asked(tmp_path, *words)
    assert told(inputs) == ({"a", "b"}, {"a"})
    assert only(inputs).origin == VcsCheckout(url="git+https://host.example.org/b")


def test_the_entries_of_a_lock_given_as_requirements_are_told(tmp_path: Path) -> None:
    text = (
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "a"\nversion = "1.0"\n'
        'wheels = [{ url = "https://host.example.org/a-1.0-py3-none-any.whl", hashes = { sha256 = "'
        f'{ZEROS}" }} }}]\n'
    )
    (tmp_path / "pylock.toml").write_text(text)
    found = only(asked(tmp_path, "pip", "sync", "pylock.toml"))
    assert (str(found.release), found.hashed) == ("a 1.0", True)
    (tmp_path / "pylock.toml").write_text(text.replace('"a"', "1"))
    assert "pylock.toml" in asked(tmp_path, "pip", "sync", "pylock.toml").problems[0]


PROJECT = """
[project]
name = "app"
version = "1"
dependencies = ["a==1.0", "gg", "pp", "member", "uu"]
[project.optional-dependencies]
o = ["oo @ https://host.example.org/oo-1.0-py3-none-any.whl"]
[dependency-groups]
dev = ["b", { include-group = "x" }]
[build-system]
requires = ["bld @ git+https://host.example.org/bld"]
[tool.uv]
constraint-dependencies = ["c==3"]
override-dependencies = ["over @ git+https://host.example.org/over"]
[tool.uv.sources]
gg = { git = "https://user:word@host.example.org/gg", tag = "v1" }
pp = { path = "../tree", editable = true }
uu = [{ url = "https://host.example.org/uu-1.tar.gz", marker = "os_name == 'nt'" }, { index = "i" }]
member = { workspace = true }
idle = { path = "../tree" }
[tool.uv.workspace]
members = ["members/*"]
"""
MEMBER = '[project]\nname = "member"\nversion = "1"\ndependencies = ["gg", "hh @ git+https://host.example.org/hh"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A workspace with one member."""
    write_tree(tmp_path / "tree", TREE)
    return write_tree(tmp_path / "app", {"pyproject.toml": PROJECT, "members/one/pyproject.toml": MEMBER})


@pytest.mark.parametrize("words", [("sync",), ("lock",), ("run", "python"), ("remove", "b"), ("export",)])
def test_a_command_on_a_project_asks_for_what_the_workspace_does(project: Path, words: Sequence[str]) -> None:
    inputs = asked(project, *words, project=project)
    origins = {each.name: each.origin for each in inputs.distributions}
    assert origins == {
        "gg": VcsCheckout(url="git+https://host.example.org/gg@v1"),
        "treep": LocalTree(path=str(project.parent / "tree"), editable=True),
        "uu": DirectUrl(url="https://host.example.org/uu-1.tar.gz", filename="uu-1.tar.gz", kind="sdist"),
        "oo": DirectUrl(
            url="https://host.example.org/oo-1.0-py3-none-any.whl", filename="oo-1.0-py3-none-any.whl", kind="wheel"
        ),
        "bld": VcsCheckout(url="git+https://host.example.org/bld"),
        "over": VcsCheckout(url="git+https://host.example.org/over"),
        "hh": VcsCheckout(url="git+https://host.example.org/hh"),
    }
    assert inputs.requested == {"a", "gg", "pp", "member", "uu", "oo", "b", "hh"}
    assert inputs.pinned == {"a", "c"}


def test_what_is_added_is_relative_to_where_the_user_is(project: Path) -> None:
    inputs = asked(project / "members", "add", "../../tree", "new", project=project)
    assert LocalTree(path=str(project.parent / "tree")) in [each.origin for each in inputs.distributions]
    assert "new" in inputs.requested


def test_other_commands_take_from_a_project_what_uv_lets_constrain_them(project: Path) -> None:
    path = project / "pyproject.toml"
    table = read_toml(path.read_bytes())["tool"]["uv"]
    inputs = read_inputs(parse_command("uv", ["pip", "install", "x"]), project, {}, None, [(path, table)])
    assert told(inputs) == ({"x"}, {"c"})
    assert [each.name for each in inputs.distributions] == ["over"]


def test_a_build_asks_for_what_its_project_is_built_with(project: Path) -> None:
    assert [(each.name, each.role) for each in asked(project, "build").distributions] == [("bld", "build")]


# ---------------------------------------------------------------- what cannot be read

PROBLEMS: tuple[tuple[Sequence[str], str], ...] = (
    (
        ("pip", "install", "-r", "https://user:word@host.example.org/r.txt"),
        "https://host.example.org/r.txt: requirements by URL",
    ),
    (("pip", "compile", "-"), "the standard input"),
    (("pip", "install", "-r", "nested.txt"), "the standard input"),
    (("run", "https://host.example.org/s.py"), "a script by URL"),
    (("run", "-"), "a script from the standard input"),
    (("pip", "install", "-r", "large.txt"), "is larger than 16 MiB"),
    (("pip", "install", "-c", "many.txt", "x"), "more than 500 files"),
)


@pytest.mark.parametrize(("words", "expected"), PROBLEMS, ids=lambda value: value if isinstance(value, str) else "")
def test_what_cannot_be_judged_first_is_a_problem_in_one_line(
    tmp_path: Path, words: Sequence[str], expected: str
) -> None:
    (tmp_path / "nested.txt").write_text("-r /dev/stdin\n")
    (tmp_path / "large.txt").write_bytes(b"#" * (LIMIT + 1))
    (tmp_path / "many.txt").write_text("".join(f"-r {number}.txt\n" for number in range(600)))
    (problem,) = asked(tmp_path, *words).problems
    assert expected in problem
    assert "word" not in problem
    assert "\n" not in problem


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.parametrize("words", [("pip", "install", "-r", "pipe"), ("pip", "sync", "pipe.toml"), ("run", "pipe.py")])
def test_a_pipe_is_not_read_and_is_a_problem(tmp_path: Path, words: Sequence[str]) -> None:
    os.mkfifo(tmp_path / words[-1])
    assert "can be read only once" in asked(tmp_path, *words).problems[0]


BROKEN = (
    b"\xff\xfe\xff",
    b"\x80\x00",
    b"-r",
    b"-e",
    b"-i",
    b"--hash",
    b"@",
    b"a @",
    b"[",
    b"\\",
    b"-r \0",
    b"file:",
    b"./\0",
    b"a @ file:\0",
)


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.parametrize("name", ["r.txt", "pyproject.toml", "s.py"])
def test_what_uv_refuses_is_left_to_uv(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    inputs = asked(
        tmp_path, "pip", "install", "-r", name, "-r", "missing.txt", "-r", str(tmp_path), "-c", "missing.txt"
    )
    assert inputs.problems == ()
    assert not inputs.index_lines


def test_files_that_lead_to_each_other_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-r b.txt\na\n")
    (tmp_path / "b.txt").write_text("-r a.txt\n-c a.txt\nb\n")
    inputs = asked(tmp_path, "pip", "install", "-r", "a.txt")
    assert inputs.requested == {"a", "b"}
    assert inputs.problems == ()


# ---------------------------------------------------------------- indexes in files


def test_index_lines_are_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "sub" / "links").mkdir(parents=True)
    (tmp_path / "r.txt").write_text("a\n-r sub/s.txt\n--extra-index-url https://${HOST}/simple\n")
    (tmp_path / "sub" / "s.txt").write_text("-i https://host.example.org/simple\n\n-f links\n")
    lines = asked(tmp_path, "pip", "install", "-r", "r.txt", environ={"HOST": "other.example.org"}).index_lines
    assert {(each.url, each.kind, each.default, each.file.name, each.line) for each in lines} == {
        ("https://other.example.org/simple", "simple", False, "r.txt", 3),
        ("https://host.example.org/simple", "simple", True, "s.txt", 1),
        (str(tmp_path / "sub" / "links"), "flat", False, "s.txt", 3),
    }


def copied(cwd: Path, directory: Path, environ: Mapping[str, str], links: Path, *argv: str) -> Rewritten:
    """Return the command with *links* in place of everything that its files name."""
    command = parse_command("uv", argv)
    inputs = read_inputs(command, cwd, environ, None)
    return rewritten(command, inputs, environ, lambda _: str(links), directory)


def test_copies_name_other_indexes_and_mean_the_same_otherwise(place: Path, tmp_path: Path) -> None:
    wheels = place / "here" / "eee-1.0-py3-none-any.whl"
    (place / "top.txt").write_text(f"-r sub/inner.txt\n./here/{wheels.name}\n")
    (place / "sub" / "inner.txt").write_text("--find-links here # bbb is not there\n-r more.txt\n-c plain.txt\naaa\n")
    (place / "sub" / "plain.txt").write_text("aaa==1.0\n")
    assert resolve(place, "top.txt").returncode != 0
    made = copied(place, tmp_path, {}, place / "links", "pip", "compile", "top.txt")
    ran = resolve(place, *made.command.argv[2:])
    assert sorted(ran.stdout.split()) == ["./here/eee-1.0-py3-none-any.whl", "aaa==1.0", "bbb==1.0"]
    assert set(made.copies.values()) == {"top.txt", str(place / "sub" / "inner.txt")}
    assert {Path(each).name for each in made.copies} == {"top.txt", "inner.txt"}
    assert "sub/plain.txt" in (tmp_path / "1" / "inner.txt").read_text() + (tmp_path / "0" / "top.txt").read_text()


def test_a_copy_can_name_files_whose_path_would_be_cut(tmp_path: Path) -> None:
    odd = tmp_path / "a #b"
    make_wheel(odd / "links", "aaa")
    (odd / "top.txt").write_text("-r inner.txt\n-c c.txt\n")
    (odd / "inner.txt").write_text("-f elsewhere\naaa\n")
    (odd / "elsewhere").mkdir()
    (odd / "c.txt").write_text("aaa==1.0\n")
    made = copied(odd, tmp_path / "c #d", {}, odd / "links", "pip", "compile", "top.txt")
    ran = resolve(odd, *made.command.argv[2:])
    assert (ran.stdout, ran.stderr) == ("aaa==1.0\n", "")


def test_every_way_of_naming_a_file_names_its_copy(place: Path, tmp_path: Path) -> None:
    (place / "f.txt").write_text("-f https://host.example.org/\naaa\n")
    (place / "g.txt").write_text("aaa\n")
    made = copied(
        place,
        tmp_path,
        {"UV_OVERRIDE": "g.txt f.txt"},
        place,
        "pip",
        "install",
        "-rf.txt",
        "--requirements=g.txt",
        "-c",
        "f.txt",
        "f.txt",
    )
    copy = str(tmp_path / "0" / "f.txt")
    assert made.command.argv == ("pip", "install", f"-r{copy}", "--requirements=g.txt", "-c", copy, "f.txt")
    assert made.environ == {"UV_OVERRIDE": f"g.txt {copy}"}
    other = copied(place, tmp_path / "x", {}, place, "tool", "run", "--with-requirements", "g.txt,f.txt", "x", "f.txt")
    assert other.command.argv[2:] == ("--with-requirements", f"g.txt,{tmp_path / 'x' / '0' / 'f.txt'}", "x", "f.txt")


def test_without_index_lines_nothing_is_copied(place: Path, tmp_path: Path) -> None:
    (place / "f.txt").write_text("aaa\n-r g.txt\n")
    made = copied(place, tmp_path, {"UV_CONSTRAINT": "f.txt"}, place, "pip", "install", "-r", "f.txt")
    assert (made.command.argv, made.environ, made.copies) == (("pip", "install", "-r", "f.txt"), {}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_is_read_in_bounded_time(tmp_path: Path) -> None:
    hashes = "".join(f" \\\n    --hash=sha256:{number:064x}" for number in range(4))
    (tmp_path / "r.txt").write_text("".join(f"p{number}=={number}{hashes}\n" for number in range(5000)))
    inputs = asked(tmp_path, "pip", "install", "-r", "r.txt")
    assert len(inputs.hashed) == len(inputs.pinned) == 5000
    assert canonicalize_name("p4999") in inputs.requested


def test_development_dependencies_are_asked_for_by_commands_on_the_project_only(tmp_path: Path) -> None:
    urls = [f"{name} @ https://host.example.org/{name}-1.0.tar.gz" for name in ("aaa", "bbb")]
    table = {"dev-dependencies": urls[:1], "constraint-dependencies": urls[1:]}
    path = tmp_path / "pyproject.toml"
    path.write_text(f'[project]\nname = "p"\nversion = "1"\n[tool.uv]\ndev-dependencies = ["{urls[0]}"]\n')

    def named(*argv: str, project: Path | None) -> list[str]:
        found = read_inputs(parse_command("uv", argv), tmp_path, {}, project, [(path, table)])
        return [each.name or "" for each in found.distributions]

    assert named("pip", "install", "ccc", project=None) == ["bbb"]
    assert named("sync", project=tmp_path) == ["aaa", "bbb"]
