"""Answers the questions of a pip that runs under the hook, and tells how it ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from installguard.errors import GuardError

from ..dataclass import dataclass
from .interruptions import Interruptions, wait_for
from .launch import Launch
from .pip_items import parse_item

if TYPE_CHECKING:
    from installguard.model import Distribution

    from .processes import Process

Stage: TypeAlias = Literal["source", "final", "contents", "install", "starved", "ping"]
"""Why pip asks: before a source is built, on the final set, on downloaded wheels, before it installs, because only
releases that were held back would do, or just so."""

GRACE = 1.0
"""Seconds that what pip started gets, once pip has ended after an interruption."""


class Judge(Protocol):
    """Says whether pip may go on."""

    def __call__(self, stage: Stage, asked: Sequence[Distribution]) -> bool: ...

    def rules(self, public_indexes: Sequence[str]) -> Mapping[str, object]:
        """Return what the hook should look out for: `young_after` (seconds since the epoch or `None`), `licenses`."""
        ...

    def allow_young(self, young: Sequence[Distribution], older: Sequence[str]) -> Sequence[str]:
        """Return the versions of *young* releases that the resolver may see beside the *older* ones."""
        ...

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
    return str(Path(places[0]).absolute().parent) if places else None


class RunningPip:
    """A pip under the hook, once somebody is there to answer it."""

    def __init__(self, launch: Launch, *, own_pip: Callable[[], str | None] = own_pip_root) -> None:
        self._launch = launch
        self._own_pip = own_pip
        self._judge: Judge | None = None
        self._judge_ready = threading.Event()
        self._lock = threading.Lock()
        self._greeting: Greeting | None = None
        self._refusal: str | None = None
        self._problem: str | None = None
        self._stopped = False
        self._unseen = False
        self._installing = False
        self._family: frozenset[Process] = frozenset()
        """What pip had started when it was interrupted: build backends, that pip itself leaves to the terminal."""
        self._signals = Interruptions(self._signal_all)

    def __enter__(self) -> RunningPip:
        self._signals.__enter__()
        self._launch.server.answer(self._respond)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._signals.__exit__(kind, error, tb)
        if self._family:
            from .processes import end_processes

            end_processes(self._family, grace=GRACE)

    def answer_with(self, judge: Judge) -> None:
        """Let *judge* answer from now on; questions asked before have been waiting for it."""
        self._judge = judge
        self._judge_ready.set()

    def wait(self) -> PipOutcome:
        """Return how pip ended; where the target has none, guard's own serves it."""
        code = wait_for(self._launch.process)
        if self._greeting is not None and self._greeting.pip is None and (root := self._own_pip()):
            self._launch.start_again(pip_root=root)
            code = wait_for(self._launch.process)
        self._launch.server.close()
        return PipOutcome(
            exit_code=code if code >= 0 else 128 - code,
            greeting=self._greeting,
            refusal=self._refusal,
            problem=self._problem,
            unseen=self._unseen,
            installing=self._installing,
            interrupted=self._signals.received,
        )

    def _respond(self, greeting: Mapping[str, Any], message: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._lock:
            try:
                answer = self._answer(greeting, message)
            except GuardError as error:
                answer, self._problem = {"go": False}, str(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no "go on"; it is told in one line
                answer, self._problem = {"go": False}, f"internal error while judging: {error!r}"
            self._stopped = self._stopped or not (answer["go"] or "hello" in message)
        return answer

    def _answer(self, greeting: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
        if "hello" in message:
            return {"go": self._welcome(message) and not self._stopped}
        if "refuse" in message:
            self._refusal = f"pip {greeting.get('pip')}: {message['refuse']}"
            return {"go": False}
        self._judge_ready.wait()
        judge = self._judge
        if judge is None:
            return {"go": False}
        if message["ask"] == "versions":
            judge.offer(message["versions"])
        return {"go": False} if self._stopped else self._answer_question(judge, message)

    def _answer_question(self, judge: Judge, message: Mapping[str, Any]) -> dict[str, Any]:
        match message["ask"]:
            case "unseen":
                self._unseen = True
                return {"go": False}
            case "rules":
                return {"go": True, "rules": judge.rules(message["public"])}
            case "age":
                young = [parse_item(item) for item in message["items"]]
                return {"go": True, "allow": list(judge.allow_young(young, message["older"]))}
            case stage:
                go = judge(stage, [parse_item(item) for item in message["items"]])
                if go and stage == "install" and message["role"] == "install":
                    self._installing = True
                return {"go": go, "want": [] if go else list(judge.unfixed())}

    def _welcome(self, message: Mapping[str, Any]) -> bool:
        greeting = Greeting(
            pid=int(message["pid"]),
            python=str(message["python"]),
            version=str(message["version"]),
            prefix=str(message["prefix"]),
            pip=message["pip"],
        )
        if message["role"] == "install":
            self._greeting = greeting
        return greeting.pip is not None

    def _signal_all(self, number: int) -> None:
        from .processes import descendants, signal_processes

        below = descendants(self._launch.process.pid)
        for pid in {*self._launch.server.pids, self._launch.process.pid} - {each.pid for each in below}:
            with suppress(OSError):
                os.kill(pid, number)
        self._family = signal_processes(self._family | below, number)
