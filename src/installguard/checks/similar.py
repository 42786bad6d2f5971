"""Names that are nearly those of popular projects: `similar-name`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations
from string import ascii_lowercase, digits

from ..model import Artifact, Code, Distribution, Evidence, Finding
from ..names import NormalizedName
from ..policy import Policy
from .popular import BUILT_IN
from .subjects import subjects

RANKS: Mapping[int, int] = {4: 500, 5: 1000, 6: 1000, 7: 2000, 8: 3000}
"""By the length of the shorter name: down to which rank a project counts as popular; below four letters none does.

Short names are often a letter apart by chance, and the more names there are to compare with, the more often. These
figures measured best (`bench/similar.py`).
"""
LONGER = 5000
"""The rank for names longer than those."""
_LETTERS = f"{ascii_lowercase}{digits}-"
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "-": None})
_PAIRS = (("rn", "m"), ("vv", "w"))
_AFFIX = "python"


def check_similar_name(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find names newly asked for that are a slip or trick away from a popular project's, and not popular themselves."""
    popular = evidence.popular or BUILT_IN
    there = {each.name for each in evidence.distributions if each.role == "installed"}
    for subject in subjects(evidence):
        if not _newly_named(subject) or subject.name in there or _meant(subject, policy):
            continue
        if subject.name is not None and (other := nearest(subject.name, popular)) is not None:
            detail = f"is not well known, and its name is nearly that of {other}, which is: is it the one you mean?"
            yield Finding(code=Code.SIMILAR_NAME, subject=subject, detail=detail, fix=other)


def _newly_named(subject: Distribution) -> bool:
    asked = subject.requested and subject.role == "install" and not subject.upgrades
    return asked and isinstance(subject.origin, Artifact)


def _meant(subject: Distribution, policy: Policy) -> bool:
    """Return whether the policy itself names the project, letter by letter, as one to be installed."""
    named = (*policy.packages.allow, *(pin.match for pin in policy.packages.index))
    return any(match.pattern == subject.name for match in named)


def nearest(name: NormalizedName, popular: Mapping[NormalizedName, int]) -> NormalizedName | None:
    """Return the most popular project that *name* may be a slip or a trick of; `None` where it is itself popular."""
    if name in popular:
        return None
    alike = {*(each for each in slips(name) if each in popular), *_looking_alike(name, popular)}
    near = [NormalizedName(each) for each in alike if _counts(name, each, popular)]
    return min(near, key=lambda each: (popular[each], each), default=None)


def _counts(name: str, other: str, popular: Mapping[NormalizedName, int]) -> bool:
    length = min(len(name), len(other))
    return length >= min(RANKS) and popular[NormalizedName(other)] <= RANKS.get(length, LONGER)


def slips(name: str) -> Iterator[str]:
    """Yield what differs from *name* by one letter more, less or other, a swap, the order of words, or `python`."""
    for at in range(len(name) + 1):
        head, tail = name[:at], name[at:]
        yield head + tail[1:]
        yield head + tail[1:2] + tail[:1] + tail[2:]
        for letter in _LETTERS:
            yield head + letter + tail
            yield head + letter + tail[1:]
    words = name.split("-")
    if len(words) <= 4:
        yield from map("-".join, permutations(words))
    yield name.removeprefix(f"{_AFFIX}-")
    yield name.removesuffix(f"-{_AFFIX}")


def _looking_alike(name: str, popular: Mapping[NormalizedName, int]) -> Iterator[str]:
    """Yield the popular names that look the same: 0 as o, 1 and i as l, rn as m, vv as w, separators as nothing."""
    look = _look(name)
    begin = tuple(first for first in (*_LETTERS, "rn", "vv") if look.startswith(_look(first) or "-"))
    for other, rank in popular.items():
        if rank <= LONGER and other.startswith(begin) and _look(other) == look:
            yield other


def _look(name: str) -> str:
    look = name.translate(_ALIKE)
    for pair, letter in _PAIRS:
        look = look.replace(pair, letter)
    return look
