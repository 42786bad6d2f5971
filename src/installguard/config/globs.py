"""Globs over project names (`*` any run, `?` one character): which names two of them share."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache

MOST_GLOBS = 100
"""A combination of two globs that needs more than this many is refused."""


class TooManyGlobsError(ValueError):
    """Two globs whose common names cannot be written as a reasonable number of globs."""


def common_globs(first: str, second: str) -> frozenset[str]:
    """Return globs that together match exactly the names that both match; raises `TooManyGlobsError`."""
    if not is_glob(first) or not is_glob(second):
        name, glob = (second, first) if is_glob(first) else (first, second)
        return frozenset({name} if fnmatchcase(name, glob) else ())

    @cache
    def common(i: int, j: int) -> frozenset[str]:
        left, right = first[i : i + 1], second[j : j + 1]
        if not left and not right:
            return frozenset({""})
        found: frozenset[str]
        if left == "*" and right == "*":  # the shorter of the two runs ends first
            found = led_by("*", common(i + 1, j)) | led_by("*", common(i, j + 1))
        elif left == "*":
            found = common(i + 1, j) | (led_by(right, common(i, j + 1)) if right else frozenset())
        elif right == "*":
            found = common(i, j + 1) | (led_by(left, common(i + 1, j)) if left else frozenset())
        elif not left or not right or (left != right and "?" not in (left, right)):
            found = frozenset()
        else:
            found = led_by(right if left == "?" else left, common(i + 1, j + 1))
        if len(found) > MOST_GLOBS:
            raise TooManyGlobsError(f"{first!r} and {second!r} have too many wildcards to be combined")
        return found

    return common(0, 0)


def is_glob(pattern: str) -> bool:
    """Say whether a pattern is more than one name."""
    return "*" in pattern or "?" in pattern


def led_by(start: str, globs: frozenset[str]) -> frozenset[str]:
    """Return each glob with *start* before it (`**` says no more than `*`)."""
    return frozenset(glob if start == "*" == glob[:1] else start + glob for glob in globs)


def covers(wide: str, narrow: str) -> bool:
    """Say whether every name that *narrow* matches is one that *wide* matches, as far as can be told."""
    try:
        return narrow in common_globs(wide, narrow)
    except TooManyGlobsError:
        return False
