"""Which indexes uv is going to ask, by its command line, its environment and its configuration files."""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ...dataclass import dataclass, field, replace
from ...errors import UnjudgedError
from .command import UvCommand
from .options import Verb
from .toml_texts import TomlError, read_toml

Where: TypeAlias = Literal["cli", "env", "script", "project", "user", "system"]
Table: TypeAlias = Mapping[str, Any]

_SCHEME = r"(?:https?|file|(?:git|hg|bzr|svn)\+[a-z]+):"
"""What makes a URL; all else is a path to uv, also what begins with a scheme in capitals."""
_TELLING = re.compile(rb"index|find-links|\\[ux]")
"""What stands in a file that names indexes (or escapes, in which that could hide)."""
_FALSE = frozenset(("", "0", "n", "no", "f", "false", "off"))
_NOT_IN_UV_TOML = (
    "build-backend", "conflicts", "default-groups", "dependency-groups", "dev-dependencies", "environments", "managed",
    "package", "required-environments", "sources", "workspace",
)  # fmt: skip
"""Keys of `[tool.uv]` that speak of the project; uv refuses them in a file of its own."""
NEW = (0, 11, 18)
"""A uv that heeds `UV_NO_SYSTEM_CONFIG`, which 0.9.30 does not."""
_PIP: tuple[Verb, ...] = (("pip", "install"), ("pip", "sync"), ("pip", "compile"), ("venv",))
"""Verbs that the settings in `[tool.uv.pip]` are for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index, or a location of files, as it is configured."""

    url: str
    """As written: a URL or a path."""
    where: Where
    base: Path
    """The directory that a relative path starts from."""
    file: Path | None = None
    name: str | None = None
    default: bool = False
    explicit: bool = False
    """Asked only for what names it as its source."""
    flat: bool = False
    """One page or directory with all files, in place of an index."""

    @property
    def is_path(self) -> bool:
        """Whether it is a path, not a URL."""
        return re.match(_SCHEME, self.url) is None

    @property
    def absolute(self) -> str:
        """The same as a URL or as an absolute path."""
        return str(Path(_normal(self.base / self.url))) if self.is_path else self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """One configuration file that counts."""

    path: Path
    where: Where
    table: Table
    """What it says of uv: all of a `uv.toml`, `[tool.uv]` of others."""

    @property
    def names_indexes(self) -> bool:
        """Whether it holds an index or a location of files."""
        return any(True for _ in _tables_with_indexes(self.table))


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The project, or the workspace, that a command is about."""

    root: Path
    """The directory that holds `uv.lock`."""
    directory: Path
    """The member that is meant: the directory of the nearest `pyproject.toml`."""
    members: tuple[Path, ...]
    """The directories of all members, the root left out unless it is a project itself."""

    @property
    def file(self) -> Path:
        """The `pyproject.toml` of the member that is meant."""
        return self.directory / "pyproject.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script with inline metadata (PEP 723)."""

    path: Path
    table: Table

    @property
    def lock(self) -> Path:
        """Its lock file, which need not be there."""
        return self.path.with_name(f"{self.path.name}.lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class UvSettings:
    """What counts for one command."""

    cwd: Path
    """The working directory, `--directory` followed."""
    default: Index | None
    """The index that is asked last; `None` is the one built into uv."""
    others: tuple[Index, ...]
    """The indexes that are asked before it, in that order; those that are `explicit` are asked for their own only."""
    find_links: tuple[Index, ...]
    no_index: bool
    member_indexes: tuple[Index, ...]
    """Indexes that members of the workspace define for their own sources."""
    offline: bool
    frozen: bool
    locked: bool
    no_sync: bool
    no_project: bool
    torch_backend: str | None
    """Where it is set, uv asks an index of its own for what belongs to it."""
    config_file: Path | None
    """The only file that counts, where one was named."""
    files: tuple[ConfigFile, ...]
    """The files that count, the strongest first."""
    project: Project | None
    script: Script | None
    requirement_files: tuple[tuple[str, str], ...]
    """Files that variables name, each with the option that they stand for."""
    problems: tuple[str, ...]
    """What could not be read, though it could name indexes: uv might read it all the same."""
    looked_at: tuple[Path, ...] = ()
    """Every file that was read, or would have been if it were there."""

    @property
    def indexes(self) -> tuple[Index, ...]:
        """All that may be asked, locations of files included."""
        own = () if self.default is None else (self.default,)
        return (*self.others, *own, *self.find_links, *self.member_indexes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One table of settings, and where it stands."""

    table: Table
    where: Where
    file: Path


@dataclass(frozen=True, slots=True)
class Reading:
    """The files that were read for one command, each once, and what could not be read of them."""

    tables: dict[Path, Table | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


# ---------------------------------------------------------------- reading


def read_settings(
    command: UvCommand,
    environ: Mapping[str, str],
    cwd: Path,
    *,
    user_dir: Path | None,
    system_dirs: Sequence[Path],
    version: tuple[int, ...] = NEW,
) -> UvSettings:
    """Return what counts for *command*; *user_dir* and *system_dirs* are those that hold `uv/uv.toml`.

    *version* is uv's own: old ones do not know every variable.
    What cannot be read is left out and told in `problems`.
    """
    reading = Reading()
    cwd = cwd / (command.directory or environ.get("UV_WORKING_DIR") or environ.get("UV_WORKING_DIRECTORY") or "")
    start = cwd / (command.project or environ.get("UV_PROJECT") or "")
    start = start.parent if start.name == "pyproject.toml" and start.is_file() else start
    project = find_project(_normal(start), reading)
    script = _script_of(command, cwd, reading)
    named = command.config_file or environ.get("UV_CONFIG_FILE") or None
    system_dirs = () if version >= NEW and _set(environ, "UV_NO_SYSTEM_CONFIG") else system_dirs
    files = _files(command, environ, cwd, named, start, project, user_dir, system_dirs, reading)
    sources = _sources(command, script, files)
    default, others = _sorted_out(_ordered(command, environ, cwd, sources))
    return UvSettings(
        cwd=cwd,
        default=default,
        others=others,
        find_links=tuple(_find_links(command, environ, cwd, sources)),
        no_index=command.no_index or _first(sources, "no-index") is True,
        member_indexes=tuple(_of_members(project, reading)),
        offline=_offline(command, environ, sources),
        frozen=_flag(command.frozen, environ, "UV_FROZEN") and (command.frozen is True or not command.locked),
        locked=_flag(command.locked, environ, "UV_LOCKED") and (command.locked is True or not command.frozen),
        no_sync=command.no_sync or _set(environ, "UV_NO_SYNC"),
        no_project=command.no_project or (command.verb == ("run",) and _set(environ, "UV_NO_PROJECT")),
        torch_backend=_torch_backend(command, environ, sources),
        config_file=None if named is None else _normal(cwd / named),
        files=files,
        project=project,
        script=script,
        requirement_files=tuple(_files_by_variable(command, environ)),
        problems=tuple(reading.problems),
        looked_at=tuple(reading.tables),
    )


def user_directory(environ: Mapping[str, str], platform: str) -> Path | None:
    """Return the directory of the user's configuration; *platform* is as in `sys.platform`."""
    if platform == "win32":
        found = environ.get("APPDATA")
        return Path(found) if found else None
    chosen = Path(environ.get("XDG_CONFIG_HOME", ""))
    home = environ.get("HOME")
    return chosen if chosen.is_absolute() else Path(home, ".config") if home else None


def system_directories(environ: Mapping[str, str], platform: str) -> tuple[Path, ...]:
    """Return the directories of the system's configuration, in the order in which the first with a file counts."""
    if platform == "win32":
        drive = environ.get("SYSTEMDRIVE")
        return (Path(f"{drive}\\ProgramData"),) if drive else ()
    named = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    until = named.index("") if "" in named else len(named)
    return (*map(Path, named[:until]), Path("/etc"))


def _files(
    command: UvCommand,
    environ: Mapping[str, str],
    cwd: Path,
    named: str | None,
    start: Path,
    project: Project | None,
    user_dir: Path | None,
    system_dirs: Sequence[Path],
    reading: Reading,
) -> tuple[ConfigFile, ...]:
    """Return the files that count, the strongest first."""
    if named is not None:
        return tuple(_uv_toml(cwd / named, "project", reading))
    if command.no_config or _set(environ, "UV_NO_CONFIG"):
        return ()
    found: list[ConfigFile] = []
    if command.verb[:1] not in (("tool",), ("self",)):
        found += _nearest(_normal(project.root if project is not None else start), reading)
    if user_dir is not None:
        found += _uv_toml(user_dir / "uv" / "uv.toml", "user", reading)
    system = (directory / "uv" / "uv.toml" for directory in system_dirs)
    found += next((list(_uv_toml(file, "system", reading)) for file in system if file.is_file()), [])
    return tuple(found)


def _nearest(start: Path, reading: Reading) -> list[ConfigFile]:
    """Return the first file upwards that says anything of uv; of two in one directory it is `uv.toml`."""
    for directory in (start, *start.parents):
        found = [*_uv_toml(directory / "uv.toml", "project", reading), *_pyproject(directory, reading)]
        if found:
            return found[:1]
    return []


def _uv_toml(path: Path, where: Where, reading: Reading) -> Iterator[ConfigFile]:
    table = _read(path, reading)
    if table is not None:
        yield ConfigFile(path=_normal(path), where=where, table=table)


def _pyproject(directory: Path, reading: Reading) -> Iterator[ConfigFile]:
    document = _read(directory / "pyproject.toml", reading)
    table = _within(document, "tool", "uv")
    if table is not None:
        yield ConfigFile(path=_normal(directory / "pyproject.toml"), where="project", table=table)


def _read(path: Path, reading: Reading) -> Table | None:
    """Return the TOML in a file, `None` where there is no file, or none that can be read."""
    if path not in reading.tables:
        reading.tables[path] = _read_anew(path, reading)
    return reading.tables[path]


def _read_anew(path: Path, reading: Reading) -> Table | None:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reading.problems.append(f"{path}: cannot be read: {error}")
        return None
    return _toml(data, str(path), reading)


def _toml(data: bytes, name: str, reading: Reading) -> Table | None:
    """Return a document; one that is broken, and could name no index, is left to uv, which says more of it."""
    try:
        return read_toml(data)
    except TomlError as error:
        if _TELLING.search(data):
            reading.problems.append(f"{name}: is no TOML: {error}")
        return None


def _within(table: object, *keys: str) -> Table | None:
    """Return the table under a path of keys, `None` where there is none."""
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table if isinstance(table, Mapping) else None


# ---------------------------------------------------------------- projects


def find_project(start: Path, reading: Reading) -> Project | None:
    """Return the project that *start* is in, with its workspace; `None` where there is none that uv manages."""
    directory = next((each for each in (start, *start.parents) if (each / "pyproject.toml").is_file()), None)
    document = None if directory is None else _read(directory / "pyproject.toml", reading)
    if directory is None or document is None or _uv(document).get("managed") is False:
        return None
    own = _within(document, "tool", "uv", "workspace")
    if own is None and _within(document, "project") is None:
        return None
    root, workspace = (directory, own) if own is not None else _workspace_above(directory, reading)
    return Project(root=root, directory=directory, members=tuple(_members(root, workspace, reading)))


def _workspace_above(directory: Path, reading: Reading) -> tuple[Path, Table | None]:
    """Return the root of the workspace that a project is a member of: the project itself where there is none."""
    above = next((each for each in directory.parents if (each / "pyproject.toml").is_file()), None)
    document = None if above is None else _read(above / "pyproject.toml", reading)
    workspace = _within(document, "tool", "uv", "workspace")
    if above is None or workspace is None or directory not in _matching(above, workspace):
        return directory, None
    return above, workspace


def _members(root: Path, workspace: Table | None, reading: Reading) -> Iterator[Path]:
    if _within(_read(root / "pyproject.toml", reading), "project") is not None:
        yield root
    yield from sorted(each for each in _matching(root, workspace or {}) if each != root)


def _matching(root: Path, workspace: Table) -> set[Path]:
    """Return the directories with a `pyproject.toml` that the globs of a workspace name, but for those excluded."""
    found = {each for pattern in _texts(workspace.get("members")) for each in _glob(root, pattern)}
    excluded = {each for pattern in _texts(workspace.get("exclude")) for each in _glob(root, pattern)}
    return {each for each in found - excluded if (each / "pyproject.toml").is_file()}


def _glob(root: Path, pattern: str) -> Iterator[Path]:
    try:
        for each in root.glob(_relative(pattern)):
            yield _normal(each)
    except (ValueError, NotImplementedError, OSError, IndexError):
        return


def _relative(pattern: str) -> str:
    return pattern.removeprefix("./").rstrip("/") or "."


def _uv(document: object) -> Table:
    return _within(document, "tool", "uv") or {}


def _of_members(project: Project | None, reading: Reading) -> Iterator[Index]:
    """Yield the indexes that members of a workspace, but its root, define."""
    for member in () if project is None else project.members:
        if project is not None and member != project.root:
            for file in _pyproject(member, reading):
                source = _Source(table=file.table, where="project", file=file.path)
                yield from (replace(each, explicit=True) for each in _indexes_of(source))


# ---------------------------------------------------------------- scripts

_BLOCK = r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)[ \t]*$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///[ \t]*$"
"""As PEP 723 has it."""


def read_script(path: Path, reading: Reading) -> Script | None:
    """Return a script's inline metadata, `None` where it has none."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        reading.problems.append(f"{path}: cannot be read: {error}")
        return None
    content = next((each["content"] for each in re.finditer(_BLOCK, f"{text}\n") if each["type"] == "script"), None)
    if content is None:
        return None
    lines = (line[2:] if line.startswith("# ") else line[1:] for line in content.splitlines(keepends=True))
    table = _toml("".join(lines).encode(), str(path), reading)
    return None if table is None else Script(path=path, table=table)


def _script_of(command: UvCommand, cwd: Path, reading: Reading) -> Script | None:
    path = None if command.script is None else cwd / command.script
    return read_script(path, reading) if path is not None and path.is_file() else None


# ---------------------------------------------------------------- indexes


def _sources(command: UvCommand, script: Script | None, files: Sequence[ConfigFile]) -> tuple[_Source, ...]:
    """Return the tables of settings, the strongest first; for `uv pip` those of `[tool.uv.pip]` come before."""
    of_script = () if script is None else (_Source(table=_uv(script.table), where="script", file=script.path),)
    found = (*of_script, *(_Source(table=each.table, where=each.where, file=each.path) for each in files))
    pip = (replace(each, table=_within(each.table, "pip") or {}) for each in found if command.verb in _PIP)
    return (*pip, *found)


def _ordered(command: UvCommand, environ: Mapping[str, str], cwd: Path, sources: Sequence[_Source]) -> list[Index]:
    """Return every index in the order in which uv considers them."""
    given = _given(command, environ, cwd)
    tables = [each for source in sources for each in _index_tables(source)]
    extras = [each for source in sources for each in _extra_urls(source)]
    urls = [each for source in sources for each in _index_url(source)][:1]
    if command.verb in _PIP:
        return [*given["--default-index"], *given["--index"], *given["--extra-index-url"], *given["--index-url"],
                *tables, *extras, *urls]  # fmt: skip
    urls = (given["--index-url"] or urls)[:1]
    return [*given["--default-index"], *given["--index"], *tables, *given["--extra-index-url"], *extras, *urls]


_VARIABLES = {
    "--default-index": ("UV_DEFAULT_INDEX", ""),
    "--index-url": ("UV_INDEX_URL", ""),
    "--index": ("UV_INDEX", r"\s+"),
    "--extra-index-url": ("UV_EXTRA_INDEX_URL", r"\s+"),
    "--find-links": ("UV_FIND_LINKS", ","),
}
"""The variable that stands for an option that is not given, and what separates several values in it."""


def _given(command: UvCommand, environ: Mapping[str, str], cwd: Path) -> dict[str, list[Index]]:
    """Return what the command line names, by option; a variable counts where its option is not given."""
    found: dict[str, list[Index]] = {option: [] for option in _VARIABLES}
    for each in command.index_options:
        found[each.option].append(_of_argument(each.option, each.name, each.url, "cli", cwd))
    for option, (variable, between) in _VARIABLES.items():
        value = environ.get(variable, "")
        if not command.has(option) and value:
            for text in filter(None, re.split(between, value) if between else [value]):
                name, url = _named(text) if option in ("--index", "--default-index") else (None, text)
                found[option].append(_of_argument(option, name, url, "env", cwd))
    return found


def _of_argument(option: str, name: str | None, url: str, where: Where, cwd: Path) -> Index:
    default = option in ("--default-index", "--index-url")
    return Index(url=url, where=where, base=cwd, name=name, default=default, flat=option == "--find-links")


def _named(text: str) -> tuple[str | None, str]:
    name, equals, url = text.partition("=")
    return (name, url) if equals and ":" not in name else (None, text)


def _index_tables(source: _Source) -> Iterator[Index]:
    tables = source.table.get("index")
    for table in tables if isinstance(tables, list) else []:
        url = table.get("url") if isinstance(table, Mapping) else None
        if isinstance(url, str):
            name = table.get("name")
            yield replace(
                _configured(source, url),
                name=name if isinstance(name, str) else None,
                default=table.get("default") is True,
                explicit=table.get("explicit") is True,
                flat=table.get("format") == "flat",
            )


def _extra_urls(source: _Source) -> Iterator[Index]:
    for url in _texts(source.table.get("extra-index-url")):
        yield _configured(source, url)


def _index_url(source: _Source) -> Iterator[Index]:
    url = source.table.get("index-url")
    if isinstance(url, str):
        yield replace(_configured(source, url), default=True)


def _configured(source: _Source, url: str) -> Index:
    return Index(url=url, where=source.where, base=source.file.parent, file=source.file)


def _indexes_of(source: _Source) -> list[Index]:
    return [*_index_tables(source), *_extra_urls(source), *_index_url(source)]


def _sorted_out(indexes: Sequence[Index]) -> tuple[Index | None, tuple[Index, ...]]:
    """Return the default index and the others, of each name the first; a second default is asked by its name only."""
    names: set[str] = set()
    kept = []
    for each in indexes:
        if each.name is None or each.name not in names:
            kept.append(each)
            names |= {each.name} if each.name is not None else set()
    default = next((each for each in kept if each.default), None)
    others = [replace(each, explicit=True) if each.default else each for each in kept if each is not default]
    return default, tuple(each for each in others if each.name is not None or not each.default)


def _find_links(
    command: UvCommand, environ: Mapping[str, str], cwd: Path, sources: Sequence[_Source]
) -> Iterator[Index]:
    yield from _given(command, environ, cwd)["--find-links"]
    for source in sources:
        for url in _texts(source.table.get("find-links")):
            yield replace(_configured(source, url), flat=True)


def _tables_with_indexes(table: Table) -> Iterator[Table]:
    for each in (table, _within(table, "pip") or {}):
        if any(each.get(key) for key in ("index", "index-url", "extra-index-url", "find-links")):
            yield each


# ---------------------------------------------------------------- other settings


def _first(sources: Sequence[_Source], key: str) -> object:
    return next((each.table[key] for each in sources if key in each.table), None)


def _offline(command: UvCommand, environ: Mapping[str, str], sources: Sequence[_Source]) -> bool:
    if command.offline is not None:
        return command.offline
    return _set(environ, "UV_OFFLINE") or _first(sources, "offline") is True


def _flag(given: bool | None, environ: Mapping[str, str], variable: str) -> bool:
    return _set(environ, variable) if given is None else given


def _set(environ: Mapping[str, str], variable: str) -> bool:
    return environ.get(variable, "").strip().lower() not in _FALSE


def _torch_backend(command: UvCommand, environ: Mapping[str, str], sources: Sequence[_Source]) -> str | None:
    given = command.value("--torch-backend") or environ.get("UV_TORCH_BACKEND")
    found = given or _first(sources, "torch-backend")
    return found if isinstance(found, str) else None


def _files_by_variable(command: UvCommand, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the files that variables name where their option is not given."""
    variables = {
        "--constraints": "UV_CONSTRAINT",
        "--overrides": "UV_OVERRIDE",
        "--build-constraints": "UV_BUILD_CONSTRAINT",
        "--excludes": "UV_EXCLUDE",
    }
    for option, variable in variables.items():
        if not command.has(option):
            yield from ((option, file) for file in environ.get(variable, "").split(" ") if file)


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _normal(path: Path) -> Path:
    """Return an absolute path without `.` and `..`, links left as they are."""
    return Path(os.path.normpath(path))


# ---------------------------------------------------------------- one file for all


def merged_config(files: Sequence[ConfigFile], change: Callable[[str], str]) -> str:
    """Return a `uv.toml` that stands for all *files* together, with each index URL put through *change*.

    The strongest file comes first: its values win, lists are joined, tables merged. Paths to indexes are made absolute.
    Raises `UnjudgedError` for values that are nested without end.
    """
    merged: dict[str, Any] = {}
    for file in files:
        own = {key: value for key, value in file.table.items() if key not in _NOT_IN_UV_TOML}
        merged = _merge(merged, _with_urls(own, file.path.parent, change))
    try:
        return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in merged.items())
    except RecursionError as error:
        where = ", ".join(str(file.path) for file in files)
        raise UnjudgedError("is nested too deeply", where=where, now="nothing was run") from error


def _with_urls(table: Table, base: Path, change: Callable[[str], str]) -> dict[str, Any]:
    """Return a table of settings with its index URLs changed, those in its table for pip too."""

    def changed(url: str) -> str:
        return change(Index(url=url, where="project", base=base).absolute)

    made = dict(table)
    if isinstance(made.get("index-url"), str):
        made["index-url"] = changed(made["index-url"])
    for key in ("extra-index-url", "find-links"):
        if isinstance(made.get(key), list):
            made[key] = [changed(each) if isinstance(each, str) else each for each in made[key]]
    if isinstance(made.get("index"), list):
        made["index"] = [
            {**each, "url": changed(each["url"])}
            if isinstance(each, Mapping) and isinstance(each.get("url"), str)
            else each
            for each in made["index"]
        ]
    if isinstance(made.get("pip"), Mapping):
        made["pip"] = _with_urls(made["pip"], base, change)
    return made


def _merge(strong: Mapping[str, Any], weak: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(strong)
    for key, value in weak.items():
        mine = made.get(key)
        if key not in made:
            made[key] = value
        elif isinstance(mine, list) and isinstance(value, list):
            made[key] = [*mine, *value]
        elif key == "config-settings" and isinstance(mine, Mapping) and isinstance(value, Mapping):
            made[key] = _join(mine, value)
        elif isinstance(mine, Mapping) and isinstance(value, Mapping):
            made[key] = _merge(mine, value)
    return made


def _join(strong: Mapping[str, Any], weak: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is passed to build backends: they are given all values of one key."""
    both = {key: [*_list(strong[key]), *_list(weak[key])] for key in strong if key in weak}
    return {**weak, **strong, **both}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            return "{" + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + "}"
        case float() | int():
            return repr(value)
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else _text(str(value))


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
