"""How a command on a project is split: what locks, in a staging directory, and what installs, in place.

Nothing here touches a file: both phases are command lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from ...dataclass import dataclass
from .command import Given, UvCommand, parse_command
from .options import Verb, options_of

Argv: TypeAlias = tuple[str, ...]
ScriptState: TypeAlias = Literal["none", "plain", "locked"]

NOT_BESIDE_FROZEN = ("UV_LOCKED", "UV_NO_SOURCES")
"""Variables that uv refuses, or warns of, beside `--frozen`: not for the second phase of a command that has a first."""
OF_THE_PROJECT = ("UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY")
"""Variables that lead back to the project in place: not for the first phase."""

_NOT_BESIDE_FROZEN = ("--upgrade", "--no-upgrade", "--no-sources", "--locked", "--no-locked", "--no-frozen")
_LEADING_BACK = ("--directory", "--project")
_RESULTS = ("--output-file",)
_ANSWERS = ("--dry-run", "--check")
_OF_INSTALLING = ("--no-install", "--only-install")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What counts for the phases, by the command line and the environment together."""

    frozen: bool = False
    """The lock is taken as it is."""
    no_sync: bool = False
    """The environment is left alone."""
    no_project: bool = False
    """There is no project: by `--no-project`, or since none was found."""
    offline: bool = False
    """No index may be asked."""
    script: ScriptState = "none"
    """A script with inline metadata stands for the project; `locked` where it has a lock file of its own."""


def standing_of(command: UvCommand) -> Standing:
    """Return what the command line alone says; a script that is named by `--script` is taken to have no lock."""
    script = command.verb != ("run",) and command.script is not None
    return Standing(
        frozen=command.frozen is True,
        no_sync=command.no_sync,
        no_project=command.no_project,
        offline=command.offline is True,
        script="plain" if script else "none",
    )


def lock_phase(command: UvCommand, standing: Standing, *, project: str | None = None) -> Argv | None:
    """Return the arguments to be run in the staging directory, `None` where nothing is locked.

    `--directory` and `--project` are left out: it is run where they lead to; *project* is passed on as `--project`.
    """
    first = _lock_phase(command, standing)
    if first is None:
        return None
    return first.with_options([f"--project={project}"] if project is not None else []).argv


def install_phase(command: UvCommand, standing: Standing) -> Argv | None:
    """Return the arguments to be run in place afterwards, `None` where the first phase did all there is to do."""
    match command.kind:
        case "lock":
            return None
        case "edit":
            return _edit_then_install(command, standing)
        case "sync" | "run" | "report" if _lock_phase(command, standing) is not None:
            return None if _only_asks(command) else _frozen(command, standing)
        case _:
            return command.argv


def asking_whether_done(command: UvCommand, apart: Argv) -> Argv:
    """Return the arguments by which uv says whether `sync` or `run` would change anything: it ends with 0 if not.

    *apart* are options that keep it from the network, and from locking anew. Nothing is written.
    """
    extent = () if command.verb == ("sync",) or command.has("--exact") else ("--inexact",)
    return _as(command, ("sync",), ("--check", *apart, *extent), {*apart, *extent}).argv


def as_it_is(command: UvCommand, apart: Argv) -> Argv:
    """Return the arguments that do the same where there is nothing to change, *apart* as above."""
    return command.without_options(apart).with_options(apart).argv


def first_is_silent(command: UvCommand) -> bool:
    """Whether the standard output of the first phase is to be dropped: the second one gives the command's own."""
    return command.kind != "edit" and not _only_asks(command)


def second_environ(command: UvCommand) -> Mapping[str, str]:
    """Return variables for the second phase: `export` writes its arguments into its result, and they stay as typed."""
    return {"UV_FROZEN": "1"} if command.verb == ("export",) else {}


def keeps_lock(command: UvCommand) -> bool:
    """Whether uv keeps the lock that it made for a command; where not, it goes away again behind the second phase."""
    return not command.isolated


def restores_after_failure(command: UvCommand, version: tuple[int, ...]) -> bool:
    """Whether a uv of that *version* puts back what it edited and locked where the second phase of a command fails.

    `add` always does, `remove` and `version` do since 0.12.18; `sync` and `run` keep the lock.
    """
    return command.verb == ("add",) or (command.kind == "edit" and version >= _RESTORES_ALL)


_RESTORES_ALL = (0, 12, 18)


def _lock_phase(command: UvCommand, standing: Standing) -> UvCommand | None:
    if standing.script == "plain" and command.kind in ("sync", "run", "report"):
        return None
    match command.kind:
        case "lock":
            return _staged(command)
        case "edit":
            return _edit_first(command, standing)
        case "sync":
            return _sync_first(command, standing)
        case "run":
            unlocked = standing.no_project or (standing.no_sync and standing.script == "none")
            return None if standing.frozen or unlocked else _quietly(command, standing)
        case "report" if not standing.frozen:
            return _staged(command) if command.verb in (("tree",), ("export",)) else _quietly(command, standing)
        case _:
            return None


# ---------------------------------------------------------------- the first phase


def _edit_first(command: UvCommand, standing: Standing) -> UvCommand | None:
    if command.verb == ("version",) and command.dry_run:
        return None
    staged = _staged(command)
    alone = standing.frozen or command.no_sync or _has_script(command)
    return staged if alone else staged.with_options(["--no-sync"])


def _sync_first(command: UvCommand, standing: Standing) -> UvCommand | None:
    """`export` locks as `sync` does, and says the same of it; `lock` would list what changed in the lock as well."""
    if standing.frozen:
        return None
    if _only_asks(command):
        return _staged(command)
    dropped = {each.name for each in command.options if each.name.startswith(_OF_INSTALLING)}
    return _as(command, ("export",), (), {*dropped, *_LEADING_BACK, "--active", "--no-active"})


def _quietly(command: UvCommand, standing: Standing) -> UvCommand:
    """Return a `lock` that says nothing, for commands that say nothing of their locking."""
    script = () if standing.script == "none" else (f"--script={command.script}",)
    return _as(
        command, ("lock",), ("--quiet", *script), {*_LEADING_BACK, "--quiet", "--verbose", "--isolated", "--script"}
    )


def _staged(command: UvCommand) -> UvCommand:
    return command.without_options([*_LEADING_BACK, *(_RESULTS if command.verb == ("export",) else ())])


# ---------------------------------------------------------------- the second phase


def _frozen(command: UvCommand, standing: Standing) -> Argv:
    left = command.without_options(_NOT_BESIDE_FROZEN)
    if command.has("--upgrade") and "--refresh" in options_of(command.verb) and not standing.offline:
        left = left.with_options(["--refresh"])  # which `--upgrade` implies, and which uv refuses offline
    return left.argv if second_environ(command) else left.with_options(["--frozen"]).argv


def _edit_then_install(command: UvCommand, standing: Standing) -> Argv | None:
    if command.verb == ("version",) and command.dry_run:
        return command.argv
    if standing.frozen or standing.no_sync or _has_script(command):
        return None
    return _as(command, ("sync",), ("--frozen", *_selection(command)), _OF_EDITING).argv


_OF_EDITING = {*_NOT_BESIDE_FROZEN, "--editable", "--extra", "--group", "--dev", "--script", "--dry-run"}
"""Options that `sync` has too, but that speak of the requirement, or of the edit."""


def _selection(command: UvCommand) -> Iterable[str]:
    """Yield what makes `sync` install what the command itself would; only `remove` clears away what is not needed."""
    if command.verb != ("remove",):
        yield "--inexact"
    if command.verb == ("add",):
        if not command.has("--dev") and not command.values("--group"):
            yield "--no-dev"
        if command.has("--dev"):
            yield "--group=dev"
        yield from (f"--group={group}" for group in command.values("--group"))
        yield from (f"--extra={extra}" for extra in command.values("--optional"))


# ---------------------------------------------------------------- both


def _only_asks(command: UvCommand) -> bool:
    return command.kind == "sync" and any(map(command.has, _ANSWERS))


def _has_script(command: UvCommand) -> bool:
    return command.script is not None


def _as(command: UvCommand, verb: Verb, own: Iterable[str], dropped: Iterable[str]) -> UvCommand:
    """Return the same by another verb: with the options that it knows as well, but for those *dropped*."""
    known, without = options_of(verb), set(dropped)
    kept = [_written(each) for each in command.options if each.name in known and each.name not in without]
    return parse_command("uv", (*verb, *own, *kept))


def _written(given: Given) -> str:
    return given.name if given.value is None else f"{given.name}={given.value}"
