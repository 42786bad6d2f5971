"""The projects that a project of uv is resolved together with: its workspace's members and what lies at a path."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...dataclass import dataclass
from ...errors import UnjudgedError
from .toml_texts import TomlError, index_texts, read_toml

PYPROJECT = "pyproject.toml"
_TELLING = re.compile(rb"path|workspace|index|find-links|\\[ux]")
"""What a file must hold to be worth reading (or escapes, in which that could hide)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A directory with a `pyproject.toml`."""

    directory: Path
    member: bool
    """Whether it is the workspace's root or a member of it: uv may write its file."""
    indexes: tuple[str, ...] = ()
    """The texts by which it names indexes."""
    absolute: bool = False
    """Whether it is asked for by an absolute path."""
    reaches: tuple[Path, ...] = ()
    """What it asks for by relative paths, projects or not."""

    @property
    def file(self) -> Path:
        """Its `pyproject.toml`."""
        return self.directory / PYPROJECT

    def names(self, texts: Collection[str]) -> bool:
        """Say whether it names one of these indexes."""
        return any(text in texts for text in self.indexes)


def find_projects(root: Path, members: Sequence[Path] = (), asked: Sequence[Path] = ()) -> tuple[Project, ...]:
    """Return the projects that uv resolves together with the workspace at *root*, that first, each once.

    *members* are directories that belong to it too, *asked* those that a command asks for besides. Raises
    `UnjudgedError` where a file names indexes and cannot be read.
    """
    top = _document(_read(root / PYPROJECT) or b"", root / PYPROJECT)
    known = (Path(os.path.normpath(root / each)) for each in members)
    waiting = [(each, True, False) for each in (root, *known, *_members(root, top))]
    waiting += ((Path(os.path.normpath(root / each)), False, False) for each in asked)
    found: dict[Path, Project] = {}
    for directory, member, absolute in waiting:  # which grows
        data = None if directory in found else _read(directory / PYPROJECT)
        if data is not None or directory == root:
            document = top if directory == root else _document(data or b"", directory / PYPROJECT)
            sources = tuple(sources_of(directory, document))
            found.setdefault(
                directory,
                Project(
                    directory=directory,
                    member=member,
                    indexes=index_texts(document, pyproject=True),
                    absolute=absolute,
                    reaches=tuple(path for path, given in sources if not given),
                ),
            )
            waiting += ((path, False, absolute or given) for path, given in sources)
    return tuple(found.values())


def _read(path: Path) -> bytes | None:
    """Return a file's bytes; `None` where there is none to be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _document(data: bytes, path: Path) -> Mapping[str, Any]:
    """Return what a `pyproject.toml` says; nothing where it is broken, of which uv says more than guard could."""
    if not _TELLING.search(data):
        return {}
    try:
        return read_toml(data)
    except TomlError as error:
        if re.search(rb"index|find-links", data):
            raise UnjudgedError(f"cannot be read ({error})", where=str(path), now="nothing was run") from error
        return {}


def _tool_uv(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return _table(_table(document, "tool"), "uv")


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _members(root: Path, document: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the directories that the globs of `[tool.uv.workspace]` mean, `exclude` left out."""
    workspace = _table(_tool_uv(document), "workspace")
    excluded = {path for pattern in _texts(workspace.get("exclude")) for path in _glob(root, pattern)}
    for pattern in _texts(workspace.get("members")):
        for path in _glob(root, pattern):
            if path not in excluded and path != root:
                yield path


def _glob(root: Path, pattern: str) -> Iterator[Path]:
    """Yield the directories with a `pyproject.toml` that a pattern means; hidden ones are meant as well."""
    if not pattern or Path(pattern).is_absolute() or "\0" in pattern:
        return  # uv refuses it
    if not re.search(r"[*?\[]", pattern):
        paths: Iterable[Path] = (root / pattern,)
    else:
        try:
            paths = tuple(root.glob(pattern))
        except ValueError:  # such as `**` beside other characters: uv refuses it
            return
    for path in paths:
        if (path / PYPROJECT).is_file():
            yield Path(os.path.normpath(path))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def sources_of(directory: Path, document: Mapping[str, Any]) -> Iterator[tuple[Path, bool]]:
    """Yield the directories that `[tool.uv.sources]` names by path, and whether that is absolute."""
    for source in _table(_tool_uv(document), "sources").values():
        for each in source if isinstance(source, list) else (source,):
            path = each.get("path") if isinstance(each, dict) else None
            if isinstance(path, str) and "\0" not in path:
                yield Path(os.path.normpath(directory / path)), Path(path).is_absolute()
