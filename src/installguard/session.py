"""The story: the installer runs, asks at the point of danger, is answered by policy and feeds, and stops or goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from .dataclass import dataclass, replace
from .errors import ExitCode

if TYPE_CHECKING:
    from .feeds.store import Snapshot
    from .frontends.launch import Launch
    from .frontends.pip import PipOutcome
    from .judge import Advisories, Judge
    from .model import Advisory, Distribution, Run, SnapshotInfo, Target, Verdict
    from .names import NormalizedName
    from .policy import Policy
    from .unchanged import Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything that a run takes from outside."""

    environ: Mapping[str, str]
    cwd: Path
    cache: Callable[[], Path]
    """Where the snapshot is kept."""
    user_config: Callable[[], Path | None]
    site_config: Callable[[], Path | None]
    clock: Callable[[], datetime]
    """The time, aware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    command: tuple[str, ...]
    """The verb and its own arguments, as typed."""
    surroundings: Surroundings
    python: str | None = None
    policy: Path | None = None
    fail_on: str | None = None
    offline: bool = False
    started: float = 0.0
    """`time.perf_counter()` at the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """A verdict, the run around it, and what the process exits with."""

    verdict: Verdict
    run: Run
    exit_code: int
    ground: Taken | None = None
    """What the files held that the verdict rests on, where it may be told again as long as they are unchanged."""


# ---------------------------------------------------------------- pip


def install(request: Request, launch: Launch) -> Conclusion:
    """Answer the pip that was launched as typed, and let it go on only with what was judged."""
    from .frontends.pip import RunningPip

    with RunningPip(launch) as pip, open_judge(request, refreshing=True) as judge:
        pip.answer_with(judge)
        from .reporters import text  # noqa: F401 - now, while pip is at work, and not when it has ended

        return conclude(request, judge, launch.python, pip.wait())


def conclude(request: Request, judge: Judge, python: str, outcome: PipOutcome) -> Conclusion:
    """Return what a run of pip comes to."""
    from .judge import stops

    verdict = judge.verdict()
    problem = why_unjudged(outcome, python)
    stopped = problem is not None or (bool(verdict.evidence.distributions) and stops(verdict, judge.policy))
    if outcome.interrupted and not stopped:
        problem = interruption(outcome)
    run = replace(
        describe_run(request, judge),
        target=target_of(outcome),
        installer="pip",
        installer_version=outcome.greeting.pip if outcome.greeting else None,
        exit_code=None if stopped or outcome.interrupted else outcome.exit_code,
        stopped=stopped and not outcome.installing,
        problem=problem,
        notes=tuple(notes_on(verdict, outcome)),
        held=judge.held_back(),
    )
    return Conclusion(verdict=verdict, run=run, exit_code=pip_exit_code(verdict, judge.policy, outcome, problem))


def pip_exit_code(verdict: Verdict, policy: Policy, outcome: PipOutcome, problem: str | None) -> int:
    """Return guard's exit code after pip: a denial before all, pip's own where it ran to its end.

    Where pip never asked, as for `pip list`, there is nothing to rule on, whatever is said of the feed.
    """
    ruled = ruled_exit_code(verdict, policy) if verdict.evidence.distributions else ExitCode.OK
    if ruled is ExitCode.DENIED:
        return ruled
    if outcome.interrupted:
        return ExitCode.INTERRUPTED
    if problem is not None:
        return ExitCode.UNJUDGED
    return ruled or outcome.exit_code


def why_unjudged(outcome: PipOutcome, python: str) -> str | None:
    """Return why there is no verdict on what pip did or would have done, if there is none."""
    if outcome.problem is not None:
        return outcome.problem
    if outcome.refusal is not None:
        known = "guard knows pip 22.2 to 26.3"
        return f"this pip is not built as expected, at {outcome.refusal}; {known}: use one of those, or update guard"
    if outcome.interrupted:
        return None
    if outcome.greeting is None:
        what = f"{python} ended with {outcome.exit_code} before guard's hook ran in it"
        return f"{what}: it takes a Python 3.8 or newer that works (name one with --python)"
    if outcome.greeting.pip is None:
        what = "has no pip, and guard has none of its own to lend that works there"
        return f"{outcome.greeting.python} {what}: install pip there"
    if outcome.unseen:
        return "pip ran to its end without a resolution that guard saw: nothing of it was judged"
    return None


def interruption(outcome: PipOutcome) -> str:
    """Return what an interruption left behind."""
    if outcome.installing:
        return "interrupted while pip was installing: 'pip list' tells what is there"
    return "interrupted before anything was installed"


def target_of(outcome: PipOutcome) -> Target | None:
    """Return the interpreter that pip ran in."""
    from .model import Target

    if outcome.greeting is None:
        return None
    greeting = outcome.greeting
    return Target(python=greeting.python, version=greeting.version, environment=greeting.prefix)


def notes_on(verdict: Verdict, outcome: PipOutcome) -> Iterator[str]:
    """Yield the limits of a verdict on a run that ended well."""
    from .model import Artifact, DirectUrl

    if outcome.exit_code or outcome.interrupted or outcome.installing:
        return
    unseen = [
        distribution
        for distribution in verdict.evidence.distributions
        if distribution.contents is None
        and isinstance(distribution.origin, (Artifact, DirectUrl))
        and distribution.origin.kind == "wheel"
    ]
    if unseen:
        yield f"pip never opened {len(unseen)} of the wheels: their contents were not judged"


# ---------------------------------------------------------------- judging what is already there


def judge_releases(request: Request, distributions: Sequence[Distribution], target: Target | None = None) -> Conclusion:
    """Judge *distributions* by themselves: nothing is resolved, run or installed."""
    with open_judge(request) as judge:
        judge("final", distributions)
        verdict = judge.verdict()
        run = replace(describe_run(request, judge), target=target)
        return Conclusion(verdict=verdict, run=run, exit_code=ruled_exit_code(verdict, judge.policy))


# ---------------------------------------------------------------- what judging takes


@contextmanager
def open_judge(request: Request, *, refreshing: bool = False) -> Iterator[Judge]:
    """Open policy and snapshot, the latter refreshed alongside; raises `PolicyError` where the policy is invalid."""
    from .judge import Judge

    started = time.perf_counter()
    policy = read_policy(request)
    with open_refreshed(request, policy) if refreshing else open_advisories(request, policy) as snapshot:
        judge = Judge(policy, snapshot, request.surroundings.clock)
        judge.seconds = time.perf_counter() - started
        yield judge


def read_policy(request: Request) -> Policy:
    """Return the policy in force, as far as the command line tightens it."""
    from .config.files import find_policy_files
    from .config.layers import tighten_fail_on
    from .config.reading import load_policy
    from .model import Level

    here = request.surroundings
    files = find_policy_files(
        here.cwd, explicit=request.policy, user_config_dir=here.user_config(), site_config_dir=here.site_config()
    )
    policy = load_policy(files, today=here.clock().astimezone(timezone.utc).date())
    if policy.licenses.deny:
        from .licensing import answer_licenses

        answer_licenses((), policy.licenses.deny)  # which says what is wrong with the list, if anything is
    return tighten_fail_on(policy, Level[request.fail_on.upper()]) if request.fail_on else policy


@contextmanager
def open_advisories(request: Request, policy: Policy) -> Iterator[Snapshot]:
    """Open the snapshot; where there is none, that is a finding and the built-in baseline serves."""
    from .feeds.store import open_snapshot

    here = request.surroundings
    with open_snapshot(here.cache(), policy.feed.sources, now=here.clock()) as snapshot:
        yield snapshot


GRACE = 0.5
"""Seconds for a refresh that nobody waits for any longer: a process that ends while OpenSSL is at work may crash."""


@contextmanager
def open_refreshed(request: Request, policy: Policy) -> Iterator[Advisories]:
    """Open the snapshot; one that is being refreshed only when it is looked at, `feed.wait` later at most."""
    wait = policy.feed.wait.total_seconds()
    refreshing = None if request.offline else start_refresh(request, policy, wait)
    began = time.monotonic()

    def open_then() -> Snapshot:
        if refreshing is not None:
            refreshing.join(max(0.0, began + wait - time.monotonic()))
        return stack.enter_context(open_advisories(request, policy))

    with ExitStack() as stack:
        try:
            yield LateSnapshot(open_then) if refreshing is not None else open_then()
        finally:
            if refreshing is not None:
                refreshing.join(GRACE)


def start_refresh(request: Request, policy: Policy, wait: float) -> threading.Thread | None:
    """Begin to bring what is old among the sources up to date, within *wait* seconds; `None` where nothing is."""
    from .feeds.due import due_sources

    here = request.surroundings
    directory, now = here.cache(), here.clock()
    due = due_sources(directory, policy.feed.sources, now=now, older_than=policy.feed.refresh)
    if not due:
        return None
    from .feeds.refresh import refresh

    facts = {"now": now, "older_than": policy.feed.refresh, "deadline_seconds": wait, "keys": policy.feed.keys}
    thread = threading.Thread(target=refresh, args=(directory, due), kwargs=facts, name="feed-refresh", daemon=True)
    thread.start()
    return thread


class LateSnapshot:
    """A snapshot that is opened when it is first looked at."""

    def __init__(self, open_then: Callable[[], Snapshot]) -> None:
        self._open_then = open_then
        self._opened: Snapshot | None = None

    @property
    def _snapshot(self) -> Snapshot:
        if self._opened is None:
            self._opened = self._open_then()
        return self._opened

    @property
    def info(self) -> SnapshotInfo:
        """What it holds."""
        return self._snapshot.info

    def lookup(self, names: Iterable[NormalizedName]) -> tuple[Advisory, ...]:
        """Return all advisories in force for the projects *names*; raises `FeedError` where it cannot be read."""
        return self._snapshot.lookup(names)

    def exploited(self) -> frozenset[str]:
        """Return the CVE ids that are known to be exploited."""
        return self._snapshot.exploited()

    def popular(self) -> Mapping[NormalizedName, int]:
        """Return the popular projects and their rank."""
        return self._snapshot.popular()


def describe_run(request: Request, judge: Judge) -> Run:
    """Return what a report says beside the verdict."""
    from .model import Run

    policy = judge.policy
    return Run(
        command=request.command,
        policy_files=policy.files,
        preset=policy.preset,
        policy_digest=policy.digest,
        seconds_total=time.perf_counter() - request.started,
        seconds_guard=judge.seconds,
    )


def ruled_exit_code(verdict: Verdict, policy: Policy) -> ExitCode:
    """Return 10, 11 or 12 for a verdict that stops, else 0; a denial of a release goes before one of the feed."""
    from .model import Code, Level

    feed = {Code.FEED_MISSING, Code.FEED_STALE, Code.FEED_UNREADABLE}
    denied = [ruling.finding.code for ruling in verdict.rulings if ruling.level is Level.DENY]
    if any(code not in feed for code in denied):
        return ExitCode.DENIED
    if denied:
        return ExitCode.UNJUDGED
    return ExitCode.WARNED if verdict.level is Level.WARN and policy.fail_on is Level.WARN else ExitCode.OK
