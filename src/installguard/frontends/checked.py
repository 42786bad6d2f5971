"""What `guard check` is asked about: exact releases, requirement files and lock files, each release once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..dataclass import dataclass, replace
from ..errors import UsageError
from ..model import Artifact, Distribution, Origin, version_key
from ..names import NormalizedName
from .pins import UNDERSTOOD, names_release, read_targets

if TYPE_CHECKING:
    from .locks import Lock

_PATH = re.compile(r"[/\\]|\.(?:lock|toml|json)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What there is to judge."""

    distributions: tuple[Distribution, ...]
    notes: tuple[str, ...] = ()
    """What the files leave open: one line each."""


def read_checked(words: Sequence[str], files: Sequence[str], here: Path) -> Checked:
    """Return what *words*, releases and lock files, and requirement *files* name, paths taken from *here*.

    Raises `UsageError` where that is nothing, or where one of them is not understood.
    """
    if not words and not files:
        raise UsageError("nothing to check", where="guard check", now=f"{UNDERSTOOD}, and lock files")
    locks = [_read_lock(word, here) for word in dict.fromkeys(words) if _names_lock(word, here)]
    pins = [word for word in words if not _names_lock(word, here)]
    named = read_targets(pins, [here / file for file in files]) if pins or files else ()
    return Checked(distributions=_together(named, locks), notes=tuple(note for lock in locks for note in lock.notes))


def _names_lock(word: str, here: Path) -> bool:
    """Return whether a word is the path of a lock file rather than a release."""
    if not _PATH.search(word):
        return not names_release(word) and _is_file(here / word)
    from .locks import is_lock_name

    return is_lock_name(Path(word).name) is not None or not names_release(word)


def _read_lock(word: str, here: Path) -> Lock:
    from .locks import read_lock

    return read_lock(here / word, shown_as=word)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False


def _together(named: Sequence[Distribution], locks: Sequence[Lock]) -> tuple[Distribution, ...]:
    """Return all distributions: a release of one source once, in however many locks, and no bare name of it."""
    found: dict[tuple[object, ...], Distribution] = {}
    for each in (distribution for lock in locks for distribution in lock.distributions):
        place = each.origin.index if isinstance(each.origin, Artifact) else each.origin
        same = (each.name, each.release, each.builds, type(each.origin), place)
        apart = (*same, each.origin, each.lock)  # two entries of one lock stay two
        known = found.get(same)
        if known is not None and known.lock != each.lock:
            found[same] = _both(known, each)
        else:
            found[same if known is None else apart] = each
    locked = {_key(each) for each in found.values()}
    asked = {_key(each) for each in named}
    entries = [replace(each, requested=True) if _key(each) in asked else each for each in found.values()]
    return (*(each for each in named if _key(each) not in locked), *entries)


def _key(each: Distribution) -> tuple[NormalizedName | None, str | None]:
    return (each.name, version_key(each.release.version) if each.release is not None else None)


def _both(one: Distribution, other: Distribution) -> Distribution:
    """Return what two locks say of a release: of what they differ in, the less favourable."""
    scopes = tuple(dict.fromkeys(filter(None, (one.scope, other.scope))))
    return replace(
        one,
        origin=_younger(one.origin, other.origin),
        requested=one.requested or other.requested,
        required_by=tuple(sorted({*one.required_by, *other.required_by})),
        hashed=one.hashed and other.hashed,
        lock=f"{one.lock}, {other.lock}",
        scope=" or ".join(scopes) if one.scope and other.scope else None,
    )


def _younger(one: Origin, other: Origin) -> Origin:
    """Return an origin, of files with the later upload; not knowing that is the least favourable."""
    if not isinstance(one, Artifact) or not isinstance(other, Artifact):
        return one
    times = (one.uploaded_at, other.uploaded_at)
    return replace(one, uploaded_at=None if None in times else max(filter(None, times)))
