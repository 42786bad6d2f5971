"""A terminal of one's own for a process: what it prints there, and answers to what it asks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_on_terminal(
    command: Sequence[str | Path], environ: Mapping[str, str], cwd: Path, *, asks: bytes = b"", answer: bytes = b""
) -> tuple[int, str]:
    """Run a command on a new terminal, type *answer* as soon as it *asks*, and return exit code and all it printed."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    process = subprocess.Popen(
        [str(part) for part in command],
        env={**environ, "TERM": "xterm-256color"},
        cwd=cwd,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    printed, unanswered = b"", bool(answer)
    try:
        while block := read(leader):
            printed += block
            if unanswered and asks in printed:
                os.write(leader, answer)
                unanswered = False
        return process.wait(60), printed.decode("utf-8", "replace")
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def read(leader: int) -> bytes:
    """Return what was printed next, nothing once every process has left the terminal."""
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux says EIO at the end
        return b""
