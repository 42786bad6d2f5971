"""`pylock.toml`, lock-version 1.x (PEP 751)."""

from __future__ import annotations

from ...model import LocalTree, VcsCheckout
from .entries import Dependency, LockedFile, LockedPackage, Registry, Scope, Source
from .files import (
    file_name,
    file_source,
    files_of,
    is_project_itself,
    kind_of,
    only_source,
    refuse_strangers,
    without_credentials,
)
from .tables import Table
from .versions import known_major


def read_pylock(table: Table) -> tuple[list[LockedPackage], list[str]]:
    """Return the packages of a pylock.toml, and notes on it."""
    known_major(table, table.need_text("lock-version"), key="lock-version", known=(1,))
    if not table.has("packages"):
        raise table.wrong("missing 'packages'")
    packages = [_package(each) for each in table.tables("packages")]
    return packages, []


def _package(table: Table) -> LockedPackage:
    name = table.name()
    files = tuple(files_of(table, _file))
    source = _source(table)
    version = table.version()
    if isinstance(source, Registry):
        if not files:
            raise table.wrong("names no file, and no other source")
        refuse_strangers(table, name, version, files)
    return LockedPackage(
        place=table.place,
        name=name,
        version=version,
        written=table.text("version"),
        source=source,
        files=files,
        dependencies=tuple(
            Dependency(name=each.name(), version=each.text("version")) for each in table.tables("dependencies")
        ),
        root=is_project_itself(source),
        scope=Scope(markers=(marker,) if (marker := table.text("marker")) else ()),
    )


def _file(table: Table) -> LockedFile:
    """Return a file: its name is told, or the last part of its URL, or of its path."""
    url = table.text("url") or table.text("path")
    if url is None:
        raise table.wrong("missing 'url' or 'path'")
    filename = table.text("name") or file_name(url)
    return LockedFile(
        filename=filename,
        url=url,
        hashes=table.digests("hashes"),
        size=table.number("size"),
        uploaded_at=table.time("upload-time"),
        kind=kind_of(filename),
    )


def _source(table: Table) -> Source:
    found: list[Source] = []
    if (vcs := table.table("vcs")) is not None:
        found.append(_checkout(vcs))
    if (directory := table.table("directory")) is not None:
        found.append(LocalTree(path=directory.need_text("path"), editable=directory.flag("editable")))
    if (archive := table.table("archive")) is not None:
        file = _file(archive)
        found.append(file_source(file.url or "", (file,)))
    files = table.has("sdist") or table.has("wheels")
    if found and files:
        raise table.wrong("names more than one source")
    return only_source(table, found) if found else Registry(url=table.text("index"))


def _checkout(table: Table) -> VcsCheckout:
    place = table.text("url") or table.need_text("path")
    kind = table.need_text("type")
    return VcsCheckout(url=f"{kind}+{without_credentials(place)}@{table.need_text('commit-id')}")
