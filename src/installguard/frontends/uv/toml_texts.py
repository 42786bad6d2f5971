"""TOML of uv's files: read as uv reads it (1.1), its strings replaced in the text, the indexes that it names."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'" + r"|#[^\n]*|[{}\[\],\n]",
    re.DOTALL,
)
"""Strings, comments, and what nests or ends something."""
_BOM = "\ufeff"
_END = "}"


class TomlError(ValueError):
    """A text that uv could not read either."""


# ---------------------------------------------------------------- reading


def read_toml(data: bytes) -> dict[str, Any]:
    """Return the document that *data* is, in TOML 1.1 as uv reads it; raises `TomlError`."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        text = data.decode().removeprefix(_BOM)
        try:
            return tomllib.loads(text)
        except ValueError:
            return tomllib.loads(_as_toml_1_0(text))
    except RecursionError as error:
        raise TomlError("nested too deeply") from error
    except ValueError as error:
        raise TomlError(str(error)) from error


def _as_toml_1_0(text: str) -> str:
    """Return a text of TOML 1.1 in 1.0: inline tables on one line, without a last comma; no escapes but old ones."""
    parts: list[str] = []
    nested: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        parts += [text[end : match.start()], _token_in_1_0(token, inside="{" in nested)]
        end = match.end()
        if token in ("{", "["):
            nested.append(token)
        elif token in (_END, "]"):
            if token == _END:
                _drop_last_comma(parts)
            del nested[-1:]
    return "".join((*parts, text[end:]))


def _token_in_1_0(token: str, *, inside: bool) -> str:
    if token[0] == '"' and "\\" in token:
        return re.sub(r"\\(?:x([0-9A-Fa-f]{2})|(e)|(.))", _escape_in_1_0, token, flags=re.DOTALL)
    return " " if inside and token[0] in "\n#" else token


def _escape_in_1_0(match: re.Match[str]) -> str:
    code = match[1] or ("1B" if match[2] else None)
    return f"\\u00{code}" if code else match[0]


def _drop_last_comma(parts: list[str]) -> None:
    """Blank a comma that only space parts from the closing brace, the last of *parts*."""
    for at in range(len(parts) - 2, -1, -1):
        if parts[at].strip():
            if parts[at] == ",":
                parts[at] = " "
            return


# ---------------------------------------------------------------- strings


def replace_strings(text: str, replace: Mapping[str, str]) -> str:
    """Return a TOML text in which every string that is exactly one of these texts is another; these need no escapes."""

    def replaced(match: re.Match[str]) -> str:
        token = match[0]
        new = replace.get(string_of(token)) if token[0] in "\"'" else None
        quotes = token[:3] if token.startswith(('"""', "'''")) else token[:1]
        return token if new is None else f"{quotes}{new}{quotes}"

    return _TOKEN.sub(replaced, text)


def strings_in(text: str) -> frozenset[str]:
    """Return all strings of a TOML text."""
    return frozenset(string_of(match[0]) for match in _TOKEN.finditer(text) if match[0][0] in "\"'")


def string_of(token: str) -> str:
    """Return the value of a string as TOML writes it; the token itself where it is none."""
    if "\\" not in token and not token.startswith(('"""', "'''")):
        return token[1:-1]
    try:
        return str(read_toml(f"x = {token}".encode())["x"])
    except TomlError:
        return token


def quoted(text: str) -> str:
    """Return *text* as a TOML basic string."""
    escaped = "".join(
        f"\\{each}" if each in '"\\' else each if each.isprintable() else f"\\U{ord(each):08X}" for each in text
    )
    return f'"{escaped}"'


# ---------------------------------------------------------------- indexes


def index_texts(document: Mapping[str, Any], *, pyproject: bool) -> tuple[str, ...]:
    """Return the texts by which a settings file names indexes and places of files (`find-links`), each once."""
    table = _table(_table(document, "tool"), "uv") if pyproject else document
    found: dict[str, None] = {}
    for part in (table, _table(table, "pip")):
        urls = [each.get("url") for each in _items(part.get("index")) if isinstance(each, dict)]
        for key in ("index-url", "extra-index-url", "find-links"):
            urls += _items(part.get(key))
        found.update((url, None) for url in urls if isinstance(url, str))
    return tuple(found)


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def index_tables(default: str | None, registries: tuple[str, ...]) -> str:
    """Return the lines of a `uv.toml` that configure a default index, and others that only a lock may name."""
    blocks = [
        f'[[index]]\nname = "{NAME}-{number}"\nurl = {quoted(url)}\nexplicit = true\n'
        for number, url in enumerate(registries, 1)
    ]
    if default is not None:
        blocks.append(f"[[index]]\nurl = {quoted(default)}\ndefault = true\n")
    return "\n".join(blocks)


NAME = "installguard"
"""What the names of indexes begin with that guard adds."""


def with_index_tables(text: str, default: str | None, registries: tuple[str, ...]) -> str:
    """Return the text of a `uv.toml` with more indexes; raises `TomlError` where its own are written inline."""
    added = index_tables(default, registries)
    entries = read_toml(text.encode()).get("index")
    if isinstance(entries, list) and not re.search(r"^[ \t]*\[\[[ \t]*[\"']?index", text, re.MULTILINE):
        return _with_inline(text, default, registries)
    joined = f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{added}"
    read_toml(joined.encode())
    return joined


def _with_inline(text: str, default: str | None, registries: tuple[str, ...]) -> str:
    """Return the text with more indexes in its inline array `index = […]`."""
    new: list[dict[str, str | bool]] = [
        {"name": f"{NAME}-{number}", "url": url, "explicit": True} for number, url in enumerate(registries, 1)
    ]
    if default is not None:
        new.append({"url": default, "default": True})
    wanted = {**(before := read_toml(text.encode())), "index": [*before["index"], *new]}
    items = ", ".join(f"{{ {', '.join(f'{key} = {_value(value)}' for key, value in each.items())} }}" for each in new)
    for bracket in re.finditer(r"\]", text):
        for comma in ("", ", "):
            candidate = text[: bracket.start()] + "\n" + comma + items + text[bracket.start() :]
            try:
                if read_toml(candidate.encode()) == wanted:
                    return candidate
            except TomlError:
                continue
    raise TomlError("its indexes are written in a way that none can be added to")


def _value(value: str | bool) -> str:
    return quoted(value) if isinstance(value, str) else str(value).lower()
