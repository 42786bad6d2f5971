"""TOML read from a lock file, in bounded time."""

from __future__ import annotations

import re
import sys
from typing import Any

from .regular import read_regular

_DOTS = 32
"""Dots that a line may have outside of strings; none that a tool writes comes near it."""
_STRING = re.compile(r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'|(["'][^\n]*)""")
"""A string on its line, or what follows a quote that is not closed there."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return the document that *text* is; raises `ValueError`, which says why in one line."""
    regular = read_regular(text)
    return regular if regular is not None else _parse_any(text)


def _parse_any(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if any(line.count(".") > _DOTS for line in _STRING.sub(lambda found: found[1] or "", text).split("\n")):
        raise ValueError("nested too deeply")  # the standard reader takes the square of a key's length for it
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
