"""What stops guard from reaching a verdict; each error carries its facts and its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of guard itself (an installer that ran to its end keeps its own)."""

    OK = 0
    USAGE = 2
    DENIED = 10
    WARNED = 11
    UNJUDGED = 12
    POLICY = 13
    INTERRUPTED = 130


class GuardError(Exception):
    """Something that ends the run in one line: what, where, what now."""

    exit_code: ExitCode = ExitCode.UNJUDGED

    def __init__(self, what: str, *, where: str | None = None, now: str | None = None) -> None:
        super().__init__(what, where, now)
        self.what = what
        self.where = where
        self.now = now

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        now = f" ({self.now})" if self.now else ""
        return f"{where}{self.what}{now}"


class UsageError(GuardError):
    """The command line asks for something that cannot be done."""

    exit_code = ExitCode.USAGE


class PolicyError(GuardError):
    """The policy is invalid; holds every mistake found, not only the first."""

    exit_code = ExitCode.POLICY

    def __init__(self, problems: Sequence[str], *, where: str | None = None) -> None:
        super().__init__("; ".join(problems), where=where)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return "\n".join(f"{where}{problem}" for problem in self.problems)


class FeedError(GuardError):
    """A feed or the snapshot cannot be read, fetched or written."""


class UnjudgedError(GuardError):
    """No verdict could be reached: an unknown installer, a lost channel, an interpreter that does not start."""


class InterruptedRunError(GuardError):
    """The user or the system asked us to stop."""

    exit_code = ExitCode.INTERRUPTED
