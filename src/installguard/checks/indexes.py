"""Which index a project comes from: `wrong-index`, `ambiguous-index`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from ..model import Artifact, Code, DirectUrl, Distribution, Evidence, Finding, Installed, LocalTree, VcsCheckout
from ..policy import IndexPin, Policy
from .packages import admits
from .subjects import names_file, subjects

_PORTS = {"http": 80, "https": 443}


def check_wrong_index(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find what `packages.index` ties to an index and that comes from elsewhere; the first entry that matches holds.

    A local tree is not meant: `direct-origin` speaks of it.
    """
    for subject in subjects(evidence) if policy.packages.index else ():
        pin = pin_of(subject, policy)
        if pin is not None and (place := _elsewhere(subject, pin)) is not None:
            detail = f"comes from {place}, and packages.index has {pin.match.pattern} come from {pin.url} only"
            yield Finding(code=Code.WRONG_INDEX, subject=subject, detail=detail)


def pin_of(subject: Distribution, policy: Policy) -> IndexPin | None:
    """Return the entry of `packages.index` that *subject* falls under; of unknown version counts too."""
    named = subject.name is not None
    return next((pin for pin in policy.packages.index if admits(pin.match, subject, untold=named)), None)


def privately_pinned(subject: Distribution, evidence: Evidence, policy: Policy) -> bool:
    """Return whether `packages.index` ties the name to a private index, and *subject* comes from no other place.

    An entry for every name (`*`) says nothing about any: its index serves the public projects too. Where it is not
    known which indexes are public, none counts as private.
    """
    pin = pin_of(subject, policy) if evidence.public_indexes and isinstance(subject.origin, Artifact) else None
    if pin is None or not pin.match.pattern.strip("*") or _elsewhere(subject, pin) is not None:
        return False
    return _place(pin.url)[1] not in {_place(url)[1] for url in evidence.public_indexes}


def _elsewhere(subject: Distribution, pin: IndexPin) -> str | None:
    """Return where *subject* comes from, `None` where that is the index of *pin* or no index is concerned."""
    match subject.origin:
        case Artifact(index=None) if not names_file(subject):
            return None
        case Installed() | LocalTree():
            return None
        case Artifact(index=index):
            return _other_index(index, pin.url)
        case DirectUrl(url=url) | VcsCheckout(url=url):
            return url


def _other_index(index: str | None, wanted: str) -> str | None:
    if index is None:
        return "an index that cannot be told"
    return None if _is_of(index, wanted) else index


def _is_of(page: str, index: str) -> bool:
    """Return whether *page* is the *index* itself or the page of one project below it."""
    found, wanted = _place(page), _place(index)
    return found == wanted or (found[:2] == wanted[:2] and found[2].rpartition("/")[0] == wanted[2])


def _place(url: str) -> tuple[str, str, str]:
    """Return scheme, host with its port, and path of *url*: what is left when credentials and form are set aside."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # a port or a host that cannot be: equal only to what is written the same
        return ("", "", url)
    return (parts.scheme, f"{parts.hostname or ''}:{port or ''}", parts.path.rstrip("/"))


def check_ambiguous_index(evidence: Evidence, policy: Policy) -> Iterator[Finding]:
    """Find projects that two or more configured indexes offer, where neither `packages.index` nor a hash says which."""
    for subject in subjects(evidence):
        places = {_place(url): url for url in subject.indexes}
        if len(places) > 1 and not subject.hashed and pin_of(subject, policy) is None:
            detail = (
                f"is offered by {len(places)} indexes, and nothing says which is meant: {', '.join(places.values())}"
            )
            yield Finding(code=Code.AMBIGUOUS_INDEX, subject=subject, detail=detail)
