"""Runs uv as the user would, and passes on to it what is meant to end it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ...dataclass import dataclass
from ...errors import UnjudgedError
from ..interruptions import Interruptions, wait_for
from ..processes import descendants, signal_processes

AGAIN_SECONDS = 300
"""After which uv is not asked any longer for what helps to explain a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UvOutcome:
    """How a run of uv ended."""

    exit_code: int
    """uv's own; 128 + n where signal n ended it."""
    interrupted: bool


def run_uv(
    path: str, argv: Sequence[str], *, cwd: Path | None, environ: Mapping[str, str], stdout: int | None = None
) -> UvOutcome:
    """Run uv with guard's own terminal, to its end; raises `UnjudgedError` where it cannot be started."""
    with running_uv(path, argv, cwd=cwd, environ=environ, stdout=stdout) as wait:
        return wait()


@contextmanager
def running_uv(
    path: str, argv: Sequence[str], *, cwd: Path | None, environ: Mapping[str, str], stdout: int | None = None
) -> Iterator[Callable[[], UvOutcome]]:
    """Run uv with guard's own terminal, and give what waits for its end; raises `UnjudgedError` where it cannot start.

    A uv that nobody waited for is interrupted.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own uv
            [path, *argv], cwd=cwd, env=dict(environ), stdout=stdout, close_fds=False
        )
    except OSError as error:
        raise UnjudgedError(f"cannot be started: {error.strerror or error}", where=path) from error

    def signal_all(number: int) -> None:
        below = descendants(process.pid)
        with suppress(OSError):
            os.kill(process.pid, number)
        signal_processes(below, number)

    def wait() -> UvOutcome:
        code = wait_for(process)
        return UvOutcome(exit_code=code if code >= 0 else 128 - code, interrupted=signals.received)

    with Interruptions(signal_all) as signals:
        try:
            yield wait
        finally:
            if process.poll() is None:
                signals.end()
                wait_for(process)


def said_by(path: str, argv: Sequence[str], *, cwd: Path | None, environ: Mapping[str, str]) -> str | None:
    """Return everything that uv says, without colours; `None` where it fails."""
    plain = {**environ, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(  # noqa: S603 - the user's own uv
            [path, *argv],
            cwd=cwd,
            env=plain,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=AGAIN_SECONDS,
            check=True,
        )
        return done.stdout.decode("utf-8", "replace")
    return None
