"""What an environment holds already, read from its `*.dist-info` and `*.egg-info` (nothing is imported or run)."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from ..dataclass import dataclass, replace
from ..errors import UnjudgedError
from ..model import Distribution, Installed, Release, parse_version
from ..names import NormalizedName, canonicalize_name

_METADATA_LIMIT = 1024 * 1024
"""Bytes of a metadata file that are read at most; the header stands at its beginning."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_REQUIRED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*[^;]*(?:;\s*(.*))?\Z", re.DOTALL)
_KINDS = (".dist-info", ".egg-info", ".egg", ".egg-link")


def read_environment(paths: Sequence[Path]) -> tuple[Distribution, ...]:
    """Return the distributions in the directories *paths*, such as an environment's `sys.path`, sorted by place.

    What cannot be read is there without a release, never left out; a project that is there twice is listed twice. A
    directory that does not exist holds nothing; one that cannot be read raises `UnjudgedError`.
    """
    found = [_read(kind, entry) for path in _distinct(paths) for kind, entry in _entries(path)]
    return tuple(_with_parents(found))


@dataclass(frozen=True, slots=True)
class _Found:
    distribution: Distribution
    requires: tuple[str, ...]
    """`Requires-Dist` as written."""


def _distinct(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield *paths* once each, by what they lead to: `lib` and `lib64` are mostly the same."""
    seen = set()
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path


def _entries(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield each entry of *path* that describes a distribution, with its kind."""
    try:
        entries = sorted(path.iterdir(), key=str)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UnjudgedError(
            f"cannot be read: {error.strerror}", where=str(path), now="check its permissions"
        ) from error
    for entry in entries:
        kind = next((each for each in _KINDS if entry.name.endswith(each)), None)
        if kind is not None:
            yield kind, entry


def _read(kind: str, entry: Path) -> _Found:
    match kind:
        case ".dist-info":
            return _described(entry, entry / "METADATA")
        case ".egg":
            return _described(entry, entry / "EGG-INFO" / "PKG-INFO")
        case ".egg-link":
            return _linked(entry)
        case _:
            return _described(entry, entry / "PKG-INFO" if entry.is_dir() else entry)


def _linked(entry: Path) -> _Found:
    """Return what an `.egg-link`, the mark of an old editable install, leads to."""
    found = _described(entry, _link_target(entry) or entry)
    origin = Installed(location=str(entry), private=True)
    return replace(found, distribution=replace(found.distribution, origin=origin))


def _link_target(entry: Path) -> Path | None:
    tree = Path((_text(entry) or "").split("\n", 1)[0].strip())
    try:
        return next((each / "PKG-INFO" for kind, each in _entries(tree) if kind == ".egg-info"), None)
    except (UnjudgedError, ValueError):
        return None  # then the link has no release, which is a finding


def _described(entry: Path, metadata: Path) -> _Found:
    """Return the distribution that the file *metadata* describes; without a release where it says none."""
    header = _header(_text(metadata) or "")
    name, version = _first(header, "name"), _first(header, "version")
    known = bool(_NAME.match(name)) and bool(version)
    release = Release(name=canonicalize_name(name), version=parse_version(version)) if known else None
    direct_url, private = _direct_url(metadata.parent / "direct_url.json")
    distribution = Distribution(
        name=release.name if release is not None else _name_of_entry(entry),
        release=release,
        origin=Installed(location=str(entry), direct_url=direct_url, private=private),
        role="installed",
        requested=(metadata.parent / "REQUESTED").exists(),
    )
    return _Found(distribution, tuple(header.get("requires-dist", ())))


def _name_of_entry(entry: Path) -> NormalizedName | None:
    """Return the project that an entry's own name tells of: `foo_bar-1.0.dist-info`."""
    name = entry.name.removesuffix(entry.suffix).split("-", 1)[0]
    return canonicalize_name(name) if _NAME.match(name) else None


# ---------------------------------------------------------------- files


def _text(path: Path) -> str | None:
    """Return the beginning of a regular file, `None` where there is none that can be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None  # a pipe, opened without waiting for its other end
            return file.read(_METADATA_LIMIT).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None


_FIELD = re.compile(r"^(name|version|requires-dist)[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_HEADER_END = re.compile(r"^\s*$", re.MULTILINE)


def _header(text: str) -> Mapping[str, Sequence[str]]:
    """Return the fields that are read of a core metadata header, by lower-case name (RFC 822; none is folded)."""
    end = _HEADER_END.search(text)
    fields: dict[str, list[str]] = {}
    for name, value in _FIELD.findall(text[: end.start()] if end else text):
        fields.setdefault(name.lower(), []).append(value.strip())
    return fields


def _first(header: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(header.get(name, ())), "")


def _direct_url(path: Path) -> tuple[str | None, bool]:
    """Return the URL of PEP 610's record, and whether that is a local tree or a VCS (not where it cannot be read)."""
    text = _text(path)
    try:
        data = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None, False
    if not isinstance(data, dict) or not isinstance(data.get("url"), str):
        return None, False
    return _without_credentials(data["url"]), "vcs_info" in data or "dir_info" in data


def _without_credentials(url: str) -> str:
    return re.sub(r"(?<=://)[^/\s?#]*@", "", url)


# ---------------------------------------------------------------- who requires whom


def _with_parents(found: Sequence[_Found]) -> Iterator[Distribution]:
    present = {each.distribution.name for each in found}
    parents: dict[NormalizedName, set[NormalizedName]] = {}
    for each in found:
        parent = each.distribution.name
        for child in _required(each.requires, present) if parent is not None else ():
            if child != parent and parent is not None:
                parents.setdefault(child, set()).add(parent)
    for each in found:
        name = each.distribution.name
        required_by = tuple(sorted(parents.get(name, ()))) if name is not None else ()
        yield replace(each.distribution, required_by=required_by) if required_by else each.distribution


def _required(requires: Sequence[str], present: set[NormalizedName | None]) -> Iterator[NormalizedName]:
    """Yield the projects among *present* that *requires* names, where their markers hold (extras never do)."""
    for requirement in requires:
        found = _REQUIRED.match(requirement)
        if found is not None and (name := canonicalize_name(found[1])) in present and _holds(found[2]):
            yield name


@lru_cache(maxsize=512)
def _holds(marker: str | None) -> bool:
    if not marker:
        return True
    from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

    try:
        return Marker(marker).evaluate({"extra": ""})
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName):
        return True  # a parent too many misleads less than one too few
