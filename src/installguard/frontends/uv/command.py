"""A command line of uv, read as uv reads it: what it does, and which of its options guard has to know of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from ...dataclass import dataclass, replace
from .options import Option, Verb, options_of
from .program import Program

Kind: TypeAlias = Literal[
    "harmless",
    "install",
    "compile",
    "lock",
    "edit",
    "sync",
    "run",
    "report",
    "tool-run",
    "tool-install",
    "seed",
    "build",
    "unknown",
]
"""What a command can do: nothing that is judged; place distributions; write a lock; and so on. The last is refused."""

IndexKind: TypeAlias = Literal["default", "extra", "find-links"]
ChildKind: TypeAlias = Literal["none", "command", "module", "script", "stdin", "url"]

_KINDS: dict[Verb, Kind] = {
    ("pip", "install"): "install",
    ("pip", "sync"): "install",
    ("pip", "compile"): "compile",
    ("lock",): "lock",
    ("add",): "edit",
    ("remove",): "edit",
    ("version",): "edit",
    ("sync",): "sync",
    ("run",): "run",
    ("tree",): "report",
    ("export",): "report",
    ("audit",): "report",
    ("workspace", "metadata"): "report",
    ("tool", "run"): "tool-run",
    ("tool", "install"): "tool-install",
    ("tool", "upgrade"): "tool-install",
    ("venv",): "seed",
    ("build",): "build",
}
_HARMLESS = {
    "": "help init publish format generate-shell-completion build-backend",
    "cache": "clean prune dir size",
    "python": "list install upgrade find pin dir uninstall update-shell",
    "self": "update version",
    "auth": "login logout token dir helper",
    "pip": "list freeze show tree check uninstall debug",
    "tool": "list uninstall dir update-shell audit",
    "workspace": "list dir",
}
"""Verbs that neither resolve for installing nor build, by the verb that they stand under."""
_ALIASES: dict[Verb, Verb] = {
    ("v",): ("venv",),
    ("virtualenv",): ("venv",),
    ("clean",): ("cache", "clean"),
    ("pip", "ls"): ("pip", "list"),
    ("tool", "ls"): ("tool", "list"),
    ("python", "ls"): ("python", "list"),
    ("tool", "uvx"): ("tool", "run"),
    ("tool", "ensurepath"): ("tool", "update-shell"),
    ("python", "ensurepath"): ("python", "update-shell"),
}
_WITH_CHILD = (("run",), ("tool", "run"))
_ANSWERED_AT_ONCE = ("--help", "--version")
_INDEX: dict[str, IndexKind] = {
    "--default-index": "default",
    "--index-url": "default",
    "--index": "extra",
    "--extra-index-url": "extra",
    "--find-links": "find-links",
}
_BETWEEN = {
    "--index": r"\s+",
    "--extra-index-url": r"\s+",
    "--find-links": ",",
    "--with-requirements": ",",
    "--with-editable": ",",
}
"""What separates several values in one, where an option may hold several."""
_FILES = (
    "--requirements",
    "--with-requirements",
    "--constraints",
    "--overrides",
    "--build-constraints",
    "--excludes",
)
_OF_FILES = (("pip", "sync"), ("pip", "compile"))
"""Verbs whose arguments are files of requirements."""
_NAMED = ("--index", "--default-index")
_REMOTE = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One option as it was given."""

    name: str
    """Its long spelling."""
    value: str | None
    """`None` for a flag."""
    token: int
    """The argument that it stands in, from 0."""
    offset: int
    """Where in that argument its letter stands among bundled ones; 0 for a long option."""
    value_token: int
    """The argument that holds the value."""
    value_offset: int
    """Where in that argument the value begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOption:
    """An index, or a location of files, that the command line names."""

    option: str
    kind: IndexKind
    name: str | None
    """The name given to the index in `NAME=URL`."""
    url: str
    """A URL or a path, as written."""
    given: Given


@dataclass(frozen=True, slots=True, kw_only=True)
class UvCommand:
    """A command line of uv."""

    program: Program
    argv: tuple[str, ...]
    """As typed, without the program."""
    verb: Verb
    """In uv's own spelling; of `uvx` it is `("tool", "run")`."""
    behind_verb: int
    """The place in `argv` directly behind the verb."""
    kind: Kind
    options: tuple[Given, ...]
    """Those that are uv's, in the order given; of a harmless verb only those in front of it."""
    positionals: tuple[str, ...]
    positional_tokens: tuple[int, ...]
    """Where each of them stands in `argv`."""
    child: tuple[str, ...]
    """The command that `run` starts, with its arguments; of `tool run` the tool and its arguments."""
    unknown: str | None
    """The first option that guard does not know; how the rest is meant cannot be told then."""
    mistake: str | None
    """Why uv itself is going to refuse this command line before it does anything."""

    # ------------------------------------------------------------ options at large

    def has(self, name: str) -> bool:
        """Whether the option of that long name was given."""
        return any(each.name == name for each in self.options)

    def values(self, *names: str) -> tuple[str, ...]:
        """Return every value of the options named so, in the order given."""
        return tuple(each.value for each in self.options if each.name in names and each.value is not None)

    def value(self, name: str) -> str | None:
        """Return the last value of an option."""
        return next(iter(reversed(self.values(name))), None)

    def switch(self, on: str, off: str) -> bool | None:
        """Return which of two opposite flags came last, `None` where there is none."""
        given = [each.name for each in self.options if each.name in (on, off)]
        return given[-1] == on if given else None

    # ------------------------------------------------------------ what guard has to know

    @property
    def index_options(self) -> tuple[IndexOption, ...]:
        """The indexes and locations that are named, in the order given."""
        return tuple(found for given in self.options for found in _indexes(given))

    @property
    def offline(self) -> bool | None:
        """What `--offline` and `--no-offline` say; `None` where there is neither."""
        return self.switch("--offline", "--no-offline")

    @property
    def frozen(self) -> bool | None:
        """Whether the lock is to be taken as it is; `None` where nothing says so."""
        given = self.switch("--frozen", "--no-frozen")
        return True if self.verb == ("lock",) and self.has("--check-exists") else given

    @property
    def locked(self) -> bool | None:
        """Whether the lock has to be right already; `None` where nothing says so."""
        given = self.switch("--locked", "--no-locked")
        return True if self.verb == ("lock",) and self.has("--check") else given

    @property
    def no_index(self) -> bool:
        """Whether only find-links locations are to be asked."""
        return self.has("--no-index")

    @property
    def no_config(self) -> bool:
        """Whether configuration files are left out; for verbs without a project `--isolated` is an old word for it."""
        without_project = self.verb[:1] in (("pip",), ("venv",), ("build",))
        return self.has("--no-config") or (without_project and self.has("--isolated"))

    @property
    def config_file(self) -> str | None:
        """The only configuration file to be read."""
        return self.value("--config-file")

    @property
    def project(self) -> str | None:
        """The directory where the project is looked for."""
        return self.value("--project")

    @property
    def directory(self) -> str | None:
        """The directory that uv changes to first."""
        return self.value("--directory")

    @property
    def package(self) -> tuple[str, ...]:
        """The members of the workspace that are meant."""
        return self.values("--package")

    @property
    def python(self) -> str | None:
        """The interpreter asked for."""
        return self.value("--python")

    @property
    def target(self) -> str | None:
        """The directory to install into, in place of an environment."""
        return self.value("--target")

    @property
    def prefix(self) -> str | None:
        """The prefix to install into, in place of an environment."""
        return self.value("--prefix")

    @property
    def system(self) -> bool | None:
        """Whether the system's interpreter is meant; `None` where nothing says so."""
        return self.switch("--system", "--no-system")

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be changed (`--check` of an installation or a synchronisation included)."""
        return self.has("--dry-run") or (self.verb != ("lock",) and self.has("--check"))

    @property
    def no_sync(self) -> bool:
        """Whether the environment is to be left alone."""
        return self.has("--no-sync")

    @property
    def no_project(self) -> bool:
        """Whether no project is looked for."""
        return self.has("--no-project")

    @property
    def isolated(self) -> bool:
        """Whether `run` is to use an environment of its own."""
        return self.verb in _WITH_CHILD and self.has("--isolated")

    @property
    def output_file(self) -> str | None:
        """The file that `pip compile` or `export` writes."""
        return self.value("--output-file")

    @property
    def quiet(self) -> int:
        """How often quietness was asked for."""
        return sum(each.name == "--quiet" for each in self.options)

    # ------------------------------------------------------------ what is required

    @property
    def requirement_files(self) -> tuple[tuple[str, str], ...]:
        """The files that requirements are read from, each with its option (`""` for one that is an argument)."""
        sources = self.positionals if self.verb in _OF_FILES else ()
        named = [(name, value) for name in ("--requirements", "--with-requirements") for value in self.values(name)]
        separated = [(name, each) for name, value in named for each in _separated(name, value)]
        return (*(("", source) for source in sources), *separated)

    @property
    def constraint_files(self) -> tuple[str, ...]:
        """The files given by `--constraints`."""
        return self.values("--constraints")

    @property
    def override_files(self) -> tuple[str, ...]:
        """The files given by `--overrides`."""
        return self.values("--overrides")

    @property
    def exclude_files(self) -> tuple[str, ...]:
        """The files given by `--excludes`."""
        return self.values("--excludes")

    @property
    def build_constraint_files(self) -> tuple[str, ...]:
        """The files given by `--build-constraints`."""
        return self.values("--build-constraints")

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements that are arguments; of a tool to be run, what it is started as unless `--from` is given."""
        match self.verb:
            case ("pip", "install") | ("add",) | ("remove",) | ("tool", "install" | "upgrade"):
                return self.positionals
            case ("tool", "run") if not self.has("--from"):
                return self.child[:1]
            case _:
                return ()

    @property
    def editables(self) -> tuple[str, ...]:
        """What is to be installed editable, by `pip install -e`."""
        return self.values("--editable")

    @property
    def with_(self) -> tuple[str, ...]:
        """What is required beside, by `--with` and `--with-executables-from`, as written."""
        return self.values("--with", "--with-executables-from")

    @property
    def with_editable(self) -> tuple[str, ...]:
        """What is required beside and editable, one by one."""
        return tuple(each for value in self.values("--with-editable") for each in _separated("--with-editable", value))

    @property
    def from_(self) -> str | None:
        """What the tool comes from."""
        return self.value("--from")

    # ------------------------------------------------------------ what is started

    @property
    def child_kind(self) -> ChildKind:
        """What `run` starts; a name that ends in `.py` is a script only where there is such a file."""
        if self.verb != ("run",) or not self.child:
            return "command" if self.child else "none"
        first = self.child[0]
        if self.has("--module"):
            return "module"
        if _REMOTE.match(first):
            return "url"
        if self.has("--script") or self.has("--gui-script"):
            return "script"
        if first == "-":
            return "stdin"
        return "script" if first.lower().endswith((".py", ".pyw")) else "command"

    @property
    def script(self) -> str | None:
        """The script whose inline metadata stand for a project: the value of `--script`, or what `run` starts."""
        if self.verb == ("run",):
            return self.child[0] if self.child_kind == "script" else None
        return self.value("--script")

    # ------------------------------------------------------------ changed

    def with_replaced(self, replace: Callable[[str], str]) -> UvCommand:
        """Return the command with every index URL and find-links location put through *replace*."""
        argv = list(self.argv)
        for given in self.options:
            if given.name in _INDEX and given.value is not None:
                head = argv[given.value_token][: given.value_offset]
                argv[given.value_token] = head + _replaced(given.name, given.value, replace)
        return parse_command(self.program, argv)

    def with_files(self, change: Callable[[str], str]) -> UvCommand:
        """Return the command with every file of requirements, constraints, overrides put through *change*."""
        argv = list(self.argv)
        for given in self.options:
            if given.name in _FILES and given.value is not None:
                between = _BETWEEN.get(given.name)
                each = given.value.split(between) if between else [given.value]
                argv[given.value_token] = argv[given.value_token][: given.value_offset] + (between or "").join(
                    map(change, each)
                )
        if self.verb in _OF_FILES:
            for token in self.positional_tokens:
                argv[token] = change(argv[token])
        return parse_command(self.program, argv)

    def with_options(self, extra: Sequence[str]) -> UvCommand:
        """Return the command with *extra* options directly behind the verb."""
        at = self.behind_verb
        return parse_command(self.program, (*self.argv[:at], *extra, *self.argv[at:]))

    def without_options(self, names: Iterable[str]) -> UvCommand:
        """Return the command without the options of these long names, their values included."""
        dropped = set(names)
        argv: list[str | None] = list(self.argv)
        for given in sorted(self.options, key=lambda each: each.offset, reverse=True):
            if given.name in dropped:
                argv[given.token] = _cut(argv[given.token], given)
                if given.value_token != given.token:
                    argv[given.value_token] = None
        return parse_command(self.program, [each for each in argv if each is not None])


def parse_command(program: Program, argv: Sequence[str]) -> UvCommand:
    """Return what a command line means to uv; `guard uvx X` is `uv tool run X`."""
    reader = _Reader(argv)
    verb: Verb = ("tool", "run") if program == "uvx" else reader.read_verb()
    behind = reader.at
    kind: Kind = "harmless" if _is_harmless(verb) else _KINDS.get(verb, "unknown")
    if kind not in ("harmless", "unknown"):
        reader.read_rest(verb)
    command = UvCommand(
        program=program,
        argv=tuple(argv),
        verb=verb,
        behind_verb=behind,
        kind=kind,
        options=tuple(reader.options),
        positionals=tuple(argv[token] for token in reader.positionals),
        positional_tokens=tuple(reader.positionals),
        child=reader.child,
        unknown=reader.unknown,
        mistake=reader.mistake,
    )
    return _settled(command)


def _settled(command: UvCommand) -> UvCommand:
    """Return the command with the kind that its options make it."""
    if command.unknown is not None:
        return replace(command, kind="unknown") if command.kind == "harmless" else command
    if any(map(command.has, (*_ANSWERED_AT_ONCE, "--generate-shell-completion"))):
        return replace(command, kind="harmless")
    if command.verb == ("version",) and not command.positionals and not command.has("--bump"):
        return replace(command, kind="harmless")
    if command.verb == ("workspace", "metadata") and command.has("--sync"):
        return replace(command, kind="unknown")
    return command


def _is_harmless(verb: Verb) -> bool:
    """Whether a verb does nothing that is judged; one that is not complete only makes uv print its help."""
    match verb:
        case () | (("auth" | "cache" | "pip" | "python" | "self" | "tool" | "workspace"),):
            return True
        case (only,):
            return only in _HARMLESS[""].split()
        case _:
            return verb[1] in _HARMLESS.get(verb[0], "").split()


# ---------------------------------------------------------------- values


def _indexes(given: Given) -> Iterator[IndexOption]:
    """Yield what an option names, one by one where it holds several."""
    kind = _INDEX.get(given.name)
    if kind is None or given.value is None:
        return
    for text in _separated(given.name, given.value):
        name, url = _named(text) if given.name in _NAMED else (None, text)
        yield IndexOption(option=given.name, kind=kind, name=name, url=url, given=given)


def _separated(name: str, value: str) -> list[str]:
    """Return the values in one value of an option."""
    between = _BETWEEN.get(name)
    return [each for each in (re.split(between, value) if between else [value]) if each]


def _named(text: str) -> tuple[str | None, str]:
    """Return the name and the URL of `NAME=URL`; where a colon comes before the sign, it belongs to the URL."""
    name, equals, url = text.partition("=")
    return (name, url) if equals and ":" not in name else (None, text)


def _replaced(option: str, value: str, change: Callable[[str], str]) -> str:
    """Return the value of an index option with each URL in it put through *change*."""

    def one(text: str) -> str:
        name, url = _named(text) if option in _NAMED else (None, text)
        changed = change(url) if url else url
        return changed if name is None else f"{name}={changed}"

    between = _BETWEEN.get(option)
    if between is None:
        return one(value)
    return "".join(
        each if not each or re.fullmatch(between, each) else one(each) for each in re.split(f"({between})", value)
    )


def _cut(token: str | None, given: Given) -> str | None:
    """Return an argument without the option in it, `None` where nothing is left of it."""
    if token is None or not given.offset:
        return None
    rest = "" if given.value is not None else token[given.offset + 1 :]
    left = token[: given.offset] + rest
    return left if left != "-" else None


# ---------------------------------------------------------------- reading


def _is_option(token: str) -> bool:
    return token.startswith("-") and token not in ("-", "--")


class _Reader:
    """One pass over the arguments, by the rules of uv's own reader of them."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = argv
        self.at = 0
        self.options: list[Given] = []
        self.positionals: list[int] = []
        self.child: tuple[str, ...] = ()
        self.unknown: str | None = None
        self.mistake: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is left that uv would read, or that could be understood."""
        asked = bool(self.options) and self.options[-1].name in _ANSWERED_AT_ONCE
        return asked or self.at >= len(self.argv) or self.unknown is not None or self.mistake is not None

    def read_verb(self) -> Verb:
        """Read up to the end of the verb; it is incomplete where the arguments end before it does."""
        verb: Verb = ()
        table = options_of(())
        while not self.ended:
            token = self.argv[self.at]
            if _is_option(token):
                self.read_option(table)
                continue
            self.at += 1
            verb = _ALIASES.get((*verb, token), (*verb, token))
            if len(verb) > 1 or verb[0] not in _HARMLESS:
                break
        return verb

    def read_rest(self, verb: Verb) -> None:
        """Read what stands behind the verb."""
        table = options_of(verb)
        while not self.ended:
            token = self.argv[self.at]
            if _is_option(token):
                self.read_option(table)
                continue
            first = self.at + (token == "--")  # noqa: S105 - an argument, no secret
            if verb in _WITH_CHILD:
                self.child = tuple(self.argv[first:])
                return
            self.at = len(self.argv) if first > self.at else first + 1
            self.positionals.extend(range(first, self.at))

    def read_option(self, table: Mapping[str, Option]) -> None:
        """Read the option, or the bundle of short ones, at this place."""
        token = self.argv[self.at]
        if token.startswith("--"):
            self.read_long(token, table)
        else:
            self.read_short(token, table)
        self.at += 1

    def read_long(self, token: str, table: Mapping[str, Option]) -> None:
        spelled, equals, _ = token.partition("=")
        option = table.get(spelled)
        if option is None:
            self.unknown = spelled
        elif option.takes_value:
            self.take(option, 0, behind=len(spelled) + 1 if equals else None)
        elif equals:
            self.mistake = f"{spelled} takes no value"
        else:
            self.give(option, 0)

    def read_short(self, token: str, table: Mapping[str, Option]) -> None:
        for offset in range(1, len(token)):
            option = table.get(f"-{token[offset]}")
            if option is None:
                self.unknown = f"-{token[offset]}"
                return
            if option.takes_value:
                behind = offset + 1 + token.startswith("=", offset + 1)
                self.take(option, offset, behind=behind if len(token) > offset + 1 else None)
                return
            self.give(option, offset)
            if option.name in _ANSWERED_AT_ONCE:
                return

    def take(self, option: Option, offset: int, *, behind: int | None) -> None:
        """Note an option and its value, which stands in the same argument *behind* that place, or in the next one."""
        token = self.at
        if behind is not None:
            self.note(option, token, offset, self.argv[token][behind:], token, behind)
        elif token + 1 < len(self.argv) and not _is_option(self.argv[token + 1]) and self.argv[token + 1] != "--":
            self.at += 1
            self.note(option, token, offset, self.argv[self.at], self.at, 0)
        else:
            self.mistake = f"{option.name} wants a value"

    def give(self, option: Option, offset: int) -> None:
        self.note(option, self.at, offset, None, self.at, 0)

    def note(
        self, option: Option, token: int, offset: int, value: str | None, value_token: int, value_offset: int
    ) -> None:
        self.options.append(
            Given(
                name=option.name,
                value=value,
                token=token,
                offset=offset,
                value_token=value_token,
                value_offset=value_offset,
            )
        )
