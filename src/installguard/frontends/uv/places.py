"""Places for staging: directories whose names last, for one guard at a time; what a killed one left is removed."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from ...dataclass import dataclass
from ...errors import UnjudgedError
from .trees import remove_tree

OWN = ".installguard-staging"
"""The one entry of a staging directory that is not the project's."""
MARKER = ("marker", OWN)
"""What is removed last, from within: a directory that has it is known for a leftover until all else is gone."""
_SLOTS = 8
"""Guards that stage one project at once."""
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory of our own, empty but for its marker, and held as long as that is open."""

    directory: Path
    handle: int
    suffix: str
    """Tells this guard's temporary files from those of another one."""

    @property
    def own(self) -> Path:
        """Where we keep what is not the project's."""
        return self.directory / OWN

    def leave(self) -> None:
        """Remove it, and let it go."""
        if sys.platform == "win32":
            os.close(self.handle)  # an open file cannot be removed there
            remove_tree(self.directory, last=MARKER)
            return
        try:
            remove_tree(self.directory, last=MARKER)
        finally:
            os.close(self.handle)


def staging_name(path: Path, user: str) -> str:
    """Return the last part of the names of a user's staging directories for *path*."""
    return f"installguard-{sha256(f'{user}:{path}'.encode(errors='surrogateescape')).hexdigest()[:10]}"


def user_name() -> str:
    """Return what tells this user from others."""
    return str(os.getuid()) if hasattr(os, "getuid") else ""


def is_ours(name: str) -> bool:
    """Say whether a directory entry's name is that of a staging directory, or of a temporary file of staging."""
    return ".installguard-" in name and name.startswith(".") and name != OWN


def take_place(parents: Sequence[Path], subject: Path) -> Place:
    """Return a place in the first of *parents* where one can be had; raises `UnjudgedError`."""
    name, suffix = subject.name[:80], staging_name(subject, user_name())
    problem: OSError | None = None
    for parent in parents:
        for slot in range(_SLOTS):
            number = f"{suffix}-{slot}" if slot else suffix
            try:
                handle = _claim(parent / f".{name}.{number}", subject)
            except OSError as error:
                problem = error
                break
            if handle is not None:
                return Place(directory=parent / f".{name}.{number}", handle=handle, suffix=number)
    why = f": {problem.strerror or problem}" if problem else ": too many others run"
    raise UnjudgedError(
        f"there is no place for a copy of what uv would write{why}",
        where=str(subject),
        now=f"make {parents[0]} writable",
    )


def _claim(directory: Path, subject: Path) -> int | None:
    """Return the open marker of a directory that is now ours, `None` where it is another's; raises `OSError`."""
    for _ in range(_TRIES):
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            if not _remove_leftover(directory):
                return None
            continue
        with suppress(FileNotFoundError):  # another guard took the empty directory for a leftover
            handle = _mark(directory, subject)
            if handle is not None:
                return handle
    return None


def _mark(directory: Path, subject: Path) -> int | None:
    """Write our marker into a new directory and hold it; `None` where another guard was quicker."""
    own = directory / OWN
    try:
        own.mkdir(mode=0o700)
    except FileExistsError:
        return None
    handle = os.open(own / "marker", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    if not hold(handle) or not is_still(handle, own / "marker"):
        os.close(handle)
        return None
    os.write(handle, json.dumps({"installguard": "staging", "of": str(subject), "pid": os.getpid()}).encode())
    return handle


def _remove_leftover(directory: Path) -> bool:
    """Remove a directory that a killed guard left behind, and say whether it is gone; nobody else's is touched."""
    try:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
            return False
        handle = os.open(directory / OWN / "marker", os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return _remove_empty(directory)
    except OSError:
        return False
    try:
        if not hold(handle) or not is_still(handle, directory / OWN / "marker"):
            return False
        if sys.platform == "win32":
            os.close(handle)  # an open file cannot be removed there
        remove_tree(directory, last=MARKER)
    except OSError:
        return False
    else:
        return True
    finally:
        if sys.platform != "win32":
            os.close(handle)


def _remove_empty(directory: Path) -> bool:
    """Remove what a guard left that was killed before it had a marker: empty directories."""
    with suppress(OSError):
        (directory / OWN).rmdir()
    with suppress(OSError):
        directory.rmdir()
    return not os.path.lexists(directory)


def hold(handle: int) -> bool:
    """Lock an open file if nobody has, and say whether that was so."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_still(handle: int, path: Path) -> bool:
    """Say whether the open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
