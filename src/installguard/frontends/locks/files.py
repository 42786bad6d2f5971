"""Files by which a lock pins a release: what their names tell, and which of them stands for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from packaging.version import Version

from ...model import AnyVersion, ArtifactKind, DirectUrl, LocalTree, parse_version
from ...names import NormalizedName, canonicalize_name
from .entries import LockedFile, Registry, Source
from .tables import Table

_SDIST = re.compile(r"\.(?:zip|tgz|tbz2?|txz|tlz|tar(?:\.(?:gz|bz2|xz|lzma|lz|zst|Z))?)\Z", re.IGNORECASE)
_OLD = re.compile(r"\.(?:egg|exe|msi|rpm|deb|dmg)\Z", re.IGNORECASE)
"""Kinds of files that no installer takes any more."""


def file_name(url: str) -> str:
    """Return the last part of a URL's path, or of a file's."""
    path = url.partition("#")[0].partition("?")[0] if "://" in url else url.replace("\\", "/")
    name = path.rstrip("/").rpartition("/")[2]
    return unquote(name) if "%" in name else name


def is_archive(path: str) -> bool:
    """Return whether a path is that of a wheel or an sdist, and not of a directory."""
    return path.lower().endswith(".whl") or bool(_SDIST.search(path))


def kind_of(filename: str) -> ArtifactKind | None:
    """Return whether a file is a wheel or is built first; `None` where it has no name."""
    if not filename:
        return None
    return "wheel" if filename.lower().endswith(".whl") else "sdist"


def refuse_strangers(
    table: Table, name: NormalizedName, version: AnyVersion | None, files: Sequence[LockedFile]
) -> None:
    """Raise `UsageError` where the name of a file that has a URL is not one of the entry's release.

    An entry that looks harmless would else bring whatever its URL names. Where there is no URL, the installer takes
    files from the page of the project.
    """
    written = table.text("version") or ""
    for file in files:
        named = file.url is None or _begins(file.filename, name, written)
        if not named and not may_be_of(file.filename, name, version):
            pinned = name if version is None else f"{name} {version}"
            raise table.wrong(f"{file.filename!r} is no file of {pinned}", now="see who changed it, and lock it again")


def _begins(filename: str, name: NormalizedName, written: str) -> bool:
    """Return whether a file name is plainly of the release: this is quickly told, and nearly always so."""
    project, _, rest = filename.partition("-")
    if project.replace("_", "-") != name or not rest.startswith(written):
        return False
    end = rest[len(written) :]
    return end.startswith("-") if filename.endswith(".whl") else end in (".tar.gz", ".zip")


def may_be_of(filename: str, name: NormalizedName, version: AnyVersion | None) -> bool:
    """Return whether a file may be one of a release by its name; one without a name, or that none installs, may."""
    if not filename:
        return True
    if filename.lower().endswith(".whl"):
        project, _, rest = filename[:-4].partition("-")
        return canonicalize_name(project) == name and _alike(rest.partition("-")[0].replace("_", "-"), version)
    stem = _SDIST.sub("", filename)
    if not f"{canonicalize_name(stem)}-".startswith(f"{name}-"):
        return False
    return bool(_OLD.search(filename)) or _alike(stem[len(name) + 1 :], version)


def _alike(told: str, version: AnyVersion | None) -> bool:
    """Return whether a file name's version is *version*; local parts are left out, and odd ones not compared."""
    if not isinstance(version, Version):
        return True
    found = parse_version(told)
    return isinstance(found, Version) and Version(found.public) == Version(version.public)


def best(files: Sequence[LockedFile]) -> LockedFile | None:
    """Return the file that stands for all: a wheel for any platform, else any wheel, else the source."""
    wheels = [file for file in files if file.kind == "wheel"]
    anywhere = (file for file in wheels if file.filename.endswith("-none-any.whl"))
    return next(anywhere, None) or next(iter(wheels or files), None)


def file_source(url: str, files: Sequence[LockedFile]) -> DirectUrl:
    """Return the source of an entry that one URL or path names."""
    filename = file_name(url)
    hashes = files[0].hashes if files else ()
    return DirectUrl(url=without_credentials(url), filename=filename, kind=kind_of(filename) or "sdist", hashes=hashes)


def without_credentials(url: str) -> str:
    """Return *url* without user and password."""
    return re.sub(r"(?<=://)[^/\s?#]*@", "", url)


def only_source(table: Table, found: Sequence[Source]) -> Source:
    """Return the one source of an entry; `UsageError` where it names several."""
    if len(found) > 1:
        raise table.wrong("names more than one source")
    return found[0] if found else Registry()


def is_project_itself(source: Source) -> bool:
    """Return whether a source is the directory of the lock file."""
    return isinstance(source, LocalTree) and not PurePosixPath(source.path).parts


def files_of(table: Table, read: Callable[[Table], LockedFile]) -> Iterator[LockedFile]:
    """Yield the `sdist` and the `wheels` of a package, each as *read* has it."""
    sdist = table.table("sdist")
    if sdist is not None:
        yield read(sdist)
    for wheel in table.tables("wheels"):
        yield read(wheel)
