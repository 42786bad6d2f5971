"""Finds the start tags of an HTML page in time that only grows with its length, whatever stands in it.

The standard library's parser takes minutes over a few hundred kilobytes that are made to that end. This one follows the
tokenizer of the HTML standard (section 13.2.5) in never going back: what is not closed ends with the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import TypeAlias

Attributes: TypeAlias = dict[str, str]

OPEN = re.compile(r"/?[A-Za-z][^\s/>]*")
BETWEEN = re.compile(r"[\s/]*")
NAME = re.compile(r"=?[^\s/>=]*")
EQUALS = re.compile(r"\s*=\s*")
UNQUOTED = re.compile(r"[^\s>]*")
RAW = re.compile("script|style|textarea|title|xmp|iframe|noembed|noframes")
"""Elements whose content holds no tags."""


def start_tags(text: str) -> Iterator[tuple[str, Attributes]]:
    """Yield the name and attributes of every start tag, both in lower case; of an attribute given twice the first."""
    at = text.find("<")
    while at >= 0:
        if text.startswith("<!--", at):
            at = _behind(text, "-->", at + 2)  # `<!-->` is a whole comment
        elif opened := OPEN.match(text, at + 1):
            name, attributes, at = opened[0].lower(), *_attributes(text, opened.end())
            if at < 0:
                return
            if not name.startswith("/"):
                yield name, attributes
                at = _end_of_raw(text, name, at) if RAW.fullmatch(name) else at
        elif text.startswith(("<!", "<?", "</"), at):
            at = _behind(text, ">", at + 2)
        else:
            at += 1
        at = text.find("<", at) if at >= 0 else at


def _attributes(text: str, at: int) -> tuple[Attributes, int]:
    """Return the attributes from *at* on and where their tag ends, -1 where it does not."""
    attributes: Attributes = {}
    while True:
        at = _end(BETWEEN, text, at)
        if at >= len(text):
            return attributes, -1
        if text[at] == ">":
            return attributes, at + 1
        start, at = at, _end(NAME, text, at)
        name, value = text[start:at].lower(), ""
        if equals := EQUALS.match(text, at):
            value, at = _value(text, equals.end())
            if at < 0:
                return attributes, -1
        attributes.setdefault(name, value)


def _value(text: str, at: int) -> tuple[str, int]:
    """Return the value that stands at *at* and where it ends, -1 where it does not."""
    quote = text[at : at + 1]
    if quote and quote in "\"'":
        end = text.find(quote, at + 1)
        return (_unescaped(text[at + 1 : end]), end + 1) if end >= 0 else ("", -1)
    end = _end(UNQUOTED, text, at)
    return _unescaped(text[at:end]), end


def _unescaped(value: str) -> str:
    try:
        return unescape(value) if "&" in value else value
    except ValueError:  # a character reference of thousands of digits
        return value


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where the match of a pattern that matches everywhere ends."""
    found = pattern.match(text, at)
    return found.end() if found else at


def _behind(text: str, what: str, at: int) -> int:
    """Return the place behind the next *what*, -1 where there is none."""
    found = text.find(what, at)
    return found + len(what) if found >= 0 else -1


def _end_of_raw(text: str, name: str, at: int) -> int:
    """Return where the end tag of a raw element begins, -1 where there is none."""
    found = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(text, at)
    return found.start() if found else -1
