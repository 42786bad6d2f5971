"""What is known before uv runs: which indexes it would ask, and how it is led to ours in their places."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from .dataclass import dataclass, replace
from .errors import UnjudgedError
from .frontends.uv.addresses import recorded
from .frontends.uv.command import UvCommand, parse_command
from .frontends.uv.phases import OF_THE_PROJECT, Standing, standing_of
from .frontends.uv.program import Uv, release_of
from .frontends.uv.projects import Project, find_projects
from .frontends.uv.requirements import Inputs, read_inputs, states_requirements
from .frontends.uv.settings import (
    ConfigFile,
    Index,
    UvSettings,
    merged_config,
    read_settings,
    system_directories,
    user_directory,
)
from .frontends.uv.toml_texts import TomlError, read_toml, with_index_tables
from .fronting import Front, beside_proxies, logins, open_front
from .index.upstream import Upstream, parse_upstream
from .model import LocalTree, version_key
from .names import canonicalize_name
from .screening import PageScreen, Wishes

if TYPE_CHECKING:
    from .frontends.locks import Lock
    from .frontends.uv.receipts import Receipts
    from .frontends.uv.staging import Staging
    from .judge import Judge
    from .session import Request

INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
HIDING = ("UV_NO_CONFIG", "UV_NO_SYSTEM_CONFIG")
"""Variables by which uv leaves the system's configuration out."""
LOCKING = ("lock", "edit", "sync", "run", "report")
"""The kinds of commands that are about a project, or a script that stands for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A command of uv, and all that it takes to run it guarded."""

    request: Request
    command: UvCommand
    uv: Uv
    settings: UvSettings
    standing: Standing
    inputs: Inputs
    projects: tuple[Project, ...]
    """Those that are locked together, where anything is locked."""
    lock_path: Path | None
    """Where the lock of the project or script is, or would be."""
    lock: Lock | None
    opened: Callable[[], Judge]
    """Gives the judge; to be called for the first time in the main thread, before anything is asked of the screen."""
    screen: PageScreen
    front: Front
    local: tuple[Upstream, ...]
    """Directories of files that a lock is made from: uv reads them itself, so they are judged before."""
    receipts: Receipts | None
    make_directory: Callable[[], Path]
    """Gives a private one, for files that uv reads."""
    stdout: int | None

    @property
    def judge(self) -> Judge:
        """What judges; policy and feeds are opened when it is first needed."""
        return self.opened()

    @property
    def directory(self) -> Path:
        """A private directory, made when it is first needed."""
        return self.make_directory()

    @property
    def environ(self) -> Mapping[str, str]:
        """The user's environment."""
        return self.request.surroundings.environ

    @property
    def default_index(self) -> str:
        """The index that uv asks last, as the user, or uv itself, writes it."""
        if self.settings.default is not None:
            return self.settings.default.url
        return next((each.url for each in self.inputs.index_lines if each.default), self.uv.default_index)


@contextmanager
def open_scene(
    request: Request, described: Callable[[], Uv], command: UvCommand, judge: Callable[[], Judge], stdout: int | None
) -> Iterator[Scene]:
    """Read what uv would read, and put an index of ours in front of each of the user's; raises `GuardError`."""
    here = request.surroundings
    environ, kept = here.environ, here.cache()
    uv = described()
    settings = read_settings(
        command,
        environ,
        here.cwd,
        user_dir=user_directory(environ, sys.platform),
        system_dirs=system_directories(environ, sys.platform),
        version=release_of(uv),
    )
    lock_path = lock_path_of(command, settings)
    lock = lock_at(lock_path)
    standing = standing_in(command, settings, lock)
    project = settings.project.directory if settings.project is not None and command.kind in LOCKING else None
    inputs = read_inputs(command, settings.cwd, environ, project, [(each.path, each.table) for each in settings.files])
    refuse_unguardable(command, settings, standing, inputs, environ)
    with ExitStack() as stack:
        receipts = open_tools(stack, command, environ, here.cwd, kept)
        projects = projects_in(settings) if command.kind in LOCKING else ()
        found = upstreams_in_use(uv, settings, inputs, projects, lock, receipts, environ)
        trusted = insecure_hosts(command, settings, environ)
        found = {text: replace(each, insecure=trusts(trusted, each.url)) for text, each in found.items()}
        upstreams = {text: each for text, each in found.items() if command.kind not in LOCKING or not each.local}
        screen = PageScreen(judge, wishes(inputs, lock))
        front = stack.enter_context(
            open_front(
                upstreams,
                screen=screen,
                cache=kept,
                environ=environ,
                keyring=asks_keyring(command, settings, environ),
                offline=request.offline,
            )
        )
        yield Scene(
            request=request,
            command=command,
            uv=uv,
            settings=settings,
            standing=standing,
            inputs=inputs,
            projects=projects,
            lock_path=lock_path,
            lock=lock,
            opened=judge,
            screen=screen,
            front=front,
            local=tuple({each.key: each for each in found.values() if command.kind in LOCKING and each.local}.values()),
            receipts=receipts,
            make_directory=cache(lambda: Path(stack.enter_context(private_directory()))),
            stdout=stdout,
        )


def private_directory() -> AbstractContextManager[str]:
    """Return what makes a directory that only the user can read, and removes it."""
    import tempfile

    return tempfile.TemporaryDirectory(prefix="installguard-")


def lock_path_of(command: UvCommand, settings: UvSettings) -> Path | None:
    """Return where the lock file is that a command is about; `None` where it is about none."""
    if command.kind not in LOCKING:
        return None
    if settings.script is not None:
        return settings.script.lock
    return settings.project.root / "uv.lock" if settings.project is not None and not settings.no_project else None


def lock_at(path: Path | None) -> Lock | None:
    """Return what a lock file says; `None` where there is none."""
    if path is None or not path.is_file():
        return None
    from .frontends.locks import read_lock

    return read_lock(path, shown_as=path.name)


def standing_in(command: UvCommand, settings: UvSettings, lock: Lock | None) -> Standing:
    """Return what counts for the phases, by the command line, the environment and the files together."""
    standing = replace(standing_of(command), frozen=settings.frozen, no_sync=settings.no_sync)
    if settings.script is not None:
        return replace(standing, no_project=True, script="plain" if lock is None else "locked")
    return replace(standing, no_project=settings.no_project or settings.project is None)


def open_tools(
    stack: ExitStack, command: UvCommand, environ: Mapping[str, str], cwd: Path, state: Path
) -> Receipts | None:
    """Take the receipts of uv's tools in hand, where the command writes them; mend what a killed guard left in them."""
    if command.kind == "tool-install":
        from .frontends.uv.receipts import open_receipts, tool_directory

        return stack.enter_context(open_receipts(tool_directory(environ, cwd), state))
    if (state / "uv-receipts").is_dir():
        from .frontends.uv.receipts import repair_leftovers

        repair_leftovers(state)
    return None


# ---------------------------------------------------------------- indexes


def upstreams_in_use(
    uv: Uv,
    settings: UvSettings,
    inputs: Inputs,
    projects: Sequence[Project],
    lock: Lock | None,
    receipts: Receipts | None,
    environ: Mapping[str, str],
) -> Mapping[str, Upstream]:
    """Return every index that uv could ask, by each text that names it."""
    found: dict[str, Upstream] = {}
    if settings.default is None:
        found[uv.default_index] = parse_upstream(uv.default_index, base=settings.cwd)
    for index in settings.indexes:
        upstream = with_login(parse_upstream(index.absolute, kind_of(index), base=index.base), index.name, environ)
        for text in (index.url, index.absolute, recorded(index.url)):
            found.setdefault(text, upstream)
    for line in inputs.index_lines:
        found.setdefault(line.url, parse_upstream(line.url, line.kind, base=line.file.parent))
    for text in (text for each in projects for text in each.indexes if "://" in text):
        found.setdefault(text, parse_upstream(text, base=settings.cwd))
    for text in (*registries(lock), *(receipts.indexes() if receipts is not None else ())):
        found.setdefault(text, parse_upstream(text, base=settings.cwd))
    return found


def projects_in(settings: UvSettings) -> tuple[Project, ...]:
    """Return the projects that are locked together with the one that is meant."""
    project = settings.project
    return find_projects(project.root, project.members) if project is not None else ()


def kind_of(index: Index) -> Literal["simple", "flat"]:
    """Return whether an index has a page a project, or one for all."""
    return "flat" if index.flat else "simple"


def with_login(upstream: Upstream, name: str | None, environ: Mapping[str, str]) -> Upstream:
    """Return an index with the login that uv's variables give for its name."""
    prefix = f"UV_INDEX_{''.join(letter if letter.isalnum() else '_' for letter in name or '').upper()}_"
    user, password = environ.get(f"{prefix}USERNAME"), environ.get(f"{prefix}PASSWORD")
    parts = urlsplit(upstream.url)
    if name is None or (user is None and password is None) or "@" in parts.netloc:
        return upstream
    login = f"{quote(user or '', safe='')}:{quote(password or '', safe='')}@"
    return replace(upstream, url=urlunsplit(parts._replace(netloc=login + parts.netloc)))


def insecure_hosts(command: UvCommand, settings: UvSettings, environ: Mapping[str, str]) -> frozenset[str]:
    """Return the hosts whose certificates uv is told not to check, each with a scheme or a port where one was told."""
    told = command.values("--allow-insecure-host") or environ.get("UV_INSECURE_HOST", "").split()
    for listed in (file.table.get("allow-insecure-host") for file in settings.files):
        told = [*told, *(each for each in listed if isinstance(each, str))] if isinstance(listed, list) else told
    return frozenset(each.strip().lower() for each in told if each.strip())


def trusts(hosts: AbstractSet[str], url: str) -> bool:
    """Tell whether an index is on one of *hosts*: `host`, `host:port` or `scheme://host:port`; `*` is all of them."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2].lower()
    host = place if place.endswith("]") else re.sub(r":\d*\Z", "", place)
    return not hosts.isdisjoint({"*", host, place, f"{parts.scheme}://{host}", f"{parts.scheme}://{place}"})


def asks_keyring(command: UvCommand, settings: UvSettings, environ: Mapping[str, str]) -> bool:
    """Tell whether uv would ask the `keyring` program for logins."""
    told = command.value("--keyring-provider") or environ.get("UV_KEYRING_PROVIDER")
    tables = [table for file in settings.files for table in (file.table.get("pip"), file.table)]
    configured = (table.get("keyring-provider") for table in tables if isinstance(table, Mapping))
    return (told or next(filter(None, configured), None)) == "subprocess"


def registries(lock: Lock | None) -> Iterator[str]:
    """Yield the indexes that a lock names by URL; locations of files that it names by path are none."""
    if lock is None:
        return
    from .frontends.locks import Registry

    for each in lock.packages:
        if isinstance(each.source, Registry) and each.source.url and "://" in each.source.url:
            yield each.source.url


def wishes(inputs: Inputs, lock: Lock | None) -> Wishes:
    """Return what is known of what will be chosen: asked for, pinned, or locked already."""
    releases = [each.release for each in (lock.distributions if lock else ()) if each.hashed and each.release]
    locked = {(each.name, version_key(each.version)) for each in releases}
    return Wishes(requested=inputs.requested, pinned=inputs.pinned, locked=frozenset(locked | inputs.hashed))


# ---------------------------------------------------------------- what cannot be guarded


def refuse_unguardable(
    command: UvCommand, settings: UvSettings, standing: Standing, inputs: Inputs, environ: Mapping[str, str]
) -> None:
    """Raise `UnjudgedError` where uv would go ways on which nothing can be judged before it counts."""
    verb = " ".join(("uv", *command.verb))
    for problem in (*settings.problems, *inputs.problems):
        raise UnjudgedError(problem, where=verb)
    if command.kind == "compile" and inputs.index_lines:
        line = inputs.index_lines[0]
        now = "name the index by --index or in a configuration file"
        raise UnjudgedError("an index is named here", where=f"{line.file}:{line.line}", now=now)
    if settings.offline and not is_by_lock_alone(command, standing):
        now = "leave --offline out (guard --offline keeps guard's own feeds from the network), or install by --frozen"
        raise UnjudgedError("offline, uv takes from its cache without asking an index", where=verb, now=now)
    if environ.get("UV_SKIP_WHEEL_FILENAME_CHECK"):
        what = "with UV_SKIP_WHEEL_FILENAME_CHECK, a file need not be what its name says"
        raise UnjudgedError(what, where=verb, now="unset it")
    if settings.torch_backend is not None:
        raise UnjudgedError("a torch backend brings an index of its own", where=verb, now="name that index by --index")
    of_script = settings.script is not None and any(each.where == "script" for each in settings.indexes)
    if of_script and standing.script == "plain" and command.kind in ("run", "sync", "report"):
        now = "lock it first: guard uv lock --script"
        raise UnjudgedError("the script names indexes of its own", where=verb, now=now)
    if command.child_kind in ("url", "stdin"):
        now = "save it as a file, and run that"
        raise UnjudgedError("what a script asks for cannot be read before uv reads it", where=verb, now=now)
    if command.kind not in LOCKING and (name := index_of_source(command, settings, inputs)) is not None:
        what = f"a source is bound to the index '{name}', which guard cannot stand in front of here"
        raise UnjudgedError(what, where=verb, now="use guard uv sync")


def is_by_lock_alone(command: UvCommand, standing: Standing) -> bool:
    """Tell whether a command takes the lock as it is, and asks for nothing beside."""
    beside = (*command.with_, *command.with_editable, *command.requirement_files)
    return command.kind in LOCKING and standing.frozen and not beside


def index_of_source(command: UvCommand, settings: UvSettings, inputs: Inputs) -> str | None:
    """Return an index that a project which uv may build binds a requirement to; `None` where none does."""
    trees = [Path(each.origin.path) for each in inputs.distributions if isinstance(each.origin, LocalTree)]
    if command.kind == "build":
        trees.append(settings.cwd / next(iter(command.positionals), ""))
    if settings.project is not None:
        trees += [settings.project.directory, settings.project.root, *settings.project.members]
    return next((name for tree in dict.fromkeys(trees) for name in bound_to_index(told_by(tree)).values()), None)


def bound_to_index(document: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the requirements that a project binds to an index in its `pyproject.toml`, by normalised name."""
    found: dict[str, str] = {}
    with suppress(LookupError, TypeError, AttributeError):  # uv refuses it, or it has none
        for name, source in document["tool"]["uv"]["sources"].items():
            for each in source if isinstance(source, list) else (source,):
                if isinstance(each, Mapping) and isinstance(each.get("index"), str):
                    found[canonicalize_name(name)] = str(each["index"])
    return found


def is_static(directory: Path) -> bool:
    """Tell whether a project says all of itself that a lock needs, so that it is not built for that."""
    document = told_by(directory)
    project = document.get("project")
    if isinstance(project, Mapping):
        return not project.get("dynamic") and states_requirements(document)
    return bool(document) and "build-system" not in document and not (directory / "setup.py").exists()


def told_by(directory: Path) -> Mapping[str, Any]:
    """Return what the `pyproject.toml` of a directory says; nothing where there is none, or one that uv refuses."""
    with suppress(OSError, TomlError):
        return read_toml((directory / "pyproject.toml").read_bytes())
    return {}


# ---------------------------------------------------------------- leading uv to ours


def redirected(scene: Scene, command: UvCommand) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the command line and the environment by which uv, in place, asks our indexes and not the user's.

    A command that starts another one is told by a file, which that one does not see.
    """
    named = any(each.option == "--default-index" for each in command.index_options)
    command, environ = replaced(scene, command)
    bound = [f"--index={each}" for each in bound_indexes(scene)] if command.kind in LOCKING else []
    if command.kind in ("run", "tool-run"):
        command = command.without_options(("--config-file", "--no-config"))
        return command.with_options(("--config-file", str(configuration(scene)), *bound)).argv, environ
    command = command.with_options(bound)
    if any(file.names_indexes for file in scene.settings.files):
        command = command.without_options(("--config-file",))
        environ["UV_CONFIG_FILE"] = str(configuration(scene))
    if command.verb == ("tool", "upgrade") and scene.settings.default is None:
        environ.update(as_last_resort(scene))
    elif not named:
        environ["UV_DEFAULT_INDEX"] = scene.front(scene.default_index)
    return command.argv, environ


def bound_indexes(scene: Scene) -> Sequence[str]:
    """Return the named indexes of a project, as ours, where a build requirement of it is bound to one of them.

    uv takes them from the project itself, whatever its configuration says, unless the command line has others for the
    names. These are then asked for other build requirements too.
    """
    if not any(binds_builds(each.directory) for each in scene.projects):
        return ()
    named = (each for each in (*scene.settings.others, *scene.settings.member_indexes) if each.name)
    return tuple(dict.fromkeys(f"{each.name}={scene.front(each.url)}" for each in named))


def binds_builds(directory: Path) -> bool:
    """Tell whether a project that is built binds a requirement to an index: what its build asks for is known later."""
    document = told_by(directory)
    return "build-system" in document and bool(bound_to_index(document))


def as_last_resort(scene: Scene) -> Mapping[str, str]:
    """Return what tells uv of our index in place of its built-in one only: a tool's receipt may name another."""
    (scene.directory / "uv").mkdir(exist_ok=True)
    text = with_index_tables(system_text(scene.settings) or "", scene.front(scene.uv.default_index), ())
    (scene.directory / "uv" / "uv.toml").write_text(text, encoding="utf-8")
    return {"XDG_CONFIG_DIRS": os.pathsep.join((str(scene.directory), system_dirs(scene)))}


def system_text(settings: UvSettings) -> str | None:
    """Return the text of the system's configuration file; `None` where there is none."""
    found = next((file.path for file in settings.files if file.where == "system"), None)
    return found.read_text(encoding="utf-8") if found is not None else None


def system_dirs(scene: Scene) -> str:
    """Return where uv looks for that file."""
    return scene.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"


def replaced(scene: Scene, command: UvCommand) -> tuple[UvCommand, dict[str, str]]:
    """Return a command line and the environment with our indexes wherever these name the user's."""
    environ = {**scene.environ, **beside_proxies(scene.environ), **netrc(scene)}
    environ.update({name: scene.front.within(environ[name]) for name in INDEX_VARIABLES if environ.get(name)})
    command = command.with_replaced(scene.front)
    if not scene.inputs.files:
        return command, environ
    import tempfile

    from .frontends.uv.rewriting import rewritten

    copies = Path(tempfile.mkdtemp(dir=scene.directory))
    reading = rewritten(command, scene.inputs, environ, scene.front, copies)
    return reading.command, {**environ, **reading.environ}


def configuration(scene: Scene) -> Path:
    """Write a configuration file that stands for all of the user's, with our indexes, and return its path."""
    ours = {"index": [{"url": scene.front(scene.default_index), "default": True}]}
    path = scene.directory / "uv.toml"
    first = ConfigFile(path=path, where="project", table=ours)
    path.write_text(merged_config((first, *scene.settings.files), scene.front), encoding="utf-8")
    return path


def netrc(scene: Scene) -> Mapping[str, str]:
    """Return what leads uv to the passwords of indexes that have them in their URLs; nothing where none has."""
    text = logins(scene.front.upstreams, scene.environ)
    if not text:
        return {}
    path = scene.directory / "netrc"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return {"NETRC": str(path)}


# ---------------------------------------------------------------- the staged copy


def staged(scene: Scene) -> Staging:
    """Return a copy of the project, or of the script, in which our indexes stand for the user's."""
    from .frontends.uv.staging import Leading, stage, stage_script

    settings, front = scene.settings, scene.front
    files, above = settings.files, nearest_above(settings)
    beyond = [file for file in files if file.where in ("user", "system") or settings.config_file is not None]
    hidden = scene.command.no_config or any(scene.environ.get(name) for name in HIDING)
    led = hidden or any(file.names_indexes for file in beyond) or sys.platform == "win32"
    configured = {recorded(each.url) for each in settings.indexes}
    own = settings.default is None
    leading = Leading(
        replace={text: ours for text, ours in front.texts.items() if "://" in text},
        left=tuple(each.url for each in settings.indexes if each.is_path or each.url.startswith("file:")),
        default_index=front(scene.uv.default_index) if own else None,
        registries=tuple(
            front(text)
            for text in dict.fromkeys(registries(scene.lock))
            if recorded(text) not in configured and not (own and text == scene.uv.default_index)
        ),
        settings=merged_config((above,), front) if above is not None else None,
        merged=merged_config(files, front) if led else None,
        system=system_text(settings),
        system_dirs=system_dirs(scene),
    )
    spare = scene.request.surroundings.cache()
    if settings.script is not None:
        return stage_script(settings.script.path, leading, spare=spare)
    if settings.project is None:
        raise UnjudgedError("there is no project to lock")
    project = settings.project
    within = [settings.cwd] if settings.cwd.is_relative_to(project.root) else []
    asked = [Path(each.origin.path) for each in scene.inputs.distributions if isinstance(each.origin, LocalTree)]
    edits = scene.command.kind == "edit"
    return stage(
        project.root, project.members, leading, within=within, asked=asked, writes_pyproject=edits, spare=spare
    )


def nearest_above(settings: UvSettings) -> ConfigFile | None:
    """Return the project's configuration where it lies above the project: the copy would not find it."""
    found = next((file for file in settings.files if file.where == "project"), None)
    root = settings.project.root if settings.project is not None else None
    if found is None or root is None or settings.config_file is not None or found.path.parent == root:
        return None
    return found


def as_staged(scene: Scene, argv: Sequence[str], staging: Staging) -> tuple[Sequence[str], Mapping[str, str], Path]:
    """Return the command line, the environment and the directory by which uv works on the staged copy."""
    command, environ = replaced(scene, parse_command("uv", argv))
    if scene.settings.config_file is not None:
        command = command.without_options(("--config-file",))
    kept = {name: value for name, value in environ.items() if name not in OF_THE_PROJECT}
    return command.argv, {**kept, **staging.environ}, staging.path_of(working_directory(scene))


def working_directory(scene: Scene) -> Path:
    """Return where uv finds the project: where the user is, unless that is elsewhere (`--project`)."""
    project, cwd = scene.settings.project, scene.settings.cwd
    if project is None or scene.settings.script is not None or cwd.is_relative_to(project.directory):
        return cwd
    return project.directory
