"""The regular TOML that lock files are written in, read several times as fast as TOML at large.

`read_regular` accepts only what it is sure of: bare or simply quoted keys, strings on one line, whole numbers, times in
UTC, arrays, inline tables on one line, headers that each begin something new. Of anything else it returns `None`, and
the standard reader has its turn; whatever it returns is what that one would return (a law of the tests).
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, cast

_KEY = r'(?:([A-Za-z0-9_-]+)|"([^"\\\x00-\x1f\x7f]*)") *= *'
_TEXT = r'"([^"\\\x00-\x1f\x7f]*)"'
_NUMBER = r"(0|[1-9][0-9]{0,17})(?![0-9A-Za-z_.:+-])"
_ESCAPED = r'"(?:[^"\\\x00-\x1f\x7f]|\\["\\])*"'
_WORD = r"(?:true|false)(?![A-Za-z0-9_-])|[0-9]{4}-[0-9-]{5}T[0-9:.]{8,15}Z"
_OTHER = rf"([\[{{]|{_WORD}|{_ESCAPED})"
_VALUE = re.compile(f"{_TEXT}|{_NUMBER}|{_OTHER}")
_PAIR = re.compile(f"{_KEY}(?:{_TEXT}|{_NUMBER}|{_OTHER})")
_MEMBER = re.compile(f"{_KEY}(?:(?:{_TEXT}|{_NUMBER}) *([,}}]) *|{_OTHER})")
_LINE = re.compile(f"([A-Za-z0-9_-]+) = {_TEXT}\n")
"""What most lines are."""
_ONLY = re.compile(f" ([A-Za-z0-9_-]+) = {_TEXT} }}")
"""What most inline tables are."""
_HEADER = re.compile(r"(\[\[?)([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)(\]\]?)\n")
_BLANK = re.compile(r"(?:\n|#[^\x00-\x08\x0a-\x1f\x7f]*\n)*")
_SPACE = re.compile(r"[ \n]*")
_BETWEEN = re.compile(r"[ \n]*(?:,[ \n]*(\])?|(\]))")
_END = re.compile(r" *(?:#[^\x00-\x08\x0a-\x1f\x7f]*)?\n")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z")
_ESCAPE = re.compile(r'\\(["\\])')
_DEEP = 16
"""How deep tables and values may be nested."""


class _IrregularError(Exception):
    """Something that is not regular TOML, or not certainly."""


def read_regular(text: str) -> dict[str, Any] | None:
    """Return the document that *text* is, `None` where it is not as regular as lock files are."""
    try:
        return _Reader(text).document()
    except _IrregularError:
        return None


class _Reader:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: dict[str, Any] = {}
        self.opened: set[int] = {id(self.root)}
        """The tables that a header began, which further headers may go into."""
        self.lists: set[int] = set()
        """The arrays of tables that headers began."""

    def document(self) -> dict[str, Any]:
        text, table, at = self.text, self.root, 0
        while True:
            at = _after(_BLANK, text, at)
            if at == len(text):
                return self.root
            found = _LINE.match(text, at)
            if found is not None and found[1] not in table:
                table[found[1]] = found[2]
                at = found.end()
            elif text[at] == "[":
                table, at = self.header(at)
            else:
                at = _after(_END, text, self.pair(table, at, 0))

    def header(self, at: int) -> tuple[dict[str, Any], int]:
        """Return the table that a header begins, and the place behind it."""
        found = _HEADER.match(self.text, at)
        if found is None or len(found[1]) != len(found[3]):
            raise _IrregularError
        *path, last = found[2].split(".")
        if len(path) > _DEEP:
            raise _IrregularError
        parent = self.root
        for step in path:
            parent = self.into(parent, step)
        table: dict[str, Any] = {}
        if len(found[1]) == 2:
            self.list_of(parent, last).append(table)
        elif last in parent:
            raise _IrregularError
        else:
            parent[last] = table
        self.opened.add(id(table))
        return table, found.end()

    def list_of(self, parent: dict[str, Any], key: str) -> list[dict[str, Any]]:
        """Return the array of tables under *key*: one that headers began, not one that was written as a value."""
        if key not in parent:
            tables: list[dict[str, Any]] = []
            parent[key] = tables
            self.lists.add(id(tables))
        if id(parent[key]) not in self.lists:
            raise _IrregularError
        return cast("list[dict[str, Any]]", parent[key])  # as it was put there

    def into(self, parent: dict[str, Any], step: str) -> dict[str, Any]:
        """Return the table to which *step* of a header's path leads."""
        child = parent.get(step)
        if child is None:
            child = parent[step] = {}
            self.opened.add(id(child))
        elif isinstance(child, list) and id(child) in self.lists:
            child = child[-1]
        if not isinstance(child, dict) or id(child) not in self.opened:
            raise _IrregularError
        return child

    def pair(self, table: dict[str, Any], at: int, depth: int) -> int:
        """Take `key = value` into *table*; return the place behind it."""
        found = _PAIR.match(self.text, at)
        if found is None:
            raise _IrregularError
        bare, quoted, text, number, other = found.groups()
        key = quoted if bare is None else bare
        if key in table:
            raise _IrregularError
        if text is not None:
            table[key] = text
            return found.end()
        if number is not None:
            table[key] = int(number)
            return found.end()
        table[key], at = self.other(other, found.end(), depth)
        return at

    def other(self, opening: str, at: int, depth: int) -> tuple[Any, int]:
        """Return the value that begins with *opening*, and the place behind it."""
        if depth > _DEEP:
            raise _IrregularError
        if opening == "[":
            return self.array(at, depth + 1)
        if opening == "{":
            return self.inline(at, depth + 1)
        if opening in ("true", "false"):
            return opening == "true", at
        if opening.startswith('"'):
            return _ESCAPE.sub(r"\1", opening[1:-1]), at
        return _time(opening), at

    def inline(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        """Return the table behind `{`, which ends on its line, and the place behind it."""
        text, closed = self.text, False
        if (only := _ONLY.match(text, at)) is not None:
            return {only[1]: only[2]}, only.end()
        table: dict[str, Any] = {}
        at = _spaces(text, at)
        if text.startswith("}", at):
            return table, at + 1
        while not closed:
            found = _MEMBER.match(text, at)
            if found is None:
                raise _IrregularError
            bare, quoted, written, number, mark, other = found.groups()
            key = quoted if bare is None else bare
            if key in table:
                raise _IrregularError
            if other is None:
                table[key] = written if number is None else int(number)
                at = found.end()
                closed = mark == "}"
            else:
                table[key], at = self.other(other, found.end(), depth)
                at, closed = self.close(at)
        return table, at

    def close(self, at: int) -> tuple[int, bool]:
        """Return the place behind the `,` or `}` that follows, and whether it is the latter."""
        at = _spaces(self.text, at)
        mark = self.text[at : at + 1]
        if not mark or mark not in ",}":
            raise _IrregularError
        return (at + 1, True) if mark == "}" else (_spaces(self.text, at + 1), False)

    def array(self, at: int, depth: int) -> tuple[list[Any], int]:
        """Return the array behind `[`, which may go over many lines, and the place behind it."""
        text = self.text
        values: list[Any] = []
        at = _after(_SPACE, text, at)
        closed = text.startswith("]", at)
        at += closed
        while not closed:
            found = _VALUE.match(text, at)
            if found is None:
                raise _IrregularError
            value, at = self.value(found, depth)
            values.append(value)
            between = _BETWEEN.match(text, at)
            if between is None:
                raise _IrregularError
            closed, at = between.lastindex is not None, between.end()
        return values, at

    def value(self, found: re.Match[str], depth: int) -> tuple[Any, int]:
        text, number, other = found.groups()
        if text is not None:
            return text, found.end()
        if number is not None:
            return int(number), found.end()
        return self.other(other, found.end(), depth)


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    if found is None:
        raise _IrregularError
    return found.end()


def _spaces(text: str, at: int) -> int:
    while text.startswith(" ", at):
        at += 1
    return at


def _time(written: str) -> datetime:
    found = _TIME.fullmatch(written)
    if found is None:
        raise _IrregularError
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    try:
        return datetime(year, month, day, hour, minute, second, int((found[7] or "").ljust(6, "0")), timezone.utc)
    except ValueError as error:
        raise _IrregularError from error
