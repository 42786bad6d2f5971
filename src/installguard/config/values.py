"""Parsers of the policy's values: each takes what TOML gave and returns the final type, or says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, timedelta
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ..dataclass import dataclass
from ..model import Level, Severity, SourceKind
from ..policy import DeniedPackage, IndexPin, PackageMatch, Preset, SourcePolicy
from .toml import printable, quote_key

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
LONGEST = timedelta(days=3650)
DURATION = r"([0-9]{1,9})([smhd])"
ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"
GLOB = r"[A-Za-z0-9*?](?:[A-Za-z0-9*?._-]{0,126}[A-Za-z0-9*?])?"
SOURCE_KINDS: Mapping[str, SourceKind] = {"osv": "osv", "exploited": "exploited", "popular": "popular"}
HIGHEST_PRIORITY = 1000
KEY_BYTES = 32
KEY_FORM = f"write the {KEY_BYTES} bytes of the public key in base64"
"""Of an Ed25519 public key (RFC 8032)."""
LICENSE = r"[A-Za-z0-9][A-Za-z0-9.:+-]*|[()]"
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


def parse_priority(value: object, _: Context) -> int:
    """Return a source's rank among others."""
    if isinstance(value, bool) or not isinstance(value, int):
        mistake(f"expected an integer, not {kind_of(value)}")
    if not -HIGHEST_PRIORITY <= value <= HIGHEST_PRIORITY:
        mistake(f"is not between -{HIGHEST_PRIORITY} and {HIGHEST_PRIORITY}")
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
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

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


def parse_pins(value: object, context: Context) -> tuple[IndexPin, ...]:
    """Return the entries of `packages.index`, in their order."""
    if not isinstance(value, dict):
        mistake(f'expected a table ({{ "acme-*" = "https://…/simple" }}), not {kind_of(value)}')
    pins: list[IndexPin] = []
    found: list[tuple[str, str]] = []
    for glob, url in value.items():
        try:
            match = parse_match(glob, context)
            if len(match.specifier):
                mistake(f"{shown(glob)} names versions (an index is that of a whole project: write a name or glob)")
            pins.append(IndexPin(match=match, url=parse_index(url, context)))
        except MistakesError as error:
            found += [(f".{quote_key(glob)}", what) for _, what in error.found]
    if found:
        raise MistakesError(*found)
    return tuple(pins)


# ---------------------------------------------------------------- licences


def parse_license(value: object, context: Context) -> str:
    """Return an SPDX expression, its spaces made even; which licences there are, is not asked here."""
    text = parse_text(value, context).strip()
    form = "(write MIT, GPL-3.0-only or an expression of such)"
    if "".join(re.findall(LICENSE, text)) != "".join(text.split()):
        mistake(f"{shown(text)} is not an SPDX expression {form}")
    words = re.findall(LICENSE, text)
    if not is_expression([word.upper() if word.upper() in ("AND", "OR", "WITH") else word for word in words]):
        mistake(f"{shown(text)} is not an SPDX expression {form}")
    return " ".join(words).replace("( ", "(").replace(" )", ")")


def is_expression(words: list[str]) -> bool:
    """Say whether words alternate between licences and operators, their brackets paired."""
    depth, operand = 0, True
    for word in words:
        match word:
            case "(" if operand:
                depth += 1
            case ")" if not operand and depth:
                depth -= 1
            case "AND" | "OR" | "WITH" if not operand:
                operand = True
            case "(" | ")" | "AND" | "OR" | "WITH":
                return False
            case _ if operand:
                operand = False
            case _:
                return False
    return not operand and not depth


def parse_licenses(value: object, context: Context) -> tuple[str, ...]:
    """Return the expressions of `licenses.deny`."""
    return parse_list(value, context, parse_license)


# ---------------------------------------------------------------- feed sources


def parse_location(value: object, context: Context) -> str:
    """Return where a source is: an https URL, http on loopback, or an absolute path."""
    text = parse_place(value, context)
    if "://" not in text:
        return parse_path(text, context)
    scheme, host = parse_url(text, meant="the export's base folder")
    if scheme != "https" and not (scheme == "http" and is_loopback(host)):
        mistake(f"{shown(text)} is neither https, nor http on loopback, nor a path")
    return text


def parse_index(value: object, context: Context) -> str:
    """Return the URL of an index."""
    text = parse_place(value, context)
    if re.match(r"(?i:file):///?[^/]", text):
        return text
    scheme, _ = parse_url(text, meant="the index's own page")
    if scheme not in ("https", "http"):
        mistake(f"{shown(text)} is neither https nor http nor file")
    return text


def parse_place(value: object, context: Context) -> str:
    """Return a URL or path on one line."""
    text = parse_text(value, context).strip()
    if not text.isprintable():
        mistake(f"{shown(text)} holds characters that do not print")
    return text


def parse_url(text: str, *, meant: str) -> tuple[str, str]:
    """Return scheme and host of a URL without secrets."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise MistakesError(("", f"{shown(text)} is not a URL ({printable(str(error))})")) from error
    if parts.username is not None or parts.password is not None:
        mistake("holds credentials, which do not belong in a policy")
    if not host or any(character.isspace() for character in text):
        mistake(f"{shown(text)} is not a URL")
    if parts.query or parts.fragment:
        mistake(f"{shown(text)} has a query or fragment (write {meant})")
    return parts.scheme, host


def parse_locations(value: object, context: Context) -> tuple[str, ...]:
    """Return the mirrors of a source."""
    return parse_list(value, context, parse_location)


def parse_source_kind(value: object, _: Context) -> SourceKind:
    """Return what a source holds."""
    return SOURCE_KINDS[parse_choice(value, SOURCE_KINDS)]


def parse_key(value: object, context: Context) -> str:
    """Return an Ed25519 public key in base64 (RFC 8032, RFC 4648)."""
    from base64 import b64decode, b64encode

    text = parse_text(value, context).strip()
    if "PRIVATE" in text:
        mistake("is a private key, which belongs in no policy (write the public one)")
    try:
        key = b64decode(text, validate=True)
    except ValueError as error:
        raise MistakesError(("", f"{shown(text)} is not base64 ({KEY_FORM})")) from error
    if len(key) != KEY_BYTES:
        mistake(f"{shown(text)} is not an Ed25519 public key ({KEY_FORM}; these are {len(key)})")
    return b64encode(key).decode()


def parse_keys(value: object, context: Context) -> tuple[str, ...]:
    """Return the keys of `feed.keys`."""
    return parse_list(value, context, parse_key)


def parse_path(text: str, context: Context) -> str:
    """Return an absolute path, a relative one starting from the policy file."""
    if text.startswith("~"):
        mistake(f"{shown(text)} starts with '~' (write the whole path, or one relative to this file)")
    return normpath(context.base / text)


def parse_extended(value: object, context: Context) -> Path:
    """Return the policy file that another extends."""
    text = parse_place(value, context)
    if "://" in text:
        mistake(f"{shown(text)} is a URL (write the path of a file)")
    return Path(parse_path(text, context))


def parse_extends(value: object, context: Context) -> tuple[Path, ...]:
    """Return the files of `extends`."""
    return parse_list(value, context, parse_extended)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by its name or address alone."""
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


SOURCE_FIELDS: Mapping[str, Parser] = {
    "url": parse_location,
    "mirrors": parse_locations,
    "kind": parse_source_kind,
    "malicious": parse_truth,
    "priority": parse_priority,
    "max-age": parse_duration,
}
"""The keys of a source's table."""


def parse_sources(value: object, context: Context) -> tuple[SourcePolicy, ...]:
    """Return the tables below `feed.sources`, by name."""
    if not isinstance(value, dict):
        mistake(f"expected tables ([tool.installguard.feed.sources.NAME]), not {kind_of(value)}")
    sources: list[SourcePolicy] = []
    found: list[tuple[str, str]] = []
    for name, table in value.items():
        at = f".{quote_key(name)}"
        if re.fullmatch(NAME, name) is None:
            found.append((at, "not a source's name (letters, digits, '-', '_' and '.')"))
            continue
        try:
            written = parse_table(table, context, SOURCE_FIELDS, required={"url": "where its export is"})
            sources.append(SourcePolicy(name=name, **{key.replace("-", "_"): item for key, item in written.items()}))
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
) -> dict[str, Any]:
    """Return what a table says, by key; *required* maps keys to what to write."""
    if not isinstance(value, dict):
        mistake(f"expected a table, not {kind_of(value)}")
    parsed: dict[str, Any] = {}
    found: list[tuple[str, str]] = []
    for key, item in value.items():
        at = f".{quote_key(key)}"
        if key not in fields:
            found.append((at, f"unknown key{did_you_mean(key, fields)}"))
        else:
            try:
                parsed[key] = fields[key](item, context)
            except MistakesError as error:
                found += [(at + below, what) for below, what in error.found]
    found += [("", f"missing '{key}' ({hint})") for key, hint in (required or {}).items() if key not in value]
    if found:
        raise MistakesError(*found)
    return parsed
