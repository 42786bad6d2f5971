"""Trees of links: a directory that looks like another one, and its removal."""
# A thousand entries: with pathlib it would take twice the time.
# ruff: noqa: PTH102, PTH106, PTH108, PTH113, PTH118, PTH119, PTH211

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

Link = Callable[[str, str, bool], None]
"""Makes its second path lead to its first; the third says whether that is a directory."""


def symlink(source: str, target: str, directory: bool) -> None:
    """Make a symbolic link."""
    os.symlink(source, target, target_is_directory=directory)


HEAVY = frozenset({".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache", ".ruff_cache"})
"""Directories that nothing is resolved by: left out where they would have to be copied."""


def link_or_copy(source: str, target: str, *, directory: bool, link: Link) -> None:
    """Let *target* lead to *source*, or be a copy of it where links are not to be had."""
    try:
        link(source, target, directory)
    except (OSError, NotImplementedError):
        _copy(source, target, directory)


def _copy(source: str, target: str, directory: bool) -> None:
    if not directory:
        _copy_file(os.path.realpath(source), target)
    elif os.path.basename(source) not in HEAVY:
        os.mkdir(target)
        for entry in entries_of(source):
            inside = entry.is_dir(follow_symlinks=False)
            if inside or not entry.is_dir():  # a link to a directory may lead round in a circle
                _copy(entry.path, os.path.join(target, entry.name), inside)


def _copy_file(source: str, target: str) -> None:
    if not os.path.isfile(source):
        return  # a link that leads nowhere, a socket
    try:
        os.link(source, target)
    except (OSError, NotImplementedError):
        import shutil

        shutil.copyfile(source, target)


def entries_of(directory: str) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a directory."""
    with os.scandir(directory) as entries:
        yield from entries


Tree = dict[str, "Tree"]
"""Directories, each in the one that it is in."""


def nested(directories: Iterable[Path], top: Path) -> Tree:
    """Return the directories with all that are between them and *top*."""
    tree: Tree = {}
    for directory in directories:
        inner = tree
        for part in directory.relative_to(top).parts:
            inner = inner.setdefault(part, {})
    return tree


def mirror(
    source: Path,
    target: Path,
    real: Tree,
    *,
    left: frozenset[str],
    ours: Callable[[os.DirEntry[str]], bool],
    link: Link,
) -> None:
    """Fill *target* with links to all that is in *source*; the directories of the tree are made anew, and filled alike.

    Entries whose paths are in *left*, and those that are *ours*, are left out.
    """
    waiting = [(str(source), str(target), real)]
    for directory, there, inner in waiting:  # which grows
        for entry in entries_of(directory):
            path = os.path.join(there, entry.name)
            if entry.name in inner:
                os.mkdir(path)
                waiting.append((entry.path, path, inner[entry.name]))
            elif entry.path not in left and not ours(entry):
                link_or_copy(entry.path, path, directory=entry.is_dir(), link=link)


def remove_tree(directory: Path, *, last: Sequence[str] = ()) -> None:
    """Remove a directory with all that is in it; links are removed, never followed.

    *last* is a path of names, the innermost first, which goes when all else is gone.
    """
    _empty(str(directory), tuple(reversed(last)))
    try:
        os.rmdir(directory)
    except OSError as error:  # when nothing marks it any more, another guard may remove it, or take it for itself
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise


def _empty(directory: str, last: tuple[str, ...]) -> None:
    for entry in list(entries_of(directory)):
        if entry.name not in last[:1]:
            _remove(entry)
    if last:
        kept = os.path.join(directory, last[0])
        with suppress(FileNotFoundError):
            if len(last) == 1:
                os.unlink(kept)
            else:
                _empty(kept, last[1:])
                os.rmdir(kept)


def _remove(entry: os.DirEntry[str]) -> None:
    with suppress(FileNotFoundError):
        if entry.is_dir(follow_symlinks=False):
            _empty(entry.path, ())
            os.rmdir(entry.path)
            return
        try:
            os.unlink(entry.path)
        except PermissionError:
            os.rmdir(entry.path)  # a link to a directory, on Windows
