"""Waits for an installer, and passes on to it what is meant to end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

PATIENCE = 10.0
"""Seconds that an installer gets for its own clean-up before it is ended the hard way."""


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Return a process's exit status; signals are handled meanwhile, on Windows too."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=0.5 if os.name == "nt" else None)


class Interruptions:
    """While active: Ctrl-C, SIGTERM and SIGHUP end the installer by way of its own clean-up, and guard outlives it."""

    def __init__(self, signal_all: Callable[[int], None]) -> None:
        self._signal_all = signal_all
        self._previous: dict[int, Any] = {}
        self._timers: list[threading.Timer] = []
        self.received = False

    def __enter__(self) -> Interruptions:
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def end(self) -> None:
        """End the installer by way of its own clean-up; the hard way where that takes too long."""
        self._signal_all(signal.SIGINT)
        if not self._timers:
            self._escalate(PATIENCE, signal.SIGTERM)
            self._escalate(1.5 * PATIENCE, getattr(signal, "SIGKILL", signal.SIGTERM))

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        again, self.received = self.received, True
        if number == signal.SIGINT and not again and installer_had_it_too():
            return
        self.end()

    def _escalate(self, seconds: float, number: int) -> None:
        timer = threading.Timer(seconds, self._signal_all, args=(number,))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()


def installer_had_it_too() -> bool:
    """Tell whether a Ctrl-C reached the whole foreground process group, or console, and not only us."""
    if os.name == "nt":
        return True
    for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError):
            if stream is not None and os.tcgetpgrp(stream.fileno()) == os.getpgrp():
                return True
    return False
