"""Which waivers stand: a file's hold for itself and for its children, not for what other files rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from ..dataclass import replace
from ..model import Code
from ..policy import RULED_BY, Waiver
from .saying import Layer, place
from .waiving import is_malware

DECISIVE: Mapping[Code, frozenset[str]] = {
    Code.VULNERABLE: frozenset({"vulnerabilities.deny", "vulnerabilities.warn", "vulnerabilities.exploited"}),
    Code.PROJECT_STATUS: frozenset(RULED_BY[Code.PROJECT_STATUS]),
    Code.LICENSE: frozenset(RULED_BY[Code.LICENSE]),
}
"""Codes that one key or another rules, by what was found: a waiver may lift some of these and not others."""


def codes_of(waiver: Waiver) -> tuple[Code, ...]:
    """Return the codes of the findings that a waiver can be for."""
    if waiver.finding in [code.value for code in Code]:
        return (Code(waiver.finding),)
    malware = (Code.MALICIOUS, Code.MALICIOUS_PROJECT)
    if is_malware(waiver.finding):
        return malware
    return (Code.VULNERABLE, *malware) if waiver.exact is not None else (Code.VULNERABLE, Code.MALICIOUS_PROJECT)


def barred_by(layer: Layer, code: Code) -> frozenset[str]:
    """Return the keys by which a file rules *code* and lets no other waive that.

    A key whose value is zero ("allow", "none", an empty list, an age of "0") lets everything pass and rules nothing.
    """
    if code in layer.said["waivable"].value:
        return frozenset()
    return frozenset(key for key in RULED_BY.get(code, ()) if key in layer.written and layer.said[key].value)


def strangers(layer: Layer, layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Return the files for which the waivers of *layer* do not hold: all but itself and those that extend it."""
    by_identity = {each.identity: each for each in layers}
    return tuple(each for each in by_identity.values() if layer.identity not in ancestors(each, by_identity))


def ancestors(layer: Layer, layers: Mapping[str, Layer]) -> set[str]:
    """Return the identity of a file and of all its parents, at however many removes."""
    found: set[str] = set()
    ahead = {layer.identity}
    while ahead:
        found |= ahead
        ahead = {parent for each in ahead if each in layers for parent in layers[each].parents} - found
    return found


Bars: TypeAlias = Mapping[Code, Mapping[str, Layer]]
"""By code, the keys whose rulings a waiver cannot lift, each with a file that wrote it."""


def bars(waiver: Waiver, layer: Layer, layers: Iterable[Layer]) -> Bars:
    """Return what keeps a waiver from holding."""
    others = strangers(layer, layers)
    return {code: {key: other for other in others for key in barred_by(other, code)} for code in codes_of(waiver)}


def standing(waiver: Waiver, layer: Layer, layers: Iterable[Layer]) -> Waiver | None:
    """Return the waiver as far as it holds, `None` where it holds for nothing."""
    barred = bars(waiver, layer, layers)
    if all(is_idle(code, keys) for code, keys in barred.items()):
        return None
    return replace(waiver, barred=frozenset(key for keys in barred.values() for key in keys))


def objection(waiver: Waiver, layer: Layer, layers: Iterable[Layer]) -> str:
    """Return what is to be said of a waiver that does not hold, or not for all that it is meant for."""
    barred = bars(waiver, layer, layers)
    meant, keys = next(iter(barred.items()))
    if not keys:  # an advisory's id may be of malware as well, which it seldom is
        return ""
    key = min(keys)
    how = "" if all(is_idle(code, keys) for code, keys in barred.items()) else " for what another file rules"
    by = f"'{key}' is set by {place(keys[key].file)}"
    return f"does not hold{how}: {by}: waive it there, or add '{meant}' to its 'waivable'"


def is_idle(code: Code, barred: Mapping[str, Layer]) -> bool:
    """Say whether no ruling of *code* is left that could be lifted."""
    return DECISIVE[code] <= barred.keys() if code in DECISIVE else bool(barred)
