"""A project of uv that was judged minutes ago and has not changed since: its verdict stands, and is told again.

uv itself says that there is nothing to do: that the lock is right, and that the environment is as the lock wants it
(`uv sync --check`, without the network; of projects that it would build to answer, it is not asked). Then it is run as
typed, without the network all the same. Where uv would do anything, or a file that the verdict rests on is another one,
everything is judged as ever.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256

from . import __version__
from .private import write_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .frontends.uv.running import UvOutcome
    from .uv_ground import Ground

SCHEMA = 1
LASTS = 600.0
"""Seconds for which a verdict may be told again: what depends on the time of day is not looked at meanwhile."""
DAY = 86_400
"""Seconds; waivers end with a day (UTC), and no verdict stands for longer than its own."""
SETTLED = 2.0
"""Seconds before the run in which no file may have been written: the clocks of some file systems are that coarse."""
ASKING_SECONDS = 20.0
MOST_FILES = 500
PASSING = ("_", "OLDPWD", "SHLVL")
"""Variables that shells change from one command to the next, and that mean nothing to uv."""


class UnfitError(Exception):
    """A file is none that a verdict can rest on: a pipe, one that cannot be read, one that was just written."""


class Remembered:
    """A verdict, and all that has to be as it was."""

    __slots__ = ("asking", "files", "running", "stored", "text", "uv")

    def __init__(self, facts: Mapping[str, Any]) -> None:
        """Raises `KeyError`, `TypeError` or `ValueError` for what is no such record."""
        self.uv = _text(facts["uv"])
        self.asking = [_text(each) for each in facts["asking"]]
        """The command line by which uv says whether there is anything to do."""
        self.running = [_text(each) for each in facts["running"]]
        """The one that does what was typed, and finds nothing to do."""
        self.files = {_text(path): None if each is None else _text(each) for path, each in facts["files"].items()}
        """SHA-256 of each file that counts; `None` of those that were not there."""
        self.stored = {_text(path): [int(each) for each in facts["stored"][path]] for path in facts["stored"]}
        """Size and time of large files that are never written in place."""
        self.text = _text(facts["text"])
        """What was told of the verdict, in the form of this terminal."""


def key_of(environ: Mapping[str, str], cwd: str, *facts: object) -> str:
    """Return a name for one command as typed: *facts* are all else that it can depend on, files left out."""
    variables = sorted((name, value) for name, value in environ.items() if name not in PASSING)
    return sha256(repr((SCHEMA, __version__, cwd, facts, variables)).encode("utf-8", "replace")).hexdigest()


# ---------------------------------------------------------------- told again


def resume(directory: str, key: str, environ: Mapping[str, str], now: float) -> tuple[UvOutcome, str] | None:
    """Run uv as typed where a verdict stands, and return how it ended and what the verdict is; `None` where none does.

    *directory* is the cache, *now* in seconds since the epoch.
    """
    known = recall(directory, key, now)
    if known is None or not uv_confirms(known, environ):
        return None
    from .frontends.uv.running import run_uv

    return run_uv(known.uv, known.running, cwd=None, environ=environ), known.text


def recall(directory: str, key: str, now: float) -> Remembered | None:
    """Return what is remembered of a command, if it is new enough and for nobody else to have written."""
    path = _file(directory, key)
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        if not _is_ours(os.stat(path)):  # noqa: PTH116 - uv waits until this is done
            return None
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as above
            facts = json.load(file)
        if 0 <= now - facts["judged"] < LASTS and now // DAY == facts["judged"] // DAY:
            return Remembered(facts)
    return None


def _is_ours(found: os.stat_result) -> bool:
    """Tell whether nobody else can have written a file, or can read it; on Windows the directory sees to that."""
    if sys.platform == "win32":
        return True
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


def uv_confirms(known: Remembered, environ: Mapping[str, str]) -> bool:
    """Tell whether all files are as they were, and uv has nothing to do."""
    if not _same_sizes(known.stored):
        return False
    none = subprocess.DEVNULL
    try:
        asked = subprocess.Popen([known.uv, *known.asking], env=dict(environ), stdin=none, stdout=none, stderr=none)  # noqa: S603 - the user's own uv
    except OSError:
        return False
    try:
        from .frontends.uv import running  # noqa: F401 - now, while uv is looking
        from .frontends.uv.program import find_uv

        same = find_uv("uv", environ) == known.uv and _same_contents(known.files)
        return same and asked.wait(ASKING_SECONDS) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        if asked.poll() is None:
            asked.kill()  # it only looks
            asked.wait()


def _same_contents(files: Mapping[str, str | None]) -> bool:
    with suppress(UnfitError):
        return all(_digest(path) == digest for path, digest in files.items())
    return False


def _same_sizes(stored: Mapping[str, list[int]]) -> bool:
    with suppress(OSError):
        return all(_size(path) == size for path, size in stored.items())
    return False


# ---------------------------------------------------------------- remembered


def taken(ground: Ground, *, began: float) -> Taken | None:
    """Return what the files of *ground* hold; `None` where one was written since, or shortly before, *began* (epoch).

    To be called as soon as they have been read, before anything runs that could change what they are.
    """
    with suppress(OSError, UnfitError):
        before = began - SETTLED
        files = {str(path): _digest(str(path), before=before) for path in ground.files}
        if len(files) <= MOST_FILES and all(files[str(path)] is not None for path in ground.read):
            return Taken(files, {str(path): _size(str(path), before=before) for path in ground.stored}, ground)
    return None


class Taken:
    """What the files that a verdict rests on held."""

    __slots__ = ("files", "ground", "stored")

    def __init__(self, files: dict[str, str | None], stored: dict[str, list[int]], ground: Ground) -> None:
        self.files = files
        self.stored = stored
        self.ground = ground


def remember(directory: str, key: str, what: Taken, text: str, *, judged: float, now: float) -> None:
    """Keep a verdict for the next time; where it cannot be kept, the next run judges again. Times since the epoch."""
    ground = what.ground
    with suppress(OSError, UnfitError):
        facts = {
            "judged": judged,
            "uv": ground.uv,
            "asking": list(ground.asking),
            "running": list(ground.running),
            "files": {**what.files, **{str(path): _digest(str(path)) for path in ground.shown}},
            "stored": what.stored,
            "text": text,
        }
        _write(_file(directory, key), json.dumps(facts), now)


def _write(path: str, text: str, now: float) -> None:
    """Write a record for this user only, whole or not at all, and drop those that are of no use any longer."""
    write_private(path, text.encode())
    folder = os.path.dirname(path)  # noqa: PTH120 - as it came
    with os.scandir(folder) as entries:
        for each in entries:
            if now - each.stat().st_mtime > LASTS:
                os.unlink(each)  # noqa: PTH108 - as above


# ---------------------------------------------------------------- files


def _file(directory: str, key: str) -> str:
    return os.path.join(directory, "unchanged", f"{key}.json")  # noqa: PTH118 - uv waits until this is done


def _digest(path: str, *, before: float | None = None) -> str | None:
    """Return a file's SHA-256, `None` where there is none; raises `UnfitError`, also if written *before* or later."""
    try:
        found = os.stat(path)  # noqa: PTH116 - dozens of times, while uv waits
        if not stat.S_ISREG(found.st_mode) or (before is not None and _written(found) >= before):
            raise UnfitError(path)
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return sha256(file.read()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UnfitError(path) from error


def _size(path: str, *, before: float | None = None) -> list[int]:
    """Return a file's size and time; raises `OSError`, and `UnfitError` if it was written *before* or later."""
    found = os.stat(path)  # noqa: PTH116 - as above
    if before is not None and _written(found) >= before:
        raise UnfitError(path)
    return [found.st_size, found.st_mtime_ns]


def _written(found: os.stat_result) -> float:
    """Return when a file was last written or put in its place; on Windows `st_ctime` is when it was made."""
    return max(found.st_mtime, found.st_ctime)


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError("no text")
    os.fsencode(value)  # which refuses what is no text either
    return value
