"""Which distributions are judged."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Artifact, Distribution, Evidence

INSTALLERS_OWN = frozenset({"pip", "setuptools", "wheel"})
"""Projects that an environment holds for its installer's sake."""


def subjects(evidence: Evidence) -> Iterator[Distribution]:
    """Yield the distributions to judge: all but the installer's own that nobody asked for."""
    for distribution in evidence.distributions:
        if distribution.role != "installed" or distribution.requested or distribution.name not in INSTALLERS_OWN:
            yield distribution


def names_file(subject: Distribution) -> bool:
    """Return whether *subject* is a certain file of an index, be it one that a lock file tells by its hash only.

    A plain `NAME==VERSION` is none: which file of which index will come is not known.
    """
    origin = subject.origin
    return isinstance(origin, Artifact) and (bool(origin.filename) or subject.lock is not None)
