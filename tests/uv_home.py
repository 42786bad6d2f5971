"""The real uv with guard before it: an index on loopback, a home of its own, a project and an environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from uv import find_uv_bin

from .environments import Ran, run, tree
from .loopback import Index

PROJECT = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = {dependencies}\n'
TAKEN = ("PIP_", "INSTALLGUARD_", "UV_", "XDG_", "PYTEST_")
LEFT = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "FORCE_COLOR", "NO_COLOR")


@dataclass
class UvHome:
    """A home, an index, and a project directory."""

    directory: Path
    index: Index
    uv: str = field(default_factory=lambda: os.environ.get("TESTED_UV") or find_uv_bin())
    """The uv that is installed beside the tests, or another one."""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Where configuration, caches and tools are."""
        return self.directory / "home"

    @property
    def project(self) -> Path:
        """A directory to work in."""
        return self.directory / "project"

    @property
    def environment(self) -> Path:
        """The project's environment, or the one in its place."""
        return self.project / ".venv"

    @property
    def marker(self) -> Path:
        """What a payload touches if it ever runs."""
        return self.directory / "MARKER"

    def environ(self) -> dict[str, str]:
        """Return environment variables that keep every process away from this machine's own configuration."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(TAKEN) and name not in LEFT}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CONFIG_DIRS": str(self.home / "site-config"),
            "XDG_BIN_HOME": str(self.home / "bin"),
            "PATH": os.pathsep.join((str(Path(self.uv).parent), kept.get("PATH", ""))),
            "UV_DEFAULT_INDEX": self.index.url,
            "UV_PYTHON_DOWNLOADS": "never",
            "COLUMNS": "160",
            **self.extra,
        }

    def make(self) -> UvHome:
        """Make the directories."""
        self.home.mkdir(parents=True)
        self.project.mkdir()
        return self

    def make_environment(self) -> None:
        """Make the environment that `uv pip` finds."""
        command = [self.uv, "venv", "-q", "--python", sys.executable]
        subprocess.run(command, cwd=self.project, env=self.environ(), check=True)

    def write_project(self, *dependencies: str, more: str = "") -> Path:
        """Write the project's `pyproject.toml`."""
        path = self.project / "pyproject.toml"
        listed = str(list(dependencies)).replace("'", '"')
        path.write_text(PROJECT.format(dependencies=listed) + more, encoding="utf-8")
        return path

    def guard(self, *argv: str | Path, cwd: Path | None = None, **variables: str) -> Ran:
        """Run guard with *argv*, such as `uv`, `sync`."""
        return self.run([sys.executable, "-m", "installguard", *argv], cwd=cwd, **variables)

    def bare(self, *argv: str | Path, cwd: Path | None = None, **variables: str) -> Ran:
        """Run uv without guard."""
        return self.run([self.uv, *argv], cwd=cwd, **variables)

    def run(self, command: Sequence[str | Path], *, cwd: Path | None = None, **variables: str) -> Ran:
        """Run a command in these surroundings."""
        return run(command, {**self.environ(), **variables}, cwd or self.project)

    def files(self) -> dict[str, str]:
        """Return every file of the project and its environment with its SHA-256, uv's own lock on that left out."""
        return {name: digest for name, digest in tree(self.project).items() if name != ".venv/.lock"}

    def installed(self) -> set[str]:
        """Return the distributions in the environment, as `name-version`."""
        found = self.environment.glob("lib/python*/site-packages/*.dist-info")
        return {path.name.removesuffix(".dist-info") for path in found}

    def addresses_of_guard(self) -> list[str]:
        """Return the files that name a loopback address other than the index's own."""
        ours = f"127.0.0.1:{self.index.port}".encode()
        places = [self.project, self.home / "data", self.home / "config"]
        files = [path for place in places for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
        return [str(path) for path in files if b"127.0.0.1:" in path.read_bytes().replace(ours, b"")]
