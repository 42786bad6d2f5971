"""Where in a document a key is written; `tomllib` does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from .toml import TomlError, parse_toml

MOST_PLACES = 50
"""So many places are tried; the line of a key that stands at none of them stays unknown."""
ABSENT = object()


def line_of(text: str, *path: str) -> int | None:
    """Return the line, from 1, at which the key at *path* is written; `None` where that cannot be told.

    Each place at which the key's name stands, after those of the tables that it is in, is tried: it is the right one if
    the document no longer has the key once the name is another there, but has its value under that other name.
    """
    try:
        value = value_at(parse_toml(text, parse_float=str), path)
    except TomlError:
        return None
    other = f"not-{path[-1]}"
    while other in text:
        other = f"not-{other}"
    for place in islice(places_of(text, path), MOST_PLACES):
        renamed = f"{text[:place]}{other}{text[place + len(path[-1]) :]}"
        if is_renamed(renamed, path, other, value):
            return text.count("\n", 0, place) + 1
    return None


def places_of(text: str, path: tuple[str, ...]) -> Iterator[int]:
    """Yield where the last name of a path stands after the others; in each of its tables a key comes after its name."""
    start = 0
    for name in path[:-1]:
        start = text.find(name, start)
        if start < 0:
            return
    for found in re.finditer(rf"(?<![\w-]){re.escape(path[-1])}(?![\w-])", text[start:]):
        yield start + found.start()


def is_renamed(text: str, path: tuple[str, ...], other: str, value: Any) -> bool:
    """Say whether a document has *value* not at *path* but beside it, under another name."""
    try:
        document = parse_toml(text, parse_float=str)
    except TomlError:
        return False
    beside = value_at(document, (*path[:-1], other))
    return value_at(document, path) is ABSENT and beside is not ABSENT and bool(beside == value)


def value_at(document: Any, path: tuple[str, ...]) -> Any:
    """Return what a document has at a path of keys, `ABSENT` where it has nothing."""
    for key in path:
        document = document.get(key, ABSENT) if isinstance(document, dict) else ABSENT
    return document
