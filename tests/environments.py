"""Virtual environments with a chosen pip, and guard run in a process of its own against them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Ran:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything it printed."""
        return f"--- {self.code}\n{self.out}\n---\n{self.err}"


@dataclass
class Environment:
    """A virtual environment to install into, and a home of its own for every configuration and cache."""

    prefix: Path
    home: Path
    index_url: str | None = None
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.prefix / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def site_packages(self) -> Path:
        """Where it installs."""
        if os.name == "nt":
            return self.prefix / "Lib" / "site-packages"
        return next((self.prefix / "lib").glob("python*")) / "site-packages"

    def environ(self) -> dict[str, str]:
        """Return environment variables that keep every process away from this machine's own configuration."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "INSTALLGUARD_", "UV_"))
        }
        for name in (
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
            "PYTHONPATH",
            "PYTHONHOME",
            "PYTHONDONTWRITEBYTECODE",
            "FORCE_COLOR",
            "NO_COLOR",
        ):
            kept.pop(name, None)
        index = {"PIP_INDEX_URL": self.index_url} if self.index_url else {"PIP_NO_INDEX": "1"}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_CONFIG_DIRS": str(self.home / "site-config"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_RETRIES": "0",
            "COLUMNS": "160",
            **index,
            **self.extra,
        }

    def run(self, command: Sequence[str | Path], *, cwd: Path | None = None, **variables: str) -> Ran:
        """Run a command in this environment's surroundings."""
        return run(command, {**self.environ(), **variables}, cwd or self.home)

    def guard(self, *argv: str | Path, cwd: Path | None = None, **variables: str) -> Ran:
        """Run guard, which is installed elsewhere, against this environment."""
        return self.run([sys.executable, "-m", "installguard", "--python", self.python, *argv], cwd=cwd, **variables)

    def pip(self, *argv: str | Path, cwd: Path | None = None, **variables: str) -> Ran:
        """Run this environment's pip without guard."""
        return self.run([self.python, "-m", "pip", *argv], cwd=cwd, **variables)

    def files(self) -> dict[str, str]:
        """Return every file of the environment with its SHA-256, byte code left out."""
        return tree(self.prefix)


def run(command: Sequence[str | Path], environ: Mapping[str, str], cwd: Path) -> Ran:
    """Run a command to its end, at most two minutes long."""
    done = subprocess.run(
        [str(part) for part in command],
        env=dict(environ),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def tree(directory: Path) -> dict[str, str]:
    """Return every file below a directory with its SHA-256, byte code left out."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def make_template(directory: Path, python: str, pip: str) -> Path:
    """Create a virtual environment of *python* with a pip release (`newest`: whatever the index offers)."""
    wanted = "pip" if pip == "newest" else f"pip=={pip}"
    subprocess.run([python, "-m", "venv", "--without-pip", str(directory)], check=True, capture_output=True)
    target = Environment(prefix=directory, home=directory)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    where = ["--python-version", version_of(python), "--target", str(target.site_packages)]
    done = subprocess.run([*install, *where, wanted], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no index offers {wanted} here: {done.stderr.strip()[-200:]}")
    asked: list[str | Path] = [target.python, "-m", "pip", "install", "--no-index", "no-such-project"]
    if run(asked, {**target.environ(), "HOME": str(directory)}, directory).code != 1:
        pytest.skip(f"{wanted} itself does not work on Python {version_of(python)}")
    return directory


def version_of(python: str) -> str:
    """Return `3.12` for an interpreter."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def copy_environment(template: Path, prefix: Path) -> None:
    """Copy a virtual environment; its interpreter keeps working, its scripts are not used."""
    shutil.copytree(template, prefix, symlinks=True)
