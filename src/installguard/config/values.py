"""Parsers of the policy's values: each takes what TOML gave and returns the final type, or says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from os.path import normpath
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ..model import Level, Severity
from ..policy import DeniedPackage, PackageMatch, Preset, SourcePolicy
from .toml import printable, quote_key

UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
LONGEST = timedelta(days=3650)
DURATION = r"([0-9]{1,9})([smhd])"
ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"
GLOB = r"[A-Za-z0-9*?](?:[A-Za-z0-9*?._-]{0,126}[A-Za-z0-9*?])?"
LATER_SOURCE = ("kind", "priority", "mirrors")
"""Keys of a source that this version knows but cannot obey."""
PRESETS: Mapping[str, Preset] = {"relaxed": "relaxed", "default": "default", "strict": "strict"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a value's meaning depends on beside itself."""

    base: Path
    """The policy file's directory: relative paths start here."""
    today: date

    @classmethod
    def nowhere(cls, today: date) -> Context:
        """The context of a value that no file holds, such as one typed on the command line."""
        return cls(base=Path(), today=today)


class MistakesError(ValueError):
    """What is wrong with a value: pairs of the path below it (`[2].reason`, or nothing) and the complaint."""

    def __init__(self, *found: tuple[str, str]) -> None:
        super().__init__(found)
        self.found = found


Parser: TypeAlias = Callable[[Any, Context], Any]
"""Takes a TOML value; returns the policy's value or raises `MistakesError`."""


def mistake(what: str) -> NoReturn:
    """Complain about the value as a whole."""
    raise MistakesError(("", what))


# ---------------------------------------------------------------- types


def kind_of(value: object) -> str:
    """Return what TOML calls a value of this type."""
    kinds = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "an array", dict: "a table"}
    kinds |= {datetime: "a date and time", date: "a date"}
    return kinds.get(type(value), "a time")


def shown(text: str) -> str:
    """Return *text* quoted for a message, cut where it is long."""
    return f"'{printable(text if len(text) <= 80 else text[:77] + '…')}'"


def parse_text(value: object, _: Context) -> str:
    """Return a string that is not blank."""
    if not isinstance(value, str):
        mistake(f"expected a string, not {kind_of(value)}")
    if not value.strip():
        mistake("is empty")
    return value


def parse_truth(value: object, _: Context) -> bool:
    """Return a boolean."""
    if not isinstance(value, bool):
        mistake(f"expected true or false, not {kind_of(value)}")
    return value


def parse_choice(value: object, words: Collection[str]) -> str:
    """Return the word, if it is one of *words*."""
    choices = ", ".join(f'"{word}"' for word in words)
    if not isinstance(value, str):
        mistake(f"expected one of {choices}, not {kind_of(value)}")
    if value not in words:
        mistake(f"{shown(value)} is not one of {choices}{did_you_mean(value, words)}")
    return value


def did_you_mean(word: str, known: Collection[str], *, cutoff: float = 0.6) -> str:
    """Return ` (did you mean 'x'?)` where something known is close to *word*, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word[:100].lower().replace("_", "-"), known, n=1, cutoff=cutoff)
    return f" (did you mean '{close[0]}'?)" if close else ""


# ---------------------------------------------------------------- words and durations


def parse_preset(value: object, _: Context) -> Preset:
    """Return the preset named so."""
    return PRESETS[parse_choice(value, PRESETS)]


def parse_level(value: object, _: Context) -> Level:
    """Return the level named so."""
    return Level[parse_choice(value, [level.word for level in Level]).upper()]


def parse_fail_on(value: object, _: Context) -> Level:
    """Return the level from which an install is stopped."""
    return Level[parse_choice(value, ["warn", "deny"]).upper()]


def parse_malicious_level(value: object, context: Context) -> Level:
    """Return the level of known malware, which cannot be `allow`."""
    if value == "allow":
        mistake("'allow' is refused (known malware can only be waived, one exact release at a time)")
    return parse_level(value, context)


def parse_severity(value: object, _: Context) -> Severity:
    """Return the severity named so."""
    return Severity[parse_choice(value, [severity.word for severity in Severity]).upper()]


def parse_threshold(value: object, context: Context) -> Severity | None:
    """Return the severity from which something happens; `None` (written "none") is never."""
    return parse_severity(value, context) or None


def parse_duration(value: object, _: Context) -> timedelta:
    """Return a time span of at most ten years."""
    form = 'write "24h", "7d", "30m", "90s" or "0"'
    if not isinstance(value, str):
        mistake(f"expected a duration, not {kind_of(value)} ({form})")
    if value == "0":
        return timedelta()
    written = re.fullmatch(DURATION, value)
    if written is None:
        mistake(f"{shown(value)} is not a duration ({form})")
    span: timedelta = int(written[1]) * UNITS[written[2]]
    if span > LONGEST:
        mistake(f"{shown(value)} is more than ten years")
    return span


def parse_date(value: object, _: Context) -> date:
    """Return a date, written as TOML's date or as a string in its form."""
    if isinstance(value, str) and re.fullmatch(ISO_DATE, value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            mistake(f"'{value}' is no day of the calendar")
    if isinstance(value, str):
        mistake(f"{shown(value)} is not a date (write 2026-12-31)")
    if isinstance(value, datetime) or not isinstance(value, date):
        mistake(f"expected a date, not {kind_of(value)} (write 2026-12-31)")
    return value


# ---------------------------------------------------------------- packages


def parse_specifier(text: str) -> SpecifierSet:
    """Return the version specifier (PEP 440) that *text* is; nothing at all admits every version."""
    problem = f"{shown(text.strip())} is not a version specifier (write name==1.2, name<2 or name===as-is)"
    if text.strip() and not all(part.strip() for part in text.split(",")):
        mistake(problem)
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise MistakesError(("", problem)) from error


def parse_match(value: object, context: Context) -> PackageMatch:
    """Return a glob over project names with an optional specifier."""
    text = parse_text(value, context).strip()
    name = re.match(GLOB, text)
    rest = text[name.end() :] if name else text
    if name is None or (rest and rest.lstrip()[0] not in "<>=!~"):
        mistake(f"{shown(text)} is not a project name or glob with a specifier (write acme-* or uwsgi==2.*)")
    pattern = re.sub(r"[-_.]+", "-", re.sub(r"\*+", "*", name[0])).lower()
    return PackageMatch(pattern=pattern, specifier=parse_specifier(rest))


def parse_matches(value: object, context: Context) -> tuple[PackageMatch, ...]:
    """Return a list of globs."""
    return parse_list(value, context, parse_match)


def parse_denied(value: object, context: Context) -> DeniedPackage:
    """Return one entry of `packages.deny`: a table, or a plain string for its `match`."""
    if isinstance(value, str):
        return DeniedPackage(match=parse_match(value, context))
    fields = {"match": parse_match, "reason": parse_text, "use": parse_text}
    return DeniedPackage(**parse_table(value, context, fields, required={"match": 'such as "pycrypto"'}))


def parse_denials(value: object, context: Context) -> tuple[DeniedPackage, ...]:
    """Return the entries of `packages.deny`."""
    return parse_list(value, context, parse_denied)


# ---------------------------------------------------------------- feed sources


def parse_location(value: object, context: Context) -> str:
    """Return where a source is: an https URL, http on loopback, or an absolute path."""
    from urllib.parse import urlsplit

    text = parse_text(value, context).strip()
    if not text.isprintable():
        mistake(f"{shown(text)} holds characters that do not print")
    if "://" not in text:
        return parse_path(text, context)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise MistakesError(("", f"{shown(text)} is not a URL ({printable(str(error))})")) from error
    if not host or any(character.isspace() for character in text):
        mistake(f"{shown(text)} is not a URL")
    if parts.username is not None or parts.password is not None:
        mistake("holds credentials, which do not belong in a policy")
    if parts.query or parts.fragment:
        mistake(f"{shown(text)} has a query or fragment (write the export's base folder)")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        mistake(f"{shown(text)} is neither https, nor http on loopback, nor a path")
    return text


def parse_path(text: str, context: Context) -> str:
    """Return an absolute path, a relative one starting from the policy file."""
    if text.startswith("~"):
        mistake(f"{shown(text)} starts with '~' (write the whole path, or one relative to this file)")
    return normpath(context.base / text)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by its name or address alone."""
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def parse_sources(value: object, context: Context) -> tuple[SourcePolicy, ...]:
    """Return the tables below `feed.sources`, by name."""
    if not isinstance(value, dict):
        mistake(f"expected tables ([tool.installguard.feed.sources.NAME]), not {kind_of(value)}")
    fields = {"url": parse_location, "malicious": parse_truth}
    sources: list[SourcePolicy] = []
    found: list[tuple[str, str]] = []
    for name, table in value.items():
        at = f".{quote_key(name)}"
        if re.fullmatch(NAME, name) is None:
            found.append((at, "not a source's name (letters, digits, '-', '_' and '.')"))
            continue
        try:
            written = parse_table(table, context, fields, required={"url": "where its export is"}, later=LATER_SOURCE)
            sources.append(SourcePolicy(name=name, **written))
        except MistakesError as error:
            found += [(at + below, what) for below, what in error.found]
    if found:
        raise MistakesError(*found)
    return tuple(sorted(sources, key=lambda source: source.name))


# ---------------------------------------------------------------- arrays and tables


def parse_list(value: object, context: Context, parse_item: Parser) -> tuple[Any, ...]:
    """Return every item parsed; complains about all that are wrong, counted from 0."""
    if not isinstance(value, list):
        mistake(f"expected an array, not {kind_of(value)}")
    items: list[Any] = []
    found: list[tuple[str, str]] = []
    for index, item in enumerate(value):
        try:
            items.append(parse_item(item, context))
        except MistakesError as error:
            found += [(f"[{index}]{below}", what) for below, what in error.found]
    if found:
        raise MistakesError(*found)
    return tuple(items)


def parse_table(
    value: object,
    context: Context,
    fields: Mapping[str, Parser],
    *,
    required: Mapping[str, str] | None = None,
    later: Collection[str] = (),
) -> dict[str, Any]:
    """Return what a table says, by key; *required* maps keys to what to write, *later* are keys not yet available."""
    if not isinstance(value, dict):
        mistake(f"expected a table, not {kind_of(value)}")
    parsed: dict[str, Any] = {}
    found: list[tuple[str, str]] = []
    for key, item in value.items():
        at = f".{quote_key(key)}"
        if key in later:
            found.append((at, "not available in this version (remove it)"))
        elif key not in fields:
            found.append((at, f"unknown key{did_you_mean(key, [*fields, *later])}"))
        else:
            try:
                parsed[key] = fields[key](item, context)
            except MistakesError as error:
                found += [(at + below, what) for below, what in error.found]
    found += [("", f"missing '{key}' ({hint})") for key, hint in (required or {}).items() if key not in value]
    if found:
        raise MistakesError(*found)
    return parsed
