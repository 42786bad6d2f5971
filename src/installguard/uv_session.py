"""The story with uv: it asks an index of ours, whose pages are judged, and its lock files are judged before they count.

No hook runs inside uv. What it builds, or chooses from an index, comes by way of the loopback index, which denies file
by file. A command that locks is run on a staged copy of the project; what it wrote there is judged before anything of
the project is changed, and then installed just as it was judged.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from .dataclass import dataclass, replace
from .errors import ExitCode, UnjudgedError
from .session import Conclusion, Request, describe_run, open_judge, ruled_exit_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .frontends.uv.command import UvCommand
    from .frontends.uv.listing import Listing
    from .frontends.uv.program import Program
    from .frontends.uv.running import UvOutcome
    from .frontends.uv.staging import Change, Staging
    from .index.pages import Page
    from .model import Distribution, Release, Target, Verdict
    from .names import NormalizedName
    from .unchanged import Taken
    from .uv_scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the command went."""

    outcome: UvOutcome | None
    """Of uv; `None` where it was not started, or its work was dropped."""
    changed: bool = False
    """Whether anything was installed, or written into the project."""
    problem: str | None = None
    """Why what happened was not judged."""
    notes: tuple[str, ...] = ()
    resolved: bool = False
    """Whether uv found what to install, so that nothing was missing for its age."""
    ground: Taken | None = None
    """What the files held that the verdict on a project rests on, before anything was installed or run."""


def guard_uv(
    request: Request, program: Program, words: Sequence[str], *, stdout: int | None = None
) -> Conclusion | int:
    """Run uv as typed, judged; return its exit code alone where there is nothing to judge."""
    from .frontends.uv.command import parse_command
    from .frontends.uv.program import describing_uv, find_uv
    from .frontends.uv.running import run_uv

    environ = request.surroundings.environ
    path = find_uv(program, environ)
    command = parse_command(program, words)
    seeds = command.has("--seed") or environ.get("UV_VENV_SEED")
    if command.kind == "harmless" or command.mistake is not None or (command.kind == "seed" and not seeds):
        return run_uv(path, words, cwd=None, environ=environ, stdout=stdout).exit_code
    refuse_unknown(command)
    known = request.surroundings.cache() / "uv.json"
    with describing_uv(path, known, environ) as described, ExitStack() as stack:
        from .uv_scene import open_scene  # while uv, if it has to be asked, is looking for its answers

        judge = cache(lambda: stack.enter_context(open_judge(request, refreshing=True)))
        with open_scene(request, described, command, judge, stdout) as scene:
            return concluded(scene, run_guarded(scene))


def refuse_unknown(command: UvCommand) -> None:
    """Raise `UnjudgedError` for a command of which it cannot be told what it would do."""
    verb = " ".join(("uv", *command.verb))
    if command.unknown is not None:
        what = f"guard does not know the option {command.unknown}"
        raise UnjudgedError(what, where=verb, now="leave it out, or update guard")
    if command.kind == "unknown":
        raise UnjudgedError(f"guard does not know '{verb}'", now="run it by uv itself, or update guard")


def run_guarded(scene: Scene) -> Ended:
    """Run the command, unless what can be told beforehand stops it."""
    if locks_at_once(scene):
        return in_project(scene)
    if asks_at_once(scene):
        return in_place(scene)
    from .judge import stops

    judge, asked = scene.judge, scene.inputs.distributions
    if stops(judge.verdict(), judge.policy):
        return Ended(outcome=None)
    if is_about_lock(scene) and not stops(judge.consider(asked), judge.policy):
        asked = tuple(denied_locally(scene))  # the lock says more of the rest
    if not judge("install", asked):
        return Ended(outcome=None)
    if is_about_lock(scene):
        return in_project(scene)
    with tools_named(scene):
        return in_place(scene)


# ---------------------------------------------------------------- where nothing is locked


def in_place(scene: Scene) -> Ended:
    """Run a command that writes no lock: what it builds and chooses from indexes is judged page by page."""
    from .uv_scene import redirected

    fresh = seeded_environment(scene)
    with watched(scene) as changes:
        argv, environ = redirected(scene, scene.command)
        if names_indexes_in_result(scene.command):
            outcome: UvOutcome | None = run_and_put_back(scene, argv, environ)
        else:
            outcome = run_here(scene, argv, environ)
        if outcome is None:
            return Ended(outcome=None)
        placed = changes()
    if fresh is not None and was_denied(scene, outcome):
        clear_away(fresh)
    if placed is None:
        told = outcome.exit_code or not scene.front.index.asked or scene.command.dry_run
        return Ended(outcome=outcome, notes=() if told else (UNTOLD,))
    scene.judge("install", [chosen(scene, each, upgrades=each.name in placed.before) for each in placed.releases])
    unasked = [release for release in placed.releases if not was_judged(scene, release)]
    problem = f"uv installed {unasked[0]} without asking for it where guard could judge it" if unasked else None
    return Ended(outcome=outcome, changed=bool(placed.releases), problem=problem)


def names_indexes_in_result(command: UvCommand) -> bool:
    """Tell whether uv writes indexes into what it compiles: as asked, or into the header, which repeats the command."""
    emitted = any(each.name.startswith(("--emit-index", "--emit-find")) for each in command.options)
    return command.kind == "compile" and (emitted or bool(command.index_options))


def run_and_put_back(scene: Scene, argv: Sequence[str], environ: Mapping[str, str]) -> UvOutcome:
    """Run what compiles requirements, and put the user's indexes in the places of ours in its results."""
    import tempfile

    from .frontends.uv.running import run_uv
    from .frontends.uv.staging import replace_file

    with tempfile.TemporaryFile() as said:
        outcome = run_uv(scene.uv.path, argv, cwd=None, environ=environ, stdout=said.fileno())
        said.seek(0)
        with open(1 if scene.stdout is None else scene.stdout, "wb", closefd=False) as out:
            out.write(scene.front.put_back(said.read()))
    for name in scene.command.values("--output-file")[-1:]:
        path = scene.settings.cwd / name
        if path.is_file() and (data := path.read_bytes()) != (mended := scene.front.put_back(data)):
            replace_file(path, data, mended, "installguard")
    return outcome


def seeded_environment(scene: Scene) -> Path | None:
    """Return the environment that `uv venv --seed` is about to make; `None` where it is there already."""
    if scene.command.kind != "seed":
        return None
    path = scene.settings.cwd / next(iter(scene.command.positionals), ".venv")
    return None if os.path.lexists(path) else path


@contextmanager
def tools_named(scene: Scene) -> Iterator[None]:
    """Let uv's receipts of tools name our indexes for as long as uv is at work on them."""
    if scene.receipts is None:
        yield
        return
    added = [scene.front(scene.uv.default_index)] if scene.settings.default is None else []
    upgrade = scene.command.verb == ("tool", "upgrade")
    scene.receipts.name_ours(scene.front.texts, added=added, upgrade=upgrade)
    yield
    scene.receipts.settle()
    if scene.front.index.denied:
        scene.receipts.withdraw()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What uv put into an environment."""

    releases: tuple[Release, ...]
    before: frozenset[NormalizedName]
    """The projects that were there before."""


@contextmanager
def watched(scene: Scene) -> Iterator[Callable[[], Placed | None]]:
    """Give what tells which releases are in the environment since; that is `None` where it cannot be known."""
    from .frontends.uv.listing import ListedEnvironment, likely_environment, recorded_in

    if scene.command.kind != "install" or scene.command.dry_run:
        yield lambda: None
        return
    cwd, environ = scene.request.surroundings.cwd, scene.environ
    likely = None if scene.settings.files else likely_environment(scene.command, cwd, environ)
    if likely is not None and (recorded := recorded_in(likely)) is not None:
        yield lambda: placed_since(recorded, recorded_in(likely))
        return
    before = ListedEnvironment(scene.uv.path, scene.command, cwd=cwd, environ=environ)
    scene.screen.wait_for(before.releases)

    def changes() -> Placed | None:
        now = ListedEnvironment(scene.uv.path, scene.command, cwd=cwd, environ=environ).releases()
        return placed_since(before.releases() or frozenset(), now)

    yield changes


def placed_since(before: Listing, now: Listing | None) -> Placed | None:
    """Return what an environment holds now and did not *before*; `None` where that is not known."""
    if now is None:
        return None
    return Placed(releases=tuple(sorted(now - before, key=str)), before=frozenset(each.name for each in before))


def chosen(scene: Scene, release: Release, *, upgrades: bool) -> Distribution:
    """Return a release that uv chose as the index offered it, as far as that is known; *upgrades* another version."""
    from .model import Artifact, Distribution

    for page in pages_of(scene, release):
        same = scene.screen.offered(page, release)
        if same:
            best = min(same, key=lambda each: each.builds)
            return replace(best, indexes=offered_by(scene, release.name), upgrades=upgrades)
    direct = next((each for each in scene.inputs.distributions if each.name == release.name), None)
    origin = direct.origin if direct is not None else Artifact(filename="", url=release.pin, kind="wheel")
    requested = release.name in scene.inputs.requested
    return Distribution(name=release.name, release=release, origin=origin, requested=requested, upgrades=upgrades)


def offered_by(scene: Scene, project: NormalizedName | None) -> tuple[str, ...]:
    """Return the indexes on which uv itself found a project, where there are several."""
    asked = (each for each in scene.front.index.asked if each.project == project and each.served)
    found = sorted({each.upstream.address.rstrip("/") + "/" for each in asked})
    return tuple(found) if len(found) > 1 else ()


def pages_of(scene: Scene, release: Release) -> Iterator[Page]:
    """Yield the pages of a project that uv asked for in this run, as they were, at least what they say of a release."""
    for asked in scene.front.index.asked:
        if asked.project in (release.name, None) and asked.served:
            page = scene.front.offered(asked.upstream, asked.project, str(release.version))
            if page is not None:
                yield page


def was_judged(scene: Scene, release: Release) -> bool:
    """Tell whether a release came from a page that was judged, or was named by the user where it was judged before."""
    asked = any(each.project in (release.name, None) and each.served for each in scene.front.index.asked)
    return asked or any(each.name in (release.name, None) for each in scene.inputs.distributions)


# ---------------------------------------------------------------- where a lock is written


def is_about_lock(scene: Scene) -> bool:
    """Tell whether the command writes a lock, or installs what one names."""
    if scene.standing.script == "plain":
        return scene.command.kind in ("lock", "edit")
    return scene.lock_path is not None


def denied_locally(scene: Scene) -> Iterator[Distribution]:
    """Yield what is denied in directories that uv takes files from by itself, whether or not it would choose it."""
    for upstream in scene.local:
        page = scene.front.page(upstream, None)
        if upstream.kind == "simple" or page is None:
            now = "give the files by --find-links, or the index by http"
            raise UnjudgedError(
                "the files here cannot be judged before a lock names them", where=upstream.address, now=now
            )
        denied = scene.screen(page)
        entries = (entry for entry in page.entries if entry.artifact.filename in denied)
        yield from (scene.screen.distribution(page, entry) for entry in entries)


def in_project(scene: Scene) -> Ended:
    """Lock in a staged copy, judge the lock, put it in place, and install it as it is."""
    from .frontends.uv.phases import install_phase, lock_phase
    from .uv_scene import staged

    locking, installing = lock_phase(scene.command, scene.standing), install_phase(scene.command, scene.standing)
    if (refusal := refused_beside(scene)) is not None:
        return Ended(outcome=refusal)
    if locking is None:
        if scene.lock is not None and not scene.judge("install", scene.lock.distributions):
            return Ended(outcome=None)
        ground = ground_taken(scene)
        return replace(install(scene, installing), ground=ground)
    with staged(scene) as staging:
        outcome = lock(scene, locking, staging, silent=installing is not None)
        if outcome is None or outcome.exit_code:
            return Ended(outcome=outcome)
        changes = staging.results()
        if not scene.judge("install", locked_then(scene, changes)):
            return Ended(outcome=None)
        undo = staging.apply(changes)
    ground = ground_taken(scene)
    ended = install(scene, installing) if installing is not None else Ended(outcome=outcome, changed=bool(changes))
    if takes_back(scene, ended):
        undo.revert()
        return replace(ended, changed=False)
    return replace(ended, ground=ground)


def refused_beside(scene: Scene) -> UvOutcome | None:
    """Return how it ended where what `run` is to have beside the project is denied: uv would see to that first."""
    from .frontends.uv.command import parse_command
    from .frontends.uv.running import UvOutcome, said_by
    from .uv_scene import redirected

    command = scene.command
    names = ("--with", "--with-editable", "--with-requirements", "--python")
    beside = [f"{each.name}={each.value}" for each in command.options if each.name in names]
    if command.kind != "run" or not any(each.startswith("--with") for each in beside):
        return None
    argv, environ = redirected(scene, parse_command("uv", ("run", "--no-project", *beside, "python", "-c", "")))
    said = said_by(scene.uv.path, argv, cwd=None, environ=environ)
    return UvOutcome(exit_code=2, interrupted=False) if said is None and scene.front.index.denied else None


def locks_at_once(scene: Scene) -> bool:
    """Tell whether there is a lock to be made, and nothing to be judged before: what is made is dropped if denied.

    Nor may a project of the user's own have to be built for it: its code is not run either where nothing can be judged.
    """
    from .frontends.uv.phases import lock_phase
    from .uv_scene import is_static

    beside = any(each.name.startswith("--with") for each in scene.command.options)
    if beside or scene.inputs.distributions or scene.local or scene.command.requirement_files:
        return False
    if not all(is_static(each.directory) for each in scene.projects):
        return False
    return is_about_lock(scene) and lock_phase(scene.command, scene.standing) is not None


def lock(scene: Scene, argv: Sequence[str], staging: Staging, *, silent: bool) -> UvOutcome | None:
    """Run what locks in the staged copy, and open policy and feeds meanwhile; `None` where these stop everything.

    *silent* where what follows has the command's own output.
    """
    from .frontends.uv.phases import first_is_silent
    from .frontends.uv.running import running_uv
    from .uv_scene import as_staged

    argv, environ, cwd = as_staged(scene, argv, staging)
    stdout = subprocess.DEVNULL if silent and first_is_silent(scene.command) else scene.stdout
    with gated(scene) as may_go_on, running_uv(scene.uv.path, argv, cwd=cwd, environ=environ, stdout=stdout) as wait:
        if not may_go_on():
            return None
        if scene.lock is None:
            scene.front.index.prepare()
        return wait()


@contextmanager
def gated(scene: Scene) -> Iterator[Callable[[], bool]]:
    """Hold all pages back until what is given, which opens policy and feeds, has told that they stop nothing."""
    from .screening import Gate

    gate = Gate()
    scene.screen.wait_for(gate)

    def may_go_on() -> bool:
        from .judge import stops

        go = not stops(scene.judge.verdict(), scene.judge.policy)
        if go:
            gate.open()
        return go

    try:
        yield may_go_on
    finally:
        gate.close()


def locked_then(scene: Scene, changes: Sequence[Change]) -> Sequence[Distribution]:
    """Return what the lock names once *changes* are made; the hash of what was chosen just now was nobody's wish."""
    from .frontends.locks import parse_lock

    for change in changes:
        if change.path == scene.lock_path:
            named = parse_lock(change.after, change.path, change.path.name).distributions
            return [
                replace(each, hashed=scene.screen.is_locked(each.release), indexes=offered_by(scene, each.name))
                for each in named
            ]
    return scene.lock.distributions if scene.lock is not None else ()


def install(scene: Scene, argv: Sequence[str] | None) -> Ended:
    """Install, or run, what the lock names: it asks an index for build requirements only."""
    from .frontends.uv.command import parse_command
    from .frontends.uv.phases import NOT_BESIDE_FROZEN, second_environ
    from .uv_scene import redirected

    if argv is None:
        return Ended(outcome=None)
    environment = environment_of(scene)
    fresh = environment is not None and not os.path.lexists(environment)
    argv, environ = redirected(scene, parse_command(scene.command.program, argv))
    environ = {name: value for name, value in environ.items() if name not in NOT_BESIDE_FROZEN}
    environ = {**environ, **second_environ(scene.command)}
    outcome = run_here(scene, argv, environ)
    if outcome is None:
        return Ended(outcome=None)
    if environment is not None and fresh and was_denied(scene, outcome):
        clear_away(environment)
    return Ended(outcome=outcome, changed=not was_denied(scene, outcome), resolved=True)


def asks_at_once(scene: Scene) -> bool:
    """Tell whether uv does nothing before it has asked an index: where plain names are all that it is told."""
    command, inputs = scene.command, scene.inputs
    plain = all(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?([<>=!~]=?=?[^@/\\]*)?", each)
        for each in command.positionals
    )
    unusual = scene.settings.files or scene.settings.requirement_files or inputs.distributions or inputs.files
    only = all(each.name in PLAIN_OPTIONS for each in command.options)
    return command.verb == ("pip", "install") and bool(command.positionals) and plain and only and not unusual


def run_here(scene: Scene, argv: Sequence[str], environ: Mapping[str, str]) -> UvOutcome | None:
    """Run uv where the user is, and open policy and feeds meanwhile; `None` where these stop everything."""
    from .frontends.uv.running import running_uv
    from .uv_scene import LOCKING

    stdout = scene.stdout
    with gated(scene) as may_go_on, running_uv(scene.uv.path, argv, cwd=None, environ=environ, stdout=stdout) as wait:
        if not may_go_on():
            return None
        if scene.command.kind not in LOCKING:
            scene.front.index.prepare()
        from .reporters import text  # noqa: F401 - now, while uv is at work, and not when it has ended

        with scene.front.reading_ahead() if scene.command.kind == "install" else nullcontext():
            return wait()


def environment_of(scene: Scene) -> Path | None:
    """Return where uv makes the project's environment; `None` where that cannot be told."""
    project = scene.settings.project
    if project is None or scene.settings.script is not None or scene.command.has("--active"):
        return None
    return project.root / (scene.environ.get("UV_PROJECT_ENVIRONMENT") or ".venv")


def clear_away(environment: Path) -> None:
    """Remove an environment that uv made and then put nothing into: it installs when everything is there."""
    import shutil

    shutil.rmtree(environment, ignore_errors=True)


def was_denied(scene: Scene, outcome: UvOutcome | None) -> bool:
    """Tell whether uv failed after it was refused a file."""
    return outcome is not None and outcome.exit_code != 0 and bool(scene.front.index.denied)


def takes_back(scene: Scene, ended: Ended) -> bool:
    """Tell whether what was locked goes away again: denied, or where uv itself would take it back or not keep it."""
    from .frontends.uv.phases import keeps_lock, restores_after_failure
    from .frontends.uv.program import release_of

    if ended.outcome is None or was_denied(scene, ended.outcome) or not keeps_lock(scene.command):
        return True
    return ended.outcome.exit_code != 0 and restores_after_failure(scene.command, release_of(scene.uv))


# ---------------------------------------------------------------- what it comes to


def concluded(scene: Scene, ended: Ended) -> Conclusion:
    """Return what the command comes to, and what that rests on where it may be told again."""
    conclusion = conclude(scene, ended)
    if ended.ground is None:
        return conclusion
    from .uv_ground import is_clean

    return replace(conclusion, ground=ended.ground if is_clean(scene, ended.outcome, conclusion) else None)


def ground_taken(scene: Scene) -> Taken | None:
    """Return what the files hold that the verdict on a project rests on; `None` where it is not to be told again."""
    if scene.command.verb not in (("sync",), ("run",)):
        return None
    from .unchanged import taken
    from .uv_ground import ground_of

    ground = ground_of(scene)
    began = time.time() - (time.perf_counter() - scene.request.started)
    return taken(ground, began=began) if ground is not None else None


def conclude(scene: Scene, ended: Ended) -> Conclusion:
    """Return what the command comes to; what uv was refused is judged with what it chose."""
    from .judge import stops

    judge, outcome = scene.judge, ended.outcome
    failed = outcome is None or outcome.exit_code != 0
    look_at_unchanged(scene, every=failed)
    if failed:
        judge("install", [*refused(scene), *(() if ended.resolved else starved(scene))])
    verdict = judge.verdict()
    stopped = stops(verdict, judge.policy) and failed
    interrupted = outcome is not None and outcome.interrupted
    trouble = scene.front.index.problems
    problem = ended.problem
    if failed and problem is None:
        problem = str(trouble[0]) if trouble else next(mislisted(scene), None)
    if interrupted and not stopped:
        problem = "interrupted" + ("" if ended.changed else " before anything was written")
    run = replace(
        describe_run(scene.request, judge),
        target=target_of(scene),
        installer="uv",
        installer_version=scene.uv.version,
        exit_code=None if stopped or outcome is None or interrupted else outcome.exit_code,
        stopped=stopped and not ended.changed,
        problem=problem,
        notes=ended.notes,
        held=judge.held_back(),
    )
    return Conclusion(verdict=verdict, run=run, exit_code=exit_code(scene, verdict, outcome, problem))


def target_of(scene: Scene) -> Target | None:
    """Return the environment that uv worked on; `None` where it is no virtual one, or cannot be told."""
    from .model import Target

    command, environ = scene.command, scene.environ
    if command.target or command.prefix or command.python or command.system:
        return None
    nearest = (each / ".venv" for each in (scene.settings.cwd, *scene.settings.cwd.parents))
    of_pip = environ.get("VIRTUAL_ENV") or next((str(each) for each in nearest if each.is_dir()), None)
    path = environment_of(scene) if is_about_lock(scene) else Path(of_pip) if of_pip else None
    with suppress(OSError, ValueError):
        text = (path / "pyvenv.cfg").read_text(encoding="utf-8") if path is not None else ""
        told = dict(line.replace(" ", "").split("=", 1) for line in text.splitlines() if "=" in line)
        version = told.get("version_info") or told.get("version")
        if path is not None and version:
            python = path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
            return Target(python=str(python), version=version, environment=str(path))
    return None


def look_at_unchanged(scene: Scene, *, every: bool) -> None:
    """Learn what is held back on pages that uv had already: on *every* one, or on those it chose from."""
    limit = scene.judge.young_after()
    if limit is None:
        return
    chosen = {each.name for each in scene.judge.verdict().evidence.distributions}
    for asked in scene.front.index.asked:
        counts = asked.unchanged and (every or asked.project in chosen)
        if counts and scene.front.index.may_have_younger(asked.upstream, asked.project, limit.timestamp()):
            page = scene.front.page(asked.upstream, asked.project)
            if page is not None and scene.screen.has_young(page):
                scene.screen(page)


def exit_code(scene: Scene, verdict: Verdict, outcome: UvOutcome | None, problem: str | None) -> int:
    """Return guard's exit code after uv: a denial before all, uv's own where it ran to its end."""
    ruled = ruled_exit_code(verdict, scene.judge.policy)
    if ruled is ExitCode.DENIED:
        return ruled
    if outcome is not None and outcome.interrupted:
        return ExitCode.INTERRUPTED
    if problem is not None or outcome is None:
        return ruled or ExitCode.UNJUDGED
    return ruled or outcome.exit_code


def refused(scene: Scene) -> Iterator[Distribution]:
    """Yield the files that uv asked for and was denied."""
    for asked in scene.front.index.denied:
        page = scene.front.page(asked.upstream, asked.project)
        if page is None:
            continue
        same = (each for each in page.entries if each.artifact.filename == asked.filename)
        yield from (scene.screen.distribution(page, entry) for entry in islice(same, 1))
        if asked.project is not None:
            scene.judge.offer({asked.project: versions_of(page)})


def mislisted(scene: Scene) -> Iterator[str]:
    """Yield why files were refused that their index lists wrongly."""
    for asked in scene.front.index.denied:
        page = scene.front.page(asked.upstream, asked.project)
        for entry in page.entries if page is not None else ():
            if entry.artifact.filename == asked.filename and entry.problem:
                yield f"{asked.filename} is listed wrongly by its index: {entry.problem}"


def versions_of(page: Page) -> Sequence[str]:
    """Return the versions that a page offers, those left out that are yanked."""
    from .index.pages import alike

    kinds = alike(page.entries, None)
    return sorted({version for _, _, version, yanked, _ in kinds if version and not yanked})


def starved(scene: Scene) -> Iterator[Distribution]:
    """Yield the releases held back for want of which uv found no solution: it is asked again, with them shown."""
    young = {(each.name, each.release): each for each in scene.judge.too_young()}
    if young and not scene.front.index.denied and not any(True for _ in resolved_again(scene)):
        scene.screen.show_young()
        yield from (young[name, release] for name, release in resolved_again(scene) if (name, release) in young)


def resolved_again(scene: Scene) -> Iterator[tuple[NormalizedName | None, Release | None]]:
    """Yield what uv would choose; nothing is installed, nothing of the project is written, and nothing is said."""
    from .frontends.locks import read_lock
    from .frontends.uv.listing import named_in
    from .frontends.uv.phases import lock_phase
    from .frontends.uv.running import said_by
    from .uv_scene import as_staged, redirected, staged

    locking = lock_phase(scene.command, scene.standing) if is_about_lock(scene) else None
    if locking is not None:
        with staged(scene) as staging:
            argv, environ, cwd = as_staged(scene, locking, staging)
            if said_by(scene.uv.path, argv, cwd=cwd, environ={**environ, "UV_NO_BUILD": "1"}) is not None:
                path = staging.path_of(scene.lock_path) if scene.lock_path is not None else None
                for each in read_lock(path).distributions if path is not None else ():
                    yield each.name, each.release
        return
    argv, environ = redirected(scene, compiling(scene))
    for release in named_in(said_by(scene.uv.path, argv, cwd=None, environ=environ) or ""):
        yield release.name, release


def compiling(scene: Scene) -> UvCommand:
    """Return the command that resolves the same, and neither builds nor installs anything."""
    from .frontends.uv.command import parse_command

    command = scene.command
    if command.kind == "install":
        again = command.without_options(("--quiet", "--dry-run"))
        return again.with_options(("--dry-run", "--no-build"))
    if command.kind == "compile":
        return command.without_options(("--output-file", "--quiet")).with_options(("--no-build",))
    script = scene.settings.script
    told = script.table.get("dependencies") if script is not None else None
    beside = [each for value in command.with_ for each in value.split(",")]
    asked = [*command.requirements, *beside, command.from_ or "", *(told if isinstance(told, list) else ())]
    path = scene.directory / "again.in"
    path.write_text("".join(f"{each}\n" for each in asked), encoding="utf-8")
    return parse_command("uv", ("pip", "compile", "--no-build", "--no-header", str(path)))


PLAIN_OPTIONS = (
    "--quiet", "--verbose", "--color", "--no-progress", "--upgrade", "--upgrade-package", "--reinstall", "--no-deps",
    "--default-index", "--index", "--index-url", "--extra-index-url", "--index-strategy", "--keyring-provider",
)  # fmt: skip
"""Options beside which plain names stay plain names."""
UNTOLD = "uv does not tell which releases it chose: what is denied was kept from it, other warnings are not known"
