"""A clean run under guard is invisible: dozens of uv's own command lines, once bare and once under guard.

Both runs take place at the same path, one after the other, in copies of the same home and project, so that exit code,
output and every file can be compared as they are.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from uv import find_uv_bin

from .conftest import malware_record, write_feed
from .environments import Ran, run
from .loopback import Index, serve
from .packages import make_sdist, make_wheel, source_files, write_tree
from .uv_home import UvHome
from .world import ENTRY_POINTS, checkout, fill_index, pylock, sha256

pytestmark = pytest.mark.every(4)
POLICY = """\
[tool.installguard.builds]
level = "allow"
[tool.installguard.packages]
direct = "allow"
[tool.installguard.release]
yanked = "allow"
[tool.installguard.feed]
stale = "allow"
"""
APP = """\
[project]
name = "app"
version = "1.0.0"
requires-python = ">=3.10"
dependencies = ["outer"]

[project.optional-dependencies]
quick = ["swift"]

[dependency-groups]
dev = ["beta"]
docs = ["fancy[fast]"]
"""
PACKAGE = """\
[project]
name = "local"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["nice"]

[build-system]
requires = ["helper"]
build-backend = "tiny_backend"
backend-path = ["."]
"""
WORKSPACE = """\
[project]
name = "whole"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["part-a"]

[tool.uv.workspace]
members = ["parts/*"]

[tool.uv.sources]
part-a = { workspace = true }
"""
MEMBER = """\
[project]
name = "part-%s"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["%s"]

[tool.uv]
package = false
"""
SCRIPT = """\
# /// script
# requires-python = ">=3.10"
# dependencies = ["outer"]
# ///
import nice, sys
print(nice.VERSION, sys.argv[1:])
"""
PLAIN = '[project]\nname = "app"\nversion = "1.0.0"\nrequires-python = ">=3.10"\ndependencies = ["%s"]\n'
NAMED = '\n[[tool.uv.index]]\nname = "second"\nurl = "{second}"\n'
BOUND = '\n[tool.uv.sources]\nspecial = { index = "second" }\n'
DEFAULT = '\n[[tool.uv.index]]\nurl = "{index}"\ndefault = true\n'

Kind = Literal["pip", "app", "package", "workspace", "empty"]

ENVIRON = "import json, os; print(json.dumps(dict(sorted(os.environ.items())), indent=0))"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A command line of uv's."""

    name: str
    command: str
    """Behind `uv`; `{here}`, `{index}`, `{second}`, `{files}`, `{python}` stand for what differs from run to run."""
    code: int = 0
    kind: Kind = "app"
    program: str = "uv"
    before: tuple[str, ...] = ()
    """Command lines of bare uv that come first, on both sides."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What is written first, below the directory that holds home and project."""
    variables: Mapping[str, str | None] = field(default_factory=dict)
    last: Mapping[str, str] = field(default_factory=dict)
    """Variables of the command itself, which those that come before do not see."""
    cwd: str = "project"
    brings: str | None = None
    """What the name of a file ends in that must be there afterwards."""
    says: str | None = None
    """What must be in the output."""
    chatty: bool = False
    """Whether the output names addresses, processes and times, so that only its effect can be compared."""


def pip(name: str, command: str, **facts: object) -> Row:
    """Return a row of `uv pip`, which is run beside an environment, without a project."""
    return Row(name=f"pip-{name}", command=f"pip {command}", kind="pip", **facts)  # type: ignore[arg-type]


BY_FILE: Mapping[str, str | None] = {"UV_DEFAULT_INDEX": None}
USER = "home/config/uv/uv.toml"
PYPROJECT = "project/pyproject.toml"
NICE = "site-packages/nice/__init__.py"

PIP = (
    pip("plain", "install nice", brings="nice-2.0.dist-info/REQUESTED"),
    pip("extras", "install fancy[fast]", brings="share/fancy.txt"),
    pip("requirement-file", "install -r requirements.txt", brings="swift/__init__.py"),
    pip("constraint", "install -c constraints.txt outer", brings="nice-1.0.dist-info/RECORD"),
    pip("editable", "install -e ./tree", brings="local-1.0.dist-info/direct_url.json"),
    pip("wheel-file", "install ./links/lonely-1.0-py3-none-any.whl", brings="lonely/__init__.py"),
    pip("source-file", "install ./packed-1.0.tar.gz", brings="packed-1.0.dist-info/direct_url.json"),
    pip("address", "install 'swift @ {files}swift-1.0-py3-none-any.whl'", brings="swift-1.0.dist-info/direct_url.json"),
    pip("git", "install git+file://{here}/project/checkout", brings="versioned-1.0.dist-info/direct_url.json"),
    pip("target", "install --target target outer", brings="target/nice/__init__.py"),
    pip("prefix", "install --prefix prefix fancy", brings="prefix/share/fancy.txt"),
    pip("upgrade", "install --upgrade nice", before=("pip install nice==1.0",), brings="nice/more.py"),
    pip("reinstall", "install --reinstall outer", before=("pip install outer nice==1.0",), brings=NICE),
    pip("satisfied", "install outer", before=("pip install outer",), brings=NICE),
    pip("dry-run", "install --dry-run outer source", says="Would install 3 packages"),
    pip("no-deps", "install --no-deps outer", brings="outer/__init__.py"),
    pip("no-build", "install --no-build twofold", brings="twofold/__init__.py"),
    pip("no-build-impossible", "install --no-build source", code=1),
    pip("no-binary", "install --no-binary :all: twofold", brings="twofold/__init__.py"),
    pip("source", "install source dynamic", brings="source/__init__.py"),
    pip(
        "no-build-isolation", "install --no-build-isolation source", before=("pip install helper",), brings="source-1.0"
    ),
    pip("system", "install --system --dry-run nice"),
    pip("quiet", "install -q outer", brings=NICE),
    pip("silent", "install -qq outer", brings=NICE),
    pip("verbose", "install -v outer", brings=NICE, chatty=True),
    pip("python", "install --python {python} nice", brings=NICE),
    pip("index-url", "install -i {index} outer", variables=BY_FILE, brings=NICE),
    pip("named-index", "install --index second={second} special nice", brings="nice-9.0.dist-info/RECORD"),
    pip("extra-index", "install --extra-index-url {second} special", brings="special/__init__.py"),
    pip("find-links-page", "install --find-links {links} special", brings="special/__init__.py"),
    pip("no-index", "install --no-index --find-links links lonely", brings="lonely/__init__.py"),
    pip("hashes", "install --require-hashes -r hashed.txt", brings=NICE),
    pip("hash-missing", "install --require-hashes nice", code=2),
    pip("wrong-hash", "install -r wrong.txt", code=1),
    pip("lock-file", "install -r pylock.toml", brings=NICE),
    pip(
        "group",
        "install --group pyproject.toml:more",
        files={PYPROJECT: APP.replace("docs", "more")},
        brings="fancy.txt",
    ),
    pip("pre", "install --prerelease allow beta", brings="beta-2.0b1.dist-info/RECORD"),
    pip("yanked", "install pulled==1.0", brings="pulled/__init__.py"),
    pip("exclude-newer", "install outer --exclude-newer 2019-01-01", code=1),
    pip("missing-project", "install no-such-project", code=1),
    pip("conflict", "install older newer", code=1),
    pip("broken-build", "install broken", code=1),
    pip("no-arguments", "install", code=2),
    pip("help", "install --help", says="--find-links"),
    pip("no-environment", "install nice", cwd="elsewhere", code=2),
    pip("proxy", "install outer", last={"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}, brings=NICE),
    pip("user-file", "install outer", files={USER: DEFAULT.replace("tool.uv.", "")}, variables=BY_FILE, brings=NICE),
    pip("sync", "sync pins.txt", before=("pip install outer swift",), brings="nice-1.0.dist-info/RECORD"),
    pip("sync-lock-file", "sync pylock.toml", brings=NICE),
    pip("compile", "compile in.txt", says="nice==2.0"),
    pip("compile-to-file", "compile in.txt -o out.txt", brings="out.txt"),
    pip("compile-hashes", "compile --generate-hashes in.txt", says="--hash=sha256:"),
    pip("compile-universal", "compile --universal in.txt", says="nice==2.0"),
    pip("compile-lock-file", "compile in.txt -o pylock.made.toml", brings="pylock.made.toml"),
    pip("compile-index", "compile --emit-index-url --emit-index-annotation in.txt", says="--index-url"),
    pip("compile-find-links", "compile --emit-find-links --find-links links in.txt", says="--find-links"),
    pip("list", "list", before=("pip install outer",), says="outer"),
    pip("uninstall", "uninstall outer", before=("pip install outer",), brings=NICE),
    pip("tree", "tree", before=("pip install outer",), says="outer v1.0"),
    pip("outdated", "list --outdated", before=("pip install nice==1.0",), says="2.0"),
)

PROJECT = (
    Row(name="lock", command="lock", brings="uv.lock"),
    Row(name="lock-again", command="lock", before=("lock",), brings="uv.lock"),
    Row(name="lock-check", command="lock --check", before=("lock",)),
    Row(name="lock-check-fails", command="lock --check", code=1),
    Row(name="lock-upgrade", command="lock --upgrade", before=("lock",), brings="uv.lock"),
    Row(name="lock-upgrade-package", command="lock -P nice", before=("add --no-sync nice==1", "remove --no-sync nice")),
    Row(name="lock-newer", command="lock", variables={"UV_EXCLUDE_NEWER": "2030-01-01"}, brings="uv.lock"),
    Row(name="lock-conflict", command="lock", files={PYPROJECT: PLAIN % "no-such-project"}, code=1),
    Row(name="sync", command="sync", brings=NICE),
    Row(
        name="sync-source", command="sync", files={PYPROJECT: PLAIN % 'source", "dynamic'}, brings="source/__init__.py"
    ),
    Row(name="sync-again", command="sync", before=("sync",), brings=NICE),
    Row(name="sync-locked", command="sync --locked", before=("lock",), brings=NICE),
    Row(name="sync-frozen", command="sync --frozen", before=("lock",), brings=NICE),
    Row(name="sync-group", command="sync --group docs", brings="share/fancy.txt"),
    Row(name="sync-extra", command="sync --extra quick", brings="swift/__init__.py"),
    Row(name="sync-no-dev", command="sync --no-dev", brings=NICE),
    Row(name="sync-inexact", command="sync --inexact", before=("sync --all-extras",), brings="swift/__init__.py"),
    Row(name="sync-dry-run", command="sync --dry-run"),
    Row(name="sync-check", command="sync --check", before=("sync",)),
    Row(name="sync-upgrade", command="sync --upgrade", before=("sync",), brings=NICE),
    Row(name="sync-quiet", command="sync -q", brings=NICE),
    Row(name="sync-package", command="sync", kind="package", brings="local-1.0.dist-info/direct_url.json"),
    Row(name="sync-no-install-project", command="sync --no-install-project", kind="package", brings=NICE),
    Row(name="sync-no-editable", command="sync --no-editable", kind="package", brings="local/__init__.py"),
    Row(
        name="sync-environment",
        command="sync",
        variables={"UV_PROJECT_ENVIRONMENT": "env"},
        brings="project/env/pyvenv.cfg",
    ),
    Row(name="sync-subdirectory", command="sync", cwd="project/sub", files={"project/sub/file": ""}, brings=NICE),
    Row(name="sync-project", command="sync --project project", cwd=".", brings=NICE),
    Row(name="sync-directory", command="sync --directory project", cwd=".", brings=NICE),
    Row(name="sync-workspace", command="sync", kind="workspace", brings=NICE),
    Row(name="sync-all-packages", command="sync --all-packages", kind="workspace", brings="swift/__init__.py"),
    Row(name="sync-in-member", command="sync", kind="workspace", cwd="project/parts/b", brings="swift/__init__.py"),
    Row(name="named-index", command="sync", files={PYPROJECT: PLAIN % "special" + NAMED}, brings="special/__init__.py"),
    Row(
        name="explicit-index",
        command="sync",
        files={PYPROJECT: PLAIN % 'special", "nice' + NAMED + "explicit = true\n" + BOUND},
        brings="nice/more.py",
    ),
    Row(
        name="default-index-in-project",
        command="sync",
        files={PYPROJECT: PLAIN % "outer" + DEFAULT},
        variables=BY_FILE,
        brings=NICE,
    ),
    Row(
        name="index-in-user-file",
        command="sync",
        files={USER: DEFAULT.replace("tool.uv.", "")},
        variables=BY_FILE,
        brings=NICE,
    ),
    Row(
        name="index-in-named-file",
        command="sync --config-file ../uv.toml",
        files={"uv.toml": DEFAULT.replace("tool.uv.", "")},
        variables=BY_FILE,
        brings=NICE,
    ),
    Row(
        name="old-index-option",
        command="sync",
        files={"project/uv.toml": 'index-url = "{index}"\n'},
        variables=BY_FILE,
        brings=NICE,
    ),
    Row(name="add", command="add swift", brings="swift/__init__.py"),
    Row(name="add-dev", command="add --dev swift", brings="swift/__init__.py"),
    Row(name="add-optional", command="add --optional slow swift", brings="swift/__init__.py"),
    Row(name="add-group", command="add --group test swift", brings="swift/__init__.py"),
    Row(name="add-requirements", command="add -r requirements.txt", brings="swift/__init__.py"),
    Row(name="add-path", command="add ./tree", brings="local-1.0.dist-info/direct_url.json"),
    Row(name="add-editable", command="add --editable ./tree", brings="local-1.0.dist-info/direct_url.json"),
    Row(
        name="add-git",
        command="add git+file://{here}/project/checkout",
        brings="versioned-1.0.dist-info/direct_url.json",
    ),
    Row(name="add-index", command="add --index second={second} special", brings="special/__init__.py"),
    Row(
        name="add-default-index",
        command="add --default-index {index} swift",
        variables=BY_FILE,
        brings="swift/__init__.py",
    ),
    Row(name="add-no-sync", command="add --no-sync swift", brings="uv.lock"),
    Row(name="add-frozen", command="add --frozen swift"),
    Row(name="add-script", command="add --script s.py swift", files={"project/s.py": SCRIPT}),
    Row(name="add-missing", command="add no-such-project", before=("sync",), code=1),
    Row(name="add-broken", command="add broken", before=("sync",), code=1),
    Row(name="remove", command="remove outer", before=("sync",), brings="beta/__init__.py"),
    Row(name="remove-missing", command="remove swift", code=2),
    Row(name="version-bump", command="version --bump minor", before=("sync",), brings=NICE),
    Row(name="export", command="export", says="outer==1.0"),
    Row(name="export-to-file", command="export -o out.txt -q", brings="out.txt"),
    Row(name="export-lock-file", command="export --format pylock.toml", says="[[packages]]"),
    Row(name="tree", command="tree", says="outer v1.0"),
    Row(name="run", command="run python -c 'import nice; print(nice.VERSION)'", says="2.0"),
    Row(name="run-exit-code", command="run python -c 'raise SystemExit(7)'", code=7),
    Row(name="run-no-sync", command="run --no-sync python -c 'print(6 * 7)'", before=("venv",), says="42"),
    Row(
        name="run-frozen",
        command="run --frozen python -c 'import nice; print(nice.VERSION)'",
        before=("lock",),
        says="2.0",
    ),
    Row(name="run-module", command="run -m nice.more", before=("sync",)),
    Row(
        name="run-with",
        chatty=True,
        command="run --with swift python -c 'import swift; print(swift.VERSION)'",
        says="1.0",
    ),
    Row(
        name="run-script",
        command="run s.py --index a b",
        files={"project/s.py": SCRIPT},
        says="2.0 ['--index', 'a', 'b']",
    ),
    Row(
        name="run-locked-script",
        command="run s.py",
        files={"project/s.py": SCRIPT},
        before=("lock --script s.py",),
        says="2.0 []",
    ),
    Row(name="run-isolated", command="run --isolated python -c 'import nice; print(nice.VERSION)'", says="2.0"),
    Row(
        name="run-no-project",
        command="run --no-project --with nice python -c 'import nice; print(nice.VERSION)'",
        says="2.0",
    ),
    Row(
        name="run-without-project",
        command="run --with nice python -c 'import nice; print(nice.VERSION)'",
        kind="empty",
        says="2.0",
    ),
    Row(
        name="run-environment",
        command=f"run python -c '{ENVIRON}'",
        files={USER: DEFAULT.replace("tool.uv.", "")},
        variables={**BY_FILE, "LIKE_THIS": "as typed"},
        says='"LIKE_THIS": "as typed"',
    ),
    Row(name="lock-script", command="lock --script s.py", files={"project/s.py": SCRIPT}, brings="s.py.lock"),
    Row(name="init", command="init new", kind="empty", brings="new/pyproject.toml"),
    Row(name="build", command="build --wheel", kind="package", brings="dist/local-1.0-py3-none-any.whl"),
    Row(name="build-wheel", command="build --wheel tree -o out", kind="empty", brings="out/local-1.0-py3-none-any.whl"),
    Row(name="venv", command="venv", kind="empty", brings=".venv/pyvenv.cfg"),
    Row(name="venv-seed", command="venv --seed", kind="empty", brings="pip/__main__.py"),
    Row(name="cache-dir", command="cache dir", says="home/cache/uv"),
    Row(name="python-list", command="python list --only-installed"),
    Row(name="no-command", command="", code=2),
    Row(name="help", command="help sync", says="--locked"),
    Row(name="contradiction", command="sync --locked --frozen", code=2),
    Row(name="no-project", command="sync", kind="empty", code=2),
    Row(name="tool-install", command="tool install fancy", kind="empty", brings="tools/fancy/uv-receipt.toml"),
    Row(
        name="tool-install-with",
        command="tool install fancy[fast] --with nice",
        kind="empty",
        brings="swift/__init__.py",
    ),
    Row(
        name="tool-install-index",
        command="tool install --default-index {index} --index second={second} fancy",
        variables=BY_FILE,
        kind="empty",
        brings="uv-receipt.toml",
    ),
    Row(name="tool-install-no-script", command="tool install nice", kind="empty", code=2),
    Row(name="tool-list", command="tool list", before=("tool install fancy",), kind="empty", says="fancy v1.0"),
    Row(
        name="tool-upgrade",
        command="tool upgrade fancy",
        before=("tool install fancy --with nice==1.0",),
        kind="empty",
        brings="uv-receipt.toml",
    ),
    Row(
        name="tool-upgrade-newer",
        command="tool upgrade gadget",
        before=("tool install gadget<2", "tool install gadget --with nice -q"),
        kind="empty",
    ),
    Row(name="tool-uninstall", command="tool uninstall fancy", before=("tool install fancy",), kind="empty"),
    Row(name="tool-run", command="tool run fancy", kind="empty", says="fancy"),
    Row(name="uvx", command="fancy", program="uvx", kind="empty", says="fancy"),
    Row(name="uvx-from", command="--from fancy[fast] --with nice fancy", program="uvx", kind="empty", says="fancy"),
    Row(name="uvx-missing", command="no-such-project", program="uvx", kind="empty", code=1),
)


@dataclass(frozen=True)
class Shelf:
    """Two indexes, a directory with all that is copied for each run, and guard's own variables."""

    index: Index
    second: Index
    programs: Path
    """A directory with uv and nothing beside it: what lies there beside it is no environment to install into."""
    template: Path
    judging: dict[str, str]


@dataclass
class Side:
    """Where a command line is run: a home and a project, always at the same place."""

    world: UvHome
    shelf: Shelf
    row: Row

    def filled(self, text: str) -> str:
        """Return *text* with the places of this run put in."""
        places = {
            "here": str(self.world.directory),
            "index": self.shelf.index.url,
            "second": self.shelf.second.url,
            "files": self.shelf.index.url.replace("simple/", "files/"),
            "links": self.shelf.second.url + "special/",
            "python": str(self.world.environment / "bin" / "python"),
        }
        for name, place in places.items():
            text = text.replace(f"{{{name}}}", place)
        return text

    def environ(self) -> dict[str, str]:
        """Return the environment variables of the row."""
        environ = self.world.environ()
        for name, value in self.row.variables.items():
            environ.pop(name, None)
            if value is not None:
                environ[name] = self.filled(value)
        environ["PATH"] = search_path(self.shelf)
        return environ

    def run(self, *, guarded: bool) -> Seen:
        """Run the row, and return everything that can be seen of it."""
        here = self.world.directory
        write_tree(here, {name: self.filled(text) for name, text in self.row.files.items()})
        for command in self.row.before:
            done = run([self.world.uv, *shlex.split(self.filled(command))], self.environ(), here / self.row.cwd)
            assert done.code == 0, done.text
        argv = shlex.split(self.filled(self.row.command))
        bare = [self.shelf.programs / self.row.program]
        program = [sys.executable, "-m", "installguard", self.row.program] if guarded else bare
        ran = run([*program, *argv], {**self.environ(), **self.row.last}, here / self.row.cwd)
        return Seen(ran=ran, files=listing(here))


@dataclass(frozen=True)
class Seen:
    """What a run leaves behind."""

    ran: Ran
    files: dict[str, str]


UNCOMPARED = ("home/cache", "uv_cache.json")
"""What holds the time of day, or is kept by the address of the index."""


def listing(directory: Path) -> dict[str, str]:
    """Return every file and link below a directory with what it holds; of byte code, only the name."""
    found = {}
    for folder, directories, names in os.walk(directory):
        inside = Path(folder).relative_to(directory).as_posix()
        directories[:] = [name for name in directories if f"{inside}/{name}" not in UNCOMPARED and name != ".git"]
        linked = [name for name in directories if Path(folder, name).is_symlink()]
        for name in (*names, *linked, *([] if names or directories else ["."])):
            found[f"{inside}/{name}"] = content(Path(folder, name))
    return found


def content(path: Path) -> str:
    """Return a file's mode and what it holds, as far as that does not depend on the time of day."""
    if path.is_symlink():
        return str(path.readlink())
    if path.is_dir() or path.suffix == ".pyc" or path.name in UNCOMPARED:
        return ""
    data = path.read_bytes()
    if b"\0" in data or len(data) > 100_000:
        return hashlib.sha256(data).hexdigest()
    lines = data.decode("utf-8", "replace").splitlines(keepends=True)
    kept = "".join(line for line in lines if path.name != "RECORD" or "uv_cache.json" not in line)
    return f"{path.stat().st_mode:o} {kept}"


GUARDS_LINES = re.compile(r"(?m)^(?:guard:|note\b|warning\[)[^\n]*\n(?:  [^\n]*\n)*")
BUILDING = re.compile(r"(?m)^ +(?:Building|Built) [^\n]*\n")
STARTING = re.compile(r"(?m)^(?:Using CPython|Creating virtual environment)[^\n]*\n(?:Activate with[^\n]*\n)?")


def steady(text: str) -> str:
    """Return output without what differs from one run of bare uv to the next."""
    text = re.sub(r"\b(\d+m )?\d+(\.\d+)?m?s\b", "*", text)
    return re.sub(r"\.tmp\w{6}", ".tmp*", text)


def said(ran: Ran) -> tuple[str, list[str]]:
    """Return what stands on standard error, but for guard's lines, and on its own what is made in any order."""
    text = steady(GUARDS_LINES.sub("", ran.err))
    apart = sorted({*STARTING.findall(text), *BUILDING.findall(text)})
    return BUILDING.sub("", STARTING.sub("", text)), apart


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """Indexes of harmless releases, what is copied for each run, and a feed that knows of none of them."""
    directory = tmp_path_factory.mktemp("shelf")
    for name in ("files", "second"):
        (directory / name).mkdir()
    with serve(Index(files=directory / "files", json=True)) as index, serve(Index(directory / "second")) as second:
        fill_index(index)
        for version in ("1.0", "2.0"):
            points = {f"gadget-{version}.dist-info/entry_points.txt": ENTRY_POINTS.replace("fancy", "gadget")}
            make_wheel(index.files, "gadget", version, files={"gadget.py": "def main():\n    pass\n", **points})
        for name in ("setuptools", "wheel"):
            make_wheel(index.files, name, "99.0")
        make_wheel(second.files, "special")
        make_wheel(second.files, "nice", "9.0")
        index.uploaded.update({path.name: "2020-01-01T00:00:00Z" for path in index.files.iterdir()})
        fill_template(directory / "template", index)
        yield Shelf(
            index=index,
            second=second,
            programs=programs(directory / "programs"),
            template=directory / "template",
            judging=judging(directory, index),
        )


def programs(directory: Path) -> Path:
    """Return a directory with links to the real uv."""
    directory.mkdir()
    for name in ("uv", "uvx"):
        (directory / name).symlink_to(Path(find_uv_bin()).with_name(name))
    return directory


def judging(directory: Path, index: Index) -> dict[str, str]:
    """Return variables that give guard a snapshot, and a policy that takes sources and direct links for granted."""
    (directory / "policy.toml").write_text(POLICY, encoding="utf-8")
    export = write_feed(directory / "feed.zip", [malware_record("MAL-2099-1", "evil", ["1.0"])])
    variables = {
        "INSTALLGUARD_CACHE_DIR": str(directory / "cache"),
        "INSTALLGUARD_POLICY": str(directory / "policy.toml"),
    }
    anywhere = UvHome(directory=directory / "anywhere", index=index, extra=variables)
    anywhere.directory.mkdir()
    done = anywhere.make().guard("feed", "import", export, "--source", "osv")
    assert done.code == 0, done.text
    return variables


def fill_template(directory: Path, index: Index) -> None:
    """Write what every run starts from, and beside it what each kind of project adds to that."""
    common = directory / "common" / "project"
    make_wheel(common / "links", "lonely", requires=["nice"])
    make_wheel(common / "links", "nice", "1.5")
    make_sdist(common, "packed", "1.0", source_files("packed", requires=["nice"]))
    write_tree(common / "tree", source_files("local", requires=["nice"], static=True))
    checkout(common / "checkout")
    nice, large = (sha256(index.files / f"{name}-1.0-py3-none-any.whl") for name in ("nice", "large"))
    write_tree(
        common,
        {
            "requirements.txt": "# what we need\nouter\n-r nested.txt\n-c constraints.txt\n",
            "nested.txt": "swift==1.0 ; python_version >= '3'\n",
            "constraints.txt": "nice<2\n",
            "hashed.txt": f"nice==1.0 --hash=sha256:{nice}\n",
            "wrong.txt": f"nice==1.0 --hash=sha256:{large}\n",
            "in.txt": "outer\nsource\n",
            "pins.txt": "outer==1.0\nnice==1.0\n",
            "pylock.toml": pylock(index, nice),
        },
    )
    for name in ("home", "elsewhere"):
        (directory / "common" / name).mkdir()
    member = {
        f"parts/{name}/pyproject.toml": MEMBER % (name, needs) for name, needs in (("a", "outer"), ("b", "swift"))
    }
    backend = source_files("local", requires=["nice"])["tiny_backend.py"]
    kinds: dict[Kind, dict[str, str]] = {
        "app": {"pyproject.toml": APP},
        "package": {"pyproject.toml": PACKAGE, "tiny_backend.py": backend},
        "workspace": {"pyproject.toml": WORKSPACE, **member},
        "pip": {},
        "empty": {},
    }
    for kind, files in kinds.items():
        (directory / kind / "project").mkdir(parents=True)
        write_tree(directory / kind / "project", files)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one place where everything is run."""
    return tmp_path_factory.mktemp("place") / "here"


def side(shelf: Shelf, here: Path, row: Row) -> Side:
    """Return a fresh side in place of the last one."""
    shutil.rmtree(here, ignore_errors=True)
    for kind in ("common", row.kind):
        shutil.copytree(shelf.template / kind, here, symlinks=True, dirs_exist_ok=True)
    world = UvHome(directory=here, index=shelf.index, extra=shelf.judging)
    know_interpreters(shelf, world)
    if row.kind == "pip":
        kept = shelf.template / "environment"
        if not kept.exists():
            world.make_environment()
            shutil.copytree(world.environment, kept, symlinks=True)
        else:
            shutil.copytree(kept, world.environment, symlinks=True)
    return Side(world=world, shelf=shelf, row=row)


def know_interpreters(shelf: Shelf, world: UvHome) -> None:
    """Give uv what it remembers of interpreters, which it would spend most of the time on otherwise."""
    kept = shelf.template / "interpreters"
    if not kept.exists():
        world.bare("python", "list", "--only-installed", PATH=search_path(shelf))
        shutil.copytree(world.home / "cache", kept)
    shutil.copytree(kept, world.home / "cache", dirs_exist_ok=True)


def search_path(shelf: Shelf) -> str:
    """Return a `PATH` with uv and nothing beside it, for that would be taken for an environment to install into."""
    return os.pathsep.join((str(shelf.programs), str(Path(sys.base_prefix) / "bin"), os.defpath))


@pytest.mark.parametrize("row", [*PIP, *PROJECT], ids=lambda row: row.name)
def test_a_clean_run_is_as_without_guard(shelf: Shelf, here: Path, row: Row) -> None:
    bare = side(shelf, here, row).run(guarded=False)
    guarded = side(shelf, here, row).run(guarded=True)

    assert bare.ran.code == row.code, bare.ran.text
    assert guarded.ran.code == bare.ran.code, guarded.ran.text
    assert row.brings is None or any(row.brings in path for path in bare.files), bare.ran.text
    assert row.says is None or row.says in bare.ran.out + bare.ran.err, bare.ran.text
    assert guarded.files == bare.files
    if not row.chatty:
        assert steady(guarded.ran.out) == steady(bare.ran.out)
        assert said(guarded.ran) == said(bare.ran)


SHELL_LINES = (
    "{run} pip install swift <&-",
    "{run} pip install swift >&-",
    "{run} pip install swift 2>&-",
    "{run} pip compile in.txt | cat",
    "umask 077; {run} pip install swift",
    "{run} run --no-project python -c 'import sys; print(sys.stdin.read())' <in.txt",
    "{run} run --no-project python -c 'import sys; print(sys.stdin)' <&-",
    "{run} run --no-project --with nice python -c 'import os; os.kill(os.getpid(), 9)'",
)


@pytest.mark.skipif(os.name == "nt", reason="these are lines for bash")
@pytest.mark.parametrize("line", SHELL_LINES)
def test_whatever_the_shell_hands_over_reaches_uv(shelf: Shelf, here: Path, line: str) -> None:
    bare, guarded = (run_in_shell(side(shelf, here, SHELL), line, guarded=guarded) for guarded in (False, True))

    assert guarded.ran.code == bare.ran.code, bare.ran.text + guarded.ran.text
    assert guarded.files == bare.files
    assert steady(guarded.ran.out) == steady(bare.ran.out)


SHELL = pip("shell", "")


def run_in_shell(side: Side, line: str, *, guarded: bool) -> Seen:
    """Run a line of bash, `{run}` being uv, bare or under guard."""
    command = line.format(run=shlex.join([sys.executable, "-m", "installguard", "uv"] if guarded else [side.world.uv]))
    ran = run(["bash", "-c", command], side.environ(), side.world.project)
    return Seen(ran=ran, files=listing(side.world.directory))
