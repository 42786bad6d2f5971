"""Starting is quick because little is imported, and importing does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import installguard

PACKAGE = Path(installguard.__file__).parent
MODULES = sorted(
    ".".join(["installguard", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py"
)
HEAVY = {"httpx", "pip_api", "pip", "sqlite3", "packaging", "platformdirs", "cvss", "tomllib", "tomli", "rich"}
UNNEEDED = HEAVY | {
    "argparse",
    "json",
    "subprocess",
    "urllib.request",
    "http",
    "email",
    "ssl",
    "zipfile",
    "importlib.metadata",
}


def python(*argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run this interpreter."""
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def imported(*argv: str) -> set[str]:
    """Return every module that guard imports for a command line, as the interpreter itself tells."""
    told = python("-X", "importtime", "-m", "installguard", *argv).stderr
    return {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}


def bare() -> set[str]:
    """Return what an interpreter imports by itself, by what is installed beside it, and to run a module."""
    told = python("-X", "importtime", "-m", "this").stderr
    return {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("argv", [("--version",), ("--help",)])
def test_saying_the_version_imports_nothing_heavy(argv: tuple[str, ...]) -> None:
    names = imported(*argv) - bare()

    assert "installguard.cli" in names
    assert not {name for name in names for heavy in UNNEEDED if f"{name}.".startswith(f"{heavy}.")}


def test_saying_the_version_imports_only_what_tells_it() -> None:
    ours = {name for name in imported("--version") if name.startswith("installguard")}

    assert ours == {"installguard", "installguard.cli", "installguard.errors"}


def test_the_check_of_imports_would_notice_one() -> None:
    assert {"packaging", "hashlib"} <= imported("feed", "status") - bare()


IMPORT_ALL = """
import os, signal, sys, threading
def state():
    return dict(os.environ), os.getcwd(), threading.active_count(), list(sys.path), len(sys.meta_path), [
        signal.getsignal(number) for number in sorted(signal.valid_signals()) if number not in (9, 19)
    ], sorted(os.listdir("."))
opened = []
sys.addaudithook(lambda event, args: opened.append((event, args)) if event in WATCHED and writes(event, args) else None)
WATCHED = {"open", "socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir", "os.remove", "sqlite3.connect"}
def writes(event, args):
    return event != "open" or (isinstance(args[1], str) and set(args[1]) & set("wax+")
                               and "__pycache__" not in str(args[0]))
before = state()
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
after = state()
assert before == after, (before, after)
assert not opened, opened
"""


def test_importing_every_module_changes_and_prints_nothing(tmp_path: Path) -> None:
    done = python("-B", "-c", IMPORT_ALL, *MODULES, cwd=tmp_path)

    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert len(MODULES) > 40
