"""Tables of a lock file, read field by field: what is not as it should be is said with file and place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache

from ...dataclass import dataclass
from ...errors import UsageError
from ...model import AnyVersion, Hashes, bounded, parse_version
from ...names import NormalizedName, canonicalize_name

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_DIGEST = re.compile(r"([A-Za-z0-9_-]{1,20})[:=]([0-9A-Fa-f]{8,200})\Z")
_LONG = 300
_NOW = "lock it again with the tool that wrote it"


@dataclass(frozen=True, slots=True)
class Table:
    """One table of *file*, with the way to it; every method raises `UsageError` for a value of a wrong type."""

    data: Mapping[str, object]
    file: str
    way: tuple[str | int, ...] = ()

    @property
    def place(self) -> str:
        """Where it stands: `package[12].sdist`."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.way).lstrip(".")

    def wrong(self, what: str, *, now: str = _NOW) -> UsageError:
        """Return an error about this table."""
        place = f"{self.file}: {self.place}" if self.way else self.file
        return UsageError(shown(what), where=shown(place), now=now)

    def has(self, key: str) -> bool:
        """Return whether there is such a field."""
        return key in self.data

    def text(self, key: str) -> str | None:
        """Return a text that need not be there."""
        value = self.data.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(f"'{key}' is {_kind(value)}, not text")

    def need_text(self, key: str) -> str:
        """Return a text that must be there."""
        value = self.text(key)
        if value is None or not value.strip():
            raise self.wrong(f"missing '{key}'" if value is None else f"'{key}' is empty")
        return value

    def flag(self, key: str) -> bool:
        """Return a boolean, false where it is not there."""
        value = self.data.get(key, False)
        if isinstance(value, bool):
            return value
        raise self.wrong(f"'{key}' is {_kind(value)}, not true or false")

    def number(self, key: str) -> int | None:
        """Return a whole number that need not be there."""
        value = self.data.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self.wrong(f"'{key}' is {_kind(value)}, not a whole number")

    def table(self, key: str) -> Table | None:
        """Return a table that need not be there."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return Table(value, self.file, (*self.way, key))
        raise self.wrong(f"'{key}' is {_kind(value)}, not a table")

    def list(self, key: str) -> Sequence[object]:
        """Return an array, empty where it is not there."""
        value = self.data.get(key)
        if value is None:
            return ()
        if isinstance(value, list):
            return value
        raise self.wrong(f"'{key}' is {_kind(value)}, not an array")

    def tables(self, key: str) -> Iterator[Table]:
        """Yield the tables of an array."""
        for number, value in enumerate(self.list(key)):
            if not isinstance(value, dict):
                raise self.wrong(f"'{key}[{number}]' is {_kind(value)}, not a table")
            yield Table(value, self.file, (*self.way, key, number))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the texts of an array."""
        values = self.list(key)
        for number, value in enumerate(values):
            if not isinstance(value, str):
                raise self.wrong(f"'{key}[{number}]' is {_kind(value)}, not text")
        return tuple(value for value in values if isinstance(value, str))

    # ------------------------------------------------------------ words of the trade

    def name(self, key: str = "name") -> NormalizedName:
        """Return a project's name."""
        return self.as_name(self.need_text(key), key)

    def as_name(self, written: str, key: str) -> NormalizedName:
        """Return *written*, found under *key*, as a project's name."""
        name = _name(written)
        if name is None:
            raise self.wrong(f"'{key}' is not the name of a project")
        return name

    def version(self, key: str = "version") -> AnyVersion | None:
        """Return a version that need not be there."""
        return None if self.data.get(key) is None else parse_version(self.need_text(key))

    def need_version(self, key: str = "version") -> AnyVersion:
        """Return a version that must be there."""
        return parse_version(self.need_text(key))

    def time(self, key: str) -> datetime | None:
        """Return a moment, a TOML date-time or ISO text, taken as UTC where it has no offset."""
        value = self.data.get(key)
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else _moment(value) if isinstance(value, str) else None
        if moment is None:
            raise self.wrong(f"'{key}' is not a date and time")
        if moment.tzinfo is timezone.utc:
            return bounded(moment)
        try:
            utc = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
            return bounded(utc)
        except OverflowError as error:  # an offset that leads out of the years that there are
            raise self.wrong(f"'{key}' is not a date and time") from error

    def digest(self, key: str) -> Hashes:
        """Return the hash `algorithm:digest`, none where it is not there."""
        written = self.text(key)
        return () if written is None else (self.as_digest(written, key),)

    def as_digest(self, written: str, key: str) -> tuple[str, str]:
        """Return *written*, found under *key*, as algorithm and digest."""
        found = _DIGEST.match(written)
        if found is None:
            raise self.wrong(f"'{key}' is not a hash")
        return found[1].lower(), found[2].lower()

    def digests(self, key: str) -> Hashes:
        """Return the hashes of a table of them, by algorithm."""
        table = self.table(key)
        if table is None:
            return ()
        return tuple(sorted(table.as_digest(f"{each}:{table.need_text(each)}", each) for each in table.data))


def shown(text: str) -> str:
    """Return *text* on one line of bearable length, what does not print written as escapes."""
    line = text if len(text) <= _LONG else f"{text[:_LONG]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in line)


@lru_cache(maxsize=65536)
def _name(written: str) -> NormalizedName | None:
    return canonicalize_name(written) if _NAME.match(written) else None


_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-]\d\d:?\d\d))?\Z", re.ASCII)


def _moment(written: str) -> datetime | None:
    found = _ISO.match(written)
    if found is None:
        return None
    day, time, fraction, offset = found.groups()
    micro = (fraction or "").ljust(6, "0")[:6]
    zone = "+00:00" if offset is None else f"{offset[:3]}:{offset[-2:]}"
    try:
        return datetime.fromisoformat(f"{day}T{time}.{micro}{zone}")
    except ValueError:
        return None


def _kind(value: object) -> str:
    """Return what *value* is, in a word."""
    if value is None:
        return "null"
    for types, word in _KINDS:
        if isinstance(value, types):
            return word
    return "a date or time"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    (str, "text"),
    ((int, float), "a number"),
    (dict, "a table"),
    (list, "an array"),
)
