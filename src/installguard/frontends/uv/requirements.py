"""What a command of uv asks for by name, URL, path or checkout, in its arguments and in files of requirements."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ...dataclass import dataclass, field, replace
from ...errors import UnjudgedError, UsageError
from ...model import DirectUrl, Distribution, LocalTree, Release, VcsCheckout, parse_release
from ...names import NormalizedName, canonicalize_name
from .command import UvCommand
from .direct import Asked, expanded, local_path, locate, parse_asked, parse_tool, release_of, separated, wheel_requires
from .options import options_of
from .requirement_files import Statement, read_bytes, read_text, statements

FILES = 500
"""Files and directories that one command may lead to."""
_PYPROJECT = "pyproject.toml"
_ON_PROJECT = ("lock", "edit", "sync", "run", "report")
_REMOTE = re.compile(r"https?:", re.IGNORECASE)

Use: TypeAlias = Literal["requirement", "constraint", "override", "build"]
"""What a file of requirements is for; one for builds only constrains them."""

VARIABLES: Mapping[str, tuple[str, Use]] = {
    "UV_CONSTRAINT": ("--constraints", "constraint"),
    "UV_OVERRIDE": ("--overrides", "override"),
    "UV_BUILD_CONSTRAINT": ("--build-constraints", "build"),
}
"""Environment variables that name files, where the option is not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexLine:
    """A line of a file of requirements that names an index or a place of files."""

    url: str
    """As written, but for variables in it; a path is absolute."""
    kind: Literal["simple", "flat"]
    default: bool = False
    """Whether it takes the place of uv's default index (`--index-url`)."""
    file: Path
    line: int
    """From 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of requirements that was read."""

    path: Path
    text: str
    statements: tuple[Statement, ...]
    """Those that name other files, indexes, or places of files."""
    includes: Mapping[str, Path]
    """The other files, by what is written."""
    indexes: Mapping[str, str]
    """What `IndexLine.url` is, by what is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the user asks for, as far as it can be told before uv runs."""

    distributions: tuple[Distribution, ...] = ()
    """What is named by URL, path or checkout, each once; and what a `pylock.toml` given as requirements pins."""
    requested: frozenset[NormalizedName] = frozenset()
    """Every project that is asked for by name."""
    pinned: frozenset[NormalizedName] = frozenset()
    """Those of which a version is named (`==`, `===`), by whatever is read."""
    hashed: frozenset[tuple[NormalizedName, str]] = frozenset()
    """Name and `version_key` of those pins that carry hashes."""
    index_lines: tuple[IndexLine, ...] = ()
    problems: tuple[str, ...] = ()
    """What cannot be judged before uv runs, one line each."""
    files: tuple[File, ...] = ()
    """The files of requirements that name indexes, or that lead to one which does."""
    named: Mapping[str, Path] = field(default_factory=dict)
    """The files that the command line and the environment name, by what is written there."""


def read_inputs(
    command: UvCommand,
    cwd: Path,
    environ: Mapping[str, str],
    project: Path | None,
    configured: Iterable[tuple[Path, Mapping[str, Any]]] = (),
) -> Inputs:
    """Return what a command asks for itself.

    *cwd* is where uv works (behind `--directory`), *project* the root directory of the project or workspace that it
    works on, *configured* what each of uv's configuration files that count says, by its path. Nothing is fetched or
    run. A requirement whose marker is false here counts too: for which interpreter and platform uv resolves is not
    known yet. What uv itself is going to refuse is left to it.
    """
    reader = _Reader(cwd, environ, extras=_extras_of(command))
    try:
        reader.read_command(command, project)
        for path, table in configured:
            reader.read_table(table, reader.place_of(path, {"tool": {"uv": table}}))
    except (UnjudgedError, UsageError) as error:
        reader.problem(str(error))
    return reader.inputs()


def _extras_of(command: UvCommand) -> Collection[NormalizedName] | None:
    """Return the extras that the command asks for, `None` for all."""
    if command.kind in _ON_PROJECT or command.has("--all-extras"):
        return None
    return {canonicalize_name(each) for each in command.values("--extra")}


# ---------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a requirement stands, and what it is there for."""

    directory: Path
    """What relative paths are relative to."""
    use: Use = "requirement"
    sources: Mapping[NormalizedName, object] = field(default_factory=dict)
    """`[tool.uv.sources]`, by name."""
    sources_at: Path | None = None
    required_by: NormalizedName | None = None
    """The local project that asks for it; `None` where the user does."""
    editable: bool = False


class _Reader:
    """Collects what is asked for; every file and directory is read once."""

    def __init__(self, cwd: Path, environ: Mapping[str, str], *, extras: Collection[NormalizedName] | None) -> None:
        self.cwd = cwd
        self.environ = environ
        self.extras = extras
        self.here = _Place(directory=cwd)
        self.distributions: dict[Distribution, None] = {}
        self.requested: set[NormalizedName] = set()
        self.pinned: set[NormalizedName] = set()
        self.hashed: set[tuple[NormalizedName, str]] = set()
        self.index_lines: list[IndexLine] = []
        self.problems: dict[str, None] = {}
        self.files: dict[tuple[Path, Use], File | None] = {}
        self.trees: set[tuple[Path, tuple[NormalizedName, ...]]] = set()
        self.named: dict[str, Path] = {}
        self.documents: dict[Path, Mapping[str, Any]] = {}
        self.members_are_own = False
        """Whether the command is about the workspace, so that its members are the user's own projects."""

    def inputs(self) -> Inputs:
        return Inputs(
            distributions=tuple(self.distributions),
            requested=frozenset(self.requested),
            pinned=frozenset(self.pinned),
            hashed=frozenset(self.hashed),
            index_lines=tuple(dict.fromkeys(self.index_lines)),
            problems=tuple(self.problems),
            files=_leading_to_indexes([each for each in self.files.values() if each is not None]),
            named=self.named,
        )

    def read_command(self, command: UvCommand, project: Path | None) -> None:
        """Read all that a command line, its files and its project ask for."""
        place = self.read_project(command, project)
        if command.verb[:1] not in (("remove",), ("build",)):
            parse = parse_tool if command.verb[0] == "tool" else parse_asked
            editable = command.verb in (("add",), ("tool", "install")) and command.has("--editable")
            for text in command.requirements:
                self.take(parse(text), replace(place, editable=editable))
        for text in (*(each for value in command.with_ for each in separated(value)), *_one(command.from_)):
            self.take(parse_tool(text) if text == command.from_ else parse_asked(text), place)
        editables = command.editables if command.verb[0] == "pip" else ()
        for text in (*editables, *command.with_editable):
            self.take(_as_path(parse_asked(text), text), replace(self.here, editable=True))
        self.read_files(command)
        self.read_scripts(command)

    def read_files(self, command: UvCommand) -> None:
        """Read the files of requirements that are named."""
        for _, text in command.requirement_files:
            self.read_source(text)
        for text in command.values("--group") if command.verb[0] == "pip" else ():
            path = self.cwd / (text.rpartition(":")[0] or _PYPROJECT)
            document = self.document(path)
            self.take_all(_grouped(document), self.place_of(path, document))
        constraining: tuple[tuple[tuple[str, ...], Use], ...] = (
            (command.constraint_files, "constraint"),
            (command.override_files, "override"),
            (command.build_constraint_files, "build"),
        )
        for texts, use in constraining:
            for text in texts:
                self.read_named(text, use)
        for variable, (option, use) in VARIABLES.items():
            if self.environ.get(variable) and option in options_of(command.verb) and not command.has(option):
                for text in self.environ[variable].split():
                    self.read_named(text, use)

    def read_scripts(self, command: UvCommand) -> None:
        """Read the inline metadata of the script that a command is about."""
        if command.verb == ("run",) and command.child_kind in ("url", "stdin"):
            what = "a script by URL" if command.child_kind == "url" else "a script from the standard input"
            self.problem(f"{what} says itself what it requires: save it to a file, and run that")
        if command.script is not None:
            self.read_script(self.cwd / command.script)

    # ------------------------------------------------------------ files

    def document(self, path: Path) -> Mapping[str, Any]:
        """Return what a TOML file says; nothing where uv could not read it."""
        if path not in self.documents:
            self.documents[path] = _read_document(path)
        return self.documents[path]

    def problem(self, text: str) -> None:
        self.problems.setdefault(text.replace("\n", " "))

    def path_of(self, text: str, directory: Path) -> Path | None:
        """Return the path of a file of requirements; where it is none, that is a problem."""
        if text == "-" or re.fullmatch(r"(?:/dev/stdin|/dev/fd/0|/proc/self/fd/0)", text):
            self.problem("requirements from the standard input cannot be judged first: write them to a file, name that")
        elif _REMOTE.match(text):
            from ..locks.files import without_credentials

            self.problem(f"{without_credentials(text)}: requirements by URL may change: save the file, name the copy")
        elif "\0" not in text:
            found = local_path(text, directory) if text.lower().startswith("file:") else None
            return found or Path(os.path.normpath(directory / text))
        return None

    def read_source(self, text: str) -> None:
        """Read a file given as requirements, of whichever kind its name says."""
        path = self.path_of(text, self.cwd)
        if path is None or not path.exists():
            return
        if path.name == _PYPROJECT:
            self.read_pyproject(path)
        elif path.name in ("setup.py", "setup.cfg"):
            self.read_tree(path.parent)
        elif re.fullmatch(r"pylock\..*toml", path.name, re.IGNORECASE):
            self.read_pylock(path)
        else:
            if path.suffix.lower() in ("", ".py", ".pyw"):
                self.read_script(path)
            self.read_named(text, "requirement")

    def read_named(self, text: str, use: Use) -> None:
        """Read a file in the syntax of requirements.txt that the command line or the environment names."""
        path = self.path_of(text, self.cwd)
        if path is not None:
            self.named[text] = path
            self.read_text(path, use)

    def read_text(self, path: Path, use: Use) -> None:
        """Read a file in that syntax, and those that it names."""
        if (path, use) in self.files:
            return
        self.bound(len(self.files))
        self.files[path, use] = None
        text = read_text(path)
        if text is None:
            return
        told: list[Statement] = []
        includes: dict[str, Path] = {}
        indexes: dict[str, str] = {}
        for each in statements(text):
            match each.kind:
                case "requirement" | "editable":
                    self.take_line(each, use)
                case "file" | "constraint":
                    told.append(each)
                    inner = self.path_of(expanded(each.value, self.environ, self.cwd), path.parent)
                    if inner is not None:
                        includes[each.value] = inner
                        nested: Use = "constraint" if each.kind == "constraint" and use == "requirement" else use
                        self.read_text(inner, nested)
                case "index" | "extra" | "find-links":
                    url = self.take_index(each, path)
                    if url is not None:
                        told.append(each)
                        indexes[each.value] = url
        self.files[path, use] = File(path=path, text=text, statements=tuple(told), includes=includes, indexes=indexes)

    def bound(self, count: int) -> None:
        if count >= FILES:
            raise UnjudgedError(f"more than {FILES} files or directories are read", now="ask for fewer at a time")

    def take_line(self, statement: Statement, use: Use) -> None:
        asked = parse_asked(statement.value)
        editable = statement.kind == "editable"
        place = _Place(directory=self.cwd, use=use, editable=editable)
        self.take(_as_path(asked, statement.value) if editable else asked, place, hashes=statement.hashes)

    def take_index(self, statement: Statement, path: Path) -> str | None:
        """Note an index line, and return its URL, or the absolute path that it names; `None` where uv refuses it."""
        url: str | None = expanded(statement.value, self.environ, self.cwd)
        if url is not None and "://" not in url:
            found = local_path(url, path.parent if statement.kind == "find-links" else self.cwd)
            url = str(found) if found is not None else None
        if url is not None:
            kind: Literal["simple", "flat"] = "flat" if statement.kind == "find-links" else "simple"
            default = statement.kind == "index"
            self.index_lines.append(IndexLine(url=url, kind=kind, default=default, file=path, line=statement.line))
        return url

    def read_pylock(self, path: Path) -> None:
        """Take what a lock file pins."""
        from ..locks import read_lock

        self.distributions.update(dict.fromkeys(read_lock(path).distributions))

    def read_pyproject(self, path: Path) -> None:
        """Read a `pyproject.toml` given as requirements; one that says too little is built to learn more."""
        document = self.document(path)
        self.read_document(path, document, extras=self.extras)
        if not states_requirements(document):
            self.read_tree(path.parent)

    def read_script(self, path: Path) -> None:
        """Read the inline metadata of a script (PEP 723)."""
        from .addresses import script_metadata

        data = read_bytes(path)
        inline = script_metadata(data) if data is not None and b"# /// script" in data else None
        if inline is not None:
            document = _parsed(inline)
            place = self.place_of(path, document)
            self.take_all(_texts(document.get("dependencies")), place)
            self.read_settings(document, place)

    # ------------------------------------------------------------ projects

    def read_project(self, command: UvCommand, project: Path | None) -> _Place:
        """Read the project that a command is about, and return how its arguments are to be read."""
        if command.verb == ("build",):
            source = self.cwd / (command.positionals[0] if command.positionals else "")
            if source.is_dir():
                self.read_inside(source, (), own=True)
            else:
                self.take(parse_asked(str(source)), self.here)
        if project is None or (command.script is not None and command.verb != ("run",)):
            return self.here
        path = project / _PYPROJECT
        document = self.document(path)
        place = self.place_of(path, document)
        if command.kind in _ON_PROJECT:
            self.members_are_own = True
            for each in (path, *_members(project, document)):
                self.read_member(each, self.document(each), place)
        return replace(place, directory=self.cwd) if command.kind in ("edit", "run") else self.here

    def read_member(self, path: Path, document: Mapping[str, Any], root: _Place) -> None:
        """Read a project of the user's own; the workspace's sources hold in each of its members."""
        place = self.place_of(path, document)
        shared = {name: source for name, source in root.sources.items() if name not in place.sources}
        if shared and path.parent != root.directory:
            beside = _Place(directory=path.parent, sources=shared, sources_at=root.sources_at)
            for text in _requirements(document, None, groups=True):
                self.take_source(parse_asked(text), beside)
        self.read_document(path, document, extras=None, groups=True)
        self.read_settings(document, place)
        self.take_built(document, place, _name_of(document))

    def read_document(
        self,
        path: Path,
        document: Mapping[str, Any],
        *,
        extras: Collection[NormalizedName] | None,
        groups: bool = False,
    ) -> None:
        """Take what a `pyproject.toml` requires."""
        self.take_all(_requirements(document, extras, groups=groups), self.place_of(path, document))

    def read_settings(self, document: Mapping[str, Any], place: _Place) -> None:
        """Take what the table of uv itself in a document constrains, overrides, or requires."""
        table = _table(_table(document, "tool"), "uv")
        self.take_all(_texts(table.get("dev-dependencies")), replace(place, use="requirement"))
        self.read_table(table, place)

    def read_table(self, table: Mapping[str, Any], place: _Place) -> None:
        """Take what uv's own settings constrain, override, or say of others, those for `uv pip` as well."""
        for key, use in _SETTINGS.items():
            self.take_all(_texts(table.get(key)), replace(place, use=use))
        for each in _table(table, "extra-build-dependencies").values():
            entries = [item.get("requirement") if isinstance(item, dict) else item for item in _list(each)]
            self.take_all(_texts(entries), replace(place, use="build"))
        for each in _list(table.get("dependency-metadata")):
            told = _texts(each.get("requires-dist")) if isinstance(each, dict) else ()
            self.take_all(told, replace(place, use="constraint"))
        if "pip" in table:
            self.read_table({key: value for key, value in _table(table, "pip").items() if key != "pip"}, place)

    def take_built(self, document: Mapping[str, Any], place: _Place, name: NormalizedName | None) -> None:
        """Take what building a project requires."""
        requires = _texts(_table(document, "build-system").get("requires"))
        self.take_all(requires, replace(place, use="build", required_by=name))

    def place_of(self, path: Path, document: Mapping[str, Any]) -> _Place:
        sources = _table(_table(_table(document, "tool"), "uv"), "sources")
        named = {canonicalize_name(name): source for name, source in sources.items()}
        return _Place(directory=path.parent, sources=named, sources_at=path.parent)

    def read_tree(self, path: Path) -> None:
        """Take a directory that uv builds to learn what it requires."""
        self.take(Asked(name=None, target=str(path)), self.here)

    def read_inside(self, directory: Path, extras: tuple[NormalizedName, ...], *, own: bool = False) -> None:
        """Take what a directory of source requires by URL, path or checkout: uv heeds that, and no index sees it."""
        if (directory, extras) in self.trees:
            return
        self.bound(len(self.trees))
        self.trees.add((directory, extras))
        document = self.document(directory / _PYPROJECT)
        place = self.place_of(directory / _PYPROJECT, document)
        name = _name_of(document)
        self.take_built(document, place, name)
        if not own:
            inside = replace(place, required_by=name or canonicalize_name(directory.name))
            self.take_all(_requirements(document, extras, groups=False), inside)

    def read_wheel(self, origin: DirectUrl) -> None:
        """Take what a wheel on this machine requires by URL."""
        path = local_path(origin.url, self.cwd)
        release = release_of(origin.filename)
        if path is not None and path.is_file() and (path, ()) not in self.trees:
            self.bound(len(self.trees))
            self.trees.add((path, ()))
            inside = _Place(directory=self.cwd, required_by=release.name if release else canonicalize_name(path.stem))
            self.take_all((each for each in wheel_requires(path) if "@" in each), inside)

    # ------------------------------------------------------------ requirements

    def take_all(self, texts: Iterable[str], place: _Place) -> None:
        for text in texts:
            self.take(parse_asked(text), place)

    def take(self, asked: Asked, place: _Place, *, hashes: Sequence[str] = ()) -> None:
        """Note one requirement."""
        user = place.required_by is None
        if asked.name is not None and user:
            if place.use == "requirement":
                self.requested.add(asked.name)
            if asked.pinned:
                self.pinned.add(asked.name)
            if hashes:
                self.hashed.update(asked.releases)
        if asked.target is not None:
            self.take_direct(asked, place, hashes)
        else:
            self.take_source(asked, place)

    def take_direct(self, asked: Asked, place: _Place, hashes: Sequence[str]) -> None:
        """Note what a requirement names by URL or path."""
        target = expanded(asked.target or "", self.environ, self.cwd)
        origin = locate(target, place.directory, editable=place.editable, hashes=hashes)
        if isinstance(origin, (DirectUrl, VcsCheckout, LocalTree)):
            self.add(asked, origin, place, hashed=bool(hashes))

    def take_source(self, asked: Asked, place: _Place) -> None:
        """Note what `[tool.uv.sources]` puts in the place of an index for a requirement."""
        source = place.sources.get(asked.name) if asked.name is not None else None
        for each in source if isinstance(source, list) else (source,):
            target = _target(each) if isinstance(each, dict) else None
            if isinstance(each, dict) and each.get("workspace") is True and not self.members_are_own:
                target = self.member(asked.name, place.sources_at)
            if target is not None and place.sources_at is not None:
                editable = isinstance(each, dict) and each.get("editable") is True
                origin = locate(target, place.sources_at, editable=editable)
                if isinstance(origin, (DirectUrl, VcsCheckout, LocalTree)):
                    self.add(asked, origin, place, hashed=False)

    def member(self, name: NormalizedName | None, directory: Path | None) -> str | None:
        """Return the directory of a member of the workspace that a directory belongs to."""
        for root in (directory, *directory.parents) if directory is not None else ():
            document = self.document(root / _PYPROJECT)
            if _table(_table(_table(document, "tool"), "uv"), "workspace"):
                files = (root / _PYPROJECT, *_members(root, document))
                return next((str(each.parent) for each in files if _name_of(self.document(each)) == name), None)
        return None

    def add(self, asked: Asked, origin: DirectUrl | VcsCheckout | LocalTree, place: _Place, *, hashed: bool) -> None:
        """Note a distribution; of a directory of source, what it asks for too."""
        release = self.release(origin)
        name = asked.name if asked.name is not None else release.name if release else _egg(origin)
        parent = place.required_by
        self.distributions.setdefault(
            Distribution(
                name=release.name if release else name,
                release=release,
                origin=origin,
                role="build" if place.use == "build" else "install",
                requested=parent is None,
                required_by=() if parent is None else (parent,),
                builds=not isinstance(origin, DirectUrl) or origin.kind == "sdist",
                pinned=release is not None,
                hashed=hashed or (isinstance(origin, DirectUrl) and "#sha" in (asked.target or "")),
                scope=f"only where {asked.marker}" if asked.marker else None,
            )
        )
        if isinstance(origin, LocalTree):
            self.read_inside(Path(origin.path), asked.extras)
        elif isinstance(origin, DirectUrl) and origin.kind == "wheel" and origin.url.startswith("file:"):
            self.read_wheel(origin)

    def release(self, origin: DirectUrl | VcsCheckout | LocalTree) -> Release | None:
        """Return the release that an origin tells without being built."""
        match origin:
            case DirectUrl(filename=filename):
                return release_of(filename)
            case LocalTree(path=path):
                project = _table(self.document(Path(path) / _PYPROJECT), "project")
                name, version = project.get("name"), project.get("version")
                return parse_release(name, version) if isinstance(name, str) and isinstance(version, str) else None
            case VcsCheckout():
                return None


_SETTINGS: Mapping[str, Use] = {
    "constraint-dependencies": "constraint",
    "override-dependencies": "override",
    "build-constraint-dependencies": "build",
}


def states_requirements(document: Mapping[str, Any]) -> bool:
    """Tell whether a `pyproject.toml` says itself what the project requires, so that uv need not build it to know."""
    project = _table(document, "project")
    dynamic = {"dependencies", "optional-dependencies"} & set(_texts(project.get("dynamic")))
    return bool(project) and not dynamic and ("dependencies" in project or "poetry" not in _table(document, "tool"))


def _one(text: str | None) -> tuple[str, ...]:
    return (text,) if text is not None else ()


def _as_path(asked: Asked, text: str) -> Asked:
    """Return what is to be installed editable: a plain word is a directory's name."""
    return (
        asked
        if asked.target is not None
        else Asked(name=None, extras=asked.extras, target=re.split(r"[\[;]", text)[0].strip())
    )


def _target(source: Mapping[str, Any]) -> str | None:
    """Return the URL or path of a source; `None` for an index, and for a member of the workspace."""
    if isinstance(git := source.get("git"), str):
        told = next((source[key] for key in ("rev", "tag", "branch") if isinstance(source.get(key), str)), None)
        return f"git+{git.removeprefix('git+')}{'' if told is None else f'@{told}'}"
    return next((source[key] for key in ("url", "path") if isinstance(source.get(key), str)), None)


def _egg(origin: DirectUrl | VcsCheckout | LocalTree) -> NormalizedName | None:
    """Return the name that a URL's fragment tells."""
    found = re.search(r"[#&]egg=([A-Za-z0-9._-]+)", origin.url) if not isinstance(origin, LocalTree) else None
    return canonicalize_name(found[1]) if found else None


# ---------------------------------------------------------------- documents


def _read_document(path: Path) -> Mapping[str, Any]:
    """Return what a TOML file says; nothing where uv could not read it."""
    data = read_bytes(path)
    return _parsed(data) if data is not None else {}


def _parsed(data: bytes) -> Mapping[str, Any]:
    from .toml_texts import TomlError, read_toml

    try:
        return read_toml(data)
    except TomlError:
        return {}


def _members(root: Path, document: Mapping[str, Any]) -> Sequence[Path]:
    """Return the files of the members of a workspace."""
    if not _table(_table(_table(document, "tool"), "uv"), "workspace"):
        return ()
    from .projects import find_projects

    try:
        found = find_projects(root)
    except UnjudgedError:
        return ()  # staging says so, where it matters
    return [each.file for each in found if each.member and each.directory != root]


def _requirements(
    document: Mapping[str, Any], extras: Collection[NormalizedName] | None, *, groups: bool
) -> Iterator[str]:
    """Yield what a project requires, with these extras (`None`: all of them), and in its groups."""
    project = _table(document, "project")
    yield from _texts(project.get("dependencies"))
    for extra, texts in _table(project, "optional-dependencies").items():
        if extras is None or canonicalize_name(extra) in extras:
            yield from _texts(texts)
    if groups:
        yield from _grouped(document)


def _grouped(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the dependency groups require; which of them include which others is of no interest."""
    for texts in _table(document, "dependency-groups").values():
        yield from _texts(texts)


def _name_of(document: Mapping[str, Any]) -> NormalizedName | None:
    name = _table(document, "project").get("name")
    return canonicalize_name(name) if isinstance(name, str) else None


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in _list(value) if isinstance(each, str))


def _leading_to_indexes(files: Sequence[File]) -> tuple[File, ...]:
    """Return the files that name indexes or places of files, and those that lead to one of them."""
    wanted = {each.path for each in files if each.indexes}
    before = -1
    while len(wanted) != before:
        before = len(wanted)
        wanted |= {each.path for each in files if not wanted.isdisjoint(each.includes.values())}
    return tuple({each.path: each for each in files if each.path in wanted}.values())
