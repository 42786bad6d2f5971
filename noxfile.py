"""Sessions: `nox` runs what every change must pass; matrix, properties and bench go deeper."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

PROJECT = nox.project.load_toml("pyproject.toml")
PIPS = ("22.2", "23.2.1", "24.0", "25.3", "newest")
UVS = ("0.7.22", "0.9.30", "0.11.18", "0.13.9")
PYTHONS = ("3.8", "3.10", "3.11", "3.12", "3.13")


def group(name: str) -> list[str]:
    """Return the requirements of one of our dependency groups."""
    return list(nox.project.dependency_groups(PROJECT, name))


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, with the oldest and the newest pip; arguments go to pytest."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session(python=["3.10", "3.11", "3.12", "3.13", "3.14"])
def guards(session: nox.Session) -> None:
    """The tests, guard itself running on each interpreter that is here."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def matrix(session: nox.Session) -> None:
    """The tests that meet a real pip, with all supported pips under all interpreters that are here."""
    found = [path for version in PYTHONS if (path := interpreter(version))]
    session.log(f"interpreters: {', '.join(found)}")
    session.install("-e", ".", *group("test"))
    chosen = ["--deep", "--pips", ",".join(PIPS), "--pythons", ",".join(found)]
    session.run("pytest", "-n", "auto", *chosen, "tests/test_install_denied.py", *session.posargs)


@nox.session
def deep(session: nox.Session) -> None:
    """All rows of the long tables, of which `tests` runs some."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", "-n", "auto", "--deep", "-m", "every", *session.posargs)


@nox.session
def uvs(session: nox.Session) -> None:
    """The attacks under uv: with the oldest that guard serves, some between, the newest that it was tried with."""
    session.install("-e", ".", *group("test"))
    for version in UVS:
        place = Path(session.create_tmp()).absolute() / version
        into = ["--no-deps", "--upgrade", "--target", str(place)]
        session.run("python", "-m", "pip", "install", "-q", *into, f"uv=={version}")
        tested = {"TESTED_UV": str(place / "bin" / ("uv.exe" if os.name == "nt" else "uv"))}
        attacks = ("tests/test_uv_denied.py", "tests/test_uv_unchanged.py")
        session.run("pytest", "-n", "auto", "--deep", *attacks, *session.posargs, env=tested)


@nox.session
def properties(session: nox.Session) -> None:
    """The laws, with many examples."""
    session.install("-e", ".", *group("test"))
    session.run(
        "pytest", "-n", "auto", "--hypothesis-profile", "many", "-k", "law or propert or fuzz", *session.posargs
    )


@nox.session
def fuzz(session: nox.Session) -> None:
    """Hostile input to the readers of feeds, for as long as it takes: a hundred thousand examples each."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", "-n", "auto", "--hypothesis-profile", "fuzz", "-k", "fuzz", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff: lint and layout."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict."""
    session.install("-e", ".", *group("dev"))
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks: paired ratios and figures, each beside its budget."""
    session.install(".", "uv")
    for script in ("startup.py", "judging.py", "feeds.py", "scale.py", "install.py", "under_uv.py"):
        session.run("python", str(Path("bench") / script), *session.posargs)


def interpreter(version: str) -> str | None:
    """Return the path of an interpreter of that version which works: on PATH, or one of pyenv's."""
    candidates = [shutil.which(f"python{version}")]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += [str(path) for path in sorted(versions.glob(f"{version}.*/bin/python"))]
    for candidate in candidates:
        if candidate and works(candidate):
            return candidate
    return None


def works(python: str) -> bool:
    """Tell whether an interpreter starts, and can make virtual environments."""
    return subprocess.run([python, "-c", "import venv"], capture_output=True, check=False).returncode == 0  # noqa: S603 - an interpreter that was just found
