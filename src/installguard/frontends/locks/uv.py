"""`uv.lock`, and the lock of a script, versions 1.x (uv's own format; a new major version is one uv itself refuses)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from ...model import LocalTree, VcsCheckout
from ...names import NormalizedName
from .entries import Dependency, LockedFile, LockedPackage, Registry, Scope, Source
from .files import file_name, file_source, files_of, kind_of, only_source, refuse_strangers, without_credentials
from .scopes import with_scopes
from .tables import Table

VERSION = 1


def read_uv(table: Table) -> tuple[list[LockedPackage], list[str]]:
    """Return the packages of a uv.lock, with their scopes, and notes on it."""
    version = table.number("version")
    if version is None:
        raise table.wrong("missing 'version'")
    if version != VERSION:
        raise table.wrong(f"is of version {version}, and guard knows version {VERSION}", now="update guard")
    manifest = table.table("manifest") or Table({}, table.file, ("manifest",))
    members = frozenset(manifest.as_name(member, "members") for member in manifest.texts("members"))
    packages = [_package(each, members) for each in table.tables("package")]
    asked = _asked(manifest)
    _refuse_gaps(table, packages, asked)
    notes = [] if asked or any(package.root for package in packages) else [_ROOTLESS]
    return with_scopes(packages, asked), notes


_ROOTLESS = "none of its packages is the project itself: if that is not meant, it was cut short"


def _asked(manifest: Table) -> Mapping[str, tuple[Dependency, ...]]:
    """Return what a script, or a workspace that is no project, asks for; by group, `""` for all."""
    asked = {"": tuple(map(_dependency, manifest.tables("requirements")))} if manifest.has("requirements") else {}
    return {**asked, **_lists(manifest, "dependency-groups")}


def _package(table: Table, members: Iterable[str]) -> LockedPackage:
    name = table.name()
    files = tuple(files_of(table, _file))
    source = _source(table, files)
    root = _is_root(name, source, members)
    registry = isinstance(source, Registry)
    version = table.need_version() if registry else table.version()
    if registry or any(file.url for file in files):
        refuse_strangers(table, name, version, files)
    return LockedPackage(
        place=table.place,
        name=name,
        version=version,
        written=table.text("version"),
        source=source,
        files=files,
        dependencies=tuple(map(_dependency, table.tables("dependencies"))),
        by_extra=_lists(table, "optional-dependencies"),
        by_group={**_lists(table, "dev-dependencies"), **_lists(table, "dependency-groups")},
        root=root,
        scope=Scope(markers=table.texts("resolution-markers")),
    )


def _is_root(name: str, source: Source, members: Iterable[str]) -> bool:
    """Return whether a package is the project, or of its workspace: a tree within it, and not just one so named."""
    if not isinstance(source, LocalTree):
        return False
    path = PurePosixPath(source.path)
    inside = not path.is_absolute() and ".." not in path.parts and not re.match(r"[A-Za-z]:|[\\~]", source.path)
    return not path.parts or (inside and name in members)


def _lists(table: Table, key: str) -> dict[str, tuple[Dependency, ...]]:
    """Return a table of arrays of dependencies."""
    lists = table.table(key)
    return {} if lists is None else {each: tuple(map(_dependency, lists.tables(each))) for each in lists.data}


def _dependency(table: Table) -> Dependency:
    if len(table.data) == 1:  # as nearly all are
        return _plain_dependency(table.name())
    extras = table.texts("extra") if table.has("extra") else table.texts("extras") if table.has("extras") else ()
    return Dependency(name=table.name(), version=table.text("version"), extras=extras, marker=table.text("marker"))


@lru_cache(maxsize=65536)
def _plain_dependency(name: NormalizedName) -> Dependency:
    return Dependency(name=name)


# ---------------------------------------------------------------- files and sources


def _file(table: Table) -> LockedFile:
    url = table.text("url") or table.text("path")
    filename = table.text("filename") or file_name(url or "")
    return LockedFile(
        filename=filename,
        url=url,
        hashes=table.digest("hash"),
        size=table.number("size"),
        uploaded_at=table.time("upload-time"),
        kind=kind_of(filename),
    )


def _source(table: Table, files: tuple[LockedFile, ...]) -> Source:
    source = table.table("source")
    if source is None:
        raise table.wrong("missing 'source'")
    found = [_named_source(source, key, files) for key in source.data if key in _SOURCES]
    if not found:
        raise source.wrong(f"is none of {', '.join(_SOURCES)}")
    return only_source(source, found)


_SOURCES = ("registry", "git", "url", "path", "editable", "directory", "virtual")


def _named_source(source: Table, key: str, files: tuple[LockedFile, ...]) -> Source:
    where = source.need_text(key)
    match key:
        case "registry":
            return Registry(url=where)
        case "git":
            return VcsCheckout(url=_checkout(where))
        case "url" | "path":
            return file_source(where, files)
        case _:
            return LocalTree(path=where, editable=key == "editable")


def _checkout(url: str) -> str:
    """Return a git source as pip writes one: `git+https://…@revision`."""
    place, _, revision = url.partition("#")
    place = without_credentials(place.partition("?")[0])
    return f"git+{place.removeprefix('git+')}" + (f"@{revision}" if revision else "")


# ---------------------------------------------------------------- gaps


def _refuse_gaps(table: Table, packages: list[LockedPackage], asked: Mapping[str, tuple[Dependency, ...]]) -> None:
    """Raise `UsageError` where something is asked for that the lock does not hold: uv writes none such."""
    there = {package.name for package in packages}
    for package in packages:
        lists = (package.dependencies, *package.by_extra.values(), *package.by_group.values())
        missing = next((each.name for each in _each(lists) if each.name not in there), None)
        if missing is not None:
            raise table.wrong(f"{package.place}: asks for '{missing}', which is not in it", now=_CUT)
    missing = next((each.name for each in _each(asked.values()) if each.name not in there), None)
    if missing is not None:
        raise table.wrong(f"manifest: asks for '{missing}', which is not in it", now=_CUT)


_CUT = "it was cut short or changed by hand: lock it again"


def _each(lists: Iterable[tuple[Dependency, ...]]) -> Iterator[Dependency]:
    for each in lists:
        yield from each
