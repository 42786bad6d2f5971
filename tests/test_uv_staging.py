"""What uv writes into a staged copy of a project is what it would have written into the project."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from installguard.errors import UnjudgedError
from installguard.frontends.uv.staging import Leading, Staging, stage_script
from installguard.frontends.uv.staging import stage as stage_workspace

from .packages import BACKEND
from .uv_world import World, contents, open_world, write

HEAD = '[project]\nname = "{name}"\nversion = "0.1"\nrequires-python = ">=3.10"\ndependencies = [{requires}]\n'


def head(name: str, *requires: str) -> str:
    """Return the `[project]` table of a project."""
    return HEAD.format(name=name, requires=", ".join(f'"{each}"' for each in requires))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@dataclass(frozen=True)
class Case:
    """A project, and a command of uv in it."""

    files: Mapping[str, str | bytes]
    argv: str
    first: str = ""
    """A command that is run before, without guard."""
    cwd: str = "project"
    configured: bool = True
    """Whether the project names an index as its default: else uv's own stands for it."""
    variables: Mapping[str, str] = field(default_factory=dict)


DEFAULT = '\n[[tool.uv.index]]\nurl = "{R}"\ndefault = true\n'
SPECIAL = (
    '\n[[tool.uv.index]]\nname = "xx"\nurl = "{X/}"\nexplicit = true\n\n[tool.uv.sources]\nspecial = { index = "xx" }\n'
)
INLINE = (
    '\n[tool.uv]\nindex = [\n  # ours\n  { name = "xx", url = "{X}", explicit = true },\n'
    "  { url = '{R}', default = true }, # last\n]\n"
)
NEWER = '\n[tool.uv]\nindex = [\n  {\n    url = "{R}", # a new one\n    default = true,\n  },\n]\n'
TABLE = '\n[tool]\nuv = { index = [{ url = "{R}", default = true }] }\n'
DYNAMIC = """[project]
name = "project"
requires-python = ">=3.10"
dynamic = ["version", "dependencies"]
[build-system]
requires = []
build-backend = "tiny_backend"
backend-path = ["."]
"""
TINY = BACKEND.format(payload="", name="project", version="1.0", requires=["nice<2"], dynamic=[], files={})


def project(text: str, **more: str) -> dict[str, str | bytes]:
    """Return the files of a project."""
    return {"project/pyproject.toml": text, "project/data.txt": "data", **{f"project/{k}": v for k, v in more.items()}}


WORKSPACE: dict[str, str | bytes] = {
    "project/pyproject.toml": head("project", "one")
    + '\n[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/not"]\n'
    + "\n[tool.uv.sources]\none = { workspace = true }\n"
    + DEFAULT,
    "project/packages/one/pyproject.toml": head("one", "two") + "\n[tool.uv.sources]\ntwo = { workspace = true }\n",
    "project/packages/two/pyproject.toml": head("two", "nice<2"),
    "project/packages/two/notes.txt": "notes",
    "project/packages/not/pyproject.toml": head("not", "no-such-project"),
}
PATHS: dict[str, str | bytes] = {
    "project/pyproject.toml": head("project", "sibling", "inner")
    + '\n[tool.uv.sources]\nsibling = { path = "../sibling", editable = true }\ninner = { path = "libs/inner" }\n'
    + DEFAULT,
    "project/libs/inner/pyproject.toml": head("inner", "special") + SPECIAL,
    "sibling/pyproject.toml": head("sibling", "nice"),
}
OWN_INDEX = {**PATHS, "sibling/pyproject.toml": head("sibling", "special") + SPECIAL}
GROUPS = (
    head("project", "nice")
    + '\n[project.optional-dependencies]\na = ["needed"]\n'
    + '\n[dependency-groups]\ndev = ["source"]\nlint = [{ include-group = "dev" }]\n'
)
PLAIN = head("project", "nice<2")

CASES = {
    "first lock": Case(project(PLAIN + DEFAULT), "lock"),
    "lock that is there": Case(project(PLAIN + DEFAULT), "lock", first="lock"),
    "upgrade": Case(project(head("project", "nice") + DEFAULT), "lock --upgrade", first="lock -P nice<2"),
    "changed requirement": Case(project(PLAIN + DEFAULT), "add --no-sync nice>=2", first="lock"),
    "sync": Case(project(PLAIN + DEFAULT), "lock --dry-run"),
    "add": Case(project(PLAIN + DEFAULT), "add --no-sync source"),
    "add to a group": Case(project(PLAIN + DEFAULT), "add --no-sync --dev source", first="lock"),
    "add to an extra": Case(project(PLAIN + DEFAULT), "add --no-sync --optional more needed>=1 --bounds exact"),
    "add from another index": Case(
        project(head("project", "source") + DEFAULT), "add --no-sync special --index xx={ours X}"
    ),
    "add with another default": Case(
        project(head("project")), "add --no-sync special --default-index {ours X}", configured=False
    ),
    "add what lies beside": Case({**PATHS, **project(PLAIN + DEFAULT)}, "add --no-sync ../sibling"),
    "add what lies within": Case({**OWN_INDEX, **project(PLAIN + DEFAULT)}, "add --no-sync --editable libs/inner"),
    "add from a file": Case(project(PLAIN + DEFAULT, **{"more.txt": "source\n"}), "add --no-sync -r more.txt"),
    "remove": Case(project(head("project", "nice", "source") + DEFAULT), "remove --no-sync source", first="lock"),
    "version": Case(project(PLAIN + DEFAULT), "version --bump minor --no-sync", first="lock"),
    "groups and extras": Case(project(GROUPS + DEFAULT), "lock"),
    "explicit index": Case(project(head("project", "nice", "special") + SPECIAL + DEFAULT), "lock"),
    "inline array": Case(project(PLAIN + INLINE), "lock"),
    "inline array, add": Case(project(PLAIN + INLINE), "add --no-sync source"),
    "inline table over lines": Case(project(PLAIN + NEWER), "add --no-sync source"),
    "inline tool.uv": Case(project(PLAIN + TABLE), "lock"),
    "settings file": Case(
        {**project(PLAIN), "project/uv.toml": '# mine\nindex-url = "{R}"\n'}, "add --no-sync source", first="lock"
    ),
    "no newline at the end": Case(project((PLAIN + DEFAULT).rstrip("\n")), "add --no-sync source"),
    "carriage returns": Case(project((PLAIN + DEFAULT).replace("\n", "\r\n")), "add --no-sync source"),
    "byte order mark": Case(project("\ufeff" + PLAIN + DEFAULT), "add --no-sync source", first="lock"),
    "comments": Case(project(PLAIN + "\n# not this: '{R}'\n" + DEFAULT.replace("[[", "[[ ")), "add --no-sync source"),
    "workspace": Case(WORKSPACE, "lock"),
    "workspace, add to a member": Case(WORKSPACE, "add --no-sync --package two source", first="lock"),
    "workspace, from a member": Case(WORKSPACE, "add --no-sync source", cwd="project/packages/one"),
    "paths": Case(PATHS, "lock"),
    "paths to what has an index": Case(OWN_INDEX, "lock"),
    "from a directory below": Case(
        project(PLAIN + DEFAULT, **{"src/a/b.py": ""}), "add --no-sync source", cwd="project/src/a"
    ),
    "dynamic": Case(project(DYNAMIC + DEFAULT, **{"tiny_backend.py": TINY}), "lock"),
    "no index": Case(project(PLAIN), "lock", configured=False),
    "no index, lock that is there": Case(project(PLAIN), "lock --check", first="lock", configured=False),
    "no index, add": Case(project(PLAIN), "add --no-sync source", configured=False),
    "no index, add what gets a source": Case(
        {**PATHS, **project(PLAIN + "\n[tool.uv]\nmanaged = true\n\n[tool.ruff]\nline-length = 99\n")},
        "add --no-sync --editable ../sibling",
        configured=False,
    ),
    "no index, explicit one": Case(
        project(head("project", "special") + SPECIAL), "add --no-sync nice", configured=False
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_staged_uv_writes_what_uv_writes(world: World, tmp_path: Path, case: Case) -> None:
    bare, guarded = tmp_path / "bare", tmp_path / "guarded"
    system = {"XDG_CONFIG_DIRS": str(tmp_path)} if case.configured else {}  # else uv's default is one of the system
    write(bare, {name: filled(world, content) for name, content in case.files.items()})
    if case.first:
        done = world.uv(bare / "project", *case.first.split(), **system)
        assert done.code == 0, done.text
    shutil.copytree(bare, guarded)
    before = contents(guarded)
    theirs = world.uv(bare / case.cwd, *said(world, case.argv, ours=False), **system)
    with staged(world, guarded, case) as staging:
        environ = {**system, **staging.environ}
        ours = world.uv(staging.path_of(guarded / case.cwd), *said(world, case.argv, ours=True), **environ)
        assert contents_apart(guarded, staging) == before
        staging.apply(staging.results())
    assert (ours.code, untimed(ours.err)) == (theirs.code, untimed(theirs.err)), ours.text + theirs.text
    assert theirs.code == 0
    assert contents(guarded) == contents(bare)


def untimed(text: str) -> str:
    """Return a message of uv without how long it took."""
    return re.sub(r"in [0-9.]+m?s", "in no time", text)


def filled(world: World, content: str | bytes) -> str | bytes:
    return world.text(content) if isinstance(content, str) else content


def said(world: World, argv: str, *, ours: bool) -> list[str]:
    """Return the arguments, with guard's indexes where guard would write them."""
    for name in ("R", "X"):
        theirs = world.text(f"{{{name}}}")
        argv = argv.replace(f"{{ours {name}}}", world.ours[theirs] if ours else theirs)
    return argv.split()


def stage(root: Path, **told: Any) -> Staging:
    """Stage a workspace; what leads uv stands beside the rest."""
    leading = Leading(**{name: told.pop(name) for name in dict(told) if name in Leading.__annotations__})
    return stage_workspace(root, (), leading, **told)


def staged(world: World, directory: Path, case: Case) -> Staging:
    """Stage the project of a case."""
    default = world.ours[world.text("{R}")]
    return stage(
        directory / "project",
        replace=world.ours,
        within=[directory / case.cwd],
        asked=[directory / "project" / word for word in case.argv.split() if "/" in word and "://" not in word],
        writes_pyproject=case.argv.split()[0] in ("add", "remove", "version"),
        default_index=None if case.configured or "--default-index" in case.argv else default,
    )


def contents_apart(directory: Path, staging: Staging) -> dict[str, bytes]:
    """Return every file of a directory, those of the staging left out."""
    return {path: data for path, data in contents(directory).items() if staging.place.directory.name not in path}


# ---------------------------------------------------------------- locks of registries that nothing configures


def test_a_lock_of_registries_that_nothing_configures_stays_as_it_is(world: World, tmp_path: Path) -> None:
    root = write(tmp_path / "project", {"pyproject.toml": head("project", "special")})
    assert world.uv(root, "lock", "--default-index", "{X}").code == 0
    before = contents(root)
    unconfigured = {"XDG_CONFIG_DIRS": str(tmp_path)}
    assert world.uv(root, "lock", "--check", "--offline", **unconfigured).code == 0
    default, registry = world.ours[world.text("{R}")], world.ours[world.text("{X}")]
    with stage(root, replace=world.ours, default_index=default, registries=(registry,)) as staging:
        done = world.uv(staging.root, "lock", "--check", "--offline", **staging.environ)
        assert done.code == 0, done.text
        assert staging.results() == ()
    with stage(root, replace=world.ours, default_index=default) as staging:
        assert world.uv(staging.root, "lock", "--check", "--offline", **staging.environ).code != 0
    assert contents(root) == before


def test_what_the_system_configures_holds_beside_the_indexes_that_are_added(world: World, tmp_path: Path) -> None:
    root = write(tmp_path / "project", {"pyproject.toml": head("project", "nice")})
    ours = world.ours[world.text("{R}")]
    for system in (
        'resolution = "lowest"',
        'resolution = "lowest"\nindex = [ ]',
        "index = [\n] # none\n[pip]\nno-deps = true",
    ):
        with stage(root, replace=world.ours, default_index=ours, system=system) as staging:
            done = world.uv(staging.root, "lock", **staging.environ)
            assert done.code == 0, done.text
            (change,) = staging.results()
        assert (b'name = "nice"\nversion = "1.0"' in change.after) == ("lowest" in system)


def test_a_lock_by_an_index_that_uv_asked_itself_is_no_result(world: World, tmp_path: Path) -> None:
    root = write(tmp_path / "project", {"pyproject.toml": head("project", "nice")})
    ours = world.ours[world.text("{R}")]
    with stage(root, replace=world.ours, default_index=ours) as staging:
        done = world.uv(staging.root, "lock", **{"UV_NO_SYSTEM_CONFIG": "1", **staging.environ})
        assert done.code == 0, done.text
        assert ours in (staging.root / "uv.lock").read_text()
        done = world.uv(staging.root, "lock", "--default-index", "{R}", **staging.environ)
        assert done.code == 0, done.text
        with pytest.raises(UnjudgedError, match="asked itself"):
            staging.results()


def test_the_whole_configuration_can_be_given_as_one_text(world: World, tmp_path: Path) -> None:
    root = write(tmp_path / "project", {"pyproject.toml": head("project", "nice")})
    ours = world.ours[world.text("{R}")]
    with stage(root, replace=world.ours, default_index=ours, merged='resolution = "lowest"\n') as staging:
        done = world.uv(staging.root, "lock", UV_NO_CONFIG="1", **staging.environ)
        assert done.code == 0, done.text
        (change,) = staging.results()
    assert b'name = "nice"\nversion = "1.0"' in change.after
    assert world.main.url.encode()[:-1] in change.after


def test_configuration_above_the_project_is_given_as_text(world: World, tmp_path: Path) -> None:
    configured = world.text('index-url = "{R}"\n')
    root = write(tmp_path, {"uv.toml": configured, "project/pyproject.toml": head("project", "nice")}) / "project"
    settings = configured.replace(world.text("{R}"), world.ours[world.text("{R}")])
    with stage(root, replace=world.ours, settings=settings) as staging:
        done = world.uv(staging.root, "lock", XDG_CONFIG_DIRS=str(tmp_path))
        assert done.code == 0, done.text
        assert f'registry = "{world.ours[world.text("{R}")]}"' in (staging.root / "uv.lock").read_text()
        staging.apply()
    assert world.text('registry = "{R}"') in (root / "uv.lock").read_text()


# ---------------------------------------------------------------- scripts

SCRIPT = '# /// script\n# requires-python = ">=3.10"\n# dependencies = ["nice<2"]\n{more}# ///\nprint("{R}")\n'
SCRIPT_INDEX = '# [[tool.uv.index]]\n# url = "{R}"\n# default = true\n'
SCRIPT_PATH = (
    '# [tool.uv.sources]\n# needed = { path = "../sibling" }\n# [[tool.uv.index]]\n# url = "{R}"\n# default = true\n'
)
SCRIPTS = {
    "lock": ({"it/x.py": SCRIPT.replace("{more}", SCRIPT_INDEX)}, "", "lock --script {script}"),
    "lock that is there": ({"it/x.py": SCRIPT.replace("{more}", SCRIPT_INDEX)}, "lock", "lock --script {script}"),
    "no index": ({"it/x.py": SCRIPT.replace("{more}", "")}, "", "lock --script {script}"),
    "add": ({"it/x.py": SCRIPT.replace("{more}", SCRIPT_INDEX)}, "lock", "add --script {script} source"),
    "add, no index": ({"it/x.py": SCRIPT.replace("{more}", "")}, "", "add --script {script} source"),
    "remove": ({"it/x.py": SCRIPT.replace("{more}", SCRIPT_INDEX)}, "lock", "remove --script {script} nice"),
    "carriage returns": (
        {"it/x.py": SCRIPT.replace("{more}", SCRIPT_INDEX).replace("\n", "\r\n")},
        "",
        "add --script {script} source",
    ),
    "paths": (
        {
            "it/x.py": SCRIPT.replace("nice<2", "needed").replace("{more}", SCRIPT_PATH),
            "sibling/pyproject.toml": head("needed", "source"),
        },
        "",
        "lock --script {script}",
    ),
}


@pytest.mark.parametrize(("files", "first", "argv"), SCRIPTS.values(), ids=SCRIPTS.keys())
def test_staged_uv_writes_of_a_script_what_uv_writes(
    world: World, tmp_path: Path, files: Mapping[str, str], first: str, argv: str
) -> None:
    bare, guarded = tmp_path / "bare", tmp_path / "guarded"
    write(bare, {name: world.text(content) for name, content in files.items()})
    if first:
        done = world.uv(bare, *first.split(), "--script", "it/x.py")
        assert done.code == 0, done.text
    shutil.copytree(bare, guarded)
    before = contents(guarded)
    theirs = world.uv(bare, *argv.replace("{script}", str(bare / "it/x.py")).split())
    default = None if "tool.uv.index" in files["it/x.py"] else world.ours[world.text("{R}")]
    with stage_script(guarded / "it/x.py", Leading(replace=world.ours, default_index=default)) as staging:
        ours = world.uv(guarded, *argv.replace("{script}", str(staging.root)).split(), **staging.environ)
        assert contents_apart(guarded, staging) == before
        staging.apply()
    assert (ours.code, theirs.code) == (0, 0), ours.text + theirs.text
    assert contents(guarded) == contents(bare)


# ---------------------------------------------------------------- what is refused

G, H = "http://127.0.0.1:20999/secret/aaaa/simple", "http://127.0.0.1:20999/secret/bbbb/simple"
R, X = "https://index.example.org/simple", "https://other.example.org/simple"


def index(url: str) -> str:
    return f'[[tool.uv.index]]\nurl = "{url}"\n'


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "an index": ({"pyproject.toml": index(X)}, X),
    "an index in an inline table over lines": (
        {"pyproject.toml": f'[tool.uv]\nindex = [{{\n url = "{X}", # x\n }},]\n'},
        X,
    ),
    "an index behind a byte order mark": ({"pyproject.toml": "\ufeff" + index(X)}, X),
    "an index behind escapes": ({"pyproject.toml": index("https:\\u002f/other.example.org/simple")}, X),
    "an index with another slash": ({"pyproject.toml": index(R + "/")}, R + "/"),
    "a further index": ({"pyproject.toml": f'[tool.uv]\nextra-index-url = ["{X}"]\n'}, X),
    "an index of pip's": ({"pyproject.toml": f'tool.uv.pip.index-url = "{X}"\n'}, X),
    "a place of files": ({"pyproject.toml": '[tool.uv]\nfind-links = ["./wheels"]\n'}, "./wheels"),
    "an index of a settings file": ({"uv.toml": f'[[index]]\nurl = "{X}"\n'}, X),
    "an index of a member": (
        {"pyproject.toml": '[tool.uv.workspace]\nmembers = ["a/*"]\n', "a/b/pyproject.toml": index(X)},
        X,
    ),
    "an index of what lies at a path": (
        {"pyproject.toml": '[tool.uv.sources]\nb = [{ path = "../b" }]\n', "../b/pyproject.toml": index(X)},
        X,
    ),
    "an index of what that asks for": (
        {
            "pyproject.toml": '[tool.uv.sources]\nb = { path = "b" }\n',
            "b/pyproject.toml": '[tool.uv.sources]\nc = { path = "../../c" }\n',
            "../c/pyproject.toml": index(X),
        },
        X,
    ),
    "guard's own address": ({"pyproject.toml": index(R), "uv.lock": f'source = {{ registry = "{G}" }}'}, "uv.lock"),
    "a broken file": ({"pyproject.toml": f'{index(X)}url = "{X}"\n'}, "cannot be read"),
}


@pytest.mark.parametrize(("files", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_not_be_judged_is_refused(tmp_path: Path, files: Mapping[str, str], said: str) -> None:
    root = write(tmp_path / "project", files)
    before = contents(tmp_path)
    with pytest.raises(UnjudgedError, match=re.escape(said)):
        stage(root, replace={R: G})
    assert contents(tmp_path) == before


def test_an_index_that_is_judged_elsewhere_is_left(tmp_path: Path) -> None:
    root = write(tmp_path / "project", {"pyproject.toml": '[tool.uv]\nfind-links = ["./wheels"]\n'})
    with stage(root, replace={R: G}, left=("./wheels",)) as staging:
        assert (staging.root / "pyproject.toml").read_bytes() == (root / "pyproject.toml").read_bytes()


def test_an_index_of_what_lies_at_an_absolute_path_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "b", {"pyproject.toml": index(R)})
    absolute = f"[tool.uv.sources]\nb = {{ path = '{tmp_path / 'b'}' }}\n"
    root = write(tmp_path / "project", {"pyproject.toml": absolute})
    with pytest.raises(UnjudgedError, match="absolute"):
        stage(root, replace={R: G})


# ---------------------------------------------------------------- putting results in place


def written(directory: Path) -> Path:
    """Write a project with a lock."""
    return write(directory / "project", {"pyproject.toml": f"{index(R)}# 1\n", "uv.lock": f'registry = "{R}" # 1\n'})


def edit(staging: Staging, *, name: str = "pyproject.toml") -> None:
    """Do what uv does to a project: write a file that is there."""
    path = staging.root / name
    path.write_text(path.read_text().replace("# 1", "# 2"))


def test_results_name_the_indexes_of_the_user_and_are_put_in_place_at_once(tmp_path: Path) -> None:
    root = written(tmp_path)
    (root / "uv.lock").chmod(0o640)
    with stage(root, replace={R: G}) as staging:
        assert G in (staging.root / "uv.lock").read_text()
        edit(staging)
        edit(staging, name="uv.lock")
        changes = staging.results()
        assert [(each.path.name, b"# 1" in (each.before or b"")) for each in changes] == [
            ("pyproject.toml", True),
            ("uv.lock", True),
        ]
        undo = staging.apply(changes)
    after = contents(root)
    assert after == {
        "pyproject.toml": f"{index(R)}# 2\n".encode(),
        "uv.lock": f'registry = "{R}" # 2\n'.encode(),
    }
    assert (root / "uv.lock").stat().st_mode & 0o777 == 0o640
    undo.revert()
    assert contents(tmp_path) == contents(written(tmp_path / "again").parent)


def test_a_lock_that_was_not_there_is_removed_again(tmp_path: Path) -> None:
    root = written(tmp_path)
    (root / "uv.lock").unlink()
    before = contents(tmp_path)
    with stage(root, replace={R: G}) as staging:
        (staging.root / "uv.lock").write_text(f'registry = "{G}"\n')
        undo = staging.apply()
        assert (root / "uv.lock").read_text() == f'registry = "{R}"\n'
        undo.revert()
        undo.revert()
    assert contents(tmp_path) == before


def test_what_was_changed_meanwhile_stays_as_it_is(tmp_path: Path) -> None:
    root = written(tmp_path)
    with stage(root, replace={R: G}) as staging:
        edit(staging, name="uv.lock")
        (root / "pyproject.toml").write_text("mine")
        with pytest.raises(UnjudgedError, match=r"pyproject\.toml: was changed meanwhile"):
            staging.apply()
    assert (root / "uv.lock").read_text() == f'registry = "{R}" # 1\n'
    with stage(root, replace={R: G}) as staging:
        edit(staging, name="uv.lock")
        undo = staging.apply()
    (root / "uv.lock").write_text("mine")
    with pytest.raises(UnjudgedError, match=r"uv\.lock: was changed meanwhile"):
        undo.revert()
    assert (root / "uv.lock").read_text() == "mine"


def test_links_to_the_files_stay_links(tmp_path: Path) -> None:
    root = written(tmp_path)
    for name in ("pyproject.toml", "uv.lock"):
        (root / name).rename(tmp_path / name)
        (root / name).symlink_to(Path("..") / name)
    with stage(root, replace={R: G}) as staging:
        edit(staging)
        edit(staging, name="uv.lock")
        assert "# 1" in (tmp_path / "uv.lock").read_text()
        staging.apply()
    assert (root / "uv.lock").readlink() == Path("../uv.lock")
    assert "# 2" in (tmp_path / "uv.lock").read_text()
    assert "# 2" in (tmp_path / "pyproject.toml").read_text()


def test_an_address_of_ours_that_cannot_be_put_back_is_no_result(tmp_path: Path) -> None:
    root = written(tmp_path)
    before = contents(tmp_path)
    for left in (f'url = "{G}/denied/a.whl"', f"# {G}", f'x = "{H}"'):
        with stage(root, replace={R: G}) as staging:
            (staging.root / "uv.lock").write_text(left)
            with pytest.raises(UnjudgedError, match=r"uv\.lock: would name guard's own index"):
                staging.apply()
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["uv.toml", "pyproject.toml"])
def test_a_file_that_uv_should_not_write_is_no_result(tmp_path: Path, name: str) -> None:
    root = written(tmp_path)
    write(root, {"uv.toml": f'index-url = "{R}" # 1\n'})
    with stage(root, replace={R: G}, writes_pyproject=False) as staging:
        edit(staging, name=name)
        with pytest.raises(UnjudgedError, match=f"{name}: was changed by uv"):
            staging.results()


def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    root = written(tmp_path)
    (root / "uv.lock").chmod(0o444)
    before = contents(root)
    with stage(root, replace={R: G}) as staging:
        edit(staging)
        (staging.root / "uv.lock").chmod(0o644)
        edit(staging, name="uv.lock")
        with pytest.raises(UnjudgedError, match="read-only"):
            staging.apply()
    assert contents(root) == before


def test_credentials_stay_where_they_are_and_come_into_no_lock(tmp_path: Path) -> None:
    secret = R.replace("://", "://me:secret@")
    root = write(
        tmp_path / "project", {"pyproject.toml": f"{index(secret)}# 1\n", "uv.lock": f'registry = "{R}" # 1\n'}
    )
    with stage(root, replace={secret: G}) as staging:
        assert f'"{G}" # 1' in (staging.root / "uv.lock").read_text()
        edit(staging)
        edit(staging, name="uv.lock")
        staging.apply()
    assert contents(root) == {
        "pyproject.toml": f"{index(secret)}# 2\n".encode(),
        "uv.lock": f'registry = "{R}" # 2\n'.encode(),
    }


def test_an_index_that_one_file_names_in_two_ways_is_no_result(tmp_path: Path) -> None:
    secret = R.replace("://", "://me:secret@")
    root = write(tmp_path / "project", {"pyproject.toml": f"{index(secret)}{index(R)}# 1\n"})
    with stage(root, replace={secret: G, R: G}) as staging:
        assert staging.results() == ()
        edit(staging)
        with pytest.raises(UnjudgedError, match="several ways") as raised:
            staging.results()
        assert "secret@" not in str(raised.value)


# ---------------------------------------------------------------- where the copy is


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_the_copy_lies_beside_the_project_under_a_name_that_lasts(tmp_path: Path) -> None:
    root = written(tmp_path)
    with stage(root, replace={R: G}) as first:
        assert first.root.parent == tmp_path
        with stage(root, replace={R: G}) as second:
            assert second.root.parent == tmp_path
            assert second.root != first.root
            edit(second, name="uv.lock")
            assert first.results() == ()
        with stage(root, replace={R: G}) as third:
            assert third.root == second.root
    with stage(root, replace={R: G}) as again:
        assert again.root == first.root
        assert again.path_of(root / "a/b") == again.root / "a/b"
        assert again.path_of(tmp_path / "elsewhere") == tmp_path / "elsewhere"
    assert names(tmp_path) == {"project"}


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    root = written(tmp_path)
    with stage(root, replace={R: G}) as staging:
        name = staging.root.name
    for foreign in ({"a": "b"}, {".installguard-staging/a": "b"}):
        taken = write(tmp_path / name, foreign)
        with stage(root, replace={R: G}) as staging:
            assert staging.root.name == f"{name}-1"
        assert set(contents(taken)) == set(foreign)
        shutil.rmtree(taken)
    (tmp_path / name).symlink_to(root)
    with stage(root, replace={R: G}) as staging:
        assert staging.root.name == f"{name}-1"
    assert set(contents(root)) == {"pyproject.toml", "uv.lock"}


def test_where_there_is_no_place_beside_the_project_the_copy_is_in_it_or_in_a_spare_one(tmp_path: Path) -> None:
    root = written(tmp_path)
    write(tmp_path / "spare", {})
    occupy(tmp_path, root)
    with stage(root, replace={R: G}, spare=tmp_path / "spare") as staging:
        assert staging.root.parent == root
        assert {"pyproject.toml", "uv.lock"} < names(staging.root)
        assert not any("project.installguard" in name for name in names(staging.root))
    occupy(root, root)
    with stage(root, replace={R: G}, spare=tmp_path / "spare") as staging:
        assert staging.root.parent == tmp_path / "spare"
        edit(staging)
        staging.apply()
    assert "# 2" in (root / "pyproject.toml").read_text()
    with pytest.raises(UnjudgedError, match="no place"):
        stage(root, replace={R: G})


def occupy(directory: Path, subject: Path, replace: Mapping[str, str] | None = None) -> None:
    """Take all names that a staging directory may have."""
    with stage(subject, replace=replace or {R: G}) as staging:
        name = staging.place.directory.name
    for number in ("", *(f"-{slot}" for slot in range(1, 8))):
        write(directory / f"{name}{number}", {"mine": ""})


def test_a_copy_elsewhere_still_finds_what_lies_beside_the_project(world: World, tmp_path: Path) -> None:
    write(tmp_path / "top", {name: filled(world, content) for name, content in PATHS.items()})
    root, spare = tmp_path / "top" / "project", write(tmp_path / "spare", {})
    occupy(tmp_path / "top", root, world.ours)
    with stage(root, replace=world.ours, spare=spare) as staging:
        assert staging.root.parent.parent == tmp_path
        ours = world.uv(staging.root, "lock")
        assert ours.code == 0, ours.text
        (change,) = staging.results()
    assert world.uv(root, "lock").code == 0
    assert change.after == (root / "uv.lock").read_bytes()


def test_without_links_the_copy_is_one_of_files(world: World, tmp_path: Path) -> None:
    def refuse(source: str, target: str, directory: bool) -> None:
        raise OSError(1314, "a required privilege is not held by the client")

    files = {**WORKSPACE, **project(DYNAMIC + DEFAULT, **{"tiny_backend.py": TINY, ".venv/pyvenv.cfg": "home = x"})}
    root = write(tmp_path / "a", {name: filled(world, content) for name, content in files.items()}) / "project"
    (root / "nowhere").symlink_to("gone")
    before = contents(root)
    with stage(root, replace=world.ours, link=refuse) as staging:
        assert not any(path.is_symlink() for path in staging.root.rglob("*"))
        assert not (staging.root / ".venv").exists()
        done = world.uv(staging.root, "lock")
        assert done.code == 0, done.text
        (change,) = staging.results()
    assert contents(root) == before
    assert world.uv(root, "lock").code == 0
    assert change.after == (root / "uv.lock").read_bytes()


def test_the_copy_goes_when_something_goes_wrong(tmp_path: Path) -> None:
    root = written(tmp_path)
    with pytest.raises(KeyboardInterrupt), stage(root, replace={R: G}):
        raise KeyboardInterrupt
    assert names(tmp_path) == {"project"}


# ---------------------------------------------------------------- killed

CHILD = """
import sys
from pathlib import Path
from installguard.frontends.uv.staging import Leading, stage
root, R, G = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
print("ready", flush=True)
for turn in range(10_000):
    with stage(root, (), Leading(replace={R: G})) as staging:
        for name in ("pyproject.toml", "uv.lock"):
            path = staging.root / name
            path.write_bytes(path.read_bytes().replace(b"# %d" % (turn % 2 + 1), b"# %d" % (2 - turn % 2)))
        undo = staging.apply()
        assert undo.changes
"""


def test_a_killed_run_leaves_whole_files_that_name_the_users_index_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    chance, kills = random.Random(4), 0
    root = written(tmp_path)
    allowed = {
        name: {data.replace(b"# 1", number) for number in (b"# 1", b"# 2")} for name, data in contents(root).items()
    }
    for _ in range(12):
        written(tmp_path)
        command = [sys.executable, "-c", CHILD, str(root), R, G]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.03))
            child.kill()
        kills += "".join(names(tmp_path)) != "project"
        assert {name: contents(root)[name] in kept for name, kept in allowed.items()} == dict.fromkeys(allowed, True)
        assert all(b"secret" not in data for data in contents(root).values())
        with stage(root, replace={R: G}) as staging:
            assert names(tmp_path) == {"project", staging.root.name}
        assert names(tmp_path) == {"project"}
        assert names(root) == {"pyproject.toml", "uv.lock"}
    assert kills


def test_what_a_live_guard_holds_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    root = written(tmp_path)
    command = [
        sys.executable,
        "-c",
        CHILD.replace("staging.apply()", 'input(print("held", flush=True))'),
        str(root),
        R,
        G,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert [child.stdout.readline(), child.stdout.readline()] == ["ready\n", "held\n"]
        theirs = names(tmp_path) - {"project"}
        with stage(root, replace={R: G}) as staging:
            assert staging.root.name not in theirs
        assert names(tmp_path) == {"project", *theirs}
        child.kill()
    with stage(root, replace={R: G}) as staging:
        assert {staging.root.name} == theirs
    assert names(tmp_path) == {"project"}


BUSY = """
import os, sys
from pathlib import Path
from installguard.frontends.uv.staging import Leading, stage
root, R, G = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
for turn in range(25):
    with stage(root, (), Leading(replace={R: G})) as staging:
        mine = staging.root / "mine"
        with mine.open("x") as file:
            file.write(str(os.getpid()))
        assert staging.results() == ()
        assert mine.read_text() == str(os.getpid())
"""


def test_guards_that_run_at_once_have_a_copy_each(tmp_path: Path) -> None:
    root = written(tmp_path)
    command = [sys.executable, "-c", BUSY, str(root), R, G]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for child in children:
        _, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
    assert names(tmp_path) == {"project"}
