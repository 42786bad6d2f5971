"""Staging of uv's projects: uv writes into a copy that names guard's indexes, and what it wrote is put in place later.

The copy is of files that uv reads indexes from or writes; all else in it are links. Its name lasts, since uv caches
what it knows of a project under its path.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from ...dataclass import dataclass, field
from ...errors import UnjudgedError
from .addresses import Addresses, AmbiguousError, script_metadata
from .places import Place, is_ours, take_place
from .projects import Project, find_projects, sources_of
from .toml_texts import TomlError, index_texts, read_toml, with_index_tables
from .trees import Link, link_or_copy, mirror, nested, symlink

LOCK = "uv.lock"
SETTINGS = "uv.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file that uv has written, as it was and as it shall be."""

    path: Path
    before: bytes | None
    """`None`: it was not there."""
    after: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A file that was copied into the staging directory."""

    path: Path
    staged: Path
    before: bytes | None
    """What it held; `None` where it was not there, but may be written."""
    given: bytes | None
    """What the copy held at first."""
    written: bool
    """Whether uv may write it."""


@dataclass(slots=True, kw_only=True)
class Undo:
    """What takes back changes that were put in place."""

    changes: tuple[Change, ...] = ()
    suffix: str = ""

    def revert(self) -> None:
        """Put the old bytes back; raises `UnjudgedError` for files that were changed since, which stay so."""
        lost: list[Path] = []
        for change in reversed(self.changes):
            now = _read(change.path)
            if now == change.after and change.before is None:
                change.path.unlink()
            elif now == change.after and change.before is not None:
                replace_file(change.path, change.after, change.before, self.suffix)
            elif now != change.before:
                lost.append(change.path)
        self.changes = ()
        if lost:
            raise UnjudgedError("was changed meanwhile, and stays so", where=", ".join(map(str, lost)))


@dataclass(slots=True, kw_only=True)
class Staging:
    """A copy of a project, or of a script, in which uv may write; it removes itself at the end."""

    top: Path
    """The directory that the copy is of."""
    subject: Path
    """The project's root, or the script."""
    place: Place
    addresses: Addresses
    copied: tuple[Copied, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    """Variables that uv needs there."""

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what stays is removed by the next guard
            self.place.leave()

    @property
    def root(self) -> Path:
        """The staged counterpart of the project's root, or of the script."""
        return self.path_of(self.subject)

    def path_of(self, path: Path) -> Path:
        """Return the staged counterpart of a path; one outside of the project is its own."""
        absolute = Path(os.path.normpath(path.absolute()))
        for each in (Path(os.path.realpath(absolute)), absolute):
            if each.is_relative_to(self.top):
                return self.place.directory / each.relative_to(self.top)
        return absolute

    def results(self) -> tuple[Change, ...]:
        """Return what uv wrote, with the indexes named as the user names them; raises `UnjudgedError`."""
        return tuple(change for each in self.copied if (change := self._result(each)) is not None)

    def apply(self, changes: Sequence[Change] | None = None) -> Undo:
        """Put the results in place, each file in one step, and return how to take them back.

        Raises `UnjudgedError`, and changes nothing, where one cannot be written or was changed meanwhile.
        """
        results = self.results() if changes is None else tuple(changes)
        done = {each.path: each.after for each in results if _read(each.path) == each.after}  # by another uv
        changes = tuple(each for each in results if each.path not in done)
        for each in self.copied:
            if changes and each.written and _read(each.path) not in (each.before, done.get(each.path, each.before)):
                raise UnjudgedError("was changed meanwhile", where=str(each.path), now="nothing was written: try again")
        undo = Undo(changes=changes, suffix=self.place.suffix)
        try:
            for change in changes:
                replace_file(change.path, change.before, change.after, self.place.suffix)
        except BaseException:
            undo.revert()
            raise
        return undo

    def _result(self, copied: Copied) -> Change | None:
        after = _read(copied.staged)
        if after == copied.given:
            return None
        if not copied.written or after is None:
            what = "was removed" if after is None else "was changed"
            raise UnjudgedError(f"{what} by uv, which guard does not expect", where=str(copied.path))
        if copied.path.suffix == ".lock" and self.addresses.theirs_in_lock(after):
            raise UnjudgedError("names an index that uv has asked itself", where=str(copied.path), now=_LED_ASTRAY)
        try:
            after = self.addresses.taken_from(after, copied.path.name, copied.before or b"")
        except AmbiguousError as error:
            what = f"names one index in several ways ({error})"
            raise UnjudgedError(what, where=str(copied.path), now="name it in one way: nothing was written") from error
        if self.addresses.named_in(after):
            raise UnjudgedError("would name guard's own index", where=str(copied.path), now="nothing was written")
        return None if after == copied.before else Change(path=copied.path, before=copied.before, after=after)


_LED_ASTRAY = "nothing was written: no option or variable may keep uv from its configuration files"

# ---------------------------------------------------------------- staging a project


@dataclass(frozen=True, slots=True, kw_only=True)
class Leading:
    """How uv is led to guard's indexes in a staged copy."""

    replace: Mapping[str, str]
    """For each text by which an index is named, the one that names guard's."""
    left: tuple[str, ...] = ()
    """Texts that stay as they are; any other that is named and not replaced is refused."""
    default_index: str | None = None
    """Guard's index in front of uv's own default."""
    registries: tuple[str, ...] = ()
    """Guard's indexes in front of registries that only the lock names."""
    settings: str | None = None
    """The text of a `uv.toml` for the root, where uv's nearest configuration lies above it."""
    merged: str | None = None
    """The user's whole configuration as one text, as it must be given where uv is told to read none (`""`).

    Where it is not given, the default index and the registries stand in a file of the system's level.
    """
    system: str | None = None
    """The text of the file of that level that there is."""
    system_dirs: str = "/etc/xdg"
    """The user's `XDG_CONFIG_DIRS`."""


def stage(
    root: Path,
    members: Sequence[Path],
    leading: Leading,
    *,
    within: Sequence[Path] = (),
    asked: Sequence[Path] = (),
    writes_pyproject: bool = True,
    spare: Path | None = None,
    link: Link = symlink,
) -> Staging:
    """Return a staged copy of the workspace at *root*; raises `UnjudgedError`.

    *within* are directories that uv is to run in: a link would lead it out again. *asked* are directories of projects
    that the command asks for. *spare* is a directory for where there is no place beside the project or in it.
    """
    replace, settings = leading.replace, leading.settings
    addresses = Addresses(ours=replace)
    root = Path(os.path.realpath(root))
    projects = find_projects(root, members, asked)
    _refuse_unknown(projects, root, leading)
    top, place = _take(root, projects, replace, spare)
    with _left_on_error(place):
        files = dict(_files(projects, root, top, replace, writes_pyproject))
        real = [*(file.parent for file in files), *_below(top, within)]
        _mirror(top, place, real, files, link)
        copied = (
            _staged(path, place.directory / path.relative_to(top), addresses, files[path], link) for path in files
        )
        kept = tuple(each for each in copied if each is not None)
        if settings is not None and not (root / SETTINGS).exists():
            (place.directory / root.relative_to(top) / SETTINGS).write_bytes(settings.encode())
        environ = _configuration(place, leading)
        return Staging(top=top, subject=root, place=place, addresses=addresses, copied=kept, environ=environ)


def _refuse_unknown(projects: Sequence[Project], root: Path, leading: Leading) -> None:
    """Raise `UnjudgedError` for an index that guard does not stand in front of."""
    replace = leading.replace
    for project in projects:
        own = _named(_read(root / SETTINGS) or b"", root / SETTINGS) if project.directory == root else ()
        for text in (*project.indexes, *own):
            if text not in replace and text not in leading.left:
                raise UnjudgedError(f"names the index '{text}', {_NOT_OURS}", where=str(project.file))
        if project.absolute and project.names(replace):
            raise UnjudgedError(_ABSOLUTE, where=str(project.file), now="name it by a relative path")


_NOT_OURS = "which guard is not in front of"
_ABSOLUTE = "has an index of its own, and is asked for by an absolute path"


# ---------------------------------------------------------------- where it is


def _take(
    root: Path, projects: Sequence[Project], replace: Mapping[str, str], spare: Path | None
) -> tuple[Path, Place]:
    """Return the directory to be copied, and a place for that: beside it, else one from where no path leads out."""
    ours = [each.directory for each in projects if each.member or each.names(replace)]
    top = _common(root, ours)
    try:
        return top, take_place([top.parent], top)
    except UnjudgedError:
        top = _common(root, [*ours, *(path for each in projects for path in each.reaches)])
        return top, take_place([top.parent, top, *([spare] if spare else [])], top)


def _common(root: Path, others: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([root, *others]))


@contextmanager
def _left_on_error(place: Place) -> Iterator[None]:
    """Leave the place again where staging does not succeed; raises `UnjudgedError`."""
    try:
        yield
    except OSError as error:
        place.leave()
        where = str(error.filename or place.directory)
        raise UnjudgedError(f"cannot be copied for uv to write in: {error.strerror or error}", where=where) from error
    except BaseException:
        place.leave()
        raise


# ---------------------------------------------------------------- what is in it


def _files(
    projects: Sequence[Project], root: Path, top: Path, replace: Mapping[str, str], writes_pyproject: bool
) -> Iterator[tuple[Path, bool]]:
    """Yield the files that uv reads guard's indexes from or writes, and whether it may write them."""
    for each in projects:
        written = writes_pyproject and each.member
        if each.directory.is_relative_to(top) and (written or each.directory == root or each.names(replace)):
            yield each.file, written
    yield root / SETTINGS, False
    yield root / LOCK, True


def _below(top: Path, directories: Sequence[Path]) -> Iterator[Path]:
    """Yield those of the directories that are there in *top*."""
    for each in directories:
        real = Path(os.path.realpath(each))
        if real.is_relative_to(top) and real.is_dir():
            yield real


def _mirror(top: Path, place: Place, real: Sequence[Path], left: Iterable[Path], link: Link) -> None:
    """Fill the place with links to all that is in *top* but *left*; the directories of projects are *real* ones."""

    def ours(entry: os.DirEntry[str]) -> bool:
        stale = entry.name.endswith(f".{place.suffix}{TEMPORARY}") and entry.is_file(follow_symlinks=False)
        if stale:  # a killed guard left it, which had the place that we have now
            Path(entry.path).unlink()
        return is_ours(entry.name)

    paths = frozenset(map(str, left))
    mirror(top, place.directory, nested(real, top), left=paths, ours=ours, link=link)


def _staged(path: Path, staged: Path, addresses: Addresses, written: bool, link: Link) -> Copied | None:
    """Copy a file with guard's indexes in it; `None` where it is merely linked to, or not there and not to be written.

    uv takes a project for changed where its `pyproject.toml` is another file, and builds it again to learn what it
    depends on: where there is nothing to replace and to write, a link keeps it from that.
    """
    before = _read(path)
    if before is None:
        return Copied(path=path, staged=staged, before=None, given=None, written=True) if written else None
    if addresses.named_in(before):
        raise UnjudgedError("names guard's own index, which is there only while it runs", where=str(path), now=_REMOVE)
    given = addresses.put_into(before, path.name)
    if path.suffix != ".lock" and any(text in addresses.ours for text in _named(given, path)):
        raise UnjudgedError("names an index in a way that guard cannot replace", where=str(path), now=_PLAINLY)
    if given == before and not written:
        link_or_copy(str(path), str(staged), directory=False, link=link)
        return None
    staged.write_bytes(given)
    staged.chmod(stat.S_IMODE(path.stat().st_mode))
    return Copied(path=path, staged=staged, before=before, given=given, written=written)


_REMOVE = "name the index there that is meant"
_PLAINLY = "write its URL as a plain string"


def _named(data: bytes, path: Path) -> tuple[str, ...]:
    """Return the texts by which a file names indexes, read as uv reads it; raises `UnjudgedError`."""
    if path.suffix != ".toml":
        data = script_metadata(data) or b""
    if not re.search(rb"url|find-links|\\", data):
        return ()
    try:
        return index_texts(read_toml(data), pyproject=path.name != SETTINGS)
    except TomlError as error:
        raise UnjudgedError(f"cannot be read ({error})", where=str(path), now="nothing was run") from error


def _configuration(place: Place, leading: Leading) -> Mapping[str, str]:
    """Write the configuration file that names further indexes, and return the variables that lead uv to it."""
    merged, default, registries = leading.merged, leading.default_index, leading.registries
    if merged is None and default is None and not registries:
        return {}
    try:
        text = with_index_tables(merged if merged is not None else leading.system or "", default, registries)
    except TomlError as error:
        raise UnjudgedError(f"uv's configuration cannot be added to: {error}") from error
    if merged is not None:
        (place.own / SETTINGS).write_bytes(text.encode())
        return {"UV_CONFIG_FILE": str(place.own / SETTINGS)}
    (place.own / "uv").mkdir()
    (place.own / "uv" / SETTINGS).write_bytes(text.encode())
    return {"XDG_CONFIG_DIRS": f"{place.own}{os.pathsep}{leading.system_dirs}", "UV_NO_SYSTEM_CONFIG": "0"}


# ---------------------------------------------------------------- files in place

TEMPORARY = ".tmp"


def _read(path: Path) -> bytes | None:
    """Return a file's bytes, `None` where there is none; raises `UnjudgedError`."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnjudgedError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def replace_file(path: Path, before: bytes | None, after: bytes, suffix: str) -> None:
    """Replace a file that holds *before*, in one step, keeping owner, mode and links to it; raises `UnjudgedError`."""
    target = Path(os.path.realpath(path))
    aside = target.with_name(f".{target.name}.{suffix}{TEMPORARY}")
    try:
        found = target.stat() if before is not None else None
        if found is not None and not (found.st_mode & 0o222 and os.access(target, os.W_OK)):
            raise UnjudgedError("is read-only", where=str(path), now="nothing was written")
        aside.unlink(missing_ok=True)
        try:
            _write_new(aside, after, found)
            if _read(target) != before:
                raise UnjudgedError("was changed meanwhile", where=str(path), now="nothing was written: try again")
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise UnjudgedError(f"cannot be written: {error.strerror or error}", where=str(path)) from error


def _write_new(path: Path, data: bytes, like: os.stat_result | None) -> None:
    """Write a new file to disk, with owner and mode like another's."""
    with path.open("xb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    if like is not None:
        if hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(path, like.st_uid, like.st_gid)
        path.chmod(stat.S_IMODE(like.st_mode))


# ---------------------------------------------------------------- staging a script


def stage_script(path: Path, leading: Leading, *, spare: Path | None = None, link: Link = symlink) -> Staging:
    """Return a staged copy of a script and its lock, its directory's other entries as links; as `stage` does it."""
    replace, settings = leading.replace, leading.settings
    addresses = Addresses(ours=replace)
    script = Path(os.path.realpath(path))
    top, nearest = script.parent, [script.parent, *([spare] if spare else [])]
    reached = _script_reaches(script, leading)
    if any(not each.is_relative_to(top) for each in reached):
        top = _common(top, reached)
        nearest = [top.parent, *nearest]
    place = take_place(nearest, top if top != script.parent else script)
    lock = script.with_name(f"{script.name}.lock")
    with _left_on_error(place):
        if reached:
            _mirror(top, place, [script.parent], (script, lock), link)
        else:
            (place.directory / script.parent.relative_to(top)).mkdir(parents=True, exist_ok=True)
        copied = tuple(
            each
            for file in (script, lock)
            if (each := _staged(file, place.directory / file.relative_to(top), addresses, True, link)) is not None
        )
        if settings is not None:
            (place.directory / script.parent.relative_to(top) / SETTINGS).write_bytes(settings.encode())
        environ = _configuration(place, leading)
        return Staging(top=top, subject=script, place=place, addresses=addresses, copied=copied, environ=environ)


def _script_reaches(script: Path, leading: Leading) -> tuple[Path, ...]:
    """Return what a script asks for by relative paths; raises `UnjudgedError` for an index that guard does not know."""
    data = _read(script) or b""
    for text in _named(data, script):
        if text not in leading.replace and text not in leading.left:
            raise UnjudgedError(f"names the index '{text}', {_NOT_OURS}", where=str(script))
    with suppress(TomlError):  # which uv refuses
        sources = sources_of(script.parent, read_toml(script_metadata(data) or b""))
        return tuple(each for each, absolute in sources if not absolute)
    return ()
