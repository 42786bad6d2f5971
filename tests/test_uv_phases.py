"""A command on a project, split in two phases, does what the command does at once (the real uv, a loopback index)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from installguard.frontends.uv.command import parse_command
from installguard.frontends.uv.phases import (
    Standing,
    first_is_silent,
    install_phase,
    keeps_lock,
    lock_phase,
    restores_after_failure,
    second_environ,
    standing_of,
)

from .loopback import Index, serve
from .packages import make_wheel

UV = Path(sysconfig.get_path("scripts")) / "uv"
PROJECT = """\
[project]
name = "mine"
version = "0.1"
requires-python = ">=3.10"
dependencies = ["bbb"]
[project.optional-dependencies]
more = ["ccc"]
[dependency-groups]
dev = ["ddd"]
docs = ["eee"]
"""
SCRIPT = '# /// script\n# dependencies = ["bbb"]\n# ///\nprint("ran")\n'
WARMING = ("sync --all-groups --all-extras", "lock -P aaa==1.0", "sync --frozen", "run --with fff python -c 0")


# ---------------------------------------------------------------- values


def phases(line: str, **standing: object) -> tuple[str | None, str | None]:
    command = parse_command("uv", line.split())
    known = replace(standing_of(command), **standing)  # type: ignore[arg-type]  # the cases below name its fields
    first, second = lock_phase(command, known), install_phase(command, known)
    return (None if first is None else " ".join(first), None if second is None else " ".join(second))


NO_DEV = "sync --frozen --inexact --no-dev"


@pytest.mark.parametrize(
    ("line", "first", "second"),
    [
        ("lock -U", "lock -U", None),
        ("lock --check", "lock --check", None),
        ("--project p lock", "lock", None),
        ("sync", "export", "sync --frozen"),
        ("-q sync -nU", "export --quiet --no-cache --upgrade", "-q sync --frozen --refresh -n"),
        ("sync --locked --no-install-project", "export --locked", "sync --frozen --no-install-project"),
        ("sync --no-sources -P x", "export --no-sources --upgrade-package=x", "sync --frozen -P x"),
        ("sync --frozen --active", None, "sync --frozen --active"),
        ("sync --dry-run", "sync --dry-run", None),
        ("sync --check --frozen", None, "sync --check --frozen"),
        ("run -U x.py -U", "lock --quiet --upgrade", "run --frozen --refresh x.py -U"),
        ("run --directory d -v python --frozen", "lock --quiet", "run --frozen --directory d -v python --frozen"),
        ("run --frozen x", None, "run --frozen x"),
        ("run --no-sync --with y x", None, "run --no-sync --with y x"),
        ("run --no-project x", None, "run --no-project x"),
        ("run --isolated x", "lock --quiet", "run --frozen --isolated x"),
        ("tree -U --depth 1", "tree -U --depth 1", "tree --frozen --depth 1"),
        ("export -o out.txt", "export", "export -o out.txt"),
        ("audit", "lock --quiet", "audit --frozen"),
        ("add x", "add --no-sync x", "sync --frozen --inexact --no-dev"),
        ("add x --dev -n", "add --no-sync x --dev -n", "sync --frozen --inexact --group=dev --no-cache"),
        ("add x --optional o --extra e", "add --no-sync x --optional o --extra e", NO_DEV + " --extra=o"),
        ("add --package m x", "add --no-sync --package m x", "sync --frozen --inexact --no-dev --package=m"),
        ("add x --no-sync", "add x --no-sync", None),
        ("add x --frozen", "add x --frozen", None),
        ("add x --script s.py", "add x --script s.py", None),
        ("remove x --group g", "remove --no-sync x --group g", "sync --frozen"),
        ("version --bump minor", "version --no-sync --bump minor", "sync --frozen --inexact"),
        ("version 1.0 --dry-run", None, "version 1.0 --dry-run"),
        ("sync --script s.py", None, "sync --script s.py"),
        ("pip install x", None, "pip install x"),
    ],
)  # fmt: skip
def test_a_command_is_split_into_what_locks_and_what_installs(line: str, first: str | None, second: str | None) -> None:
    assert phases(line, **({"no_sync": True} if "--no-sync" in line else {})) == (first, second)


def test_the_environment_counts_as_the_command_line_does() -> None:
    assert phases("sync", frozen=True) == (None, "sync")
    assert phases("run x", frozen=True) == (None, "run x")
    assert phases("run x", no_sync=True) == (None, "run x")
    assert phases("add x", no_sync=True) == ("add --no-sync x", None)
    assert phases("run s.py", script="locked") == ("lock --quiet --script=s.py", "run --frozen s.py")
    assert phases("run s.py", script="plain") == (None, "run s.py")
    assert phases("tree --script s.py", script="locked") == ("tree --script s.py", "tree --frozen --script s.py")


def test_the_first_phase_is_led_to_the_staged_project() -> None:
    command = parse_command("uv", ["--directory=d", "sync", "--project", "p"])
    assert lock_phase(command, Standing(), project="/staged") == ("export", "--project=/staged")


@pytest.mark.parametrize(
    ("line", "version", "restored"),
    [
        ("add x", (0, 7, 22), True),
        ("remove x", (0, 12, 17), False),
        ("remove x", (0, 12, 18), True),
        ("version 2", (0, 13, 9), True),
        ("sync", (0, 13, 9), False),
        ("run x", (0, 13, 9), False),
    ],
)
def test_what_was_edited_is_put_back_where_uv_does_so(line: str, version: tuple[int, ...], restored: bool) -> None:
    assert restores_after_failure(parse_command("uv", line.split()), version) is restored


def test_the_lock_of_an_isolated_run_is_not_kept() -> None:
    assert keeps_lock(parse_command("uv", ["run", "x", "--isolated"]))
    assert not keeps_lock(parse_command("uv", ["run", "--isolated", "x"]))


# ---------------------------------------------------------------- the real uv


@dataclass
class Lab:
    """A project, an index, and a uv that has all that is on it in its cache."""

    root: Path
    index: Index

    @property
    def project(self) -> Path:
        return self.root / "mine"

    def uv(
        self, argv: Sequence[str], cwd: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.defpath, "HOME": str(self.root), "UV_CACHE_DIR": str(self.root / "cache")}
        environ |= {
            "UV_DEFAULT_INDEX": self.index.url,
            "UV_PYTHON": sys.executable,
            "UV_NO_PROGRESS": "1",
            "UV_OFFLINE": "1",
        }
        environ |= variables or {}
        place = cwd or self.project
        return subprocess.run(
            [UV, *argv], cwd=place, env=environ, capture_output=True, text=True, check=False, timeout=60
        )

    def begin(self, prepare: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        shutil.rmtree(self.project, ignore_errors=True)
        self.project.mkdir(parents=True)
        (self.project / "pyproject.toml").write_text(PROJECT)
        (self.project / "s.py").write_text(SCRIPT)
        for line in prepare:
            done = self.uv(line.split(), variables=variables)
            assert done.returncode == 0, done.stderr

    def stage(self) -> Path:
        staged = self.root / ".mine.staged"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        for each in self.project.iterdir():
            if each.is_dir():
                (staged / each.name).symlink_to(each)
            else:
                shutil.copy(each, staged / each.name)
        return staged

    def apply(self, staged: Path) -> None:
        for each in staged.iterdir():
            if each.is_file():
                shutil.copy(each, self.project / each.name)

    def files(self) -> dict[str, bytes]:
        """Return the files of the project; of the environment which there are, and its records."""
        found = {}
        for path in sorted(self.project.rglob("*")):
            name = path.relative_to(self.project).as_posix()
            if path.is_file() and "__pycache__" not in name and name != ".venv/.lock":  # which `sync` leaves behind
                kept = name.startswith(".venv/") and not name.endswith("/RECORD")
                found[name] = b"" if kept else path.read_bytes()
        return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("phases")
    for name in ("aaa", "ccc", "ddd", "eee", "fff"):
        make_wheel(root / "files", name)
    make_wheel(root / "files", "aaa", "2.0")
    make_wheel(root / "files", "bbb", requires=["aaa"])
    with serve(Index(files=root / "files", json=True)) as index:
        made = Lab(root, index)
        made.begin(WARMING, {"UV_OFFLINE": "0"})
        yield made


def said(text: str) -> list[str]:
    """Return what uv said, without times; an interpreter that is named a second time only once."""
    lines = [re.sub(r"in [\d.]+m?s$", "in -", line) for line in text.splitlines()]
    return [line for at, line in enumerate(lines) if not line.startswith("Using ") or line not in lines[:at]]


def in_two_phases(lines: list[str]) -> list[str]:
    """Return what two phases say where the command says *lines*: it resolves before it makes an environment."""
    made = [line for line in lines if line.startswith("Creating ")]
    at = next((at for at, line in enumerate(lines) if line.startswith("Resolved ")), -1)
    return lines if at < 0 or not made else [lines[0], lines[at], *made, *lines[at + 1 :]]


SYNCED = ("sync",)
OLD = ("lock -P aaa==1.0",)


@pytest.mark.parametrize(
    ("line", "prepare"),
    [
        ("sync", ()),
        ("sync", SYNCED),
        ("sync --upgrade", (*OLD, "sync --frozen")),
        ("sync --extra more --no-dev", SYNCED),
        ("sync --locked", SYNCED),
        ("run python -c print(1)", ()),
        ("run --group docs python -c print(1)", SYNCED),
        ("run --with fff python -c print(1)", SYNCED),
        ("tree", SYNCED),
        ("tree", ()),
        ("export --no-hashes", ()),
        ("add fff", SYNCED),
        ("add --group docs fff", SYNCED),
        ("add --optional more fff", SYNCED),
        ("add --dev fff", ("sync --no-dev",)),
        ("add nothing-of-that-name", SYNCED),
        ("remove bbb", ("sync --all-groups --all-extras",)),
        ("remove --dev ddd", SYNCED),
        ("version --bump minor", ("sync --group docs",)),
        ("version 1.0", ()),
        ("lock", ()),
        ("lock --upgrade", OLD),
        ("lock --script s.py", ()),
    ],
    ids=lambda value: value if isinstance(value, str) else "after " + ", ".join(value),
)  # fmt: skip
def test_two_phases_leave_what_the_command_leaves(line: str, prepare: Sequence[str], lab: Lab) -> None:
    lab.begin(prepare)
    offline = line != "sync --upgrade"  # which says more where it can ask whether what it has is fresh
    network = {"UV_OFFLINE": str(int(offline))}
    bare = lab.uv(line.split(), variables=network)
    left = lab.files()
    lab.begin(prepare)
    command = parse_command("uv", line.split())
    standing = replace(standing_of(command), offline=offline)
    first, second = lock_phase(command, standing), install_phase(command, standing)
    assert first is not None
    staged = lab.stage()
    done = lab.uv(first, staged, network)
    output, errors = ("" if first_is_silent(command) else done.stdout), done.stderr
    if done.returncode == 0:
        lab.apply(staged)
        if second is not None:
            done = lab.uv(second, variables={**network, **second_environ(command)})
            output, errors = output + done.stdout, errors + done.stderr
    assert (done.returncode, output) == (bare.returncode, bare.stdout)
    assert said(errors) == in_two_phases(said(bare.stderr))
    assert lab.files() == left


BROKEN = """\
[build-system]
requires = []
build-backend = "broken"
backend-path = ["."]
"""


@pytest.mark.parametrize("line", ["add fff", "remove bbb", "version 2.0", "sync"])
def test_the_real_uv_puts_back_what_it_edited_where_installing_fails(line: str, lab: Lab) -> None:
    lab.begin(["lock"])
    with (lab.project / "pyproject.toml").open("a") as file:
        file.write(BROKEN)
    (lab.project / "broken.py").write_text("raise SystemExit('no build')\n")
    before = {name: data for name, data in lab.files().items() if not name.startswith(".venv/")}
    assert lab.uv(line.split()).returncode == 1
    after = {name: data for name, data in lab.files().items() if not name.startswith(".venv/")}
    command = parse_command("uv", line.split())
    assert (after == before) is restores_after_failure(command, (0, 13, 9))
