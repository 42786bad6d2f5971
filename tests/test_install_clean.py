"""A clean run under guard is invisible: dozens of pip's own command lines, once bare and once under guard.

Both runs take place at the same path, one after the other, in copies of the same environment and directory, so that
exit code, output and every file can be compared as they are.
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

import pytest

from .conftest import malware_record, write_feed
from .environments import Environment, Ran
from .loopback import Index, serve
from .world import fill_index, write_world

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
FOLDED = r"[^\n]*\n(?:  [^\n]*\n)*"
GUARDS_LINES = re.compile(
    rf"(note: pip never opened {FOLDED})?guard: \d+ distributions? judged, none denied · {FOLDED}"
)
UNCOMPARED = frozenset(("http", "http-v2", "selfcheck", ".git"))
"""Directories whose files hold the time of day: of pip's cache, and of git."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A command line of pip's."""

    name: str
    command: str
    """Behind `pip`; `{here}`, `{index}`, `{files}`, `{python}` stand for what differs from run to run."""
    code: int = 0
    before: tuple[str, ...] = ()
    """Command lines of bare pip that come first, on both sides."""
    brings: str | None = None
    """A file that must be there afterwards, below the work directory or the environment."""
    variables: Mapping[str, str] = field(default_factory=dict)
    chatty: bool = False
    """Whether the output names processes and temporary files, so that only its effect can be compared."""
    system_site: bool = False
    """Whether the virtual environment sees the user's own packages."""
    unsupported: str | None = None
    """What an older pip says that does not know this yet; both sides have to say it."""


NICE = "nice/__init__.py"

EVERYWHERE = (
    Row(name="plain", command="install nice", brings="nice-2.0.dist-info/REQUESTED"),
    Row(name="extras", command="install fancy[fast]", brings="share/fancy.txt"),
    Row(name="requirement-file", command="install -r requirements.txt", brings="swift/__init__.py"),
    Row(name="require-hashes", command="install --require-hashes -r hashed.txt", brings=NICE),
    Row(name="upgrade", command="install -U nice", before=("install nice==1.0",), brings="nice/more.py"),
    Row(name="target", command="install --target target outer", brings="target/nice/__init__.py"),
    Row(name="dry-run", command="install --dry-run --report report.json outer source", brings="report.json"),
    Row(name="flag-as-value", command="install --log --dry-run nice", brings=NICE),
    Row(name="source", command="install source dynamic", brings="source/__init__.py"),
    Row(name="editable", command="install -e tree", brings="local-1.0.dist-info/direct_url.json"),
    Row(name="missing-project", command="install no-such-project", code=1),
    Row(name="conflict", command="install older newer", code=1),
    Row(name="legacy-resolver", command="install --use-deprecated=legacy-resolver outer source", brings=NICE),
    Row(name="download", command="download -d downloads outer source", brings="downloads/source-1.0.tar.gz"),
    Row(name="pip-itself", command="install -U pip", brings="pip-99.0.dist-info/RECORD"),
)

ONCE = (
    Row(name="marker", command="install 'nice; python_version < \"3\"' 'swift; python_version >= \"3\"'"),
    Row(name="constraint", command="install -c constraints.txt outer", brings="nice-1.0.dist-info/RECORD"),
    Row(name="hash-missing", command="install --require-hashes nice", code=1),
    Row(name="no-deps", command="install --no-deps outer", brings="outer/__init__.py"),
    Row(name="two-indexes", command="install --extra-index-url {index} -i {index} nice", brings=NICE),
    Row(name="pre", command="install --pre beta", brings="beta-2.0b1.dist-info/RECORD"),
    Row(
        name="eager",
        command="install -U --upgrade-strategy eager outer",
        before=("install outer nice==1.0",),
        brings="nice/more.py",
    ),
    Row(name="force-reinstall", command="install --force-reinstall nice==1.0", before=("install nice==1.0",)),
    Row(name="ignore-installed", command="install -I nice==1.0", before=("install outer nice==1.0",)),
    Row(name="no-compile", command="install --no-compile nice", brings=NICE),
    Row(
        name="target-upgrade",
        command="install --target target --upgrade nice",
        before=("install --target target nice==1.0",),
        brings="target/nice/more.py",
    ),
    Row(name="prefix", command="install --prefix prefix fancy", brings="prefix/share/fancy.txt"),
    Row(name="root", command="install --root root nice", brings="root"),
    Row(name="user-impossible", command="install --user nice", code=1),
    Row(
        name="user",
        command="install --user nice",
        variables={"PYTHONUSERBASE": "{here}/user"},
        system_site=True,
        brings="user",
    ),
    Row(name="report-to-stdout", command="install --quiet --dry-run --report - outer"),
    Row(name="quiet", command="install -qq outer", brings=NICE),
    Row(name="verbose", command="install -v outer source", brings=NICE),
    Row(name="very-verbose", command="install -vv outer source", brings=NICE, chatty=True),
    Row(name="isolated", command="install --isolated -i {index} nice", variables={"PIP_TARGET": "no"}, brings=NICE),
    Row(name="log", command="install --log pip.log nice", brings="pip.log"),
    Row(name="cache-dir", command="install --cache-dir cache source", brings="cache/wheels"),
    Row(name="from-cache", command="install source", before=("install source", "uninstall -y source")),
    Row(name="no-binary", command="install --no-binary :all: twofold", brings="twofold/__init__.py"),
    Row(name="only-binary-impossible", command="install --only-binary :all: source", code=1),
    Row(
        name="no-build-isolation",
        command="install --no-build-isolation source",
        before=("install helper",),
        brings="source/__init__.py",
    ),
    Row(name="config-settings", command="install --config-settings a=b ./tree", brings="local/__init__.py"),
    Row(
        name="files-and-addresses",
        command="install links/lonely-1.0-py3-none-any.whl ./packed-1.0.tar.gz {files}swift-1.0-py3-none-any.whl "
        "'source @ {files}source-1.0.tar.gz'",
        brings="packed-1.0.dist-info/direct_url.json",
    ),
    Row(name="satisfied", command="install outer", before=("install outer",)),
    Row(name="lock-file", command="install -r pylock.toml", brings=NICE, unsupported="Invalid requirement"),
    Row(
        name="group",
        command="install --group dev --group pyproject.toml:more nice",
        brings="swift/__init__.py",
        unsupported="no such option",
    ),
    Row(name="python", command="--python {python} install nice", brings=NICE, unsupported="no such option"),
    Row(name="unknown-option", command="install --no-such-option nice", code=2),
    Row(name="no-arguments", command="install", code=1),
    Row(name="help", command="install --help"),
    Row(name="invalid-requirement", command="install 'nice=>1'", code=1),
    Row(name="missing-file", command="install -r no-such-file.txt", code=1),
    Row(name="unsatisfiable", command="install 'nice>=7'", code=1),
    Row(name="yanked", command="install pulled==1.0", brings="pulled/__init__.py"),
    Row(name="configuration", command="install outer", variables={"PIP_CONFIG_FILE": "{here}/pip.conf"}),
    Row(
        name="options-by-variable",
        command="install outer",
        variables={"PIP_TARGET": "{here}/t", "PIP_NO_DEPS": "1"},
        brings="t/outer",
    ),
    Row(
        name="switches-without-effect",
        command="install --no-input --trusted-host 127.0.0.1 --no-warn-script-location older",
        variables={"PIP_REQUIRE_VIRTUALENV": "1"},
        brings=NICE,
    ),
    Row(name="unreachable-proxy", command="install --proxy http://127.0.0.1:9 --timeout 2 nice", code=1, chatty=True),
    Row(name="no-certificate", command="install --cert no-such-file.pem -i https://127.0.0.1:9/ nice", code=1),
    Row(
        name="variables-of-the-interpreter",
        command="install nice",
        variables={"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        brings=NICE,
    ),
    Row(name="no-clean", command="install --no-clean --no-cache-dir source", brings="source/__init__.py"),
    Row(name="plain-output", command="install --progress-bar off --no-color -q large", brings="large.txt"),
    Row(
        name="editable-checkout",
        command="install --src src --exists-action w -e git+file://{here}/checkout#egg=versioned",
        before=("install --src src -e git+file://{here}/checkout#egg=versioned",),
        brings="src/versioned/tiny_backend.py",
    ),
    Row(name="python-version", command="install --python-version 3.9 --only-binary :all: --target t nice", brings="t"),
    Row(name="lock", command="lock -o made.toml outer", brings="made.toml", unsupported="unknown command"),
    Row(name="several", command="install outer swift==1.0 'beta>=1'", brings="outer/__init__.py"),
    Row(name="wrong-hash", command="install -r wrong.txt", code=1),
    Row(name="no-index-find-links", command="install --no-index --find-links links lonely", brings="lonely"),
    Row(name="vcs", command="install git+file://{here}/checkout", brings="versioned-1.0.dist-info/direct_url.json"),
    Row(name="broken-build", command="install nice broken", code=1),
    Row(name="wheel", command="wheel -w wheels outer source", brings="wheels/source-1.0-py3-none-any.whl"),
    Row(name="newer-pip-notice", command="install nice", variables={"PIP_DISABLE_PIP_VERSION_CHECK": "0"}, brings=NICE),
)


@dataclass
class Side:
    """Where a command line is run: an environment, a work directory, a home and a place for temporary files."""

    here: Path
    environment: Environment
    index: Index

    def words(self, text: str) -> list[str]:
        """Return a command line of the table as words."""
        return [self.filled(word) for word in shlex.split(text)]

    def filled(self, text: str) -> str:
        """Return *text* with the places of this run put in."""
        url = self.index.url
        places = {"here": self.here / "work", "python": self.environment.python, "index": url}
        return text.format(**places, files=f"{url.removesuffix('simple/')}files/")

    def run(self, row: Row, *, guarded: bool) -> Seen:
        """Run a row of the table, and return everything that can be seen of it."""
        work = self.here / "work"
        variables = {name: self.filled(value) for name, value in row.variables.items()}
        for command in row.before:
            done = self.environment.pip(*self.words(command), cwd=work)
            assert done.code == 0, done.text
        self.index.requests.clear()
        argv = self.words(row.command)
        if guarded:
            how = argv if argv[0] == "install" else ["pip", *argv]
            ran = self.environment.guard(*how, cwd=work, **variables)
        else:
            ran = self.environment.pip(*argv, cwd=work, **variables)
        return Seen(ran=ran, files=listing(self.here), requests=tuple(self.index.requests))


@dataclass(frozen=True)
class Seen:
    """What a run leaves behind."""

    ran: Ran
    files: dict[str, str]
    requests: tuple[str, ...]


def listing(directory: Path) -> dict[str, str]:
    """Return every file and link below a directory with what it holds; of byte code, only the name."""
    found = {}
    for folder, directories, names in os.walk(directory):
        linked = [name for name in directories if Path(folder, name).is_symlink()]
        for name in (*names, *linked, *([] if names or directories else ["."])):
            path = Path(folder, name)
            found[steady(path.relative_to(directory).as_posix())] = content(path)
    return found


def content(path: Path) -> str:
    """Return a file's mode and what it holds, as far as that does not depend on the time of day."""
    if path.is_symlink():
        return str(path.readlink())
    return f"{path.stat().st_mode:o} {text_of(path)}"


def text_of(path: Path) -> str:
    """Return what a file holds, or its SHA-256."""
    if path.is_dir() or path.suffix == ".pyc" or UNCOMPARED.intersection(path.parts):
        return ""
    if path.suffix == ".log" or path.name in ("--dry-run", "sitecustomize.py"):
        return re.sub(r"(?m)^\S+T\S+ ", "", steady(path.read_text(encoding="utf-8")))
    if path.name in ("RECORD", "direct_url.json", "REQUESTED", "INSTALLER", "METADATA"):
        return path.read_text(encoding="utf-8")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def steady(text: str) -> str:
    """Return output without what differs from one run of bare pip to the next."""
    text = re.sub(r"\b(pip-(?:[a-z]+-)+)[a-z0-9_]{8}", r"\1*", text)
    text = re.sub(r"(?<=_)[0-9a-f]{32}\b", "*", text)
    text = re.sub(r"\d+(\.\d+)? [kMG]?B/s", "*B/s", text)
    return re.sub(r"(eta )?-?\d:\d\d:\d\d", "*", text)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Index, Path]]:
    """An index of harmless releases, and the directory that is copied for each run."""
    files = tmp_path_factory.mktemp("shelf")
    with serve(Index(files=files)) as index:
        fill_index(index)
        yield index, write_world(tmp_path_factory.mktemp("world"), index)


@pytest.fixture(scope="module")
def judging(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that give guard a snapshot, and a policy that takes sources and direct links for granted."""
    directory = tmp_path_factory.mktemp("judging")
    (directory / "policy.toml").write_text(POLICY, encoding="utf-8")
    (directory / "home").mkdir()
    export = write_feed(directory / "feed.zip", [malware_record("MAL-2099-1", "evil", ["1.0"])])
    variables = {
        "INSTALLGUARD_CACHE_DIR": str(directory / "cache"),
        "INSTALLGUARD_POLICY": str(directory / "policy.toml"),
    }
    anywhere = Environment(prefix=directory, home=directory / "home", extra=variables)
    done = anywhere.guard("feed", "import", export, "--source", "osv")
    assert done.code == 0, done.text
    return variables


@pytest.fixture
def stage(tmp_path: Path, template: Path, shelf: tuple[Index, Path], judging: dict[str, str]) -> Iterator[Stage]:
    """What makes one side after the other at one and the same path; cleaned up, for it is large."""
    yield Stage(here=tmp_path / "here", template=template, index=shelf[0], world=shelf[1], variables=judging)
    shutil.rmtree(tmp_path)


@dataclass
class Stage:
    """Makes fresh sides."""

    here: Path
    template: Path
    index: Index
    world: Path
    variables: dict[str, str]

    def side(self, *, system_site: bool = False) -> Side:
        """Return a fresh side in place of the last one."""
        shutil.rmtree(self.here, ignore_errors=True)
        for name in ("home", "tmp"):
            (self.here / name).mkdir(parents=True)
        shutil.copytree(self.world, self.here / "work", symlinks=True)
        shutil.copytree(self.template, self.here / "env", symlinks=True, copy_function=os.link)
        made = Environment(prefix=self.here / "env", home=self.here / "home", index_url=self.index.url)
        made.extra.update(self.variables, TMPDIR=str(self.here / "tmp"), TEMP=str(self.here / "tmp"))
        if system_site:
            show_system_site(made.prefix / "pyvenv.cfg")
        return Side(here=self.here, environment=made, index=self.index)


def show_system_site(config: Path) -> None:
    """Make a virtual environment see packages outside of it; the file is a link, so it is written anew."""
    text = config.read_text(encoding="utf-8")
    config.unlink()
    config.write_text(text.replace("= false", "= true"), encoding="utf-8")


@pytest.mark.every(3)
@pytest.mark.parametrize("row", EVERYWHERE, ids=lambda row: row.name)
def test_a_clean_run_is_as_without_guard(stage: Stage, row: Row) -> None:
    compare(stage, row)


@pytest.mark.last_pip
@pytest.mark.every(3)
@pytest.mark.parametrize("row", ONCE, ids=lambda row: row.name)
def test_a_clean_run_with_rarer_options_is_as_without_guard(stage: Stage, row: Row) -> None:
    compare(stage, row)


def compare(stage: Stage, row: Row) -> None:
    """Run a row on both sides, and assert that they cannot be told apart."""
    bare = stage.side(system_site=row.system_site).run(row, guarded=False)
    guarded = stage.side(system_site=row.system_site).run(row, guarded=True)

    if row.unsupported and bare.ran.code:
        assert row.unsupported in bare.ran.err
    else:
        assert bare.ran.code == row.code, bare.ran.text
        assert row.brings is None or any(f"/{row.brings}" in path for path in guarded.files), guarded.ran.text
    assert guarded.ran.code == bare.ran.code, guarded.ran.text
    assert guarded.files == bare.files
    assert guarded.requests == bare.requests
    if not row.chatty:
        assert steady(guarded.ran.out) == steady(bare.ran.out)
        assert steady(guarded.ran.err).startswith(steady(bare.ran.err)), guarded.ran.err
        added = steady(guarded.ran.err).removeprefix(steady(bare.ran.err))
        assert GUARDS_LINES.fullmatch(added) or (added == "" and (bare.ran.code or "--help" in row.command)), added


SHELL_LINES = (
    "{run} install -r <(echo swift)",
    "echo swift | {run} install -r /dev/stdin",
    "exec 7<<< swift; {run} install -r /dev/fd/7",
    "umask 077; {run} install swift",
    "ulimit -n 40; {run} install swift",
    "{run} install swift <&-",
    "{run} install swift >&-",
    "{run} install swift 2>&-",
    "{run} install swift >/dev/full",
    "{run} install swift | true; exit ${{PIPESTATUS[0]}}",
)


@pytest.mark.skipif(os.name == "nt", reason="these are lines for bash")
@pytest.mark.last_pip
@pytest.mark.parametrize("line", SHELL_LINES)
def test_whatever_the_shell_hands_over_reaches_pip(stage: Stage, line: str) -> None:
    bare, guarded = (run_in_shell(stage.side(), line, guarded=guarded) for guarded in (False, True))

    assert guarded.ran.code == bare.ran.code, bare.ran.text + guarded.ran.text
    assert guarded.files == bare.files
    assert steady(guarded.ran.out) == steady(bare.ran.out)


def run_in_shell(side: Side, line: str, *, guarded: bool) -> Seen:
    """Run a line of bash, `{run}` being pip or guard."""
    bare = [side.environment.python, "-m", "pip"]
    guard = [sys.executable, "-m", "installguard", "--python", side.environment.python, "pip"]
    command = line.format(run=shlex.join(map(str, guard if guarded else bare)))
    ran = side.environment.run(["bash", "-c", command], cwd=side.here / "work")
    return Seen(ran=ran, files=listing(side.here), requests=())
