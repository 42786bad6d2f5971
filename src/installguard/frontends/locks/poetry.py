"""`poetry.lock`, lock-versions 1.x and 2.x."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...dataclass import replace
from ...model import AnyVersion, LocalTree, VcsCheckout
from ...names import NormalizedName
from .entries import Dependency, LockedFile, LockedPackage, Registry, Scope, Source
from .files import file_source, is_project_itself, kind_of, may_be_of, refuse_strangers, without_credentials
from .scopes import group_scope
from .tables import Table
from .versions import known_major


def read_poetry(table: Table) -> tuple[list[LockedPackage], list[str]]:
    """Return the packages of a poetry.lock, and notes on it."""
    metadata = table.table("metadata")
    if metadata is None:
        raise table.wrong("missing 'metadata'", now="it was cut short: lock it again")
    known_major(table, metadata.text("lock-version") or "1.0", key="lock-version", known=(1, 2))
    pinned = _pinned_files(metadata)
    extras = _extras(table)
    return [_package(each, pinned, extras) for each in table.tables("package")], []


def _package(table: Table, pinned: Mapping[NormalizedName, Table], extras: Mapping[str, list[str]]) -> LockedPackage:
    name = table.name()
    version = table.need_version()
    files = _files(table, name, version, pinned)
    source = _source(table, files)
    if isinstance(source, Registry):
        refuse_strangers(table, name, version, files)
    return LockedPackage(
        place=table.place,
        name=name,
        version=version,
        written=table.text("version"),
        source=source,
        root=is_project_itself(source),
        files=files,
        dependencies=tuple(_dependencies(table)),
        scope=_scope(table, extras.get(name, ())),
    )


# ---------------------------------------------------------------- files


def _files(
    table: Table, name: NormalizedName, version: AnyVersion, pinned: Mapping[NormalizedName, Table]
) -> tuple[LockedFile, ...]:
    if table.has("files") or name not in pinned:
        return tuple(map(_file, table.tables("files")))
    listed = tuple(_listed(pinned[name]))
    refuse_strangers(pinned[name], name, None, listed)
    return tuple(each for each in listed if may_be_of(each.filename, name, version))


def _file(table: Table) -> LockedFile:
    filename = table.need_text("file")
    return LockedFile(filename=filename, url=table.text("url"), hashes=table.digest("hash"), kind=kind_of(filename))


def _pinned_files(metadata: Table) -> Mapping[NormalizedName, Table]:
    """Return where lock-version 1.x lists files, or before that hashes: by project, all its releases together."""
    found: dict[NormalizedName, Table] = {}
    for key in ("hashes", "files"):
        lists = metadata.table(key)
        for written in lists.data if lists is not None else ():
            if lists is not None:
                found[lists.as_name(written, written)] = Table(
                    {key: lists.list(written)}, lists.file, (*lists.way, written)
                )
    return found


def _listed(table: Table) -> Iterator[LockedFile]:
    for each in table.tables("files"):
        yield _file(each)
    for written in table.texts("hashes"):
        yield LockedFile(hashes=(table.as_digest(written if ":" in written else f"sha256:{written}", "hashes"),))


# ---------------------------------------------------------------- sources


def _source(table: Table, files: tuple[LockedFile, ...]) -> Source:
    source = table.table("source")
    if source is None:
        return Registry()
    url = source.need_text("url")
    match source.text("type") or "legacy":
        case "git" | "hg" | "svn" | "bzr" as kind:
            revision = source.text("resolved_reference") or source.text("reference")
            place = f"{kind}+{without_credentials(url)}"
            return VcsCheckout(url=f"{place}@{revision}" if revision else place, editable=table.flag("develop"))
        case "directory":
            return LocalTree(path=url, editable=table.flag("develop"))
        case "url" | "file":
            return file_source(url, files)
        case "legacy":
            return Registry(url=url)
        case _:
            raise source.wrong("'type' is none that guard knows", now="update guard")


# ---------------------------------------------------------------- who asks, and for whom


def _dependencies(table: Table) -> Iterator[Dependency]:
    asked = table.table("dependencies")
    for written in asked.data if asked is not None else ():
        if asked is not None and written.lower() != "python":
            yield Dependency(name=asked.as_name(written, written))


def _extras(table: Table) -> Mapping[str, list[str]]:
    """Return the extras of the project that ask for each project."""
    found: dict[str, list[str]] = {}
    extras = table.table("extras")
    for extra in extras.data if extras is not None else ():
        for name in extras.texts(extra) if extras is not None else ():
            found.setdefault(name.partition(" ")[0].partition("[")[0].lower().replace("_", "-"), []).append(extra)
    return found


def _scope(table: Table, extras: Iterable[str]) -> Scope:
    """Return the scope of a package: its groups or, before lock-version 2.1, its category."""
    groups = table.texts("groups") or tuple(filter(None, (table.text("category"),)))
    scope = group_scope(groups, *_markers(table))
    return replace(scope, extras=tuple(sorted(set(extras)))) if table.flag("optional") else scope


def _markers(table: Table) -> Iterator[str]:
    """Yield the marker of all groups, or that of each."""
    if not isinstance(table.data.get("markers"), dict):
        yield from filter(None, (table.text("markers"), table.text("marker")))
    elif (markers := table.table("markers")) is not None:
        yield from dict.fromkeys(filter(None, map(markers.text, markers.data)))
