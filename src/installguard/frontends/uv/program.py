"""The uv that is run: where it is, which version, and which index it asks where none is configured."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeAlias

from ...dataclass import asdict, dataclass
from ...errors import UnjudgedError, UsageError
from ...private import write_private

Program: TypeAlias = Literal["uv", "uvx"]

OLDEST = (0, 7, 22)
"""The oldest uv that guard was tried with: it shows why a file is denied, and writes the lock files that are read."""
_SECONDS = 30
_VERSION = r"uv(?:x|-tool-uvx)? (\d+)\.(\d+)\.(\d+)"
_DEFAULT = r"(?s)default-index\b.*?by default:\s*<(\S+?)>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uv:
    """A uv program, and what it says of itself."""

    path: str
    version: str
    default_index: str
    """The URL of the index that it asks where the user configured none, as it writes it to lock files."""


def release_of(uv: Uv) -> tuple[int, ...]:
    """Return a uv's version as numbers."""
    return tuple(map(int, uv.version.split(".")))


def find_uv(program: Program, environ: Mapping[str, str]) -> str:
    """Return the path of the user's uv, or of the one beside guard; raise `UsageError` where there is none."""
    found = which(program, environ.get("PATH", os.defpath))
    if found is None:
        import sysconfig

        found = which(program, sysconfig.get_path("scripts"))
    if found is not None:
        return found
    raise UsageError(f"there is no {program} on PATH", now="install uv, or put its directory on PATH")


def which(program: str, places: str) -> str | None:
    """Return the path of a program, as `shutil.which` does, which takes longer to be imported than uv to start."""
    if os.name == "nt":
        import shutil

        return shutil.which(program, path=places)
    paths = (os.path.join(place, program) for place in places.split(os.pathsep))  # noqa: PTH118 - relative stays so
    return next((path for path in paths if os.access(path, os.X_OK) and not os.path.isdir(path)), None)  # noqa: PTH112


def describe_uv(path: str, known: Path | None, environ: Mapping[str, str]) -> Uv:
    """Return what the uv at *path* says of itself, kept in the file *known* for as long as the program is the same.

    Raises `UnjudgedError` where it is too old, or says nothing that is understood.
    """
    with describing_uv(path, known, environ) as told:
        return told()


@contextmanager
def describing_uv(path: str, known: Path | None, environ: Mapping[str, str]) -> Iterator[Callable[[], Uv]]:
    """Begin to ask a uv what it says of itself, and give what returns that, as `describe_uv` does."""
    mark = _mark(path)
    kept = _kept(known, mark) if known is not None else None
    if kept is not None:
        yield lambda: _new_enough(kept)
        return
    with _asking(path, environ) as asked:

        def told() -> Uv:
            uv = _new_enough(asked())
            if known is not None:
                _keep(known, mark, uv)
            return uv

        yield told


def _new_enough(uv: Uv) -> Uv:
    """Return *uv*; raise `UnjudgedError` where it is too old."""
    if release_of(uv) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        what = f"uv {uv.version} is older than guard can serve"
        raise UnjudgedError(what, where=uv.path, now=f"use uv {oldest} or newer")
    return uv


def _mark(path: str) -> str:
    """Return what changes when the program does."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise UnjudgedError(f"cannot be run: {error.strerror or error}", where=path) from error
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def _kept(known: Path, mark: str) -> Uv | None:
    try:
        data = json.loads(known.read_text(encoding="utf-8"))
        facts = data["uv"] if data["mark"] == mark else {}
        return Uv(path=str(facts["path"]), version=str(facts["version"]), default_index=str(facts["default_index"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _keep(known: Path, mark: str, uv: Uv) -> None:
    """Remember what uv said; where that is impossible it is asked again the next time."""
    with suppress(OSError):
        write_private(known, json.dumps({"mark": mark, "uv": asdict(uv)}).encode())


@contextmanager
def _asking(path: str, environ: Mapping[str, str]) -> Iterator[Callable[[], Uv]]:
    """Ask a uv in two runs at once, and give what waits for them and returns what it says of itself."""
    own = str(Path(path).with_name(Path(path).name.replace("uvx", "uv")))
    with (
        _begin(path, ["--version"], environ) as version,
        _begin(own, ["pip", "install", "--help"], environ) as usage,
    ):
        try:
            yield lambda: Uv(
                path=path, version=_version_in(_said(version), path), default_index=_default_in(_said(usage), path)
            )
        finally:
            for each in (version, usage):
                if each.poll() is None:
                    each.kill()


def _version_in(said: str, path: str) -> str:
    found = re.match(_VERSION, said)
    if found is None:
        raise UnjudgedError(f"{said.strip()[:60]!r} is no version of uv", where=path, now="name a uv on PATH")
    return ".".join(found.groups())


def _default_in(said: str, path: str) -> str:
    """Return the built-in default index, which uv names in its help."""
    found = re.search(_DEFAULT, said)
    if found is None:
        raise UnjudgedError("this uv does not say which index it asks by default", where=path, now="update guard")
    return found.group(1)


def _begin(path: str, arguments: list[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    plain = {**environ, "NO_COLOR": "1", "UV_NO_CONFIG": "1", "COLUMNS": "200"}
    none, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        return subprocess.Popen([path, *arguments], env=plain, stdin=none, stdout=pipe, stderr=none)  # noqa: S603 - the user's own uv
    except OSError as error:
        raise UnjudgedError(f"cannot be asked for its {arguments[-1].strip('-')}: {error}", where=path) from error


def _said(asked: subprocess.Popen[bytes]) -> str:
    """Return what a process says; raises `UnjudgedError` where it fails, or takes too long."""
    path, *_, what = map(str, asked.args)  # type: ignore[arg-type]  # a list, as it was given
    try:
        said, _ = asked.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        asked.kill()
        raise UnjudgedError(f"cannot be asked for its {what.strip('-')}: {error}", where=path) from error
    if asked.returncode:
        problem = f"it ended with {asked.returncode}"
        raise UnjudgedError(f"cannot be asked for its {what.strip('-')}: {problem}", where=path)
    return said.decode("utf-8", "replace")
