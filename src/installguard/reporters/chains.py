"""By which chain of parents a distribution came to be asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import Distribution
from ..names import NormalizedName

Chain = tuple[NormalizedName, ...]


def chains(distributions: Sequence[Distribution]) -> Mapping[NormalizedName, Chain]:
    """Return, for each project that something requested leads to, the shortest chain of names that ends in it."""
    children = _children(distributions)
    layer = sorted({each.name for each in distributions if each.requested and each.name is not None})
    found: dict[NormalizedName, Chain] = {name: (name,) for name in layer}
    while layer:
        reached = []
        for name in layer:
            for child in children.get(name, ()):
                if child not in found:
                    found[child] = (*found[name], child)
                    reached.append(child)
        layer = reached
    return found


def _children(distributions: Sequence[Distribution]) -> Mapping[NormalizedName, Sequence[NormalizedName]]:
    children: dict[NormalizedName, set[NormalizedName]] = {}
    for each in distributions:
        for parent in each.required_by:
            if each.name is not None:
                children.setdefault(parent, set()).add(each.name)
    return {parent: sorted(names) for parent, names in children.items()}


def path_to(distribution: Distribution, found: Mapping[NormalizedName, Chain]) -> Chain:
    """Return the shortest chain from what was asked for to a parent of *distribution*; empty if that was asked for."""
    if distribution.requested or not distribution.required_by:
        return ()
    return min(
        (found.get(parent, (parent,)) for parent in distribution.required_by), key=lambda chain: _rank(chain, found)
    )


def _rank(chain: Chain, found: Mapping[NormalizedName, Chain]) -> tuple[bool, int, Chain]:
    return (chain[-1] not in found, len(chain), chain)
