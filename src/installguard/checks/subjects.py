"""Which distributions are judged."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Distribution, Evidence

INSTALLERS_OWN = frozenset({"pip", "setuptools", "wheel"})
"""Projects that an environment holds for its installer's sake."""


def subjects(evidence: Evidence) -> Iterator[Distribution]:
    """Yield the distributions to judge: all but the installer's own that nobody asked for."""
    for distribution in evidence.distributions:
        if distribution.role != "installed" or distribution.requested or distribution.name not in INSTALLERS_OWN:
            yield distribution
