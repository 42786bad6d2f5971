"""`Pipfile.lock`, pipfile-spec 6."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ...model import AnyVersion, Hashes, LocalTree, VcsCheckout, parse_version
from .entries import LockedFile, LockedPackage, Registry, Source
from .files import file_source, is_archive, is_project_itself, only_source, without_credentials
from .scopes import group_scope
from .tables import Table

SPEC = 6
_GROUPS: Mapping[str, str] = {"default": "main", "develop": "dev"}
"""What Pipfile.lock calls the packages for everybody, and those for development; others have their own names."""
_NAMELESS = "it names no files: whether an entry is built, and how old it is, cannot be told from it"


def read_pipfile(table: Table) -> tuple[list[LockedPackage], list[str]]:
    """Return the packages of a Pipfile.lock, and notes on it."""
    meta = table.table("_meta")
    if meta is None:
        raise table.wrong("missing '_meta'")
    spec = meta.number("pipfile-spec")
    if spec != SPEC:
        what = "missing 'pipfile-spec'" if spec is None else f"is of pipfile-spec {spec}, and guard knows {SPEC}"
        raise meta.wrong(what, now="lock it again with a recent pipenv" if (spec or 0) < SPEC else "update guard")
    indexes = _indexes(meta)
    packages = [each for category in table.data if category != "_meta" for each in _category(table, category, indexes)]
    return packages, [_NAMELESS] if any(isinstance(each.source, Registry) for each in packages) else []


def _indexes(meta: Table) -> Mapping[str, str]:
    """Return the URL of each index by its name, and of the only one also by none."""
    found = {source.need_text("name"): source.need_text("url") for source in meta.tables("sources")}
    return {"": next(iter(found.values())), **found} if len(found) == 1 else found


def _category(table: Table, category: str, indexes: Mapping[str, str]) -> Iterator[LockedPackage]:
    entries = table.table(category)
    for written in entries.data if entries is not None else ():
        entry = entries.table(written) if entries is not None else None
        if entry is not None and entries is not None:
            yield _package(entry, entries, written, category, indexes)


def _package(table: Table, entries: Table, written: str, category: str, indexes: Mapping[str, str]) -> LockedPackage:
    hashes = tuple(table.as_digest(each, "hashes") for each in table.texts("hashes"))
    source = _source(table, indexes, hashes)
    marker = table.text("markers")
    return LockedPackage(
        place=table.place,
        name=entries.as_name(written, written),
        version=_version(table),
        written=table.text("version"),
        source=source,
        root=is_project_itself(source),
        files=tuple(LockedFile(hashes=(each,)) for each in hashes),
        scope=group_scope((_GROUPS.get(category, category),), marker),
    )


def _version(table: Table) -> AnyVersion | None:
    """Return the version that an entry pins; pipenv writes `*` for what is not for the machine that locked."""
    written = table.text("version")
    if written is None or written.strip() == "*":
        return None
    pinned = re.match(r"\s*===?\s*([^\s,;*]+)\s*\Z", written)
    if pinned is None:
        raise table.wrong("'version' is no exact version")
    return parse_version(pinned[1])


def _source(table: Table, indexes: Mapping[str, str], hashes: Hashes) -> Source:
    found: list[Source] = []
    for vcs in ("git", "hg", "svn", "bzr"):
        if (place := table.text(vcs)) is not None:
            revision = table.text("ref")
            place = f"{vcs}+{without_credentials(place.removeprefix(f'{vcs}+'))}"
            found.append(VcsCheckout(url=f"{place}@{revision}" if revision else place, editable=table.flag("editable")))
    for key in ("file", "path"):
        if (place := table.text(key)) is not None:
            files = (LockedFile(hashes=hashes[:1]),)
            local = key == "path" and not is_archive(place)
            found.append(LocalTree(path=place, editable=table.flag("editable")) if local else file_source(place, files))
    return only_source(table, found) if found else Registry(url=_index(table, indexes))


def _index(table: Table, indexes: Mapping[str, str]) -> str | None:
    """Return the URL of an entry's index; not told where it names none and there are several."""
    named = table.text("index")
    if named is not None and named not in indexes:
        raise table.wrong(f"'index' is {named!r}, which '_meta.sources' does not name")
    return indexes.get(named or "")
