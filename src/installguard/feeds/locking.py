"""One holder at a time, across processes: a lock that the system lets go of however its holder ends."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import BinaryIO

from ..errors import FeedError


class BusyError(FeedError):
    """Another guard holds the lock, and did not let go in time."""


def acquire(lock: BinaryIO, directory: Path, seconds: float) -> None:
    """Take the lock within *seconds*; raises `BusyError`."""
    deadline = time.monotonic() + seconds
    while not try_lock(lock):
        if time.monotonic() >= deadline:
            raise BusyError(
                f"another guard is writing the snapshot, and was not done within {seconds:g} s",
                where=str(directory),
                now="try again later",
            )
        time.sleep(0.02)


def try_lock(lock: BinaryIO) -> bool:
    """Take the lock if nobody holds it, and say whether that was so."""
    try:
        if sys.platform == "win32":
            import msvcrt

            lock.seek(0)
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
