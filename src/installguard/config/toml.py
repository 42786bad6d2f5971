"""TOML as text: reading a document, quoting strings and keys (TOML 1.0)."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

BARE_KEY = r"[A-Za-z0-9_-]+"
ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


class TomlError(ValueError):
    """A text that is not TOML; says why and at which line and column, in one line."""


def parse_toml(text: str, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return the document that *text* is; raises `TomlError`."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if text.startswith("\ufeff"):
        raise TomlError("starts with a byte order mark (save it as UTF-8 without one)")
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except RecursionError as error:
        raise TomlError("invalid TOML: nested too deeply") from error
    except ValueError as error:
        why = str(error)
        raise TomlError(f"invalid TOML: {printable(why[:1].lower() + why[1:])}") from error


def decode_toml(data: bytes) -> str:
    """Return the text of a TOML file with its newlines as they are; raises `TomlError`."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TomlError(f"invalid TOML: not UTF-8 (at line {line})") from error


def escape(character: str) -> str:
    """Return one character as a TOML basic string may hold it; what does not print is escaped."""
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    return f"\\u{ord(character):04X}" if ord(character) < 0x10000 else f"\\U{ord(character):08X}"


def quote(text: str) -> str:
    """Return *text* as a TOML basic string on one line."""
    return f'"{"".join(map(escape, text))}"'


def quote_key(key: str) -> str:
    """Return *key* bare where TOML lets it be, else quoted."""
    return key if re.fullmatch(BARE_KEY, key) else quote(key)


def printable(text: str) -> str:
    """Return *text* on one line, what does not print escaped: fit for a message or a comment."""
    return "".join(character if character in '"\\' else escape(character) for character in text)
