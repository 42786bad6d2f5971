"""`pdm.lock`, lock_version 4.x."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ...model import LocalTree, VcsCheckout, parse_version, version_key
from .entries import Dependency, LockedFile, LockedPackage, Registry, Source
from .files import (
    file_name,
    file_source,
    is_archive,
    is_project_itself,
    kind_of,
    only_source,
    refuse_strangers,
    without_credentials,
)
from .scopes import group_scope
from .tables import Table
from .versions import known_major

_PROJECT = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


def read_pdm(table: Table) -> tuple[list[LockedPackage], list[str]]:
    """Return the packages of a pdm.lock, and notes on it; an entry with extras names the release without them again."""
    metadata = table.table("metadata")
    if metadata is None:
        raise table.wrong("missing 'metadata'")
    known_major(table, metadata.need_text("lock_version"), key="lock_version", known=(4,))
    listed = _listed(metadata)
    return [_package(each, listed) for each in table.tables("package")], []


def _package(table: Table, listed: Mapping[tuple[str, str], Sequence[Table]]) -> LockedPackage:
    name, version = table.name(), table.version()
    files = tuple(map(_file, table.tables("files")))
    if version is not None and not files:
        files = tuple(map(_file, listed.get((name, version_key(version)), ())))
    source = _source(table, files)
    if isinstance(source, Registry):
        version = table.need_version()
        refuse_strangers(table, name, version, files)
    return LockedPackage(
        place=table.place,
        name=name,
        version=version,
        written=table.text("version"),
        source=source,
        files=files,
        dependencies=tuple(_dependencies(table)),
        root=is_project_itself(source),
        scope=group_scope(table.texts("groups"), table.text("marker")),
    )


# ---------------------------------------------------------------- files and sources


def _listed(metadata: Table) -> Mapping[tuple[str, str], Sequence[Table]]:
    """Return where the files are that lock_versions before 4.3 list apart, under `name version`."""
    lists = metadata.table("files")
    found: dict[tuple[str, str], list[Table]] = {}
    for written in lists.data if lists is not None else ():
        if lists is not None:
            name, _, version = written.partition(" ")
            key = (lists.as_name(name.partition("[")[0], written), version_key(parse_version(version)))
            found.setdefault(key, []).extend(lists.tables(written))
    return found


def _file(table: Table) -> LockedFile:
    url = table.text("url")
    filename = table.text("file") or file_name(url or "")
    if not filename:
        raise table.wrong("missing 'file' or 'url'")
    return LockedFile(filename=filename, url=url, hashes=table.digest("hash"), kind=kind_of(filename))


def _source(table: Table, files: tuple[LockedFile, ...]) -> Source:
    found: list[Source] = []
    for vcs in ("git", "hg", "svn", "bzr"):
        if (place := table.text(vcs)) is not None:
            revision = table.text("revision") or table.text("ref")
            place = f"{vcs}+{without_credentials(place)}"
            found.append(VcsCheckout(url=f"{place}@{revision}" if revision else place, editable=table.flag("editable")))
    if (url := table.text("url")) is not None:
        found.append(file_source(url, files))
    if (path := table.text("path")) is not None:
        archive = is_archive(path)
        found.append(file_source(path, files) if archive else LocalTree(path=path, editable=table.flag("editable")))
    return only_source(table, found)


# ---------------------------------------------------------------- who asks


def _dependencies(table: Table) -> Iterator[Dependency]:
    """Yield what a package asks for: requirements, of which the lock's own releases tell the versions."""
    for number, written in enumerate(table.texts("dependencies")):
        project = _PROJECT.match(written)
        if project is None:
            raise table.wrong(f"'dependencies[{number}]' is no requirement")
        yield Dependency(name=table.as_name(project[1], f"dependencies[{number}]"))
