"""Files of requirements, statement by statement as uv reads them (its rules differ from pip's where lines end)."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from ...dataclass import dataclass
from ...errors import UnjudgedError

LIMIT = 16 * 1024 * 1024
"""Bytes of a file of requirements; 20,000 pins with their hashes take a third of it."""

StatementKind: TypeAlias = Literal["requirement", "editable", "file", "constraint", "index", "extra", "find-links"]

_KINDS: dict[str, StatementKind] = {
    "-r": "file",
    "--requirement": "file",
    "-c": "constraint",
    "--constraint": "constraint",
    "-e": "editable",
    "--editable": "editable",
    "-i": "index",
    "--index-url": "index",
    "--extra-index-url": "extra",
    "-f": "find-links",
    "--find-links": "find-links",
}
_OPTION = rf"(?:({'|'.join(each for each in _KINDS if len(each) > 2)})[= \t]|(-[rceif])[= \t]?)[ \t]*"
_BETWEEN = r"(?:[ \t\r\n]|\\(?:\r\n|\r|\n)|#[^\r\n]*)*"
"""What may stand between two statements."""
_FLAG = r"--(?:no-index|require-hashes)(?![^ \t\r\n\\])"
"""Options without a value: behind one the line goes on."""
_REST = r"(?:[^\r\n\\#]|\\(?![\r\n])|(?<![ \t])#)*"
"""All up to a comment, to the end of the line, or to a backslash at its end."""
_VALUE = r"(?:[^\r\n\\#]|\\(?![\r\n]))*"
"""As far, but any `#` begins a comment: so it is behind all options but `--editable`."""
_HASHES = r"[ \t]--hash(?=[= \t])"
_HASH = r"(?:[ \t]|\\(?:\r\n|\r|\n))*--hash(?:=|[ \t]+)([^\s\\#]*)"
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a file of requirements."""

    kind: StatementKind
    value: str
    """The requirement, or the value of the option, without quotes around it."""
    start: int
    """Where that begins in the text."""
    end: int
    line: int
    """From 1."""
    hashes: tuple[str, ...] = ()
    """As written behind `--hash`."""


def statements(text: str) -> Iterator[Statement]:
    """Yield what a file says that is of interest here; of what uv would refuse, whatever still can be made out."""
    at, line, counted = 0, 1, 0
    while (at := _end(_BETWEEN, text, at)) < len(text):
        line, counted = line + _line_ends(text, counted, at), at
        option = re.compile(_OPTION).match(text, at)
        flag = re.compile(_FLAG).match(text, at)
        start = option.end() if option else at
        kind = _KINDS[option[1] or option[2]] if option else None
        end = flag.end() if flag else _end(_REST if kind in (None, "editable") else _VALUE, text, start)
        if kind is None and flag is None and text[at] != "-":
            end, at, hashes = _with_hashes(text, start, end)
            value = text[start:end].strip()
            yield Statement(kind="requirement", value=value, start=start, end=end, line=line, hashes=hashes)
        else:
            at = max(end, at + 1)
            if kind is not None:
                yield _valued(kind, text, start, end, line)


def _valued(kind: StatementKind, text: str, start: int, end: int, line: int) -> Statement:
    written = text[start:end].rstrip(" \t")
    value = written if kind == "editable" else re.sub("[\"']", "", written)
    return Statement(kind=kind, value=value, start=start, end=start + len(written), line=line)


def _with_hashes(text: str, start: int, end: int) -> tuple[int, int, tuple[str, ...]]:
    """Return where a requirement ends, where its hashes do, and these."""
    cut = re.compile(_HASHES).search(text, start, end)
    behind = end = cut.start() if cut else end
    hashes: list[str] = []
    while found := re.compile(_HASH).match(text, behind):
        hashes.append(found[1])
        behind = found.end()
    return end, max(behind, start + 1), tuple(hashes)


def _end(pattern: str, text: str, at: int) -> int:
    match = re.compile(pattern).match(text, at)
    return match.end() if match else at


def _line_ends(text: str, start: int, end: int) -> int:
    part = text[start:end]
    return part.count("\n") + part.count("\r") - part.count("\r\n")


def with_values(text: str, changed: Sequence[tuple[Statement, str]]) -> str:
    """Return a file's text with other values in some of its statements, in order; the rest as it was."""
    parts: list[str] = []
    at = 0
    for statement, value in changed:
        parts += [text[at : statement.start], value]
        at = statement.end
    return "".join((*parts, text[at:]))


# ---------------------------------------------------------------- files


def read_text(path: Path) -> str | None:
    """Return a file's text as uv decodes it, `None` where uv itself could not; raises as `read_bytes`."""
    data = read_bytes(path)
    if data is None:
        return None
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def read_bytes(path: Path) -> bytes | None:
    """Return a file's bytes, `None` where uv could not read it either.

    Raises `UnjudgedError` for a file that is too large, or can be read only once (a pipe).
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(LIMIT + 1) if stat.S_ISREG(mode) else b""
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            return None
        now = "write it to a file, and name that"
        raise UnjudgedError("can be read only once, and uv has to read it", where=str(path), now=now)
    if len(data) > LIMIT:
        raise UnjudgedError(f"is larger than {LIMIT >> 20} MiB", where=str(path), now="name smaller files")
    return data
