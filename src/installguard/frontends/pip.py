"""Runs the target's own pip under the hook, and hands its questions on as distributions.

Nothing heavy is imported here, so that pip starts before policy and snapshot are opened.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from installguard.errors import GuardError, UnjudgedError
from installguard.hook import pip_hook
from installguard.hook.channel import ChannelServer

if TYPE_CHECKING:
    from installguard.model import Distribution

Stage: TypeAlias = Literal["source", "final", "contents", "install", "ping"]
"""Why pip asks: before a source is built, on the final set, on downloaded wheels, before it installs, or just so."""

PATIENCE = 10.0
"""Seconds that pip gets for its own clean-up before it is ended the hard way."""


class Judge(Protocol):
    """Says whether pip may go on."""

    def __call__(self, stage: Stage, asked: Sequence[Distribution]) -> bool: ...

    def unfixed(self) -> Sequence[str]:
        """Return the denied projects of which it would help to know other versions."""
        ...

    def offer(self, versions: Mapping[str, Sequence[str]]) -> None:
        """Take note of the versions that an index offers, by project."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a hook says of the process it runs in."""

    pid: int
    python: str
    version: str
    prefix: str
    pip: str | None
    """`None` where the interpreter has no pip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipOutcome:
    """How a run of pip ended."""

    exit_code: int
    """pip's own; 128 + n where signal n ended it."""
    greeting: Greeting | None
    """Of the pip that did the work; `None` where the hook never ran."""
    refusal: str | None
    """What the hook did not find in this pip."""
    problem: str | None
    """Why a question could not be answered."""
    unseen: bool
    """Whether pip ran to its end without a resolution that the hook saw."""
    installing: bool
    """Whether pip was allowed to start installing."""
    interrupted: bool


def own_pip_root() -> str | None:
    """Return the directory that holds guard's own pip, or `None` where it has none."""
    spec = find_spec("pip")
    places = spec.submodule_search_locations if spec else None
    return os.path.dirname(os.path.abspath(places[0])) if places else None  # noqa: PTH100,PTH120 - off the hot path's imports


class RunningPip:
    """A pip process under the hook; a context manager that leaves neither process nor file behind."""

    def __init__(
        self,
        python: str,
        argv: Sequence[str],
        *,
        own_pip: Callable[[], str | None] = own_pip_root,
        stdout: int | None = None,
    ) -> None:
        self._own_pip = own_pip
        self._judge: Judge | None = None
        self._judge_ready = threading.Event()
        self._lock = threading.Lock()
        self._pids: dict[int, None] = {}
        self._greeting: Greeting | None = None
        self._refusal: str | None = None
        self._problem: str | None = None
        self._stopped = False
        self._unseen = False
        self._installing = False
        self._signals = Interruptions(self._signal_all)
        self._directory = make_private_directory()
        self._server = ChannelServer(self._respond)
        self._start = functools.partial(start, python, argv=argv, stdout=stdout)
        try:
            self._process = self._start(self._write_launcher(pip_root=None))
        except BaseException:
            self._clean_up()
            raise

    def __enter__(self) -> RunningPip:
        self._signals.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._clean_up()
        self._signals.__exit__(kind, error, tb)

    def answer_with(self, judge: Judge) -> None:
        """Let *judge* answer from now on; questions asked before have been waiting for it."""
        self._judge = judge
        self._judge_ready.set()

    def wait(self) -> PipOutcome:
        """Return how pip ended; where the target has none, guard's own serves it."""
        code = wait_for(self._process)
        if self._greeting is not None and self._greeting.pip is None and (root := self._own_pip()):
            self._process = self._start(self._write_launcher(pip_root=root))
            code = wait_for(self._process)
        self._server.close()
        return PipOutcome(
            exit_code=code if code >= 0 else 128 - code,
            greeting=self._greeting,
            refusal=self._refusal,
            problem=self._problem,
            unseen=self._unseen,
            installing=self._installing,
            interrupted=self._signals.received,
        )

    def _write_launcher(self, *, pip_root: str | None) -> str:
        host, port = self._server.address
        context = {
            "host": host,
            "port": port,
            "token": self._server.token,
            "role": "install",
            "parent": None,
            "pip_root": pip_root,
        }
        launcher = self._directory / "guarded_pip.py"
        hook = os.path.abspath(pip_hook.__file__)  # noqa: PTH100 - a plain string for the launcher
        launcher.write_text(pip_hook.launcher_text(hook, context), encoding="utf-8")
        return str(launcher)

    def _respond(self, greeting: Mapping[str, Any], message: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._lock:
            try:
                go = self._answer(greeting, message)
            except GuardError as error:
                self._problem, go = str(error), False
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no "go on"; it is told in one line
                self._problem, go = f"internal error while judging: {error!r}", False
            self._stopped = self._stopped or not (go or "hello" in message)
            want = list(self._judge.unfixed()) if self._judge is not None and not go and self._problem is None else []
        return {"go": go, "want": want}

    def _answer(self, greeting: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
        if message.get("ask") == "versions" and self._judge is not None:
            self._judge.offer(message["versions"])
        if self._stopped:
            return False
        if "hello" in message:
            return self._welcome(message)
        if "refuse" in message:
            self._refusal = f"pip {greeting.get('pip')}: {message['refuse']}"
            return False
        return self._judge_stage(message)

    def _welcome(self, message: Mapping[str, Any]) -> bool:
        greeting = Greeting(
            pid=int(message["pid"]),
            python=str(message["python"]),
            version=str(message["version"]),
            prefix=str(message["prefix"]),
            pip=message["pip"],
        )
        self._pids[greeting.pid] = None
        if message["role"] == "install":
            self._greeting = greeting
        return greeting.pip is not None

    def _judge_stage(self, message: Mapping[str, Any]) -> bool:
        from .pip_items import parse_item

        stage = message["ask"]
        if stage == "unseen":
            self._unseen = True
            return False
        asked = tuple(parse_item(item) for item in message["items"])
        self._judge_ready.wait()
        go = self._judge is not None and self._judge(stage, asked)
        if go and stage == "install" and message["role"] == "install":
            self._installing = True
        return go

    def _signal_all(self, number: int) -> None:
        for pid in (*self._pids, self._process.pid):
            with suppress(OSError):
                os.kill(pid, number)

    def _clean_up(self) -> None:
        self._server.close()
        shutil.rmtree(self._directory, ignore_errors=True)


def make_private_directory() -> Path:
    """Return a new directory that only this user can read."""
    try:
        return Path(tempfile.mkdtemp(prefix="installguard-"))
    except OSError as error:
        raise UnjudgedError(
            f"no temporary directory can be made: {error.strerror or error}", now="free some space or set TMPDIR"
        ) from error


def start(python: str, launcher: str, *, argv: Sequence[str], stdout: int | None) -> subprocess.Popen[bytes]:
    """Start the target interpreter on the launcher, with our own terminal, environment and directory."""
    try:
        return subprocess.Popen([python, launcher, *argv], stdout=stdout)  # noqa: S603 - the user's own interpreter
    except OSError as error:
        raise UnjudgedError(
            f"cannot be started: {error.strerror or error}", where=python, now="name an interpreter with --python"
        ) from error


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Return a process's exit status; signals are handled meanwhile, on Windows too."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=0.5 if os.name == "nt" else None)


class Interruptions:
    """While active: Ctrl-C, SIGTERM and SIGHUP end pip by way of its own clean-up, and guard outlives it."""

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

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        again, self.received = self.received, True
        if number == signal.SIGINT and not again and pip_had_it_too():
            return
        self._signal_all(signal.SIGINT)
        if not again:
            self._escalate(PATIENCE, signal.SIGTERM)
            self._escalate(1.5 * PATIENCE, getattr(signal, "SIGKILL", signal.SIGTERM))

    def _escalate(self, seconds: float, number: int) -> None:
        timer = threading.Timer(seconds, self._signal_all, args=(number,))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()


def pip_had_it_too() -> bool:
    """Tell whether a Ctrl-C reached the whole foreground process group, or console, and not only us."""
    if os.name == "nt":
        return True
    for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError):
            if stream is not None and os.tcgetpgrp(stream.fileno()) == os.getpgrp():
                return True
    return False
