"""Policy files on disk: which ones are in force, reading them, replacing them in one step."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..dataclass import dataclass
from ..errors import PolicyError, UsageError
from .toml import TomlError, decode_toml, parse_toml

PYPROJECT = "pyproject.toml"
POLICY_TOML = "policy.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """One file that has a `[tool.installguard]` table."""

    path: Path
    """Absolute."""
    table: Any
    """What TOML gave for `tool.installguard`, not yet checked."""
    text: str = ""
    """The whole document, in which messages name lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFiles:
    """The files whose policy is in force."""

    own: PolicyFile | None = None
    """`--policy`, else the nearest `pyproject.toml`, else the user's `policy.toml`."""
    site: PolicyFile | None = None
    """The system-wide `policy.toml`: a parent of every other."""

    @property
    def all(self) -> tuple[PolicyFile, ...]:
        """Those that there are, the nearest first."""
        return tuple(file for file in (self.own, self.site) if file is not None)


def find_policy_files(
    start: Path, *, explicit: Path | None, user_config_dir: Path | None, site_config_dir: Path | None
) -> PolicyFiles:
    """Return the policy files in force for the directory *start*; raises `PolicyError` for one that is unreadable."""
    site = open_site(site_config_dir)
    if explicit is not None:
        own = open_named(start / explicit, demanded=True)
    else:
        own = open_nearest(start)
        if own is None and user_config_dir is not None:
            own = open_named(user_config_dir / POLICY_TOML, demanded=False)
    if own is not None and site is not None and own.path.samefile(site.path):
        own = None
    return PolicyFiles(own=own, site=site)


def file_to_write(start: Path, files: PolicyFiles) -> Path:
    """Return the file that a waiver or a first table belongs in: that in force, else the project's, else a new one."""
    if files.own is not None:
        return files.own.path
    above = (directory / PYPROJECT for directory in with_parents(start))
    return next((path for path in above if path.is_file()), start.resolve() / PYPROJECT)


def with_parents(start: Path) -> Iterator[Path]:
    """Yield the directory and those above it."""
    directory = start.resolve()
    yield from (directory, *directory.parents)


def open_nearest(start: Path) -> PolicyFile | None:
    """Return the nearest `pyproject.toml` upwards that has our table."""
    for directory in with_parents(start):
        path = directory / PYPROJECT
        data = read_bytes(path)
        if data is None or not (b"installguard" in data or b"\\" in data):
            continue  # a key can name us only as it is or by escapes
        with problems_of(path):
            try:
                text = decode_toml(data)
                document = parse_toml(text)
            except TomlError:
                if b"installguard" in data:
                    raise
                continue  # broken, but not ours
        table = our_table(document)
        if table is not None:
            return PolicyFile(path=path, table=table, text=text)
    return None


def open_site(directory: Path | None) -> PolicyFile | None:
    """Return the system-wide policy, where there is one."""
    return None if directory is None else open_named(directory / POLICY_TOML, demanded=False)


def identity(path: Path) -> str:
    """Return a name that two paths share exactly where they lead to one file."""
    return os.path.realpath(path)


def open_named(path: Path, *, demanded: bool, special: bool | None = None) -> PolicyFile | None:
    """Return a file that is there for us alone; raises `PolicyError` where it lacks our table.

    What is no regular file (a pipe) is read where it is *special*, as what is *demanded* is unless told otherwise.
    """
    path = path.absolute()
    data = read_bytes(path, special=demanded if special is None else special)
    if data is None:
        if demanded:
            raise PolicyError(["no such file" if not path.exists() else "is not a regular file"], where=str(path))
        return None
    with problems_of(path):
        text = decode_toml(data)
        table = our_table(parse_toml(text))
    if table is None:
        raise PolicyError(["has no [tool.installguard] table (its keys belong there)"], where=str(path))
    return PolicyFile(path=path, table=table, text=text)


def our_table(document: dict[str, Any]) -> Any | None:
    """Return what a document has at `tool.installguard`, if it has."""
    tool = document.get("tool")
    return tool.get("installguard") if isinstance(tool, dict) else None


@contextmanager
def problems_of(path: Path) -> Iterator[None]:
    """Turn text that is no TOML into a `PolicyError` about that file."""
    try:
        yield
    except TomlError as error:
        raise PolicyError([str(error)], where=str(path)) from error


def read_bytes(path: Path, *, special: bool = False) -> bytes | None:
    """Return a file's bytes, `None` where there is none; *special* files (a pipe) are read only where asked for."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode) and special:
            raise PolicyError(["is a directory"], where=str(path))
        return path.read_bytes() if stat.S_ISREG(mode) or special else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PolicyError([f"cannot be read: {error.strerror or error}"], where=str(path)) from error


def replace_file(path: Path, before: bytes | None, after: bytes) -> None:
    """Replace a file's bytes in one step, keeping its mode and following links; raises `UsageError`.

    *before* is what it held when it was read (`None`: it was not there); one changed since is left alone.
    """
    target = Path(os.path.realpath(path))
    try:
        found = target.stat() if before is not None else None
        if found is not None and not (found.st_mode & 0o222 and os.access(target, os.W_OK)):
            raise UsageError("is read-only", where=str(path), now="nothing was written")
        write_aside(target, after, found, before)
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise UsageError(problem, where=str(path), now="nothing was written") from error


def write_aside(target: Path, after: bytes, found: os.stat_result | None, before: bytes | None) -> None:
    """Write a temporary file beside the target and put it in its place."""
    aside = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        with aside.open("xb") as out:
            out.write(after)
            out.flush()
            os.fsync(out.fileno())
        if found is not None:
            copy_owner_and_mode(aside, found)
        if read_bytes(target) != before:
            raise UsageError("was changed meanwhile", where=str(target), now="nothing was written: try again")
        aside.replace(target)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()


def copy_owner_and_mode(aside: Path, found: os.stat_result) -> None:
    """Give the new file the old one's owner, as far as we may, and its mode."""
    if hasattr(os, "chown"):
        with suppress(PermissionError):
            os.chown(aside, found.st_uid, found.st_gid)
    aside.chmod(stat.S_IMODE(found.st_mode))
