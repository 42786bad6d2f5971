"""What a file name says, read as generously as any installer would."""

from __future__ import annotations

import re
from functools import lru_cache

from ..names import NormalizedName, canonicalize_name
from .pages import Named

SDIST = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tlz|tzst|taz|tar\.(gz|bz2|xz|lz|lzma|zst|z))$", re.IGNORECASE)
"""Every ending under which some pip or uv takes a file for a source distribution."""

_name = lru_cache(maxsize=4096)(canonicalize_name)  # a page repeats a few spellings hundreds of times


def read_filename(filename: str, project: NormalizedName | None) -> Named | None:
    """Return what a file name on the page of *project* says, or `None` for what is neither wheel nor sdist."""
    if filename[-4:].lower() == ".whl":
        parts = filename[:-4].split("-", 2)
        # an older pip reads `_` in a wheel's version as `-`; in a version that is valid they are the same
        return "wheel", _name(parts[0]), parts[1].replace("_", "-") if len(parts) > 1 else None
    ending = SDIST.search(filename)
    if ending is None:
        return None
    stem = filename[: ending.start()]
    return "sdist", *(_after(stem, project) or _at_last_dash(stem))


def _after(stem: str, project: NormalizedName | None) -> tuple[NormalizedName, str] | None:
    """Split behind the project's name, which may hold dashes; the shortest spelling of it, as installers do."""
    if project is None:
        return None
    for dash in re.finditer("-", stem):
        if _name(stem[: dash.start()]) == project:
            return project, stem[dash.end() :]
    return None


def _at_last_dash(stem: str) -> tuple[NormalizedName | None, str | None]:
    """Split at the last dash, as uv does where no page says which project it is."""
    name, dash, version = stem.rpartition("-")
    return (_name(name), version) if dash and name else (_name(stem), None)
