"""What every kind of policy value can do: be read from TOML, be written as TOML, be combined with a parent's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ..dataclass import dataclass
from ..model import Level, Severity
from ..policy import DeniedPackage, IndexPin, PackageMatch, Preset
from . import values
from .globs import TooManyGlobsError, common_globs, covers
from .toml import quote
from .values import UNITS, MistakesError, Parser
from .waiving import parse_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of value."""

    parse: Parser
    write: Callable[[Any], str]
    """The value as TOML; parsing that gives the value again."""
    tightest: Callable[[Any, Any], Any]
    """The stricter of two values, or what both together demand; the parent's first."""
    canonical: Callable[[Any], str] | None = None
    """The value as text that is the same for the same meaning, where `write` is not."""
    adds: bool = False
    """Whether two values are in force side by side, so that neither overrules the other."""

    def digest(self, value: Any) -> str:
        """Return the text that a policy's digest is made of."""
        return (self.canonical or self.write)(value)


# ---------------------------------------------------------------- writing


def write_level(level: Level) -> str:
    """Return the level as TOML."""
    return quote(level.word)


def write_severity(severity: Severity | None) -> str:
    """Return a severity, or "none" for a threshold that is never reached."""
    return quote(severity.word if severity else "none")


def write_duration(span: timedelta) -> str:
    """Return a duration in the largest unit that says it exactly (but one day as 24 hours)."""
    seconds = int(span.total_seconds())
    for unit in "dhms":
        count, rest = divmod(seconds, int(UNITS[unit].total_seconds()))
        if not rest and (unit, count) != ("d", 1):
            return quote(f"{count}{unit}" if count else "0")
    raise AssertionError(span)


def match_text(match: PackageMatch) -> str:
    """Return a glob and its specifier as the policy writes them."""
    return match.pattern + ",".join(sorted(str(part) for part in match.specifier))


def write_list(items: list[str]) -> str:
    """Return an array of TOML values, one a line where there are several."""
    return f"[{', '.join(items)}]" if len(items) < 2 else "[\n" + "".join(f"    {item},\n" for item in items) + "]"


def write_matches(matches: tuple[PackageMatch, ...]) -> str:
    """Return a list of globs as TOML."""
    return write_list([quote(match_text(match)) for match in matches])


def write_denials(denials: tuple[DeniedPackage, ...]) -> str:
    """Return the entries of `packages.deny` as TOML."""
    return write_list([write_denied(denied) for denied in denials])


def write_denied(denied: DeniedPackage) -> str:
    """Return one entry of `packages.deny` as an inline table."""
    fields = [("match", match_text(denied.match)), ("reason", denied.reason), ("use", denied.use)]
    return "{ " + ", ".join(f"{key} = {quote(text)}" for key, text in fields if text) + " }"


def write_pins(pins: tuple[IndexPin, ...]) -> str:
    """Return the entries of `packages.index` as an inline table."""
    return "{ " + ", ".join(f"{quote(pin.match.pattern)} = {quote(pin.url)}" for pin in pins) + " }" if pins else "{}"


def write_texts(texts: tuple[str, ...]) -> str:
    """Return a list of strings as TOML."""
    return write_list([quote(str(text)) for text in texts])


def sorted_matches(matches: tuple[PackageMatch, ...]) -> str:
    """Return a list of globs in an order of its own."""
    return str(sorted(quote(match_text(match)) for match in matches))


def sorted_denials(denials: tuple[DeniedPackage, ...]) -> str:
    """Return the entries of `packages.deny` in an order of their own."""
    return str(sorted(write_denied(denied) for denied in denials))


def sorted_texts(texts: tuple[str, ...]) -> str:
    """Return strings in an order of their own."""
    return str(sorted(quote(str(text)) for text in texts))


# ---------------------------------------------------------------- combining


def most_often(first: timedelta, second: timedelta) -> timedelta:
    """Return the shorter of two intervals, of which zero is never."""
    return min((first, second), key=lambda span: span or timedelta.max)


def parents_first(parent: tuple[IndexPin, ...], child: tuple[IndexPin, ...]) -> tuple[IndexPin, ...]:
    """Return the parent's pins, then those of the child that are for other names."""
    others = (pin for pin in child if not any(covers(each.match.pattern, pin.match.pattern) for each in parent))
    return (*parent, *others)


def both_trust(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that both name, no keys asking for no signature; raises `MistakesError` if there is none."""
    if not first or not second:
        return first or second
    common = tuple(key for key in second if key in first)
    if not common:
        raise MistakesError(("", "has no key in common with a parent's, so that no signature could be right"))
    return common


def chosen_freely(_: Any, child: Any) -> Any:
    """Return the child's value: neither is tighter."""
    return child


def lowest_threshold(first: Severity | None, second: Severity | None) -> Severity | None:
    """Return the threshold that more findings reach."""
    return min((first, second), key=lambda threshold: threshold or len(Severity))


def strictest_preset(first: Preset, second: Preset) -> Preset:
    """Return the stricter preset."""
    return max((first, second), key=list(values.PRESETS).index)


def union(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the items of both, each once, in their order."""
    return tuple(dict.fromkeys((*first, *second)))


def both_match(first: tuple[PackageMatch, ...], second: tuple[PackageMatch, ...]) -> tuple[PackageMatch, ...]:
    """Return globs for the releases that both lists name; raises `MistakesError` where there are too many."""
    try:
        common = [
            PackageMatch(pattern=pattern, specifier=one.specifier & other.specifier)
            for one in first
            for other in second
            for pattern in sorted(common_globs(one.pattern, other.pattern))
        ]
    except TooManyGlobsError as error:
        raise MistakesError(("", str(error))) from error
    return tuple(dict.fromkeys(common))


def both_allow(first: tuple[PackageMatch, ...], second: tuple[PackageMatch, ...]) -> tuple[PackageMatch, ...]:
    """Return what both allow lists allow, an empty list allowing everything; raises `MistakesError` if nothing is."""
    if not first or not second:
        return first or second
    common = both_match(first, second)
    if not common:
        raise MistakesError(("", "has nothing in common with a parent's, so that nothing could be installed"))
    return common


# ---------------------------------------------------------------- the kinds

PRESET = Kind(parse=values.parse_preset, write=quote, tightest=strictest_preset)
FAIL_ON = Kind(parse=values.parse_fail_on, write=write_level, tightest=min)
LEVEL = Kind(parse=values.parse_level, write=write_level, tightest=max)
MALICIOUS_LEVEL = Kind(parse=values.parse_malicious_level, write=write_level, tightest=max)
MAX_AGE = Kind(parse=values.parse_duration, write=write_duration, tightest=min)
SEVERITY = Kind(parse=values.parse_severity, write=write_severity, tightest=max)
THRESHOLD = Kind(parse=values.parse_threshold, write=write_severity, tightest=lowest_threshold)
ALLOWED = Kind(parse=values.parse_matches, write=write_matches, tightest=both_allow, canonical=sorted_matches)
EXEMPT = Kind(parse=values.parse_matches, write=write_matches, tightest=both_match, canonical=sorted_matches)
DENIED = Kind(parse=values.parse_denials, write=write_denials, tightest=union, canonical=sorted_denials, adds=True)
MIN_AGE = Kind(parse=values.parse_duration, write=write_duration, tightest=max)
REFRESH = Kind(parse=values.parse_duration, write=write_duration, tightest=most_often)
WAIT = Kind(parse=values.parse_duration, write=write_duration, tightest=chosen_freely, adds=True)
KEYS_TRUSTED = Kind(parse=values.parse_keys, write=write_texts, tightest=both_trust, canonical=sorted_texts)
PINS = Kind(parse=values.parse_pins, write=write_pins, tightest=parents_first, adds=True)
LICENSES = Kind(parse=values.parse_licenses, write=write_texts, tightest=union, canonical=sorted_texts, adds=True)
CODES = Kind(parse=parse_codes, write=write_texts, tightest=union, canonical=sorted_texts, adds=True)
