"""Which waivers stand: a file's hold for itself and for its children, not for what other files rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import itemgetter

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
    """Return the keys by which a file rules *code* and lets no other waive that."""
    if code in layer.said["waivable"].value:
        return frozenset()
    return layer.written.intersection(RULED_BY.get(code, ()))


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


def standing(waiver: Waiver, layer: Layer, layers: Iterable[Layer]) -> tuple[Waiver | None, str]:
    """Return the waiver as far as it holds, `None` where it holds for nothing, and what is to be said of that."""
    others = strangers(layer, layers)
    barred = {
        code: {key: other for other in others for key in sorted(barred_by(other, code))} for code in codes_of(waiver)
    }
    against = frozenset(key for keys in barred.values() for key in keys)
    if not against:
        return waiver, ""
    if not barred[codes_of(waiver)[0]]:  # it may be of malware too, which an advisory's id seldom is
        return replace(waiver, barred=against), ""
    code = next(code for code, keys in barred.items() if keys)
    key, other = min(barred[code].items(), key=itemgetter(0))
    by = f"'{key}' is set by {place(other.file)}: waive it there, or add '{code}' to its 'waivable'"
    if all(is_idle(code, keys) for code, keys in barred.items()):
        return None, f"does not hold: {by}"
    return replace(waiver, barred=against), f"does not hold for what another file rules: {by}"


def is_idle(code: Code, barred: Mapping[str, Layer]) -> bool:
    """Say whether no ruling of *code* is left that could be lifted."""
    return DECISIVE[code] <= barred.keys() if code in DECISIVE else bool(barred)
