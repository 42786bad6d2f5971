"""The addresses of guard's indexes in place of the user's own in uv's files, and back; all the rest byte for byte."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from ...dataclass import dataclass
from .toml_texts import quoted, replace_strings, strings_in

_SCRIPT = rb"(?m)^# /// script[ \t]*\r?\n(?:#(?: [^\n]*)?\r?\n)*?# ///[ \t]*\r?$"
"""Inline script metadata (PEP 723)."""
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class AmbiguousError(ValueError):
    """A file names one index by several texts, and which of them is meant where cannot be told any more."""


def recorded(text: str) -> str:
    """Return an index's URL as uv writes it into locks and receipts: normalised (WHATWG), without credentials."""
    text = text.strip()
    match = re.match(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^?#]*)(.*)", text, re.DOTALL)
    if match is None or match[1] not in _DEFAULT_PORTS:
        return text
    host = match[2].rpartition("@")[2].lower().removesuffix(_DEFAULT_PORTS[match[1]])
    return f"{match[1]}://{host}{_without_dots(match[3]) or '/'}{match[4]}"


def _without_dots(path: str) -> str:
    """Return a path without `.` and `..`."""
    if "/." not in path:
        return path
    parts: list[str] = []
    for part in path.split("/")[1:]:
        if part == "..":
            del parts[-1:]
        elif part != ".":
            parts.append(part)
    if path.endswith(("/.", "/..")):
        parts.append("")
    return "/" + "/".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Which address of guard's stands for which text of the user's."""

    ours: Mapping[str, str]
    """By the user's text."""

    def __post_init__(self) -> None:
        meant: dict[str, str] = {}
        for text, address in self.ours.items():
            if address in self.ours or meant.setdefault(address, recorded(text)) != recorded(text):
                raise ValueError("two indexes would share an address")

    @property
    def needles(self) -> tuple[bytes, ...]:
        """What every address of ours has in it: host, port and secret."""
        found: dict[bytes, None] = {}
        for url in self.ours.values():
            authority, _, path = url.partition("://")[2].partition("/")
            found[f"{authority}/{path.partition('/')[0]}".encode()] = None
        return tuple(found)

    def named_in(self, data: bytes) -> bool:
        """Say whether one of ours is left in a file."""
        return any(needle in data for needle in self.needles)

    def theirs_in_lock(self, data: bytes) -> bool:
        """Say whether a lock names an index of the user's for which one of ours stands."""
        return any(f'registry = "{recorded(text)}"'.encode() in data for text in self.ours)

    def put_into(self, data: bytes, name: str) -> bytes:
        """Return a file, by its name a TOML document, a lock or a script, with ours in place of the user's.

        Of a document every string is looked at, whatever its key: what is no index is put back as well, and no index
        can be overlooked.
        """
        if name.endswith(".lock"):
            return self._put_into_lock(data)
        if not name.endswith(".toml"):
            return re.sub(_SCRIPT, lambda match: _quoted_replaced(match[0], self.ours), data)
        try:
            return replace_strings(data.decode(), self.ours).encode()
        except UnicodeDecodeError:
            return data  # uv refuses it

    def _put_into_lock(self, data: bytes) -> bytes:
        """Return a lock, which may be large, and which uv writes in one way only."""
        return _quoted_replaced(data, {**{recorded(text): ours for text, ours in self.ours.items()}, **self.ours})

    def taken_from(self, data: bytes, name: str, before: bytes) -> bytes:
        """Return a file that uv has written with ours replaced by what uv would have written without us.

        *before* is what it was before ours were put in. Raises `AmbiguousError`.
        """
        known: Collection[str] = () if name.endswith(".lock") else _known(before)
        for address in dict.fromkeys(self.ours.values()):
            texts = [text for text, ours in self.ours.items() if ours == address]
            written = [text for text in texts if text in known] or [recorded(texts[0])]
            if len(written) > 1 and address.encode() in data:
                raise AmbiguousError(" and ".join(map(repr, map(recorded, written))))
            data = data.replace(f'"{address}"'.encode(), quoted(written[0]).encode())
            data = data.replace(f"'{address}'".encode(), f"'{written[0]}'".encode())
        return data


def _quoted_replaced(data: bytes, texts: Mapping[str, str]) -> bytes:
    for text, new in texts.items():
        for quote in (b'"', b"'"):
            data = data.replace(quote + text.encode() + quote, quote + new.encode() + quote)
    return data


def _known(data: bytes) -> frozenset[str]:
    return strings_in(data.decode(errors="replace"))


def script_metadata(data: bytes) -> bytes | None:
    """Return the TOML of a script's inline metadata, as a reader of PEP 723 has it."""
    match = re.search(_SCRIPT, data)
    if match is None:
        return None
    lines = match[0].splitlines()[1:-1]
    return b"\n".join(line[2:] if line.startswith(b"# ") else line[1:] for line in lines) + b"\n"
