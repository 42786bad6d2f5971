"""Files of guard's own, which only the user may read: written whole, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# `os.path`, and no `tempfile`: installers wait until this is done


def create_private(folder: str | Path) -> tuple[int, str]:
    """Create a file under a name that nobody else has, its directory too if there is none.

    Return its descriptor, open for writing, and its path; raises `OSError`.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - see above
    path = os.path.join(folder, f"new-{os.urandom(8).hex()}")  # noqa: PTH118 - see above
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), path


def write_private(path: str | Path, data: bytes) -> None:
    """Write a file in one step; raises `OSError`."""
    handle, aside = create_private(os.path.dirname(path))  # noqa: PTH120 - see above
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(aside, path)  # noqa: PTH105 - see above
    except BaseException:
        with suppress(OSError):
            os.unlink(aside)  # noqa: PTH108 - see above
        raise
