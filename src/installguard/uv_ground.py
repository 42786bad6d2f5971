"""What a clean verdict on a project of uv rests on: the files that were read for it, and those that were looked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from .checks.snapshot import check_age
from .config.files import POLICY_TOML, PYPROJECT, with_parents
from .dataclass import dataclass, replace
from .errors import ExitCode
from .feeds.due import due_sources
from .feeds.state import STATE_FILE, StateError, read_state
from .frontends.uv.phases import as_it_is, asking_whether_done
from .frontends.uv.settings import system_directories, user_directory
from .model import DirectUrl, LocalTree
from .session import Conclusion, ruled_exit_code
from .unchanged import LASTS
from .uv_scene import INDEX_VARIABLES, is_static

if TYPE_CHECKING:
    from .frontends.locks import Lock
    from .frontends.locks.entries import LockedPackage
    from .frontends.uv.running import UvOutcome
    from .uv_scene import Scene

_PLAIN = {
    "--quiet", "--verbose", "--color", "--no-color", "--no-progress", "--directory", "--project", "--python",
    "--locked", "--frozen", "--exact", "--inexact", "--package", "--all-packages", "--extra", "--no-extra",
    "--all-extras", "--no-all-extras", "--group", "--no-group", "--only-group", "--all-groups", "--no-default-groups",
    "--dev", "--no-dev", "--only-dev", "--module", "--env-file", "--no-env-file",
}  # fmt: skip
"""Options beside which the lock and the files named here are all that counts."""
_VARIABLES = frozenset((
    "UV_CACHE_DIR", "UV_DEFAULT_INDEX", "UV_ENV_FILE", "UV_EXTRA_INDEX_URL", "UV_FROZEN",
    "UV_HTTP_TIMEOUT", "UV_INDEX", "UV_INDEX_STRATEGY", "UV_INDEX_URL", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER",
    "UV_LINK_MODE", "UV_LOCKED", "UV_MANAGED_PYTHON", "UV_NATIVE_TLS", "UV_NO_CACHE", "UV_NO_CONFIG", "UV_NO_DEV",
    "UV_NO_EDITABLE", "UV_NO_ENV_FILE", "UV_NO_MANAGED_PYTHON", "UV_NO_PROGRESS", "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_PYTHON_BIN_DIR", "UV_PYTHON_DOWNLOADS", "UV_PYTHON_INSTALL_DIR",
    "UV_PYTHON_PREFERENCE", "UV_REQUEST_TIMEOUT", "UV_SYSTEM_CERTS", "UV_TOOL_BIN_DIR", "UV_TOOL_DIR",
    "UV_WORKING_DIR", "UV_WORKING_DIRECTORY",
))  # fmt: skip
"""Variables of uv beside which the same holds."""
_PREFIXES = ("UV_INDEX_", "UV_CONCURRENT_", "UV_HTTP_")
_STARTED = ("none", "command", "module", "script")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What has to be as it was for a verdict to stand, beside the command line and the environment."""

    files: tuple[Path, ...]
    """Files whose bytes count, there or not."""
    read: tuple[Path, ...]
    """Those of them that were there."""
    shown: tuple[Path, ...]
    """Files of which only the report tells, and that the run itself may have written."""
    stored: tuple[Path, ...]
    """Large files that are never written in place."""
    uv: str
    asking: tuple[str, ...]
    """The command line by which uv says whether there is anything to do."""
    running: tuple[str, ...]
    """The one that does what was typed where there is not."""


def ground_of(scene: Scene) -> Ground | None:
    """Return what the verdict on a project rests on, once that has been judged; `None` where on more than files."""
    if not _is_plain(scene) or _is_due_soon(scene):
        return None
    stored = _snapshot_files(scene)
    if stored is None:
        return None
    there = tuple(dict.fromkeys(_there(scene)))
    locked = "--frozen" if scene.standing.frozen else "--locked"
    apart = ("--offline", "--no-build-isolation", *_without_builds(scene.lock))
    runs = scene.command.verb == ("run",)
    return Ground(
        files=tuple(dict.fromkeys((*there, *_looked_for(scene)))),
        read=there,
        shown=_environment(scene),
        stored=(Path(scene.uv.path), *stored),
        uv=scene.uv.path,
        asking=asking_whether_done(scene.command, (locked, *apart)),
        running=as_it_is(scene.command, ("--no-sync", "--offline") if runs else (locked, *apart)),
    )


def is_clean(scene: Scene, outcome: UvOutcome | None, conclusion: Conclusion) -> bool:
    """Tell whether nothing was denied and no index was asked; what `run` started may have failed by itself."""
    run, index = conclusion.run, scene.front.index
    if outcome is None or outcome.interrupted or (outcome.exit_code and scene.command.verb != ("run",)):
        return False
    verdict = conclusion.verdict
    clean = bool(verdict.judged) and ruled_exit_code(verdict, scene.judge.policy) is ExitCode.OK
    untold = run.problem is None and not run.notes and not run.held
    return clean and untold and conclusion.exit_code == outcome.exit_code and not (index.asked or index.problems)


def _is_plain(scene: Scene) -> bool:
    """Tell whether a project is synchronised with its lock, and nothing is asked for beside it."""
    command, settings, inputs = scene.command, scene.settings, scene.inputs
    beside = inputs.distributions or inputs.files or inputs.index_lines or settings.requirement_files or scene.local
    plain = command.verb in (("sync",), ("run",)) and all(each.name in _PLAIN for each in command.options)
    alone = settings.script is None and command.child_kind in _STARTED and settings.config_file is None
    lock = scene.lock
    project = settings.project is not None and lock is not None and not any(map(_is_local_file, lock.packages))
    left = beside or scene.standing.no_sync or scene.standing.no_project or not _is_static(scene)
    more = any(map(_may_mean_more, scene.environ)) or _leads_what_is_started(scene)
    return plain and alone and project and not left and not more


def _leads_what_is_started(scene: Scene) -> bool:
    """Tell whether a command that `run` starts is led to guard's indexes, which takes these to be open, and judged."""
    return scene.command.verb == ("run",) and any(scene.environ.get(each) for each in INDEX_VARIABLES)


def _may_mean_more(variable: str) -> bool:
    """Tell whether a variable is one of uv's that may stand for an option which is not plain."""
    return variable.startswith("UV_") and variable not in _VARIABLES and not variable.startswith(_PREFIXES)


def _is_static(scene: Scene) -> bool:
    """Tell whether uv builds no project of the user's own to know what it asks for: it does so when it is asked."""
    static = {each.directory for each in scene.projects if is_static(each.directory)}
    root = scene.settings.project.root if scene.settings.project is not None else scene.settings.cwd
    sources = [each.source for each in scene.lock.packages] if scene.lock is not None else []
    trees = [each.path for each in sources if isinstance(each, LocalTree)]
    return len(static) == len(scene.projects) and all(Path(os.path.normpath(root / each)) in static for each in trees)


def _without_builds(lock: Lock | None) -> tuple[str, ...]:
    """Return the options that keep uv from building what never need be built.

    Of everything else uv may refuse to say that it is installed, older ones also of the user's own projects: these are
    static, and none of their build requirements would be fetched.
    """
    packages = lock.packages if lock is not None else ()
    return tuple(f"--no-build-package={each.name}" for each in packages if _has_wheel_for_all(each))


def _has_wheel_for_all(package: LockedPackage) -> bool:
    """Tell whether an entry has a wheel that every interpreter can use."""
    return any(each.filename.endswith("-none-any.whl") for each in package.files)


def _is_local_file(package: LockedPackage) -> bool:
    """Tell whether an entry is a file at a path, which uv may have to build to know what it asks for."""
    return isinstance(package.source, DirectUrl) and "://" not in package.source.url


def _is_due_soon(scene: Scene) -> bool:
    """Tell whether a feed is to be refreshed, or becomes stale, as long as the verdict could stand."""
    here, judge = scene.request.surroundings, scene.judge
    now = here.clock()
    until = now + timedelta(seconds=LASTS)
    evidence = judge.verdict().evidence
    stale = [any(check_age(replace(evidence, now=moment), judge.policy)) for moment in (now, until)]
    feed = judge.policy.feed
    due = due_sources(here.cache(), feed.sources, now=until, older_than=feed.refresh)
    return stale[0] != stale[1] or (bool(due) and not scene.request.offline)


def _snapshot_files(scene: Scene) -> tuple[Path, ...] | None:
    """Return the files of the snapshot in force; `None` where that cannot be told."""
    directory = scene.request.surroundings.cache()
    try:
        generation = read_state(directory).generation
    except StateError:
        return None
    files = (generation.base, generation.changes) if generation is not None else ()
    return tuple(directory / each.file for each in files if each is not None)


def _there(scene: Scene) -> Iterator[Path]:
    """Yield the files that were read."""
    settings = scene.settings
    if scene.lock_path is not None:
        yield scene.lock_path
    if settings.project is not None:
        yield settings.project.file
    yield from (each.path for each in settings.files)
    yield from (each.file for each in scene.projects)
    yield from (Path(each) for each in scene.judge.policy.files)
    if scene.command.child_kind == "script" and (settings.cwd / scene.command.child[0]).is_file():
        yield settings.cwd / scene.command.child[0]


def _looked_for(scene: Scene) -> Iterator[Path]:
    """Yield every file that would have been read if it were there."""
    here, settings = scene.request.surroundings, scene.settings
    yield from settings.looked_at
    project = settings.project
    for start in (here.cwd, settings.cwd, *((project.directory, project.root) if project is not None else ())):
        for directory in (start, *start.parents, *with_parents(start)):
            yield from (directory / PYPROJECT, directory / "uv.toml")
    for place in (user_directory(scene.environ, sys.platform), *system_directories(scene.environ, sys.platform)):
        if place is not None:
            yield place / "uv" / "uv.toml"
    for config in (here.user_config(), here.site_config()):
        if config is not None:
            yield config / POLICY_TOML
    if scene.command.child_kind == "script":
        yield settings.cwd / scene.command.child[0]
    yield here.cache() / STATE_FILE
    for each in scene.projects:
        yield from (each.directory / "setup.py", each.directory / "setup.cfg")


def _environment(scene: Scene) -> tuple[Path, ...]:
    """Return the file that says which Python an environment has."""
    project = scene.settings.project
    name = scene.environ.get("UV_PROJECT_ENVIRONMENT") or ".venv"
    return (project.root / name / "pyvenv.cfg",) if project is not None else ()
