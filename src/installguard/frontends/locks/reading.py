"""`read_lock`: a lock file on disk, told by its name or else by what is in it."""

from __future__ import annotations

import gc
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from ...errors import UsageError
from .distributions import distributions_of
from .entries import Lock, LockedPackage, LockFormat
from .tables import Table, shown
from .toml import parse_toml

LIMIT = 64 * 1024 * 1024
"""Bytes of a lock file; 20,000 packages with all their wheels take a quarter of it."""
UNDERSTOOD = "understood are uv.lock, pylock.toml, pylock.NAME.toml, poetry.lock, pdm.lock and Pipfile.lock"

_Reader: TypeAlias = Callable[[Table], tuple[list[LockedPackage], list[str]]]
_NAMES: tuple[tuple[str, LockFormat], ...] = (
    (r"uv\.lock\Z", "uv"),
    (r"pylock(\.[^.]+)?\.toml\Z", "pylock"),
    (r"poetry\.lock\Z", "poetry"),
    (r"pdm(\.[^.]+)?\.lock\Z", "pdm"),
    (r"Pipfile\.lock\Z", "pipfile"),
)


def read_lock(path: Path, *, shown_as: str | None = None) -> Lock:
    """Return what the lock file at *path* pins; messages call it *shown_as*.

    Raises `UsageError`, in one line with file and place, for what cannot be read, is no lock file, is of a newer
    format, or is not as its format is. Nothing is fetched or run.
    """
    label = str(path) if shown_as is None else shown_as
    data = _read(path, label)
    with _no_search_for_garbage():
        return parse_lock(data, path, label)


@contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """Keep the interpreter from searching, ever again, the many tables of a large file: none of them is garbage."""
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


def parse_lock(data: bytes, path: Path, label: str) -> Lock:
    """Return what the lock file of *path* pins whose content is *data*; as `read_lock` does."""
    name = is_lock_name(path.name)
    document = _document(data, label, as_json=name == "pipfile" or (name is None and data.lstrip()[:1] == b"{"))
    chosen = name or _format_of(document)
    if chosen is None:
        raise UsageError("is no lock file that guard knows", where=shown(label), now=UNDERSTOOD)
    packages, notes = _reader(chosen)(Table(document, label))
    return Lock(
        path=path,
        format=chosen,
        packages=tuple(packages),
        distributions=distributions_of(packages, label),
        notes=tuple(f"{label}: {note}" for note in notes),
    )


def _reader(format: LockFormat) -> _Reader:
    """Return what reads lock files of a format; the others are not imported."""
    match format:
        case "uv":
            from .uv import read_uv as read
        case "pylock":
            from .pylock import read_pylock as read
        case "poetry":
            from .poetry import read_poetry as read
        case "pdm":
            from .pdm import read_pdm as read
        case "pipfile":
            from .pipfile import read_pipfile as read
    return read


def is_lock_name(name: str) -> LockFormat | None:
    """Return the format that a file of this name has, `None` where its name does not tell."""
    return next((known for pattern, known in _NAMES if re.match(pattern, name)), None)


def _format_of(document: Mapping[str, Any]) -> LockFormat | None:
    """Return the format that a document of another name has, by the keys that only it has."""
    metadata = document.get("metadata")
    if "_meta" in document:
        return "pipfile"
    if "lock-version" in document:
        return "pylock"
    if isinstance(metadata, dict) and "lock_version" in metadata:
        return "pdm"
    if isinstance(metadata, dict) and ("lock-version" in metadata or "content-hash" in metadata):
        return "poetry"
    if isinstance(document.get("version"), int) and ("package" in document or "requires-python" in document):
        return "uv"
    return None


# ---------------------------------------------------------------- the file


def _read(path: Path, label: str) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError("is not a file", where=shown(label), now="name a lock file")
            data = file.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot be read: {reason}", where=shown(label), now="see that the file is there") from error
    if len(data) > LIMIT:
        raise UsageError(f"is larger than {LIMIT >> 20} MiB", where=shown(label), now="is it a lock file?")
    return data


def _document(data: bytes, label: str, *, as_json: bool) -> dict[str, Any]:
    """Return the document in *data*; what cannot be told to be a lock file at all is said so."""
    kind = "JSON" if as_json else "TOML"
    try:
        text = data.decode("utf-8")
        document = _parse_json(text) if as_json else parse_toml(text.replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"is not UTF-8 text, at line {line}", where=shown(label), now=UNDERSTOOD) from error
    except ValueError as error:
        raise UsageError(f"is not {kind}: {shown(str(error))}", where=shown(label), now=UNDERSTOOD) from error
    if not isinstance(document, dict):
        raise UsageError("is not a table", where=shown(label), now=UNDERSTOOD)
    return document


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; of a key that is there twice, readers take one or the other."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key is there twice")
    return table
