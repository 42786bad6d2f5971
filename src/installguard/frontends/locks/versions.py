"""Versions of lock formats."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .tables import Table


def known_major(table: Table, written: str, *, key: str, known: Sequence[int]) -> int:
    """Return the major version of a format; `UsageError` where it is none of the *known* ones."""
    found = re.match(r"([0-9]{1,6})(?:\.[0-9]{1,6})*\Z", written)
    if found is None:
        raise table.wrong(f"'{key}' is not a version")
    if int(found[1]) not in known:
        majors = " and ".join(f"{major}.x" for major in known)
        raise table.wrong(f"is of {key.replace('_', '-')} {written}, and guard knows {majors}", now="update guard")
    return int(found[1])
