"""Receipts of tools that uv installs under guard are those that it writes without."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from installguard.errors import UnjudgedError
from installguard.frontends.uv.receipts import open_receipts, repair_leftovers, tool_directory

from .environments import Ran
from .packages import BACKEND
from .uv_world import World, contents, open_world, write

DEFAULT = "{R}"
POINTS = """members = dict(FILES)
    members[_info() + "/entry_points.txt"] = "[console_scripts]\\nlocal = local:main\\n"
"""
LOCAL = BACKEND.format(
    payload="", name="local", version="1", requires=[], dynamic=[], files={"local.py": "def main(): pass\n"}
).replace("members = dict(FILES)", POINTS)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("world")
    head = '[project]\nname = "local"\nversion = "1"\nscripts.local = "local:main"\n'
    build = '[build-system]\nrequires = []\nbuild-backend = "tiny"\nbackend-path = ["."]\n'
    write(base / "home" / "local", {"pyproject.toml": head + build, "tiny.py": LOCAL})
    with open_world(base) as opened:
        yield opened


class Tools:
    """A directory of tools."""

    def __init__(self, world: World, base: Path) -> None:
        self.world = world
        self.base = base
        self.directory = base / "tools"
        self.variables = {
            "UV_TOOL_DIR": str(self.directory),
            "UV_TOOL_BIN_DIR": str(base / "bin"),
            "XDG_CONFIG_DIRS": str(base),
        }

    def uv(self, *argv: str, **variables: str) -> Ran:
        """Run uv without guard."""
        return self.world.uv(self.world.home, *argv, **{**self.variables, **variables})

    def receipts(self) -> dict[str, bytes]:
        """The receipts, wherever the tools are."""
        found = {path.parent.name: path.read_bytes() for path in self.directory.glob("*/uv-receipt.toml")}
        return {name: data.replace(str(self.base).encode(), b"BASE") for name, data in found.items()}

    def version(self, tool: str) -> str:
        """The release of a tool."""
        (path,) = self.directory.glob(f"{tool}/lib/*/site-packages/{tool}-*.dist-info")
        return path.name

    def guarded(self, *argv: str, **variables: str) -> Ran:
        """Run uv as guard does: its own indexes in place of the user's, the default one in the system's file."""
        default = self.world.ours[self.world.text(DEFAULT)]
        settings = f'[[index]]\nurl = "{default}"\ndefault = true\n'
        write(self.base / "guard" / "uv", {"uv.toml": settings})
        ours = {self.world.text(key): value for key, value in self.world.ours.items()}
        replaced = [replaced_in(self.world.text(word), ours) for word in argv]
        chosen = {key: replaced_in(self.world.text(value), ours) for key, value in variables.items()}
        given = replaced != [self.world.text(word) for word in argv] or any("INDEX" in name for name in variables)
        with open_receipts(self.directory, self.base / "state") as receipts:
            assert set(receipts.indexes()) <= set(ours)
            receipts.name_ours(ours, added=[] if given else [default], upgrade=argv[1] == "upgrade")
            system = {} if given else {"XDG_CONFIG_DIRS": str(self.base / "guard")}
            done = self.world.uv(self.world.home, *replaced, **{**self.variables, **chosen, **system})
            if done.code:
                receipts.withdraw()
        return done


def replaced_in(word: str, ours: Mapping[str, str]) -> str:
    """Replace the whole URL in a word, behind a name or not."""
    name, equals, url = word.partition("=") if not word.startswith("http") else ("", "", word)
    return f"{name}{equals}{ours[url]}" if url in ours else word


INSTALLS: dict[str, tuple[list[str], dict[str, str]]] = {
    "option": (["--default-index", "{R}"], {}),
    "option with a slash": (["--default-index={R/}"], {}),
    "old option": (["-i", "{R}"], {}),
    "further index": (["--default-index", "{R}", "--index", "{X}"], {}),
    "named index": (["--default-index", "{R}", "--index", "xx={X}"], {}),
    "old further index": (["--index-url", "{R}", "--extra-index-url", "{X}"], {}),
    "variable": ([], {"UV_DEFAULT_INDEX": "{R}"}),
    "old variable": ([], {"UV_INDEX_URL": "{R}"}),
    "two variables": ([], {"UV_DEFAULT_INDEX": "{R}", "UV_INDEX": "{X}"}),
    "more options": (["--default-index", "{R}", "--resolution", "lowest", "--with", "needed"], {}),
}


@pytest.mark.parametrize(("options", "variables"), INSTALLS.values(), ids=INSTALLS.keys())
def test_a_receipt_names_the_indexes_that_the_user_gave(
    world: World, tmp_path: Path, options: Sequence[str], variables: Mapping[str, str]
) -> None:
    bare, guarded = Tools(world, tmp_path / "bare"), Tools(world, tmp_path / "ours")
    filled = {name: world.text(value) for name, value in variables.items()}
    for argv in (["tool", "install", "tool<2", *options], ["tool", "upgrade", "tool", *options[:2]]):
        theirs, ours = bare.uv(*argv, **filled), guarded.guarded(*argv, **variables)
        assert (theirs.code, ours.code) == (0, 0), theirs.text + ours.text
        assert guarded.receipts() == bare.receipts()
        assert b"127.0.0.1" in bare.receipts()["tool"]


@pytest.mark.parametrize("options", [[], ["--resolution", "lowest"]], ids=["plain", "with an option"])
def test_a_receipt_without_an_index_stays_one_however_often_it_is_upgraded(
    world: World, tmp_path: Path, options: Sequence[str]
) -> None:
    bare, guarded = Tools(world, tmp_path / "bare"), Tools(world, tmp_path / "ours")
    for argv in (["tool", "install", "./local", *options], *[["tool", "upgrade", "local"]] * 3):
        theirs, ours = bare.uv(*argv, "--offline"), guarded.guarded(*argv)
        assert (theirs.code, ours.code) == (0, 0), theirs.text + ours.text
        assert guarded.receipts() == bare.receipts()
    assert b"index" not in guarded.receipts()["local"]
    assert (b"[tool.options]" in guarded.receipts()["local"]) == bool(options)


def test_each_tool_is_upgraded_from_the_index_that_its_receipt_names(world: World, tmp_path: Path) -> None:
    bare, guarded = Tools(world, tmp_path / "bare"), Tools(world, tmp_path / "ours")
    asked = []
    for tools, upgrade in ((bare, bare.uv), (guarded, guarded.guarded)):
        for name, url in (("tool", "{R}"), ("utensil", "{X}")):
            assert tools.uv("tool", "install", f"{name}<2", "--default-index", url).code == 0
            receipt = tools.directory / name / "uv-receipt.toml"
            receipt.write_text(receipt.read_text().replace('specifier = "<2"', 'specifier = "<3"'))
        assert tools.uv("tool", "install", "./local", "--offline").code == 0
        for index in (world.main, world.other):
            index.requests.clear()
        done = upgrade("tool", "upgrade", "tool", "utensil", "local")
        assert done.code == 0, done.text
        asked.append(sorted({path for each in (world.main, world.other) for path in each.requests if "simple" in path}))
    assert asked[0] == asked[1] == ["/simple/tool/", "/simple/utensil/"]
    assert guarded.receipts() == bare.receipts()
    assert [guarded.version(name) for name in ("tool", "utensil")] == ["tool-2.0.dist-info", "utensil-2.0.dist-info"]


def test_a_run_that_fails_leaves_the_receipts_and_no_directory_that_was_not_there(world: World, tmp_path: Path) -> None:
    guarded = Tools(world, tmp_path / "ours")
    assert guarded.guarded("tool", "install", "no-such-tool", "--default-index", "{R}").code != 0
    assert not guarded.directory.exists()
    assert guarded.uv("tool", "install", "tool", "--default-index", "{R}").code == 0
    odd = guarded.directory / "tool" / "uv-receipt.toml"
    odd.write_text(odd.read_text().replace('name = "tool"', 'name = "no-such-tool"').replace(" }]", " } ]"))
    before = contents(guarded.directory)
    assert guarded.guarded("tool", "upgrade", "tool").code != 0
    assert contents(guarded.directory) == before
    assert guarded.guarded("tool", "install", "no-such-tool").code != 0
    assert contents(guarded.directory) == before


# ---------------------------------------------------------------- what is in a receipt

G, H = "http://127.0.0.1:20999/secret/aaaa/simple", "http://127.0.0.1:20999/secret/bbbb/simple"
R, X = "https://index.example.org/simple", "https://other.example.org/simple"
HEAD = '[tool]\nrequirements = [{ name = "a" }]\nentrypoints = [\n    { name = "a" },\n]\n'


def options(*lines: str) -> str:
    return "".join(["\n[tool.options]\n", *(f"{line}\n" for line in lines)]) if lines else ""


def entry(url: str, *, default: bool = True, authenticate: str = "auto") -> str:
    default_text = str(default).lower()
    return f'{{ url = "{url}", explicit = false, default = {default_text}, authenticate = "{authenticate}" }}'


WRITTEN = {
    "only ours": ([f"index = [{entry(G)}]"], []),
    "ours first": ([f"index = [{entry(G)}, {entry(X)}]"], [f"index = [{entry(X)}]"]),
    "ours last": ([f"index = [{entry(X)}, {entry(G)}]"], [f"index = [{entry(X)}]"]),
    "ours twice": ([f"index = [{entry(G)}, {entry(X)}, {entry(G)}]"], [f"index = [{entry(X)}]"]),
    "over lines": ([f"index = [\n    {entry(X)},\n    {entry(G)},\n]"], [f"index = [\n    {entry(X)},\n]"]),
    "the old form": ([f'index-url = "{G}"', 'resolution = "lowest"'], ['resolution = "lowest"']),
    "beside another of ours": ([f"index = [{entry(H)}, {entry(G)}]"], [f"index = [{entry(X)}]"]),
    "with credentials": (
        [f"index = [{entry(G.replace('aaaa', 'cccc'))}]", 'resolution = "lowest"'],
        [f"index = [{entry(R, authenticate='always')}]", 'resolution = "lowest"'],
    ),
}


@pytest.mark.parametrize(("lines", "expected"), WRITTEN.values(), ids=WRITTEN.keys())
def test_what_guard_added_is_dropped_and_what_it_replaced_is_put_back(
    tmp_path: Path, lines: Sequence[str], expected: Sequence[str]
) -> None:
    tools = write(tmp_path / "tools", {"a/uv-receipt.toml": HEAD, "b/c": "", "d": ""})
    secret = R.replace("://", "://me:secret@")
    with open_receipts(tools, tmp_path / "state") as receipts:
        receipts.name_ours({X: H, secret: G.replace("aaaa", "cccc")}, added=[G])
        (tools / "a/uv-receipt.toml").write_text(HEAD + options(*lines))
    assert (tools / "a/uv-receipt.toml").read_text() == HEAD + options(*expected)


def test_an_index_that_a_receipt_names_stays_when_guard_adds_the_same(tmp_path: Path) -> None:
    tools = write(tmp_path / "tools", {"a/uv-receipt.toml": HEAD + options(f"index = [{entry(R)}]")})
    receipt = tools / "a/uv-receipt.toml"
    with open_receipts(tools, tmp_path / "state") as receipts:
        receipts.name_ours({R: G}, added=[G], upgrade=True)
        assert receipt.read_text() == HEAD + options(f"index = [{entry(G)}]")
        receipt.write_text(HEAD + options(f"index = [{entry(G)}, {entry(G)}]"))
    assert receipt.read_text() == HEAD + options(f"index = [{entry(R)}]")
    with open_receipts(tools, tmp_path / "state") as receipts:
        receipts.name_ours({R: G}, added=[G])
        assert receipt.read_text() == HEAD + options(f"index = [{entry(R)}]")
        receipt.write_text(HEAD + options(f"index = [{entry(G)}]"))
    assert receipt.read_text() == HEAD


def test_an_address_that_cannot_be_put_back_is_an_error(tmp_path: Path) -> None:
    tools = write(tmp_path / "tools", {"a/uv-receipt.toml": HEAD, "b/uv-receipt.toml": HEAD})
    with (
        pytest.raises(UnjudgedError, match="names guard's own index"),
        open_receipts(tools, tmp_path / "state") as receipts,
    ):
        receipts.name_ours({R: G})
        (tools / "a/uv-receipt.toml").write_text(HEAD + options(f'find-links = ["{H}"]'))
        (tools / "b/uv-receipt.toml").write_text(HEAD + options(f'index-url = "{G}"'))
    assert (tools / "b/uv-receipt.toml").read_text() == HEAD + options(f'index-url = "{R}"')


def test_indexes_of_receipts_are_told_by_tool(tmp_path: Path) -> None:
    one, two = options(f"index = [{entry(R)}]", f'find-links = ["{X}"]'), options(f'index-url = "{X}"')
    tools = write(tmp_path / "tools", {"a/uv-receipt.toml": HEAD + one, "b/uv-receipt.toml": HEAD + two})
    with open_receipts(tools, tmp_path / "state") as receipts:
        assert receipts.indexes() == (R, X)
        assert receipts.indexes(["b"]) == (X,)
        (tools / "b/uv-receipt.toml").write_text("[tool")
        assert receipts.indexes(["a"]) == (R, X)
        with pytest.raises(UnjudgedError, match=r"b/uv-receipt\.toml: cannot be read"):
            receipts.indexes()


# ---------------------------------------------------------------- killed

CHILD = """
import sys
from pathlib import Path
from installguard.frontends.uv.receipts import open_receipts
tools, state, R, X, G, H, made = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
with open_receipts(tools, state) as receipts:
    receipts.name_ours({R: G}, added=[H], upgrade=True)
    (tools / "b/uv-receipt.toml").write_text(made)
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_the_next_guard_puts_right_what_a_killed_one_left(tmp_path: Path) -> None:
    named = HEAD + options(f"index = [ {entry(R)} ]")
    tools = write(tmp_path / "tools", {"a/uv-receipt.toml": named, "b/uv-receipt.toml": HEAD, ".lock": ""})
    before, state = contents(tools), tmp_path / "state"
    repair_leftovers(state)
    made = HEAD + options(f"index = [{entry(G)}, {entry(H)}]")
    expected = {**before, "b/uv-receipt.toml": (HEAD + options(f"index = [{entry(R)}]")).encode()}
    command = [sys.executable, "-c", CHILD, *map(str, (tools, state)), R, X, G, H, made]
    for repair in (True, False):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            repair_leftovers(state)
            with pytest.raises(UnjudgedError, match="another guard is at work"), open_receipts(tools, state, wait=0.1):
                pass
            assert G in (tools / "a/uv-receipt.toml").read_text()
            child.kill()
        assert G in (tools / "a/uv-receipt.toml").read_text()
        if repair:
            repair_leftovers(state)
        else:
            enter(tools, state)
        assert contents(tools) == expected


def enter(tools: Path, state: Path) -> None:
    with open_receipts(tools, state):
        pass


def test_a_uv_that_outlived_its_guard_is_waited_for(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="uv's lock is held by what only POSIX has")
    tools = write(tmp_path / "tools", {"a/uv-receipt.toml": HEAD, "b/uv-receipt.toml": HEAD, ".lock": ""})
    state = tmp_path / "state"
    command = [sys.executable, "-c", CHILD, *map(str, (tools, state)), R, X, G, H, HEAD + options(f'index-url = "{G}"')]
    with (tools / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            child.kill()
        repair_leftovers(state)
        assert G in (tools / "b/uv-receipt.toml").read_text()
    repair_leftovers(state)
    assert G not in (tools / "b/uv-receipt.toml").read_text()


def test_a_journal_that_was_cut_short_says_that_nothing_was_changed(tmp_path: Path) -> None:
    tools = write(tmp_path / "tools", {"a/uv-receipt.toml": HEAD})
    enter(tools, tmp_path / "state")
    (journal,) = (tmp_path / "state" / "uv-receipts").iterdir()
    for text in ("", '{"directory": "', "[]", "{}", '{"directory": 1, "ours": 2, "added": 3, "before": 4}'):
        journal.write_text(text)
        repair_leftovers(tmp_path / "state")
        started = time.monotonic()
        enter(tools, tmp_path / "state")
        assert time.monotonic() - started < 5
        assert (tools / "a/uv-receipt.toml").read_text() == HEAD


# ---------------------------------------------------------------- where tools are


@pytest.mark.parametrize(
    "variables",
    [{}, {"UV_TOOL_DIR": "tools"}, {"UV_TOOL_DIR": ""}, {"XDG_DATA_HOME": "/data"}, {"XDG_DATA_HOME": "data"}],
    ids=str,
)
def test_tools_are_where_uv_says(world: World, tmp_path: Path, variables: Mapping[str, str]) -> None:
    done = world.uv(tmp_path, "tool", "dir", **variables)
    assert done.code == 0, done.text
    assert tool_directory({"HOME": str(world.home), **variables}, tmp_path) == Path(done.out.strip())


def test_tools_of_other_systems_are_where_uv_documents_it(tmp_path: Path) -> None:
    environ = {"APPDATA": str(tmp_path / "roaming"), "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    assert tool_directory(environ, tmp_path, platform="win32") == tmp_path / "roaming" / "uv" / "data" / "tools"
    assert tool_directory(environ, tmp_path, platform="darwin") == tmp_path / ".local/share/uv/tools"
