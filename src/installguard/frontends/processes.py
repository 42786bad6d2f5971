"""The processes that a process started, and those that they started: an interruption is for all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ..dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """One process; its start tells it from a later one with the same number."""

    pid: int
    started: str


def descendants(pid: int) -> frozenset[Process]:
    """Return the processes below *pid*; none where the system does not tell."""
    known = running_processes()
    found: set[int] = set()
    while new := {child for child, (parent, _) in known.items() if parent in found | {pid}} - found:
        found |= new
    return frozenset(Process(child, known[child][1]) for child in found)


def signal_processes(processes: frozenset[Process], number: int) -> frozenset[Process]:
    """Send a signal to those of *processes* that are still there, and return them."""
    known = running_processes() if processes else {}
    there = frozenset(each for each in processes if known.get(each.pid, (0, ""))[1] == each.started)
    for each in there:
        with suppress(OSError):
            os.kill(each.pid, number)
    return there


def end_processes(processes: frozenset[Process], *, grace: float) -> None:
    """End what is left of *processes* when *grace* seconds are over."""
    deadline = time.monotonic() + grace
    while signal_processes(processes, 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    signal_processes(processes, getattr(signal, "SIGKILL", signal.SIGTERM))


def running_processes() -> Mapping[int, tuple[int, str]]:
    """Return the parent and the start of every process, by its number; none on Windows, where consoles do all this."""
    if os.name == "nt":
        return {}
    return dict(read_proc()) or dict(read_ps())


def read_proc() -> Iterator[tuple[int, tuple[int, str]]]:
    """Yield processes as Linux lists them (proc(5): the fields of `stat` after the command are state, ppid, …)."""
    with suppress(OSError):
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if fields[0] not in (b"Z", b"X"):
                    yield int(entry.name), (int(fields[1]), fields[19].decode())


def read_ps() -> Iterator[tuple[int, tuple[int, str]]]:
    """Yield processes as `ps` lists them."""
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        command = ["ps", "-A", "-o", "pid=,ppid=,lstart="]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
        for line in done.stdout.splitlines():
            pid, parent, started = line.split(None, 2)
            yield int(pid), (int(parent), started)
