"""Where in a document a key is written; `tomllib` does not tell."""

from __future__ import annotations

import re
from typing import Any

from .toml import TomlError, parse_toml

MOST_PLACES = 50
"""A name that occurs more often than this is not looked for: its line stays unknown."""
ABSENT = object()


def line_of(text: str, *path: str) -> int | None:
    """Return the line, from 1, at which the key at *path* is written; `None` where that cannot be told.

    Each occurrence of the key's name is tried: it is the right one if the document no longer has the key once
    the name is another there, and all else stays as it was.
    """
    occurrences = [found.start() for found in re.finditer(rf"(?<![\w-]){re.escape(path[-1])}(?![\w-])", text)]
    if not path[-1] or len(occurrences) > MOST_PLACES:
        return None
    other = f"not-{path[-1]}"
    while other in text:
        other = f"not-{other}"
    lines = {text.count("\n", 0, at) + 1 for at in occurrences if is_renamed(text, at, path, other)}
    return min(lines, default=None)


def is_renamed(text: str, at: int, path: tuple[str, ...], other: str) -> bool:
    """Say whether it is the key at *path* that is called *other* where the name at *at* is replaced."""
    try:
        before = parse_toml(text, parse_float=str)
        after = parse_toml(text[:at] + other + text[at + len(path[-1]) :], parse_float=str)
    except (TomlError, RecursionError):
        return False
    value = value_at(before, path)
    return value is not ABSENT and value_at(after, path) is ABSENT and value_at(after, (*path[:-1], other)) == value


def value_at(document: Any, path: tuple[str, ...]) -> Any:
    """Return what a document has at a path of keys, `ABSENT` where it has nothing."""
    for key in path:
        document = document.get(key, ABSENT) if isinstance(document, dict) else ABSENT
    return document
