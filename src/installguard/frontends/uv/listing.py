"""What an environment holds, as uv itself lists it: what a command of `uv pip` changed is told by two lists."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from ...model import LegacyVersion, Release, parse_version
from ...names import NormalizedName, canonicalize_name
from .command import UvCommand

Listing: TypeAlias = frozenset[Release]

_SECONDS = 60
_NAMED = re.compile(r"^(?: \+ )?([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_WHERE = ("--python", "--target", "--prefix", "--project", "--directory", "--config-file")
_ELSEWHERE = ("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY", "CONDA_PREFIX")
_WHICH = ("--system", "--no-system", "--no-config", "--managed-python", "--no-managed-python")


class ListedEnvironment:
    """Lists the environment that a command of `uv pip` works on; begins at once, in a process of its own."""

    def __init__(self, path: str, command: UvCommand, *, cwd: Path, environ: Mapping[str, str]) -> None:
        argv = [path, "pip", "list", "--format", "json", "--quiet", "--offline", *where_of(command)]
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(  # noqa: S603 - the user's own uv
                argv,
                cwd=cwd,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._process = None

    def releases(self) -> Listing | None:
        """Return what is there; `None` where uv cannot tell, as where there is no environment."""
        if self._process is None:
            return None
        try:
            said, _ = self._process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return None
        return parse_listing(said) if self._process.returncode == 0 else None


def likely_environment(command: UvCommand, cwd: Path, environ: Mapping[str, str]) -> Path | None:
    """Return where the distributions most likely lie that a command is about; `None` where that is not plain."""
    if where_of(command) or any(environ.get(name) for name in _ELSEWHERE):
        return None
    named = environ.get("VIRTUAL_ENV")
    found = (each / ".venv" for each in (cwd, *cwd.parents))
    root = cwd / named if named else next((each for each in found if (each / "pyvenv.cfg").is_file()), None)
    places = () if root is None else (root / "Lib" / "site-packages", *root.glob("lib/python*/site-packages"))
    there = [each for each in places if each.is_dir()]
    return there[0] if len(there) == 1 else None


def recorded_in(directory: Path) -> Listing | None:
    """Return the releases whose records lie in a directory; `None` where these cannot all be told by their names."""
    found = set()
    try:
        for each in os.listdir(directory):  # noqa: PTH208 - the names alone, in the least time
            if each.endswith(".dist-info"):
                name, _, version = each.removesuffix(".dist-info").partition("-")
                found.add(Release(name=canonicalize_name(name), version=parse_version(version)))
    except OSError:
        return None
    return None if any(isinstance(each.version, LegacyVersion) for each in found) else frozenset(found)


def where_of(command: UvCommand) -> Sequence[str]:
    """Return the options of a command that say which environment it is about."""
    valued = [word for name in _WHERE if (value := command.value(name)) is not None for word in (name, value)]
    return [*valued, *(each.name for each in command.options if each.name in _WHICH)]


def parse_listing(said: bytes) -> Listing | None:
    """Return the releases of a list as uv writes it; `None` where it is none."""
    try:
        entries = json.loads(said)
        return frozenset(_release(entry) for entry in entries)
    except (ValueError, TypeError, LookupError):
        return None


def named_in(said: str) -> Iterator[Release]:
    """Yield the releases that uv names where it says what it would install, or writes requirements."""
    for name, version in _NAMED.findall(said):
        yield Release(name=canonicalize_name(name), version=parse_version(version))


def _release(entry: Mapping[str, str]) -> Release:
    name: NormalizedName = canonicalize_name(entry["name"])
    return Release(name=name, version=parse_version(entry["version"]))
